"""Edges that are missing from one graph that does not change, with features of each node: which two nodes an edge joins."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.static_edges.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.static_edges.sample import Batch, DataSettings, load, thinned
from stillhouse.workloads.graphs.static_edges.scoring import loss, score
from stillhouse.workloads.graphs.static_edges.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """A score for each candidate of each query."""
    found: Output = network(batch.features, batch.edges, batch.source, batch.target)
    return found


FAMILIES = families.of("static_edges", __name__, default="gcn")
WORKLOAD = Workload(
    prepare_settings=PrepareSettings,
    data_settings=DataSettings,
    model_settings=FAMILIES.settings,
    prepare=prepare,
    load=load,
    model=FAMILIES.model,
    apply=apply,
    loss=loss,
    score=score,
    thinned=thinned,
    table=TABLE,
)
