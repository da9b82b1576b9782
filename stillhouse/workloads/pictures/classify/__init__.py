"""Image classification: one class for each picture."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.classify.sample import Batch, DataSettings, load, shown
from stillhouse.workloads.pictures.classify.scoring import loss, score, split
from stillhouse.workloads.pictures.classify.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees normalised pixels."""
    return network(batch.pixels())


FAMILIES = families.of("classify", __name__)
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
    table=TABLE,
    split=split,
    shown=shown,
)
