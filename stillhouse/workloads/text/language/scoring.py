"""What is trained on and what is reported: cross-entropy of the next token, and what it means in bits of the text."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.output import Output
from stillhouse.contracts.split import Part, by_rows
from stillhouse.workloads.text.language.sample import UNSCORED, Batch

_HIGHEST = 700.0
"""The largest power of e that is still a number."""


def loss(output: Output, batch: Batch) -> Tensor:
    """The mean cross-entropy of all targets that count, in nats."""
    return functional.cross_entropy(_rows(output), batch.target.flatten(), ignore_index=UNSCORED)


def split(batch: Batch, number: int) -> list[Part[Batch]]:
    """By windows, each of which counts for its targets; what they cover together is told of the whole batch."""
    return by_rows(batch, number, ("token", "target"), lambda part: int((part.target != UNSCORED).sum()))


def score(outputs: Iterable[tuple[Output, Batch]]) -> Metrics:
    """Over a whole text: bits per byte; perplexity per token, and per word with a line's end as a word, as published figures count."""
    nats, tokens, covered = [], [], []
    for output, batch in outputs:
        target = batch.target.flatten()
        nats.append(functional.cross_entropy(_rows(output), target, ignore_index=UNSCORED, reduction="none").double().sum())
        tokens.append((target != UNSCORED).sum())
        covered.append(batch.covered)
    total, (size, words, lines) = float(torch.stack(nats).sum()), torch.stack(covered).sum(0).tolist()
    return {
        "bits_per_byte": bits_per_byte(total, size),
        "perplexity": perplexity(total, int(torch.stack(tokens).sum())),
        "word_perplexity": perplexity(total, words + lines),
    }


def bits_per_byte(nats: float, size: int) -> float:
    """What the tokens of a text of `size` bytes cost together, for each byte."""
    return nats / (math.log(2) * size)


def perplexity(nats: float, count: int) -> float:
    """Among how many equally likely ones each of `count` tokens or words was chosen; at most e^700."""
    return math.exp(min(nats / max(count, 1), _HIGHEST))


def _rows(output: Output) -> Tensor:
    """(batch * context, vocabulary) in at least single precision."""
    logits = output.prediction.flatten(0, 1)
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
