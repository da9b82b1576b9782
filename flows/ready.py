"""A copy of this process stands ready to become DVC, which both have loaded, as often as a stage needs it.

It is made before this process has a second thread. Only on Linux (see `stillhouse.record.spare`); elsewhere each stage loads DVC anew.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import dvc.logger

from stillhouse.record import copied
from stillhouse.record.quietly import DVC_ADDRESS


@contextmanager
def dvc_ready() -> Iterator[None]:
    """What starts DVC inside gets a copy of this process as it is now."""
    if not sys.platform.startswith("linux") or len(os.listdir("/proc/self/task")) > 1:  # a lock of another thread would stay locked
        yield
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # else each copy prints once more what waits here
    leash, held = os.pipe()
    with copied.listening() as (listener, address):
        if not (process := os.fork()):
            os.close(held)
            _stand_ready(listener, leash)
    os.close(leash)
    os.environ[DVC_ADDRESS] = address
    try:
        yield
    finally:
        del os.environ[DVC_ADDRESS]
        os.close(held)
        os.waitpid(process, 0)


def _stand_ready(listener: socket.socket, leash: int) -> NoReturn:
    """What the copy does, and each copy of it; none of them goes back to what this process was doing."""
    status = 1
    try:
        os.setpgid(0, 0)  # a Ctrl-C in the terminal is not for it
        for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            signal.signal(number, action)
        status = _serve(listener, leash)
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _serve(listener: socket.socket, leash: int) -> int:
    importlib.import_module("dvc.cli.parser")  # all of DVC's commands, while nobody waits
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # as stages are started
    gc.freeze()  # what is loaded is never collected, so the memory that holds it stays shared
    asked = copied.serve(listener, leash, environment, lambda: True)
    if not asked:
        return 0
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, 1, closefd=False) for number, mode in enumerate("rww"))
    _tell_all()
    status: int = importlib.import_module(asked.module).main(asked.arguments)
    return status


def _tell_all() -> None:
    """DVC's log goes to the files of this process as it is now, and has what a process of its own would print."""
    for name in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(name).handlers.clear()
    dvc.logger.setup()
