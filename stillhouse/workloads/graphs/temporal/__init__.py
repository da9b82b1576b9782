"""Temporal graphs: what the nodes of a graph that changes will have next, or of which class the graph is."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Floor, Workload
from stillhouse.workloads.graphs.temporal.batch import Batch, thinned
from stillhouse.workloads.graphs.temporal.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.temporal.sample import DataSettings, load
from stillhouse.workloads.graphs.temporal.scoring import loss, score
from stillhouse.workloads.graphs.temporal.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network knows what it may see of a batch."""
    return network(batch)


FAMILIES = families.of("temporal", __name__)
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
    floor=Floor("skill", 0.0, "repeating the last value seen"),
    thinned=thinned,
    table=TABLE,
)
