"""A network of pairs of nodes of one's own: from `x`, `edge_index`, `source` and `target` to a score of every candidate."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.static_edges.geometric import example


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given are `x` (nodes, features), `edge_index` (2, edges), `source` (queries,) and `target` (queries, candidates), all int64 but `x`.

    Wanted is (queries, candidates).
    """
    given = example(sizes)
    return foreign.module(settings, given, architecture, AsOutput("candidates", settings.prediction), tuple(given[3].shape))


FAMILY = Family(ModuleSettings, module)
