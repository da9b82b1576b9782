"""Classes of nodes on one graph that does not change, with features of each node."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.static_nodes.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.static_nodes.sample import Batch, DataSettings, load, shown, thinned
from stillhouse.workloads.graphs.static_nodes.scoring import loss, score
from stillhouse.workloads.graphs.static_nodes.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees all nodes of the batch and its edges; its predictions are those for the nodes that are asked about."""
    found: Output = network(batch.features, batch.edges)
    return replace(found, prediction=found.prediction[batch.asked])


FAMILIES = families.of("static_nodes", __name__, default="gcn")
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
