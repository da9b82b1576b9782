"""A classifier of nodes of one's own: any network of PyTorch Geometric's form, from `x` and `edge_index` to logits of every node."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_nodes.geometric import example


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given are `x` (nodes, features) and `edge_index` (2, edges), int64, source and target; wanted is (nodes, classes)."""
    given = example(sizes)
    return foreign.module(settings, given, architecture, AsOutput("classes", settings.prediction), (len(given[0]), sizes["classes"]))


FAMILY = Family(ModuleSettings, module)
