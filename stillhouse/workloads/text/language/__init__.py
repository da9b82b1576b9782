"""Causal language modelling: the next token of a text, scored in bits per byte."""

from __future__ import annotations

from stillhouse.contracts import families
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.text.language.generate import apply
from stillhouse.workloads.text.language.prepare import PrepareSettings, prepare
from stillhouse.workloads.text.language.sample import DataSettings, load
from stillhouse.workloads.text.language.scoring import loss, score, split
from stillhouse.workloads.text.language.table import TABLE

FAMILIES = families.of("language", __name__)
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
    higher_is_better=False,
    table=TABLE,
    split=split,
)
