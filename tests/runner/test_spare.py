"""The spare process, with a small module in place of PyTorch: what a copy of it is, when there is none, and what ends with what."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from stillhouse.record import spare

WORK = """
import os, sys, time
from pathlib import Path

def main(words):
    print(*words, Path.cwd().name, os.environ["MARK"], "torch" in sys.modules, flush=True)
    Path("started").write_text(str(os.getpid()))
    if words[0] == "wait":
        time.sleep(600)
    if words[0] == "raise":
        raise ValueError("told")
    return int(words[1])
"""
SPARE = """
import os, socket, sys
import stillhouse.runner.spare as spare
from stillhouse.record import copied
spare.checked.key = lambda entries: open("key").read()
spare.Entries.read = lambda: None
sys.stdout.write("ready\\n"); sys.stdout.flush()
if asked := copied.serve(socket.socket(fileno=int(sys.argv[1])), 0, dict(os.environ), lambda: spare.fits("loaded")):
    import work
    sys.exit(work.main(asked.arguments))
"""
ASKER = (
    "import sys; from stillhouse.record import spare; status = spare.run('work', sys.argv[1:]); sys.exit(99 if status is None else status)"
)
Ask = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def there(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Ask]]:
    """A spare process, and what starts a process that asks it."""
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "key").write_text("loaded")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    with socket.socket(socket.AF_UNIX) as listener:
        address = f"stillhouse-test-{os.getpid()}-{tmp_path.name}"
        listener.bind(f"\0{address}")
        listener.listen()
        command = [sys.executable, "-c", SPARE, str(listener.fileno())]
        one = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[listener.fileno()]
        )
    assert one.stdout
    assert one.stdout.readline() == "ready\n"

    def ask(*words: str, **changes: str) -> subprocess.Popen[str]:
        own = {**environment, spare.ADDRESS: address, "MARK": "mine", **changes}
        command = [sys.executable, "-c", ASKER, *words]
        pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return open_ones.enter_context(subprocess.Popen(command, cwd=tmp_path, env=own, text=True, process_group=0, **pipes))

    with one, ExitStack() as open_ones:
        yield one, ask
        one.kill()


def begun(folder: Path, ask: Ask) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A process that waits for its copy, and the copy, in the middle of its work."""
    (folder / "started").unlink(missing_ok=True)
    asker = ask("wait", "0")
    while not (folder / "started").exists() or not (folder / "started").read_text():
        time.sleep(0.01)
    return asker, psutil.Process(int((folder / "started").read_text()))


def test_a_copy_is_what_asked_for_it(tmp_path: Path, there):
    _, ask = there
    done = ask("end", "7")
    assert done.communicate() == (f"end 7 {tmp_path.name} mine False\n", "")
    assert done.returncode == 7
    failed = ask("raise")
    assert failed.communicate()[1].endswith("ValueError: told\n")
    assert failed.returncode == 1
    asker, copy = begun(tmp_path, ask)
    assert copy.pid != asker.pid
    assert os.getpgid(copy.pid) == asker.pid, "so that whoever ends the group ends the copy too"
    asker.terminate()
    assert asker.wait() == -signal.SIGTERM, "the signal is handed on, and the end is the copy's"


@pytest.mark.parametrize("change", ["code", "variable", "nobody there"])
def test_what_would_load_something_else_does_its_work_itself(tmp_path: Path, there, change: str):
    one, ask = there
    if change == "code":
        (tmp_path / "key").write_text("edited")
    if change == "nobody there":
        one.kill()
        one.wait()
    done = ask("end", "0", **({"OMP_NUM_THREADS": "77"} if change == "variable" else {}))
    assert done.communicate() == ("", "")
    assert done.returncode == 99
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("first", ["asker", "spare"])
def test_a_copy_ends_with_whoever_ends(tmp_path: Path, there, first: str):
    one, ask = there
    asker, copy = begun(tmp_path, ask)
    (asker if first == "asker" else one).kill()
    if first == "spare":
        assert asker.wait(60) == 1, "and the work is not taken for done"
    psutil.wait_procs([copy], timeout=60)
    assert not copy.is_running() or copy.status() == psutil.STATUS_ZOMBIE
