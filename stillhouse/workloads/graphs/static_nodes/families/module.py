"""A classifier of nodes of one's own: any network of PyTorch Geometric's form, from `x` and `edge_index` to logits of every node."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_nodes.geometric import example, features_alone


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given are `x` (nodes, features) and `edge_index` (2, edges), int64, source and target; wanted is (nodes, classes).

    Positions of nodes, which `prepare` may add, are left out.
    """
    given = example(sizes)
    hook, shape = AsOutput("classes", settings.prediction), (len(given[0]), sizes["classes"])
    return foreign.module(settings, given, architecture, hook, shape, features_alone(sizes))


FAMILY = Family(ModuleSettings, module)
