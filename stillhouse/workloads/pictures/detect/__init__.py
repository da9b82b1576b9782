"""Boxes around the objects of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.detect.fcos import FcosSettings, fcos
from stillhouse.workloads.pictures.detect.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.detect.retinanet import RetinaNetSettings, retinanet
from stillhouse.workloads.pictures.detect.sample import Batch, DataSettings, load
from stillhouse.workloads.pictures.detect.scoring import agreement, loss, score
from stillhouse.workloads.pictures.detect.table import TABLE

ModelSettings = Annotated[RetinaNetSettings | FcosSettings, Field(discriminator="family")]


def model(settings: ModelSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """The network of a family for pictures of the sizes that `load` gives."""
    if isinstance(settings, FcosSettings):
        return fcos(settings, sizes, architecture)
    return retinanet(settings, sizes, architecture)


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees normalised pixels."""
    output: Output = network(batch.pixels())
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
    agreement=agreement,
    table=TABLE,
)
