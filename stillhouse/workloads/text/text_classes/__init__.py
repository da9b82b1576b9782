"""Classification of texts: one class for each text."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.text.text_classes.prepare import PrepareSettings, prepare
from stillhouse.workloads.text.text_classes.sample import Batch, DataSettings, load, shown
from stillhouse.workloads.text.text_classes.scoring import loss, score, split
from stillhouse.workloads.text.text_classes.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """The network sees tokens, and which of them are of a text."""
    found: Output = network(input_ids=batch.token, attention_mask=batch.mask)
    return found


FAMILIES = families.of("text_classes", __name__)
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
