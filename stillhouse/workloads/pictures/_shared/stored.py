"""The pictures of a split as `prepare` wrote them: in memory, or, where they are too many for it, read while they are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, model_serializer
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.training.groups import LANES, Columns, Groups
from stillhouse.training.rows import Order, anywhere, by_groups
from stillhouse.workloads.pictures._shared.decoded import MOST_BYTES


class StoredSettings(Settings):
    """How much of the prepared pictures is held in memory."""

    most_bytes: int = Field(MOST_BYTES, gt=0)
    """The most bytes of the pictures of a split in memory. A larger split is read anew in each pass, row groups in a random order, and the
    pictures of so many row groups as have half of these bytes are mixed; of validation and test one row group at a time is in memory."""

    @model_serializer(mode="wrap")
    def _as_before(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Without what says nothing: results of before the setting keep their fingerprint."""
        values = plain(self)
        return {name: value for name, value in values.items() if (name, value) != ("most_bytes", MOST_BYTES)}


@dataclass(frozen=True)
class Stored:
    """Some pictures: their number, `take(rows)`, and `order(size, limit)`, the order of batches that reads little more than once."""

    count: int
    take: Callable[[Tensor], Columns]
    order: Callable[[int, int | None], Order]


def stored(path: Path, shapes: Mapping[str, tuple[int, ...]], most: int, *, shuffled: bool = False) -> Stored:
    """The columns of a table whose rows have `shapes`; they are in memory if they have `most` bytes or fewer.

    Raises UserError where they have more, should be `shuffled`, and the row groups are too large for it.
    """
    groups = Groups(path, shapes, most if shuffled else 0)
    if len(groups) * groups.row <= most:
        columns = groups.whole()
        return Stored(len(groups), lambda rows: {name: column[rows] for name, column in columns.items()}, partial(anywhere, len(groups)))
    least = 2 * LANES * groups.largest
    if shuffled and least > most:
        wanted = f"wanted {least} bytes at least, {2 * LANES} times its largest row group, or {len(groups) * groups.row} for all of it"
        raise UserError(f"data.most_bytes - {wanted} ({path}) - got {most}: raise it, or prepare the data again")
    return Stored(len(groups), groups.take, lambda size, limit: by_groups(groups.starts, size, most // least, LANES, limit))
