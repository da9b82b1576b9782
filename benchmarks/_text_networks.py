"""A convolutional classifier of texts, as a network of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from jaxtyping import Float, Int

REACHES = (1, 3, 5)
"""How many neighbouring tokens the filters see."""
SPREAD = 0.1
"""Of a token's first vector: with PyTorch's 1 a rare token would stay the noise that it begins as."""


class Convolutions(nn.Module):
    """Filters over tokens, of each the largest answer in the text, and a linear layer (arXiv 1408.5882, there on words)."""

    def __init__(self, vocabulary: int, classes: int, width: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=SPREAD)
        self.filters = nn.ModuleList([nn.Conv1d(width, channels, reach, padding=reach // 2) for reach in REACHES])
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels * len(REACHES), classes)

    def forward(
        self, input_ids: Int[Tensor, "batch tokens"], attention_mask: Int[Tensor, "batch tokens"]
    ) -> Float[Tensor, "batch classes"]:
        """Logits; tokens that fill up a text are zeros and, as answers are at least zero, never the largest."""
        mask = attention_mask[:, None].to(self.embedding.weight.dtype)
        text = self.dropout(self.embedding(input_ids)).transpose(1, 2) * mask
        largest = [(filters(text).relu() * mask).amax(-1) for filters in self.filters]
        logits: Tensor = self.classifier(self.dropout(torch.cat(largest, 1)))
        return logits
