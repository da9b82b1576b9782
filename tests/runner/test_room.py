"""A disk that is full: told before work where it can be foreseen, and in one sentence, with nothing left over, where not."""

from __future__ import annotations

import functools
import resource
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import save_file

from stillhouse import registry
from stillhouse.record import room
from stillhouse.stages.door import main
from tests.projects import scratch


@contextmanager
def no_room_beyond(size: int) -> Iterator[None]:
    """No file of this process may grow beyond a size: writers meet this as they meet a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


WRITERS: dict[str, Callable[[Path], object]] = {
    "safetensors": lambda path: save_file({"weight": torch.zeros(10_000)}, path),
    "pyarrow": lambda path: pyarrow.parquet.write_table(pyarrow.table({"value": [float(row) for row in range(10_000)]}), path),
    "text": lambda path: path.write_text("x" * 10_000),
    "a copy": lambda path: shutil.copyfile(__file__, path),
    "a copied folder": lambda path: shutil.copytree(Path(__file__).parent, path),
}


@pytest.mark.parametrize("library", WRITERS)
def test_a_full_disk_is_told_in_one_sentence_whoever_writes(library: str, tmp_path: Path) -> None:
    with no_room_beyond(1000), pytest.raises(Exception) as caught:  # noqa: PT011
        WRITERS[library](tmp_path / "out")
    told = room.told(caught.value, tmp_path)
    assert told is not None, repr(caught.value)
    assert told.startswith("the disk is full")
    assert " MB in .work, " in told
    assert "\n" not in told


def test_sqlite_says_in_its_own_words_that_the_disk_is_full(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "out")) as database:
        database.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as caught:
            database.execute("CREATE TABLE numbers (number)")
    assert "the disk is full" in str(room.told(caught.value, tmp_path))
    assert room.told(sqlite3.OperationalError("no such table: runs"), tmp_path) is None


def test_an_error_that_a_full_disk_led_to_is_told_as_a_full_disk(tmp_path: Path) -> None:
    later = KeyError("later")
    later.__cause__ = OSError(28, "No space left on device", "data/a")
    assert str(room.told(later, tmp_path)).startswith("the disk is full at data/a (")


def test_a_failure_on_a_full_disk_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert room.short(tmp_path) == ""
    monkeypatch.setattr(room, "_free", lambda root: [(".work", 999_999), ("data", 5_000_000)])
    assert room.short(tmp_path) == "free are 1.0 MB in .work, 5.0 MB in data"


def test_too_little_room_is_told_before_a_stage_does_anything(project: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_DISK_RESERVE_MB", str(10**12))
    assert main(["prepare", "rings"]) == 2
    assert "too little room on disk: .work " in capfd.readouterr().err
    assert not (project / "data/rings").exists()
    monkeypatch.setenv("STILLHOUSE_DISK_RESERVE_MB", "few")
    assert main(["prepare", "rings"]) == 2
    assert "should be a whole number of million bytes" in capfd.readouterr().err


def test_what_was_made_the_last_time_is_expected_again(project: Path, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["prepare", "rings"]) == 0
    made = room.size(project / "data/rings/prepared")
    assert made > 1000
    monkeypatch.setenv("STILLHOUSE_AFRESH", "1")
    monkeypatch.setattr(room, "_free", lambda root: [("data", 64_000_000 + made - 1)])
    assert main(["prepare", "rings"]) == 2
    assert "too little room on disk" in capfd.readouterr().err
    monkeypatch.setattr(room, "_free", lambda root: [("data", 64_000_000 + made)])
    assert main(["prepare", "rings"]) == 0


@pytest.mark.parametrize("verb", ["prepare", "teach"])
def test_a_stage_that_meets_a_full_disk_leaves_nothing_and_then_goes_on(
    project: Path, verb: str, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if verb == "teach":
        assert main(["prepare", "rings"]) == 0
    before = set((project / "data").rglob("*"))
    (project / "data/rings").mkdir(exist_ok=True)
    (project / "data/rings/.UPF18Om-uV76MjC0cWvnmg.tmp").touch()
    function, module = getattr(registry.verb(verb), verb), registry.verb(verb)

    @functools.wraps(function)
    def limited(*arguments: Any, **keywords: Any) -> Any:
        with no_room_beyond(1024):
            return function(*arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(module, verb, limited)
        assert main([verb, "rings"]) == 2
    told = capfd.readouterr().err.strip().splitlines()
    assert told[-1].startswith("the disk is full")
    assert set((project / "data").rglob("*")) <= before | {project / "data/rings"}
    assert not [folder for folder in scratch(project, f"{verb}@rings") if (folder / "output").exists()]
    assert main([verb, "rings"]) == 0
