"""From a dataset as its authors ship it to a prepared store of 64x64 crops."""
