"""What is kept of a file's text, and when it counts."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillhouse.record import text


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module that was written some time ago, in a working folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(text, "TICK", 0)
    path = tmp_path / "module.py"
    path.write_text('"""Words."""\nimport json\nfrom . import beside\nVALUE = 1\n')
    forget()
    yield path
    forget()


def forget() -> None:
    """As if a new process had begun."""
    text._known.clear()
    text._kept.cache_clear()


def never(path: Path) -> text.Facts:
    raise AssertionError(f"{path} was parsed again")


def test_what_was_kept_is_not_parsed_again(file: Path, monkeypatch: pytest.MonkeyPatch):
    before = text.facts(file)
    assert before.imports == (text.Import(0, "json"), text.Import(1, "", ("beside",)))
    text.keep()
    forget()
    monkeypatch.setattr(text, "_read", never)
    assert text.facts(file) == before


@pytest.mark.parametrize("kept", [False, True])
def test_an_edit_counts_even_with_the_size_and_the_time_of_before(file: Path, kept: bool):
    before, status = text.facts(file), file.stat()
    if kept:
        text.keep()
        forget()
    time.sleep(0.02)  # a step of the file system's clock
    file.write_text(file.read_text().replace("VALUE = 1", "VALUE = 2"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert text.facts(file).digest != before.digest


def test_what_was_written_just_now_is_parsed_each_time(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(text, "TICK", 10**15)
    text.facts(file)
    text.keep()
    forget()
    monkeypatch.setattr(text, "_read", lambda path: text.Facts((), "parsed again"))
    assert text.facts(file).digest == "parsed again"


def test_a_kept_file_with_another_letter_is_as_good_as_none(file: Path):
    before = text.facts(file)
    text.keep()
    forget()
    text.KEPT.write_text(text.KEPT.read_text().replace("beside", "besidf"))
    assert text.facts(file) == before


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"form": "of another version", "files": {}}', '{"files": 3}', "\udcff"])
def test_a_damaged_file_is_as_good_as_none(file: Path, damage: str):
    before = text.facts(file)
    text.keep()
    forget()
    text.KEPT.write_bytes(damage.encode(errors="surrogateescape"))
    assert text.facts(file) == before
