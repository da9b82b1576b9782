"""Where a model meets text: it predicts the next token of windows, or goes on with a prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.workloads.text.language.sample import Batch

if TYPE_CHECKING:
    from jaxtyping import Int

CONTEXT = "_stillhouse_context"
"""The attribute of a network that has no configuration of Hugging Face in which its family says how many tokens it sees at once."""


@dataclass(frozen=True, eq=False)
class Prompt:
    """Some tokens with which a text begins, and how many are wanted after them."""

    token: Int[Tensor, "1 tokens"]
    wanted: int

    def to(self, device: torch.device, non_blocking: bool = False) -> Prompt:
        """On a device."""
        return Prompt(self.token.to(device, non_blocking=non_blocking), self.wanted)


def apply(network: nn.Module, batch: Batch | Prompt) -> Output:
    """(batch, context, vocabulary) of logits: of what follows each token, or of each token after a prompt.

    Raises UserError if windows are longer than those that the network is made for.
    """
    if isinstance(batch, Prompt):
        return _continued(network, batch)
    length, most = batch.token.shape[1], _most(network)
    if most is not None and length > most:
        raise UserError(f"data.context - wanted at most {most}, the tokens that this model is made for - got {length}")
    found: Output = network(input_ids=batch.token)
    return found


def _most(network: nn.Module) -> int | None:
    """Tokens that a network sees at once, where that is known."""
    return getattr(network, CONTEXT, None) or getattr(getattr(network, "config", None), "max_position_embeddings", None)


def _continued(network: nn.Module, prompt: Prompt) -> Output:
    """Each token is the likeliest one, of all that fits into the context before it."""
    token, logits = prompt.token, list[Tensor]()
    context = _most(network) or token.shape[1] + prompt.wanted
    for _ in range(prompt.wanted):
        found: Output = network(input_ids=token[:, -context:])
        logits.append(found.prediction[:, -1])
        token = torch.cat([token, logits[-1].argmax(-1, keepdim=True)], 1)
    return Output(torch.stack(logits, 1), "classes")
