"""A network of graphs of one's own, of PyTorch Geometric's form, from `x`, `edge_index` and `batch` to answers for every graph."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_graphs.geometric import example, meaning, outputs


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given are `x` (nodes, features), `edge_index` (2, edges), int64, `batch` (nodes,), int64, and the number of graphs.

    Wanted is (graphs, classes) or (graphs, values).
    """
    hook = AsOutput(meaning(sizes), settings.prediction)
    return foreign.module(settings, example(sizes), architecture, hook, (2, outputs(sizes)))


FAMILY = Family(ModuleSettings, module)
