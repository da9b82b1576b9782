"""Temporal graphs: what the nodes of a graph that changes will have next, or of which class the graph is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.dcrnn import Dcrnn, DcrnnSettings
from stillhouse.workloads.graphs.temporal.evolvegcn import EvolveGcn, EvolveGcnSettings
from stillhouse.workloads.graphs.temporal.gcrn import Gcrn, GcrnSettings
from stillhouse.workloads.graphs.temporal.graph_then_time import GraphThenTime, GraphThenTimeSettings
from stillhouse.workloads.graphs.temporal.network import Network
from stillhouse.workloads.graphs.temporal.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.temporal.sample import DataSettings, load
from stillhouse.workloads.graphs.temporal.scoring import loss, score
from stillhouse.workloads.graphs.temporal.table import TABLE
from stillhouse.workloads.graphs.temporal.time_then_graph import TimeThenGraph, TimeThenGraphSettings

ModelSettings = Annotated[
    TimeThenGraphSettings | EvolveGcnSettings | GcrnSettings | DcrnnSettings | GraphThenTimeSettings,
    Field(discriminator="family"),
]
_PEERS = {EvolveGcnSettings: EvolveGcn, GcrnSettings: Gcrn, DcrnnSettings: Dcrnn, GraphThenTimeSettings: GraphThenTime}


def model(settings: ModelSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """The network of a family for windows of the sizes that `load` gives."""
    if isinstance(settings, TimeThenGraphSettings):
        return Network(settings, sizes, lambda blueprint, channels: TimeThenGraph(settings, sizes, blueprint, channels), architecture)
    return Network(settings, sizes, lambda blueprint, channels: _PEERS[type(settings)](settings, blueprint, channels), architecture)


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network knows what it may see of a batch."""
    return network(batch)


WORKLOAD = Workload(
    prepare_settings=PrepareSettings,
    data_settings=DataSettings,
    model_settings=ModelSettings,
    prepare=prepare,
    load=load,
    model=model,
    apply=apply,
    loss=loss,
    score=score,
    table=TABLE,
)
