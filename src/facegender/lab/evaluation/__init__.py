"""Metrics, cross-validation and figures (extra ``train``)."""
