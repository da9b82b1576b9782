"""Prepared text as windows of tokens: packed one after the other for training, and with a stride for scoring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from pydantic import Field, model_validator
from torch import Tensor

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.rows import anywhere, in_order, shuffled
from stillhouse.workloads.text._shared.mapped import columns
from stillhouse.workloads.text.language.cover import KINDS

if TYPE_CHECKING:
    from jaxtyping import Int

UNSCORED = -100
"""What stands where a token is not to be predicted; cross-entropy leaves it out."""


class DataSettings(Settings):
    """Windows of `context` tokens; figures of another context or stride are not comparable."""

    context: int = Field(256, gt=1)
    """Tokens that a model sees at once."""
    stride: int | None = Field(None, gt=0)
    """By how many tokens one window of validation and test lies behind the other, of which the last ones alone count; None is half."""
    batch_size: int = Field(16, gt=0)
    evaluation_batch_size: int = Field(16, gt=0)
    train_limit: int | None = Field(None, gt=0)
    """Train on so many windows, spread evenly over the text; None takes all."""
    most_bytes: int = Field(2**32, gt=0, exclude=True)
    """The most bytes of a split in memory, sixteen for each token. A larger one is read from a file window by window; the batches are the
    same, so this is no part of what makes a result."""

    @model_validator(mode="after")
    def _within(self) -> DataSettings:
        if self.stride is not None and self.stride > self.context:
            raise ValueError("stride should be at most context: what lies between two windows would not be scored")
        return self


@dataclass(frozen=True, eq=False)
class Batch:
    """Some windows of a text."""

    token: Int[Tensor, "batch context"]
    target: Int[Tensor, "batch context"]
    """The token that follows each, or -100 where it does not count."""
    covered: Int[Tensor, 3]
    """The bytes, words and ends of lines that the counted targets stand for."""

    def to(self, device: torch.device, non_blocking: bool = False) -> Batch:
        """On a device."""
        moved = (part.to(device, non_blocking=non_blocking) for part in (self.token, self.target, self.covered))
        return Batch(*moved)


@dataclass(frozen=True, eq=False)
class Stream:
    """A split: (tokens,), and (3, tokens) what they stand for, both int32."""

    token: Tensor
    covered: Tensor

    def batch(self, first: Tensor, fresh: Tensor, context: int, left_out: int) -> Batch:
        """The windows that begin at `first` (batch,), of which the targets before the place `fresh` (batch,) do not count.

        Nor do targets that are the token `left_out`.
        """
        steps = torch.arange(context)
        places = first[:, None] + steps
        target = self.token[places + 1].long()
        scored = (steps >= fresh[:, None]) & (target != left_out)
        covered = (self.covered[:, places + 1] * scored).sum((1, 2))
        return Batch(self.token[places].long(), torch.where(scored, target, UNSCORED), covered)


def windows(targets: int, context: int, stride: int) -> tuple[Tensor, Tensor]:
    """Where windows over so many targets begin (windows,), and the place in each of its first target that no window before it has.

    The last window ends with the text, and may begin less than a stride behind the one before it.
    """
    first = torch.arange(0, targets - context + stride, stride).clamp(max=targets - context)
    seen = torch.cat([torch.zeros(1, dtype=torch.int64), first[:-1] + context])
    return first, seen - first


def load(settings: DataSettings, prepared: Path, *, test: bool = False) -> Data[Batch]:
    """Train is shuffled window by window; valid and test keep their order, and each of their tokens is scored once.

    In training the token that ends a text is learned too; in scores it does not count, because it stands for no byte.
    """
    facts = read_json(prepared / "facts.json")
    end: int = facts["end"]

    def fixed(name: str) -> Batches[Batch]:
        stream, context = _stream(prepared, name, settings)
        first, fresh = windows(len(stream.token) - 1, context, min(settings.stride or -(-settings.context // 2), context))
        return in_order(len(first), settings.evaluation_batch_size, lambda rows: stream.batch(first[rows], fresh[rows], context, end))

    return Data(
        train=_training(settings, prepared),
        valid=fixed("valid"),
        test=fixed("test") if test else None,
        sizes={"vocabulary": facts["vocabulary"], "context": settings.context, "end": end},
    )


def _training(settings: DataSettings, prepared: Path) -> Batches[Batch]:
    stream, context = _stream(prepared, "train", settings)
    first, fresh = windows(len(stream.token) - 1, context, context)

    def make(rows: Tensor) -> Batch:
        return stream.batch(first[rows], fresh[rows], context, UNSCORED)

    return shuffled(anywhere(len(first), settings.batch_size, settings.train_limit), make)


def _stream(prepared: Path, name: str, settings: DataSettings) -> tuple[Stream, int]:
    """A split, and the context that there is in it: a short text has fewer targets."""
    found = columns(prepared / f"{name}.parquet", ("token", *KINDS), settings.most_bytes)
    return Stream(found[0], found[1:]), min(settings.context, found.shape[1] - 1)
