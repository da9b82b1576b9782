"""Python's cyclic collector: seldom while modules are loaded, as usual while a verb works, and never at the end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stillhouse.record import quietly

TELLING = """
import gc, sys
from stillhouse.record import collector
told = [gc.get_threshold(), gc.get_freeze_count() > 0]
collector.usual()
told += [gc.get_threshold(), gc.get_freeze_count() > 0, sys.argv]
print(told)
"""


def said(*command: str, folder: Path | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.strip()


def test_a_program_runs_quietly_with_its_own_words_until_work_begins(tmp_path):
    (tmp_path / "telling.py").write_text(TELLING)
    found = said(*quietly.command("telling", "one", "--two"), folder=tmp_path)
    path = str(tmp_path / "telling.py")
    assert found == str([(50_000, 10, 10), False, (700, 10, 10), True, [path, "one", "--two"]])


def test_nothing_is_walked_through_at_the_end():
    """Python looks for cycles when it ends; what is frozen is not looked at."""
    code = "import gc\n{}\ngc.callbacks.append(lambda phase, facts: print(phase, gc.get_freeze_count() > 0))"
    assert said(sys.executable, "-c", code.format("")).splitlines() == ["start False", "stop False"]
    quiet = "from stillhouse.record import collector; collector.quiet()"
    assert said(sys.executable, "-c", code.format(quiet)).splitlines() == ["start True", "stop True"]


def test_outside_of_such_a_process_nothing_changes():
    code = "import gc; from stillhouse.record import collector; collector.usual(); print(gc.get_threshold(), gc.get_freeze_count())"
    assert said(sys.executable, "-c", code) == "(700, 10, 10) 0"


LEAVING = """
import threading, time
from stillhouse.record import collector
threading.Thread(target=time.sleep, args=({},), name="mine").start()
collector.quiet()
collector.leave(3, 0.5)
"""


@pytest.mark.parametrize(("seconds", "told"), [(60, "ended without the thread mine, which was still running 0.5 s after all"), (0.1, "")])
def test_a_thread_that_never_ends_is_not_waited_for(seconds: float, told: str):
    done = subprocess.run([sys.executable, "-c", LEAVING.format(seconds)], capture_output=True, text=True, check=False, timeout=40)
    assert done.returncode == 3
    assert done.stdout.startswith(told)
    assert bool(done.stdout) == bool(told)
