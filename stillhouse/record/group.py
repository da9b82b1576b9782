"""A process group asked to end, waited for, and ended by force."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress

import psutil

GRACE = 20.0
"""Seconds between the request to stop and the end by force: time to write a checkpoint."""


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Asks a process group to end, waits, and ends by force what is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(process.pid, number)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline:
            process.poll()  # a leader that is not waited for would count as alive
            if not _signal(process.pid, 0) or not _working(process.pid):
                process.wait()  # it may have ended since it was asked
                return
            time.sleep(0.05)


def _signal(group: int, number: int) -> bool:
    """Whether there was anyone to send it to."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


def _working(group: int) -> bool:
    """Whether one of a group is more than a zombie: in a container whose first process reaps nobody, orphans stay zombies."""
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False
