"""The spare process of an execution: checks params.yaml, for which it loads PyTorch and all parts, and then is copied for each stage.

`python -m stillhouse.stages check NUMBER`: the number of an open socket on which it is asked (see `record.spare`). It says on its standard
output when the check is over, and ends with its standard input. It computes nothing itself: no thread, no device and no random number is
taken into a copy.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record.leash import PR_SET_PDEATHSIG
from stillhouse.record.spare import NUMBER, Asked, ended, interpreter, loaded, require_own
from stillhouse.runner import checked, run, usage
from stillhouse.runner.entries import Entries

CHECKED = b"checked\n"
_PATIENCE = 10.0
"""Seconds in which a process that has connected must say what it wants."""


@dataclass(frozen=True)
class _Copy:
    """A copy that runs, and the process that waits for its end."""

    process: int
    asker: socket.socket


def main(listener: socket.socket, modules: Sequence[str], environment: Mapping[str, str]) -> int:
    """Checks and waits. Returns the exit status of this process, and in each copy that of what was asked for.

    `modules` are loaded beside the parts; `environment` is that in which this process was started.

    Raises:
        UserError: a mistake in params.yaml.
    """
    entries = Entries.read()
    run.use_threads(entries)
    key = checked.key(entries)
    checked.check(entries)
    for module in modules:
        importlib.import_module(module)
    sys.stdout.buffer.write(CHECKED)
    sys.stdout.flush()
    gc.freeze()  # what is loaded is never collected, so the memory that holds it stays shared
    asked = _serve(listener, key, environment)
    status: int = importlib.import_module(asked.module).main(asked.arguments) if asked else 0
    return status


def _serve(listener: socket.socket, key: str, environment: Mapping[str, str]) -> Asked | None:
    """Returns in each copy what it is to do, and None in the spare process when nobody needs it any more."""
    poll, copies = select.poll(), dict[int, _Copy]()
    for file in (listener, sys.stdin):
        poll.register(file, select.POLLIN | select.POLLHUP)
    while True:
        for number, _ in poll.poll():
            if number == sys.stdin.fileno():
                return None
            if number != listener.fileno():
                poll.unregister(number)
                _ended(number, copies.pop(number))
                continue
            asker, _ = listener.accept()
            if not (process := os.fork()):
                for file in (listener, *(copy.asker for copy in copies.values())):
                    file.close()
                return _begin(asker, key, environment)
            handle = os.pidfd_open(process)
            copies[handle] = _Copy(process, asker)
            poll.register(handle, select.POLLIN)


def _ended(handle: int, copy: _Copy) -> None:
    """Tells the process that waits how its copy has ended."""
    _, status = os.waitpid(copy.process, 0)
    os.close(handle)
    with copy.asker, suppress(OSError):  # it may have ended too
        copy.asker.sendall(ended(status))


def _begin(asker: socket.socket, key: str, environment: Mapping[str, str]) -> Asked:
    """Makes this process, which has just been copied, what was asked for; or ends it, if it has loaded something else than it would."""
    owner = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    asker.settimeout(_PATIENCE)
    try:
        require_own(asker)
        asked, files = _receive(asker)
        os.setpgid(0, asked.group)
        os.setpriority(os.PRIO_PROCESS, 0, max(asked.priority, os.getpriority(os.PRIO_PROCESS, 0)))
        if os.getppid() != owner or not _fits(asked, key, environment):
            raise OSError
    except (OSError, ValueError, TypeError, UserError, struct.error):
        os._exit(0)
    _put_on(asked, files)
    asker.settimeout(None)
    asker.sendall(NUMBER.pack(os.getpid()))
    threading.Thread(target=_end_with, args=(asker,), name="end-with-asker", daemon=True).start()
    return asked


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


def _fits(asked: Asked, key: str, environment: Mapping[str, str]) -> bool:
    """Whether what this process has loaded is what the one that asks would load, from params.yaml and code as they are now.

    Neither threads nor a CUDA device that is in use can be taken into a copy.
    """
    same = asked.interpreter == interpreter() and loaded(asked.environment) == loaded(dict(environment))
    untouched = len(os.listdir("/proc/self/task")) == 1 and not usage.cuda_is_in_use()
    return same and untouched and Path(asked.folder) == Path.cwd() and checked.key(Entries.read()) == key


def _end_with(asker: socket.socket) -> None:
    """Ends this process, in order, when the one that asked for it has ended."""
    with suppress(OSError):
        asker.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
