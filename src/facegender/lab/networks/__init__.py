"""The networks as layer tables, their arithmetic, and the PyTorch modules built from them."""
