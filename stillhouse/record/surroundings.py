"""What libraries ask a machine for and some machines do not have: containers often run under a user id that has no name and no home."""

from __future__ import annotations

import os
import pwd

_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Where Python looks for a user's name before it asks the system."""


def complete() -> None:
    """Gives this process, and those that it starts, a user's name and a home folder where the system knows none."""
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if not any(os.environ.get(name) for name in _NAMES):
            os.environ["USER"] = f"user-{os.getuid()}"
        os.environ.setdefault("HOME", os.sep)


def refused(error: PermissionError) -> str:
    """What a reader can do about a folder that is not theirs, in one sentence."""
    where, who = error.filename or "a file", os.geteuid()
    remedy = "work in a folder of your own (`git clone` makes one), or let its owner give it to you"
    return f"{where} - wanted a place that user {who} can write to - {error.strerror} - {remedy}"
