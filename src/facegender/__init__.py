"""Every face in a photo, with a calibrated estimate of how its gender is perceived."""
