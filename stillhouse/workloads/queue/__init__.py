"""Queues: a chain is learned from how often a few states are seen under light load, and asked for the full queue under heavy load."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.queue.batch import Batch, loss, score
from stillhouse.workloads.queue.black_box import BlackBox, BlackBoxSettings
from stillhouse.workloads.queue.chain import StructuredSettings, TriangularSettings, structured, triangular
from stillhouse.workloads.queue.neural import NeuralSettings, neural
from stillhouse.workloads.queue.prepare import PrepareSettings, prepare
from stillhouse.workloads.queue.sample import DataSettings, load
from stillhouse.workloads.queue.table import TABLE

ModelSettings = Annotated[StructuredSettings | TriangularSettings | NeuralSettings | BlackBoxSettings, Field(discriminator="family")]


def model(settings: ModelSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """The model of a family; only the networks have something that may be searched."""
    if isinstance(settings, StructuredSettings):
        return structured(settings, sizes["states"])
    if isinstance(settings, TriangularSettings):
        return triangular(settings, sizes["states"])
    if isinstance(settings, NeuralSettings):
        return neural(settings, sizes["states"], architecture)
    return BlackBox(settings, sizes["states"], architecture)


def apply(network: nn.Module, batch: Batch) -> Output:
    """A model sees the loads alone."""
    output: Output = network(batch.load)
    return output


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
    higher_is_better=False,
    table=TABLE,
)
