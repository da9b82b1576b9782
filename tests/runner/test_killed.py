"""A stage killed before any of its file operations, and started again, ends with the bytes of one that was let alone, and is told once."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from pathlib import Path

import pytest

from stillhouse.record import outbox, run_record
from stillhouse.record.run_record import RunRecord
from stillhouse.stages.door import main
from tests import killing

EVERY = int(os.environ.get("STILLHOUSE_TEST_KILL_EVERY", "16"))
"""Of how many file operations one is tried; 1 tries all, which takes minutes."""


def in_child(arguments: list[str], kill_before: int | None = None) -> tuple[int, int]:
    """Runs a stage in a process of its own: its exit status, and how many file operations it did."""

    def work(tell: killing.Tell) -> int:
        killing.operations(kill_before, tell)
        return main(arguments)

    return killing.in_child(work)


def contents(folder: Path) -> dict[str, str]:
    """Every file of the data by its hash."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verb", ["prepare rings", "teach rings", "search half", "distill half"])
def test_a_stage_killed_before_a_file_operation_ends_with_the_same_bytes(project: Path, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", "0")
    monkeypatch.setenv("STILLHOUSE_EXECUTION", "test")
    arguments = verb.split()
    for earlier in ("prepare rings", "teach rings", "search half"):
        if earlier == verb:
            break
        assert main(earlier.split()) == 0
    before = project.parent / "before"
    shutil.copytree(project, before, symlinks=True)
    status, count = in_child(arguments)
    assert (status, count > 20, finished(project, verb)) == (0, True, 1)
    wanted = contents(project / "data")
    for number in range(1, count + 1, EVERY):
        restore(before, project)
        killed, reached = in_child(arguments, number)
        assert killed == signal.SIGKILL or reached < number, "how often the machine is looked at, and so the count, depends on time"
        status = in_child(arguments)[0]
        assert status == 0, f"killed before file operation {number} of {count}: {status}"
        assert contents(project / "data") == wanted, f"killed before file operation {number} of {count}"
        assert finished(project, verb) == 1, f"killed before file operation {number} of {count}"


def finished(project: Path, verb: str) -> int:
    """How many times the tracker will be told that the stage has finished."""
    records = (run_record.read(path) for path in outbox.waiting(project))
    return sum(each.stage == verb.replace(" ", "@") and each.status == "FINISHED" for each in records if isinstance(each, RunRecord))


def restore(source: Path, project: Path) -> None:
    for path in project.iterdir():
        if path.name in ("data", ".work", ".dvc", "dvc.lock"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in source.iterdir():
        if path.name in ("data", ".work", ".dvc", "dvc.lock"):
            shutil.copytree(path, project / path.name, symlinks=True) if path.is_dir() else shutil.copy(path, project)
