"""Pictures that are read while they are trained on are those that are held in memory, in every workload."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.training import groups
from stillhouse.workloads.pictures import classify, detect, segment
from tests.workloads.pictures.classify.raws import DIGITS
from tests.workloads.pictures.detect import raws as boxes
from tests.workloads.pictures.segment import raws as masks

COUNT = 30


def digits(folder: Path) -> Path:
    return DIGITS


def boxed(folder: Path) -> Path:
    content = [boxes.coded(picture) for picture in boxes.pictures(COUNT)]
    return boxes.table(folder / "raw.parquet", content, [boxes.BOXES[0]] * COUNT, None, ["ant", "bee", "cat"])


def masked(folder: Path) -> Path:
    image, mask = masks.pixels(COUNT, height=9, width=12), masks.masks(COUNT, height=9, width=12)
    return masks.table(folder / "raw.parquet", list(map(masks.coded, image)), list(map(masks.coded, mask)))


WORKLOADS = [(classify.WORKLOAD, digits, "label"), (segment.WORKLOAD, masked, "mask"), (detect.WORKLOAD, boxed, "label")]


@pytest.mark.parametrize(("workload", "raw", "field"), WORKLOADS)
def test_what_is_read_is_what_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workload: Any, raw: Callable[[Path], Path], field: str
) -> None:
    monkeypatch.setattr(groups, "GROUP", 200)  # a picture or a few
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    workload.prepare(workload.prepare_settings(), raw(tmp_path), prepared, torch.Generator().manual_seed(0))
    (train, valid), most = rows(workload, prepared, field), least(workload, prepared)
    read, as_valid = rows(workload, prepared, field, most_bytes=most)
    assert sorted(chain(*read)) == sorted(chain(*train))
    assert [len(batch) for batch in read] == [len(batch) for batch in train]
    assert read != train
    assert as_valid == valid
    with pytest.raises(UserError, match=rf"data\.most_bytes - wanted {most} bytes at least, 8 times its largest row group"):
        rows(workload, prepared, field, most_bytes=most - 1)


def least(workload: Any, prepared: Path) -> int:
    """The fewest bytes with which training pictures can be read."""
    with pytest.raises(UserError, match="bytes at least") as refusal:
        rows(workload, prepared, "image", most_bytes=1)
    return int(re.findall(r"wanted (\d+) bytes", str(refusal.value))[0])


def rows(workload: Any, prepared: Path, field: str, **settings: int) -> tuple[list[Any], ...]:
    """For each batch of train and of valid, its pictures and what belongs to each."""
    data = workload.load(workload.data_settings(batch_size=4, evaluation_batch_size=3, **settings), prepared)
    drawn = (split.draw(torch.Generator().manual_seed(0)) for split in (data.train, data.valid))
    return tuple(
        [list(zip(batch.image.flatten(1).tolist(), getattr(batch, field).tolist(), strict=True)) for batch in split] for split in drawn
    )


def test_the_limit_is_a_part_of_what_makes_a_result_where_it_is_not_the_usual_one() -> None:
    assert "most_bytes" not in classify.WORKLOAD.data_settings().model_dump()
    assert classify.WORKLOAD.data_settings(most_bytes=5).model_dump()["most_bytes"] == 5
