"""What a face is, and from a photo file to aligned 64x64 crops: NumPy, OpenCV and Pillow only."""
