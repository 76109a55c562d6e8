"""From crops to calibrated answers, and from photos to records."""
