"""Object detection: boxes around the objects of pictures, each with a class and a score."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.pictures.detect.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.detect.sample import Batch, DataSettings, load
from stillhouse.workloads.pictures.detect.scoring import agreement, loss, score
from stillhouse.workloads.pictures.detect.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees normalised pixels."""
    output: Output = network(batch.pixels())
    return output


FAMILIES = families.of("detect", __name__)
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
    agreement=agreement,
    table=TABLE,
)
