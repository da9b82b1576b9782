"""A classifier of texts of one's own: any network that is asked, as BERT is, by `input_ids` and `attention_mask`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.text.text_classes.example import example


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Both are (batch, tokens), int64, the mask 1 where a token is of the text; wanted are logits (batch, classes)."""
    hook = AsOutput("classes", settings.prediction)
    return foreign.module(settings, example(sizes), architecture, hook, (2, sizes["classes"]))


FAMILY = Family(ModuleSettings, module)
