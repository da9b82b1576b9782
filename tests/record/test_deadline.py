"""The limit of a contact with the tracker: it ends waits of any kind."""

from __future__ import annotations

import fcntl
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from stillhouse.record import deadline
from stillhouse.record.process import waiting_lock


def test_a_lock_that_another_process_holds_is_waited_for_no_longer(tmp_path: Path):
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(deadline.TooLate, match=r"no end within 0\.2 s"), deadline.within(0.2), waiting_lock(tmp_path / "lock"):
            pass
    with deadline.within(5), waiting_lock(tmp_path / "lock"):
        pass


def test_it_rings_again_where_somebody_swallows_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(deadline, "_AGAIN", 0.1)
    left, right = socket.socketpair()

    def stubborn() -> None:
        with suppress(BaseException):
            left.recv(1)
        left.recv(1)

    with left, right, pytest.raises(deadline.TooLate), deadline.within(0.1):
        stubborn()


def test_after_the_end_nothing_rings():
    with deadline.within(0.1):
        pass
    time.sleep(0.2)


def test_a_wait_in_foreign_code_ends_with_the_process():
    code = (
        "import ctypes, signal; from stillhouse.record import deadline; deadline._GRACE = 0.3\n"
        "with deadline.within(0.1):\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); ctypes.PyDLL(None).sleep(60)"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", code], timeout=30, check=False).returncode == 1
    assert time.monotonic() - began < 45


@pytest.mark.parametrize(("given", "wanted"), [("", 60.0), ("7", 7.0), ("soon", 60.0), ("-1", 0.1)])
def test_the_limit_is_a_setting(monkeypatch: pytest.MonkeyPatch, given: str, wanted: float):
    monkeypatch.setenv(deadline.VARIABLE, given)
    assert deadline.seconds() == wanted
