"""Checkpoints: whole or not there, and no damaged one is ever used."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.training.progress import Progress, newest, write


def three(folder: Path) -> Path:
    for value in (1.0, 2.0, 3.0):
        path = write(folder, {"weight": torch.full((5,), value)}, {"value": value})
    return path


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def rename(path: Path) -> None:
    path.rename(path.with_name(f"{path.name[:7]}{'0' * 64}.safetensors"))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut short": lambda path: os.truncate(path, 20),
    "empty": lambda path: path.write_bytes(b""),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "another file": lambda path: path.write_text("{}"),
    "another name": rename,
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


def test_the_newest_is_read_and_two_are_kept(tmp_path: Path) -> None:
    three(tmp_path)
    tensors, facts = newest(tmp_path) or pytest.fail("there is none")
    assert torch.equal(tensors["weight"], torch.full((5,), 3.0))
    assert facts == {"value": 3.0}
    assert sorted(path.name[:6] for path in tmp_path.iterdir()) == ["000002", "000003"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_dropped_with_one_line_for_the_one_before(tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    DAMAGES[damage](three(tmp_path))
    assert (newest(tmp_path) or pytest.fail("none"))[1] == {"value": 2.0}
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "dropped: its bytes are not those that were written" in told
    assert [path.name[:6] for path in tmp_path.iterdir()] == ["000002"]


def test_without_an_undamaged_one_a_training_starts_anew(tmp_path: Path) -> None:
    three(tmp_path)
    for path in tmp_path.iterdir():
        flip(path)
    assert newest(tmp_path) is None
    assert not list(tmp_path.iterdir())


def test_one_of_another_torch_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    three(tmp_path)
    monkeypatch.setattr(torch, "__version__", "2.0.0")
    assert newest(tmp_path) is None
    assert "this is 2.0.0" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["soon", "-1", "nan"])
def test_a_wrong_time_between_checkpoints_is_told(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", given)
    with pytest.raises(UserError, match=f"STILLHOUSE_CHECKPOINT_SECONDS should be a number .* got '{given}'"):
        Progress()
