"""Tables 3 and 4 as published beside the networks as counted, and why they differ."""

from __future__ import annotations

from typing import Any

from facegender.lab.networks.counting import as_table3, count_layers, parameters, total
from facegender.lab.networks.registry import describe
from facegender.lab.paper import published

#: Table 4's names for the networks, and ours.
_TABLE4 = {
    "custom CNN": ("custom-cnn-table3", "custom-cnn-table1"),
    "GoogLeNet": ("googlenet",),
    "AlexNet": ("alexnet",),
}

NOTES = (
    "Table 3 rounds pooled sizes half up, so FC-1 reads 3x3x512 values. Table 1's layers with pools that "
    "round down, as frameworks do, give 2x2x512. Both are here: custom-cnn-table3 and custom-cnn-table1. "
    "The 256,000 parameters between them are all in FC-1 and only ever multiply the last pool's padding.",
    "Table 1 has one input channel, Table 3 three. The counts above are for three; one channel takes 144 "
    "parameters off Conv-1.",
    "Table 4 gives AlexNet (ungrouped) with its 1000 ImageNet classes, the custom CNN with two. No GoogLeNet "
    "has 6,799,700 parameters: that is a sum of rounded figures. Without auxiliary heads it has 6,998,552 at "
    "1000 classes, of which 6,990,272 are weights.",
)


def compare_table3() -> list[dict[str, Any]]:
    """Table 3's rows with the sizes and parameters published, and counted for both custom CNNs."""
    counted = {}
    for key in ("table3", "table1"):
        rows = as_table3(count_layers(describe(f"custom-cnn-{key}")))
        counted[key] = [*rows, total(rows)]
    return [
        {
            "layer": printed.layer,
            "published size": printed.feature_size,
            "table3 size": ours3.feature_size,
            "table1 size": ours1.feature_size,
            "published": printed.parameters,
            "table3": ours3.parameters,
            "table1": ours1.parameters,
        }
        for printed, ours3, ours1 in zip(published.table3(), counted["table3"], counted["table1"], strict=True)
    ]


def compare_table4() -> list[dict[str, Any]]:
    """Table 4's rows, the custom CNN once for each of its variants, with counts at 1000 and 2 classes."""
    return [
        {
            "network": name,
            "input": printed.input,
            "mini-batch": printed.mini_batch,
            "main layers": printed.main_layers,
            "published": printed.parameters,
            "1000 classes": parameters(describe(name, classes=1000)),
            "2 classes": parameters(describe(name)),
        }
        for printed in published.table4()
        for name in _TABLE4[printed.network]
    ]
