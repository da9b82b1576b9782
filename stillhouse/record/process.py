"""Living and dying of a stage's process: one copy at a time, no orphan, and an orderly end when it is told to stop."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from stillhouse.contracts.errors import UserError

AFRESH = "STILLHOUSE_AFRESH"
"""The environment variable that, if not empty, makes a stage compute what is known already."""
_SHELLS = ("sh", "dash", "bash", "ksh", "zsh", "fish")


class Stopped(BaseException):
    """SIGTERM or SIGINT was received. No Exception, so that no part swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_status = 128 + number


def stop_on_signals() -> None:
    """From now on the first SIGTERM or SIGINT raises Stopped; further ones do not disturb the orderly end."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise Stopped(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def caller(parent: int) -> int:
    """The process that gave this one its command: some shells stay between the two for the whole time, others do not.

    Raises Stopped if it has ended.
    """
    try:
        shell = psutil.Process(parent)
        # In a container the first process may be a shell: then a parent of that number means that the own one is gone.
        return (shell.ppid() or parent) if shell.name() in _SHELLS else parent
    except psutil.NoSuchProcess:
        raise Stopped(signal.SIGTERM) from None


def die_with(pid: int) -> None:
    """From now on this process is sent a SIGTERM when the other one ends, however it ends (Linux; elsewhere nothing happens).

    DVC's commands outlive a killed DVC, and the kernel's own parent-death signal would only tell of a shell in between. Raises
    Stopped if the other one had ended before, so that this one was handed to the first process of the system.
    """
    if sys.platform != "linux":
        return
    if pid == 1 and not any("dvc" in word for word in psutil.Process(1).cmdline()):
        raise Stopped(signal.SIGTERM)
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise Stopped(signal.SIGTERM) from None

    end = select.poll()
    end.register(handle, select.POLLIN)

    def watch() -> None:
        end.poll()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="die-with-caller", daemon=True).start()


@contextmanager
def lease(path: Path, busy: str = "this stage is already running here as process {}: wait for its end, or stop it") -> Iterator[None]:
    """Holds the file for this process alone; the kernel gives it back on any death. Raises UserError, `busy` with the holder's number."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another one"
            raise UserError(busy.format(holder)) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Waits until no other process holds the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def identity(pid: int) -> str:
    """host/boot/pid/start: names a process for ever, however often its number is used again."""
    return f"{socket.gethostname()}/{_boot()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def is_dead(name: str) -> bool:
    """Whether the process of an `identity` is known to have ended; about another host nothing is known."""
    host, boot, pid, start = name.rsplit("/", 3)
    if host != socket.gethostname():
        return False
    if boot != _boot():
        return True
    try:
        process = psutil.Process(int(pid))
        return process.status() == psutil.STATUS_ZOMBIE or f"{process.create_time():.2f}" != start
    except psutil.NoSuchProcess:
        return True


def _boot() -> str:
    source = Path("/proc/sys/kernel/random/boot_id")
    return source.read_text(encoding="utf-8").strip()[:8] if source.exists() else f"{psutil.boot_time():.0f}"


def ask_this_machine_directly() -> None:
    """Servers on 127.0.0.1 are asked through no proxy, whatever `HTTP_PROXY` says, by this process and those that it starts."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name for name in known.split(",") if name]
    value = ",".join([*names, *(name for name in ("127.0.0.1", "localhost") if name not in names)])
    os.environ.update(no_proxy=value, NO_PROXY=value)
