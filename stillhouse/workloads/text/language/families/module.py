"""A language model of one's own: any causal network that is asked, as GPT-2 is, by `input_ids`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.foreign import AsOutput, ModuleSettings
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.text.language.example import example
from stillhouse.workloads.text.language.generate import CONTEXT

NEAR = 1e-4
"""The largest difference that is none, as a share of the largest number."""


def module(settings: ModuleSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """Given is (batch, tokens), int64, at most the data's context; wanted are logits of what follows each, (batch, tokens, vocabulary).

    Raises UserError if a prediction depends on a later token.
    """
    token = example(sizes)
    hook, shape = AsOutput("classes", settings.prediction), (*token.shape, sizes["vocabulary"])
    model = foreign.module(settings, {"input_ids": token}, architecture, hook, shape)
    if architecture is None:
        _require_causal(model, token, sizes["vocabulary"])
    setattr(model, CONTEXT, sizes["context"])
    return model


def _require_causal(model: nn.Module, token: Tensor, vocabulary: int) -> None:
    other = token.clone()
    other[:, -1] = (other[:, -1] + 1) % vocabulary
    mode = model.training
    with torch.no_grad():
        first, second = (model.eval()(input_ids=value).prediction[:, :-1] for value in (token, other))
    model.train(mode)
    if (first - second).abs().amax() > NEAR * first.abs().amax():
        raise UserError(f"{type(model).__name__} - wanted predictions that depend on what came before - they depend on later tokens")


FAMILY = Family(ModuleSettings, module)
