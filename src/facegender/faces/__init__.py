"""From a photo file to aligned 64x64 crops: decode, detect, align."""
