"""Temporal graphs: what the nodes of a graph that changes will have next, or of which class the graph is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from stages.core.kinds import Output, Workload
from stages.core.space import Architecture
from stages.workloads.temporal_graph.batch import Batch
from stages.workloads.temporal_graph.dcrnn import Dcrnn, DcrnnSettings
from stages.workloads.temporal_graph.evolvegcn import EvolveGcn, EvolveGcnSettings
from stages.workloads.temporal_graph.gcrn import Gcrn, GcrnSettings
from stages.workloads.temporal_graph.graph_then_time import GraphThenTime, GraphThenTimeSettings
from stages.workloads.temporal_graph.network import Network
from stages.workloads.temporal_graph.prepare import PrepareSettings, prepare
from stages.workloads.temporal_graph.sample import DataSettings, load
from stages.workloads.temporal_graph.scoring import loss, score
from stages.workloads.temporal_graph.table import TABLE
from stages.workloads.temporal_graph.time_then_graph import TimeThenGraph, TimeThenGraphSettings

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
