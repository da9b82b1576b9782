"""What the board shows, on a terminal and off it."""

from __future__ import annotations

import errno
import io
import json
import os
import time

import pytest
from rich.console import Console

from stillhouse.flows import progress
from stillhouse.flows.graph import Node
from stillhouse.flows.progress import Board, describe, newest_record
from stillhouse.record import own

EXPECTED = {"teach@rings": 600.0, "search@half": 60.0, "distill@half": 240.0}


def board(folder, *, terminal=False, expected=None):
    nodes = [Node(name, "", (), "due", ()) for name in EXPECTED]
    return Board(nodes, folder, Console(file=io.StringIO(), force_terminal=terminal, width=120, color_system=None), expected)


def write(folder, stage, fingerprint, *records, age=0.0):
    path = folder / ".work" / stage / fingerprint / "metrics.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_plain_lines_tell_every_change_and_failures_come_with_their_log(tmp_path):
    with (shown := board(tmp_path)) as lines:
        lines.set("teach@rings", "running")
        lines.set("teach@rings", "failed", "teach@rings failed with exit code 2")
        lines.set("search@half", "not run", "teach@rings gave no result")
    log = tmp_path / ".work/teach@rings/log.txt"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(40)))
    shown.failures()
    text = shown._console.file.getvalue()
    assert "teach@rings: running\n" in text
    assert "teach@rings: failed: teach@rings failed with exit code 2 after 0:00\n" in text
    assert "search@half: not run: teach@rings gave no result\n" in text
    assert "line 39" in text
    assert "line 25\n" in text
    assert "line 24\n" not in text
    assert "By hand: dvc repro --single-item teach@rings" in text


def test_of_a_part_s_own_error_the_sentence_is_shown_without_its_traceback(tmp_path):
    with (shown := board(tmp_path)) as lines:
        lines.set("teach@rings", "failed", "teach@rings failed with exit code 2")
    log = tmp_path / ".work/teach@rings/log.txt"
    log.parent.mkdir(parents=True)
    log.write_text(f"Traceback (most recent call last):\nparts/mine.py:7 - {own.WANTED} - ValueError: no\nERROR: failed to reproduce\n")
    shown.failures()
    text = shown._console.file.getvalue()
    assert f"  parts/mine.py:7 - {own.WANTED} - ValueError: no\n  ERROR: failed to reproduce\n" in text
    assert "Traceback" not in text


class Gone(io.StringIO):
    """Where nobody reads any more."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "No space left")])
def test_the_work_goes_on_when_nobody_reads_any_more(tmp_path, monkeypatch, terminal, error):
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)  # Rich closes it
        shown = Board([Node("a", "", (), "due", ())], tmp_path, Console(file=Gone(error), force_terminal=terminal))
        with shown as lines:
            lines.set("a", "running")
            lines.set("a", "done")
        monkeypatch.undo()
    assert shown.lines["a"].state == "done"


def test_a_running_stage_is_told_of_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "QUIET", 0.02)
    with board(tmp_path) as lines:
        lines.set("teach@rings", "running")
        write(tmp_path, "teach@rings", "a", {"time": 1.0, "epoch": 3, "epochs": 20, "loss": 0.25}, age=-5)
        deadline = time.monotonic() + 10
        while "epoch" not in (text := lines._console.file.getvalue()) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        text = lines._console.file.getvalue()
    assert text.count("teach@rings: epoch 3/20  loss 0.25 (0:00)\n") == 1, "what has not changed is not said again"


def test_the_live_table_has_a_row_for_every_stage(tmp_path):
    with board(tmp_path, terminal=True, expected=EXPECTED) as lines:
        lines.set("teach@rings", "running")
        write(tmp_path, "teach@rings", "a", {"epoch": 3, "epochs": 20, "loss": 0.25}, age=-5)
        console = Console(file=io.StringIO(), width=120)
        console.print(lines)
        rows = console.file.getvalue().splitlines()
    assert rows.pop().strip() == "time left: about 15 min"
    assert [row.split()[:2] for row in rows[1:]] == [["teach@rings", "running"], ["search@half", "waiting"], ["distill@half", "waiting"]]
    assert "epoch 3/20  loss 0.25" in rows[1]


def test_the_time_left_is_told_at_the_start_and_whenever_a_stage_has_ended(tmp_path):
    with board(tmp_path, expected=EXPECTED) as lines:
        lines.set("teach@rings", "running")
        lines.set("teach@rings", "done")
        lines.lines["search@half"].started = time.monotonic() - 1000
        lines.lines["search@half"].state = "running"
        assert lines._left() == "time left: about 4 min", "one that takes longer than expected is about to end"
        lines.set("search@half", "failed")
        lines.set("distill@half", "not run")
    told = [line for line in lines._console.file.getvalue().splitlines() if line.startswith("time left")]
    assert told == ["time left: about 15 min", "time left: about 5 min", "time left: about 4 min"]


def test_progress_is_the_last_whole_line_of_the_newest_file(tmp_path):
    stage = tmp_path / ".work/teach@rings"
    assert newest_record(stage, 0) == {}
    write(tmp_path, "teach@rings", "old", {"epoch": 9}, age=100)
    path = write(tmp_path, "teach@rings", "new", {"epoch": 1, "text": "x" * 5000}, {"epoch": 2})
    with path.open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert newest_record(stage, 0) == {"epoch": 2}
    assert newest_record(stage, time.time() + 60) == {}, "a file of an earlier run"


def test_a_line_longer_than_what_is_read_is_no_error(tmp_path):
    write(tmp_path, "teach@rings", "a", {"epoch": 1, "text": "x" * 9000})
    assert newest_record(tmp_path / ".work/teach@rings", 0) == {}


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({}, ""),
        ({"epoch": 3, "epochs": 20, "loss": 0.5, "mrr": 0.3123456, "time": 1.0}, "epoch 3/20  loss 0.5  mrr 0.3123"),
        ({"trial": 4, "cost": 120.0, "name": "x"}, "trial 4  cost 120"),
        ({"epoch": 1, "a": 1, "b": 2, "c": 3, "d": 4}, "epoch 1/?  a 1  b 2  c 3"),
    ],
)
def test_a_record_in_words(record, text):
    assert describe(record) == text


def test_a_file_that_vanishes_between_two_looks_is_no_error(tmp_path):
    """A link to nowhere is listed, and cannot be looked at."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").symlink_to(tmp_path / "gone")
    assert newest_record(tmp_path, 0) == {}
