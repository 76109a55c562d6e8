"""The networks, one file each, and their registry (extra ``train``). Importing this package registers all of them."""

# The order is that of the registry.
from facegender.lab.networks import custom_cnn, alexnet, googlenet, residual  # noqa: I001

__all__ = ["alexnet", "custom_cnn", "googlenet", "residual"]
