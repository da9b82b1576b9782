"""The side of a process that stands ready to be copied (see `record.spare` for the side that asks, and what a copy is).

Whatever is loaded in this process is loaded in its copies too. It must have no thread but the one that waits here.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record.leash import PR_SET_PDEATHSIG
from stillhouse.record.spare import NUMBER, Asked, ended, interpreter, loaded, require_own

_PATIENCE = 10.0
"""Seconds in which a process that has connected must say what it wants."""
Fits = Callable[[], bool]
"""Whether what this process has loaded is still what one that asks now would load."""


@dataclass(frozen=True)
class _Copy:
    """A copy that runs, and the process that waits for its end."""

    process: int
    asker: socket.socket


def serve(listener: socket.socket, leash: int, environment: Mapping[str, str], fits: Fits) -> Asked | None:
    """Returns in each copy what it is to do; in this process None, once the other end of the pipe `leash` is closed.

    `environment` is that in which this process was started.
    """
    poll, copies = select.poll(), dict[int, _Copy]()
    for number in (listener.fileno(), leash):
        poll.register(number, select.POLLIN | select.POLLHUP)
    while True:
        for number, _ in poll.poll():
            if number == leash:
                return None
            if number != listener.fileno():
                poll.unregister(number)
                _ended(number, copies.pop(number))
                continue
            asker, _ = listener.accept()
            if not (process := os.fork()):
                for file in (listener, *(copy.asker for copy in copies.values())):
                    file.close()
                return _begin(asker, environment, fits)
            handle = os.pidfd_open(process)
            copies[handle] = _Copy(process, asker)
            poll.register(handle, select.POLLIN)


@contextmanager
def listening() -> Iterator[tuple[socket.socket, str]]:
    """A socket on which processes of this machine can ask, and the name by which they find it, which leaves no file behind."""
    address = f"stillhouse-{os.urandom(16).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{address}")
        listener.listen()
        yield listener, address


def _ended(handle: int, copy: _Copy) -> None:
    """Tells the process that waits how its copy has ended."""
    _, status = os.waitpid(copy.process, 0)
    os.close(handle)
    with copy.asker, suppress(OSError):  # it may have ended too
        copy.asker.sendall(ended(status))


def _begin(asker: socket.socket, environment: Mapping[str, str], fits: Fits) -> Asked:
    """Makes this process, which has just been copied, what was asked for; or ends it, if it has loaded something else than it would."""
    owner = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    asker.settimeout(_PATIENCE)
    try:
        require_own(asker)
        asked, files = _receive(asker)
        os.setpgid(0, asked.group)
        os.setpriority(os.PRIO_PROCESS, 0, max(asked.priority, os.getpriority(os.PRIO_PROCESS, 0)))
        if os.getppid() != owner or not _same(asked, environment) or not fits():
            raise OSError
    except (OSError, ValueError, TypeError, UserError, struct.error):
        os._exit(0)
    _put_on(asked, files)
    asker.settimeout(None)
    asker.sendall(NUMBER.pack(os.getpid()))
    threading.Thread(target=_end_with, args=(asker,), name="end-with-asker", daemon=True).start()
    return asked


def _same(asked: Asked, environment: Mapping[str, str]) -> bool:
    same = asked.interpreter == interpreter() and loaded(asked.environment) == loaded(dict(environment))
    return same and Path(asked.folder) == Path.cwd()


def _put_on(asked: Asked, files: Sequence[int]) -> None:
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(asked.environment)


def _receive(asker: socket.socket) -> tuple[Asked, list[int]]:
    length, files, _, _ = socket.recv_fds(asker, NUMBER.size, 3)
    with asker.makefile("rb") as rest:
        return Asked(**json.loads(rest.read(*NUMBER.unpack(length)))), files


def _end_with(asker: socket.socket) -> None:
    """Ends this process, in order, when the one that asked for it has ended."""
    with suppress(OSError):
        asker.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
