"""A spare process has loaded what takes long to load, PyTorch above all, and waits; a process that asks it is replaced by a copy of it.

A copy has the words, the working folder, the environment, the files, the priority and the process group of the process that asked, which
waits for its end, hands signals on to it and ends as it does. Whoever finds no spare process, or one that has loaded something else than
what lies there now, does its work itself. Only on Linux, where the kernel tells a copy that either of the two has ended.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from stillhouse.record import collector

ADDRESS = "STILLHOUSE_SPARE"
"""The environment variable that tells where the spare process is asked: an abstract socket, which leaves no file behind."""
_CALLER = "STILLHOUSE_CALLER"
_PATIENCE = 10.0
"""Seconds for threads that a stage's code has left running."""
NUMBER = struct.Struct("!i")
"""How a number is sent: the length of what is asked, the process id of a copy, what `ended` says."""
_LOADED = ("KMP_", "LD_", "MALLOC_", "MKL_", "NUMEXPR_", "OMP_", "OPENBLAS_", "PYTHON", "PYTORCH_", "TORCH_")
"""How the names of variables begin that are read when Python or a library is loaded, and not again."""


@dataclass(frozen=True)
class Asked:
    """What a copy is to do: `main(arguments)` of a module, as the process that asks would do it."""

    module: str
    arguments: Sequence[str]
    folder: str
    environment: dict[str, str]
    group: int
    priority: int
    interpreter: list[str]


def interpreter() -> list[str]:
    """What must be the same in both: which Python with which packages, and which library."""
    return [sys.prefix, sys.version, str(sys.modules["stillhouse"].__file__)]


def loaded(environment: dict[str, str]) -> dict[str, str]:
    """The variables that must be the same in both."""
    return {name: value for name, value in environment.items() if name.startswith(_LOADED)}


def caller() -> int:
    """The process that started this one, or the one that this one stands for."""
    return int(os.environ.pop(_CALLER, 0)) or os.getppid()


def stand_in(module: str) -> NoReturn:
    """Ends this process with the exit status of `main(words of this process)` of a module, in a copy of the spare process or here."""
    os.environ[_CALLER] = str(os.getppid())
    if (status := run(module, sys.argv[1:])) is not None:
        sys.exit(status)
    collector.quiet()
    collector.leave(importlib.import_module(module).main(sys.argv[1:]), _PATIENCE)


def run(module: str, arguments: Sequence[str], variable: str = ADDRESS) -> int | None:
    """The exit status of `main(arguments)` of a module in a copy of the spare process; None if there is none to be had.

    `variable`: the one of the environment that tells where it is asked.
    """
    address = os.environ.pop(variable, "")
    if not address or not sys.platform.startswith("linux"):
        return None
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(f"\0{address}")
            ask(connection, module, arguments)
            answer = connection.recv(NUMBER.size, socket.MSG_WAITALL)
        except OSError:
            return None
        (copy,) = NUMBER.unpack(answer) if answer else (-1,)
        return _follow(connection, copy) if copy > 0 else None


def ask(connection: socket.socket, module: str, arguments: Sequence[str]) -> None:
    """Sends what this process would be, and its standard files. Raises PermissionError if the other one is somebody else's."""
    require_own(connection)
    wish = Asked(module, arguments, os.getcwd(), dict(os.environ), os.getpgrp(), os.getpriority(os.PRIO_PROCESS, 0), interpreter())
    asked = json.dumps(asdict(wish)).encode()
    socket.send_fds(connection, [NUMBER.pack(len(asked))], [0, 1, 2])
    connection.sendall(asked)


def ended(status: int) -> bytes:
    """What is said of a copy that has ended, as the system told it; negative, and so no process id."""
    return NUMBER.pack(-1 - status)


def require_own(connection: socket.socket) -> None:
    """Raises PermissionError unless the process at the other end runs as this user: what is asked holds the environment."""
    credentials = struct.Struct("3i")
    _, user, _ = credentials.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, credentials.size))
    if user != os.geteuid():
        raise PermissionError("the process at the other end of a socket is of another user")


def _follow(connection: socket.socket, copy: int) -> int:
    """The exit status of a copy; where a signal ended it, this process ends so too."""

    def hand_on(number: int, frame: Any) -> None:
        with suppress(ProcessLookupError):
            os.kill(copy, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hand_on)
    told = connection.recv(NUMBER.size, socket.MSG_WAITALL)
    if not told:
        print("the process that this one was a copy of has ended, and this one with it", file=sys.stderr)
        return 1
    status = os.waitstatus_to_exitcode(-1 - NUMBER.unpack(told)[0])
    if status < 0:
        signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status
