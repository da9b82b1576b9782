"""Cells of a series that are missing: which they are, and what stands in their place.

A panel holds NaN there until its windows are known, because what training sees must be filled from what training sees alone.

- `interpolate`: linear in time between the known values of a node, the ends held. Steps that training sees are filled from
  such steps alone, those that validation sees besides from none that only the test sees. Within each part a cell may be filled
  from a later step than a window has.
- `mask`: a cell is neither trained on nor scored. What a window shows there is the last value known before it; before the
  first one the mean of what training knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from stillhouse.contracts.faults import refuse_all

Array = np.ndarray[Any, Any]
Missing = Literal["refuse", "interpolate", "mask"]
MOST = 1e30
REMEDY = "`prepare: {read: {missing: interpolate}}` fills it, `missing: mask` leaves it out"
WORDS = frozenset({"", "nan", "-nan", "na", "n/a", "#n/a", "#na", "<na>", "null", "none", "1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan"})
"""Texts that say that a value is missing, in any case."""


def is_missing(cell: object) -> bool:
    """Whether a cell of a table or of JSON says that it has no value."""
    return cell is None or (isinstance(cell, str) and cell.strip().lower() in WORDS) or (isinstance(cell, float) and cell != cell)


def marked(features: Tensor, begin: Tensor, value: float | None) -> Tensor:
    """The features (nodes, steps, channels) with NaN where they have the value that stands for missing, from each node's first step on."""
    if value is None:
        return features
    there = torch.arange(features.shape[1])[:, None] >= begin[:, None, None]
    return features.masked_fill((features == value) & there, torch.nan)


def refuse(features: Tensor, place: str, value: float | None) -> None:
    """Raises UserError with all cells that are missing."""
    cells = features.isnan().nonzero()

    def told(row: int) -> str:
        node, step, channel = cells[row].tolist()
        wanted = f"wanted a value of node {node} at step {step} in channel {channel}"
        return f"{place} - {wanted} - it is {'none' if value is None else f'{value:g}, which read.missing_value says is none'}; {REMEDY}"

    refuse_all(len(cells), told)


def require_moderate(features: Tensor, place: str) -> None:
    """Raises UserError with all cells whose values are so large that errors cannot be counted in single precision."""
    cells = (features.abs() > MOST).nonzero()

    def told(row: int) -> str:
        node, step, channel = cells[row].tolist()
        got = f"got {features[node, step, channel].item():g} of node {node} at step {step} in channel {channel}: take another unit"
        return f"{place} - wanted values between -{MOST:g} and {MOST:g} - {got}"

    refuse_all(len(cells), told)


def interpolated(features: Tensor, begin: Tensor, ends: Sequence[int]) -> Tensor:
    """The features without NaN. Steps before ends[i] are filled from steps before ends[i] alone, the first such end counting.

    `begin` (nodes,) is the first step of each node. Raises UserError with all nodes that have nothing known to be filled from.
    """
    before = torch.arange(features.shape[1])[:, None] < begin[:, None, None]
    filled = features.masked_fill(before, torch.nan)
    empty = []
    for node, channel in features.isnan().any(1).nonzero().tolist():
        series = filled[node, :, channel].numpy()
        if np.isnan(series[: ends[0]]).all():
            empty.append((node, channel))
        else:
            filled[node, :, channel] = torch.from_numpy(_between(series, ends))
    wanted = "wanted a known value that may be seen, to fill the others from"
    refuse_all(len(empty), lambda row: f"node {empty[row][0]}, channel {empty[row][1]} - {wanted} - there is none")
    return filled.masked_fill(before, 0)


def _between(series: Array, ends: Sequence[int]) -> Array:
    found, start = series.copy(), 0
    for end in ends:
        known = np.flatnonzero(~np.isnan(series[:end]))
        found[start:end] = np.interp(np.arange(start, end), known, series[known])
        start = max(start, end)
    return found


def carried(features: Tensor, start: Tensor) -> Tensor:
    """The features (nodes, steps, channels) with the last known value of the node in place of NaN, `start` (channels,) before the first."""
    step = torch.arange(features.shape[1])[:, None]
    last = torch.where(features.isnan(), -1, step).cummax(1).values
    return torch.where(last < 0, start, features.gather(1, last.clamp_min(0)))
