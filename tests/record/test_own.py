"""What a part of somebody's own raises while it runs is told by its line, and nothing else is."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.contracts.data import Batches, Jobs
from stillhouse.contracts.errors import UserError
from stillhouse.record import own
from stillhouse.record.process import Stopped
from stillhouse.training.loader import Loader

SAID = "wanted code that runs to its end"
ZERO = f"parts/mine.py:7 - {SAID} - ZeroDivisionError: integer division or modulo by zero"
PART = """
def run(call):
    return call()


def halve(rows):
    return 1 // rows
"""


@pytest.fixture
def part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of a project's parts."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/mine.py").write_text(PART)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        monkeypatch.delitem(sys.modules, name)
    import parts.mine  # type: ignore[import-not-found]

    return parts.mine


def raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


def told(call: Callable[[], object]) -> str:
    with pytest.raises(own.OwnError) as error, own.telling():
        call()
    return str(error.value)


def test_the_last_line_of_the_part_is_named_with_the_error_s_own_words(part: Any) -> None:
    assert told(lambda: part.halve(0)) == ZERO
    assert told(lambda: part.run(lambda: torch.zeros(2) @ torch.zeros(3))).startswith(f"parts/mine.py:3 - {SAID} - Run")
    assert told(lambda: part.run(raising(SystemExit(0)))).endswith("SystemExit: 0")
    assert told(lambda: part.run(raising(AssertionError()))).endswith("AssertionError")
    assert told(lambda: part.run(raising(type("Odd", (BaseException,), {})("hm")))).endswith("Odd: hm")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), Stopped(15)])
def test_what_ends_a_stage_is_no_mistake_of_a_part(part: Any, error: BaseException) -> None:
    with pytest.raises(type(error)), own.telling():
        part.run(raising(error))


def test_an_error_that_cannot_say_itself_is_told_by_its_line(part: Any) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    with pytest.raises(own.OwnError) as told, own.telling():
        part.run(raising(Odd()))
    assert str(told.value) == f"parts/mine.py:3 - {SAID} - Odd"


def test_what_led_to_an_error_is_looked_at_too(part: Any) -> None:
    def call() -> None:
        try:
            part.halve(0)
        except ZeroDivisionError as error:
            raise RuntimeError("a pass has failed") from error

    assert told(call) == f"parts/mine.py:7 - {SAID} - RuntimeError: a pass has failed"


def test_a_line_in_a_process_that_builds_batches_is_named(part: Any) -> None:
    batches = Batches.of(Jobs(lambda rng: iter([2, 0]), part.halve), 2)
    jobs = Loader(workers=1).jobs(batches)
    assert told(lambda: list(Loader(workers=1).built(jobs.plan(torch.Generator()), jobs.build))) == (ZERO)


@pytest.mark.parametrize(
    "error", [UserError("it is so"), PermissionError("no"), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_what_has_a_sentence_already_keeps_it(part: Any, error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, own.telling():
        part.run(raising(error))
    assert raised.value is error


def test_an_error_of_the_library_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError), own.telling():
        raising(ZeroDivisionError())()
