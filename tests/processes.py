"""Waiting for processes, in tests."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import psutil


def alive(process: int) -> bool:
    """Whether a process still does something: where the first process reaps nobody, orphans stay zombies for ever."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_line(process: psutil.Process) -> list[str]:
    """Of one that may end at any moment, as short commands do: it has no words then."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Waits for a condition to become true, and fails if it does not; its value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return value


def free_port() -> int:
    """A port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody answers at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
