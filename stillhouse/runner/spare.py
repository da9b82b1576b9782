"""The spare process of an execution: checks params.yaml, for which it loads PyTorch and all parts, and then is copied for each stage.

`python -m stillhouse.stages check NUMBER`: the number of an open socket on which it is asked (see `record.spare`). It says on its standard
output when the check is over, and ends with its standard input. It computes nothing itself: no thread, no device and no random number is
taken into a copy.
"""

from __future__ import annotations

import gc
import importlib
import os
import socket
import sys
from collections.abc import Mapping, Sequence

from stillhouse.record import copied
from stillhouse.runner import checked, run, usage
from stillhouse.runner.entries import Entries

CHECKED = b"checked\n"


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
    sys.stdout.buffer.write(CHECKED)
    sys.stdout.flush()
    for module in modules:
        importlib.import_module(module)
    gc.freeze()  # what is loaded is never collected, so the memory that holds it stays shared
    asked = copied.serve(listener, sys.stdin.fileno(), environment, lambda: fits(key))
    status: int = importlib.import_module(asked.module).main(asked.arguments) if asked else 0
    return status


def fits(key: str) -> bool:
    """Whether params.yaml and the code are still what they were when this process loaded them.

    Neither threads nor a CUDA device that is in use can be taken into a copy.
    """
    untouched = len(os.listdir("/proc/self/task")) == 1 and not usage.cuda_is_in_use()
    return untouched and checked.key(Entries.read()) == key
