"""Classes of pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from torch import nn

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.pictures.classify.mobilenet import MobileNetSettings, mobilenet
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.classify.resnet import ResNetSettings, resnet
from stillhouse.workloads.pictures.classify.sample import Batch, DataSettings, load
from stillhouse.workloads.pictures.classify.scoring import loss, score
from stillhouse.workloads.pictures.classify.table import TABLE
from stillhouse.workloads.pictures.classify.transformer import Transformer, TransformerSettings

ModelSettings = Annotated[ResNetSettings | MobileNetSettings | TransformerSettings, Field(discriminator="family")]


def model(settings: ModelSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """The network of a family for pictures of the sizes that `load` gives."""
    if isinstance(settings, TransformerSettings):
        return Transformer(settings, sizes, architecture)
    if isinstance(settings, MobileNetSettings):
        return mobilenet(settings, sizes, architecture)
    return resnet(settings, sizes, architecture)


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees normalised pixels."""
    return network(batch.pixels())


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
