"""Runs a command that ends with its parent: `python leash.py <parent's process id> <command> ...`.

A file of its own, because the wish must be made between fork and exec, and Python code in that gap may deadlock in a process
with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str]) -> list[str]:
    """The same command, sent SIGTERM when the thread that starts it ends (Linux; elsewhere the command as it is)."""
    if not sys.platform.startswith("linux"):
        return list(command)
    return [sys.executable, "-S", "-E", __file__, str(os.getpid()), *command]


def main(parent: int, command: Sequence[str]) -> None:
    """Asks the kernel for the signal, then becomes the command."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it ended before the wish was made
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], list(command))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
