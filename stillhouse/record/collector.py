"""Python's cyclic garbage collector in a process that loads many modules.

It walks through all that a process has made again and again while modules are loaded, and once more when the process ends, and frees
none of them: a third of the time of `python -c "import torch"`, and two fifths of a Prefect server's.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

QUIET = (50_000, 10, 10)
"""Objects more than before at which it looks; Python's own first number is 700."""
USUAL = gc.get_threshold()
_status: int | None = None
"""That with which this process ends, once it is to end without taking itself apart."""


def quiet() -> None:
    """From now on it looks seldom, and not at the end of the process, when memory is given back as a whole."""
    if gc.get_threshold() != QUIET:
        gc.set_threshold(*QUIET)
        atexit.register(_end)


def usual() -> None:
    """All is loaded and work begins: it looks as often as ever, at new objects alone: networks may refer to themselves."""
    if gc.get_threshold() == QUIET:
        gc.freeze()
        gc.set_threshold(*USUAL)


def leave(status: int, patience: float | None = None) -> NoReturn:
    """Ends a process that was quiet before it loaded anything as `sys.exit` does, but for the last step: what it has loaded is given back
    as a whole and not piece by piece, which takes a quarter of a second where PyTorch is among it and the memory is shared.

    With `patience`, threads that are still running are waited for so many seconds, and not for ever.
    """
    global _status
    _status = status
    if patience is not None and (left := _running()):
        threading.Thread(target=_give_up, args=(status, patience, left), daemon=True).start()
    sys.exit(status)


def _running() -> list[threading.Thread]:
    """The threads that Python waits for at its end."""
    return [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]


def _give_up(status: int, patience: float, left: list[threading.Thread]) -> None:
    time.sleep(patience)
    names = ", ".join(each.name for each in left if each.is_alive())
    print(f"ended without the thread {names}, which was still running {patience:g} s after all was done: `daemon=True` spares the wait")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status)


def _end() -> None:
    """What is registered first is done last."""
    gc.freeze()
    if _status is not None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody may be there to read it
                stream.flush()
        os._exit(_status)
