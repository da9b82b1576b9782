"""A class for each pixel of a picture."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.segment.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.segment.pspnet import PSPNet, PSPNetSettings
from stillhouse.workloads.pictures.segment.sample import Batch, DataSettings, load
from stillhouse.workloads.pictures.segment.scoring import loss, score
from stillhouse.workloads.pictures.segment.table import TABLE


def model(settings: PSPNetSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """The network for pictures and classes of the sizes that `load` gives."""
    return PSPNet(settings, sizes, architecture)


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees normalised pixels."""
    return network(batch.pixels())


WORKLOAD = Workload(
    prepare_settings=PrepareSettings,
    data_settings=DataSettings,
    model_settings=PSPNetSettings,
    prepare=prepare,
    load=load,
    model=model,
    apply=apply,
    loss=loss,
    score=score,
    table=TABLE,
)
