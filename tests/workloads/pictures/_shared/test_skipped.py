"""`bad: skip` in all workloads of pictures: what cannot be read is left out with its masks and boxes, counted, and nothing else is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from tests.workloads.pictures.detect.raws import BOXES, table
from tests.workloads.pictures.detect.raws import coded as png
from tests.workloads.pictures.detect.raws import pictures as boxed
from tests.workloads.pictures.segment.raws import coded, masks, pixels
from tests.workloads.pictures.segment.raws import table as pairs

COUNT, BAD = 10, {1, 4, 9}
SPLITS = ["train", "train", "val", "test", "train", "val", "test", "train", "train", "train"]
"""The bad ones are of train alone."""
Raw = Callable[[Path, list[int], set[int]], Path]


def classify(path: Path, rows: list[int], bad: set[int]) -> Path:
    images = [b"?" if row in bad else coded(pixels(COUNT)[row]) for row in rows]
    columns = {"image": images, "label": [row % 2 for row in rows], "split": [SPLITS[row] for row in rows]}
    parquet.write_table(pa.table(columns), path)
    return path


def segment(path: Path, rows: list[int], bad: set[int]) -> Path:
    """A picture is damaged, a mask is, and a mask is of another size."""
    images, numbers = [coded(pixels(COUNT)[row]) for row in rows], [coded(masks(COUNT)[row]) for row in rows]
    for row, where, what in ((1, images, b"?"), (4, numbers, b""), (9, numbers, coded(masks(1, height=2)[0]))):
        if row in bad:
            where[rows.index(row)] = what
    return pairs(path, images, numbers, None, split=[SPLITS[row] for row in rows], id=[str(row) for row in rows])


def detect(path: Path, rows: list[int], bad: set[int]) -> Path:
    images = [b"?" if row in bad else png(boxed(COUNT)[row]) for row in rows]
    return table(path, images, [BOXES[row] for row in rows], [SPLITS[row] for row in rows], ["cat", "bee", "ant"])


RAWS: dict[str, Raw] = {"classify": classify, "segment": segment, "detect": detect}


def prepared(workload: str, raw: Path, place: Path, **settings: Any) -> tuple[dict[str, float], dict[str, bytes]]:
    """The metrics, and the bytes of all files."""
    part = registry.workload(workload)
    place.mkdir()
    metrics = part.prepare(part.prepare_settings(**settings), raw, place, torch.Generator().manual_seed(0))
    return dict(metrics), {path.name: path.read_bytes() for path in sorted(place.iterdir())}


@pytest.mark.parametrize("workload", RAWS)
def test_the_rest_is_as_if_they_had_not_been_there(tmp_path: Path, workload: str) -> None:
    rows = list(range(COUNT))
    metrics, files = prepared(workload, RAWS[workload](tmp_path / "some.parquet", rows, BAD), tmp_path / "some", bad="skip")
    good = RAWS[workload](tmp_path / "good.parquet", [row for row in rows if row not in BAD], set())
    wanted, bytes_ = prepared(workload, good, tmp_path / "good")
    assert files == bytes_
    assert metrics == wanted | {"skipped_pictures": 3.0}


@pytest.mark.parametrize("workload", RAWS)
def test_without_it_all_are_named(tmp_path: Path, workload: str) -> None:
    raw = RAWS[workload](tmp_path / "t.parquet", list(range(COUNT)), BAD)
    with pytest.raises(UserError) as told:
        prepared(workload, raw, tmp_path / "out")
    assert [line.partition(" - ")[0].partition(", ")[2][:5] for line in str(told.value).splitlines()[:-1]] == [
        f"row {row}" for row in (1, 4, 9)
    ]


@pytest.mark.parametrize("workload", RAWS)
def test_a_split_of_which_nothing_is_left_is_refused(tmp_path: Path, workload: str) -> None:
    raw = RAWS[workload](tmp_path / "t.parquet", [0, 1, 4], {1})
    parquet.write_table(parquet.read_table(raw).drop_columns("split").append_column("split", [["train", "val", "train"]]), raw)
    with pytest.raises(UserError, match=r"row 1.* - wanted a picture"):
        prepared(workload, raw, tmp_path / "out", bad="skip")


def test_a_wrong_box_is_no_picture_that_cannot_be_read(tmp_path: Path) -> None:
    boxes = [[(5.0, 5.0, 1.0, 1.0, 0)], *BOXES[1:]]
    raw = table(tmp_path / "t.parquet", [png(picture) for picture in boxed(COUNT)], boxes, SPLITS, ["cat", "bee", "ant"])
    with pytest.raises(UserError, match="row 0 - wanted boxes from their left upper to their right lower corner"):
        prepared("detect", raw, tmp_path / "out", bad="skip")
