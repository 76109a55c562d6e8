"""AlexNet: A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet classification with deep
convolutional neural networks", NIPS 2012.

Ungrouped: the original splits conv_2, conv_4 and conv_5 over two GPUs, but the paper's count,
62,378,344 for 1000 classes, is that of the network without the split.
"""

from __future__ import annotations

from facegender.lab.networks.layers import LRN, Conv, Dropout, Linear, MaxPool, Network, ReLU

#: k = 2, n = 5, alpha = 1e-4, beta = 0.75 (section 3.3). Its equation does not divide alpha by the
#: window of 5; ours does, hence 5e-4.
_LRN = LRN(size=5, alpha=5e-4, beta=0.75, k=2.0)
_POOL = MaxPool(kernel=3, stride=2)


def alexnet(channels: int = 3, classes: int = 2, dropout: float = 0.5, input_size: int = 227) -> Network:
    """AlexNet for 227 x 227 x `channels`: 62,378,344 parameters (RGB) at 1000 classes, 58,289,538 at 2.

    Another `input_size` changes only how many values fc_6 reads.
    """
    layers = (
        *(Conv("conv_1", 96, kernel=11, stride=4), ReLU(), _LRN, _POOL),
        *(Conv("conv_2", 256, kernel=5, padding=2), ReLU(), _LRN, _POOL),
        *(Conv("conv_3", 384, kernel=3, padding=1), ReLU()),
        *(Conv("conv_4", 384, kernel=3, padding=1), ReLU()),
        *(Conv("conv_5", 256, kernel=3, padding=1), ReLU(), _POOL),
        *(Dropout(dropout), Linear("fc_6", 4096), ReLU()),
        *(Dropout(dropout), Linear("fc_7", 4096), ReLU()),
        Linear("fc_8", classes),
    )
    return Network("alexnet", input_size, channels, classes, layers, mini_batch=30)
