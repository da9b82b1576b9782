"""A class for each pixel of a picture."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stages.core.kinds import Output, Workload
from stages.core.space import Architecture
from stages.workloads.segment.prepare import PrepareSettings, prepare
from stages.workloads.segment.pspnet import PSPNet, PSPNetSettings
from stages.workloads.segment.sample import Batch, DataSettings, load
from stages.workloads.segment.scoring import loss, score
from stages.workloads.segment.table import TABLE


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
