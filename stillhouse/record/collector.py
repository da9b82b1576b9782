"""Python's cyclic garbage collector in a process that loads many modules.

It walks through all that a process has made again and again while modules are loaded, and once more when the process ends, and frees
none of them: a third of the time of `python -c "import torch"`, and two fifths of a Prefect server's.
"""

from __future__ import annotations

import atexit
import gc

QUIET = (50_000, 10, 10)
"""Objects more than before at which it looks; Python's own first number is 700."""
USUAL = gc.get_threshold()


def quiet() -> None:
    """From now on it looks seldom, and not at the end of the process, when memory is given back as a whole."""
    gc.set_threshold(*QUIET)
    atexit.register(gc.freeze)


def usual() -> None:
    """All is loaded and work begins: it looks as often as ever, at new objects alone: networks may refer to themselves."""
    if gc.get_threshold() == QUIET:
        gc.freeze()
        gc.set_threshold(*USUAL)
