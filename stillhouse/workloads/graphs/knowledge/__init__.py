"""Inductive knowledge graph completion: rank the true triple among false ones, on a graph with new nodes and new relations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.graphs.knowledge.graph import Batch
from stillhouse.workloads.graphs.knowledge.isdea import Isdea, IsdeaSettings
from stillhouse.workloads.graphs.knowledge.isdea_marked import IsdeaMarked, IsdeaMarkedSettings
from stillhouse.workloads.graphs.knowledge.isdea_plus import IsdeaPlus, IsdeaPlusSettings
from stillhouse.workloads.graphs.knowledge.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.knowledge.ranking import loss, score
from stillhouse.workloads.graphs.knowledge.sample import DataSettings, load
from stillhouse.workloads.graphs.knowledge.table import TABLE

ModelSettings = Annotated[IsdeaSettings | IsdeaPlusSettings | IsdeaMarkedSettings, Field(discriminator="family")]
_FAMILIES = {IsdeaSettings: Isdea, IsdeaPlusSettings: IsdeaPlus, IsdeaMarkedSettings: IsdeaMarked}


def model(settings: ModelSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """The network of a family; the sizes of the graph do not matter to it."""
    return _FAMILIES[type(settings)](settings, architecture)


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network hides the answers itself."""
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
