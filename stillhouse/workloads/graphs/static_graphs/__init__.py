"""Classes or values of whole graphs, with features or kinds of their nodes."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.static_graphs.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.static_graphs.sample import Batch, DataSettings, load, shown, thinned
from stillhouse.workloads.graphs.static_graphs.scoring import loss, score
from stillhouse.workloads.graphs.static_graphs.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees all nodes, all edges and the graph of each node."""
    found: Output = network(batch.x, batch.edge_index, batch.batch, batch.graphs)
    return found


FAMILIES = families.of("static_graphs", __name__, default="gin")
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
    shown=shown,
)
