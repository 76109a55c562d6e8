"""Recipes, augmentation and the training loop (extra ``train``)."""
