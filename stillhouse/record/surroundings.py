"""What libraries ask a machine for and some machines do not have: containers often run under a user id that has no name and no home."""

from __future__ import annotations

import errno
import io
import os
import pwd
import sys
import warnings
from pathlib import Path

_NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
"""Where Python looks for a user's name before it asks the system."""
_WRITTEN = (".", "dvc.lock", "data", ".work", ".dvc", ".dvc/cache", ".dvc/cache/files/md5")
"""What an execution writes to, as far as it is there, and the folders of the last one."""


def complete() -> None:
    """Gives this process, and those that it starts, a user's name and a home folder where the system knows none.

    What it prints is printed in any language of the machine: a character that has no code there is named by its number. A warning is no
    error, whatever PYTHONWARNINGS says.
    """
    _let_warn()
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):  # the latter two where DVC has wrapped the former
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if not any(os.environ.get(name) for name in _NAMES):
            os.environ["USER"] = f"user-{os.getuid()}"
        os.environ.setdefault("HOME", os.sep)


def _let_warn() -> None:
    """DVC, Prefect and MLflow warn about each other, and none of them would run."""
    if "error" in os.environ.get("PYTHONWARNINGS", ""):
        del os.environ["PYTHONWARNINGS"]
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):  # as Python itself begins
            warnings.simplefilter("ignore", kind)


def require_writable(folder: Path) -> None:
    """Makes sure, before hours of work, that what an execution of the project writes to can be written to.

    DVC would find out when a stage has ended, and say so in words of its own.

    Raises:
        PermissionError: something cannot.
    """
    places = [place for name in _WRITTEN if (place := folder / name).exists()]
    for place in (*places, *folder.glob(f"{_WRITTEN[-1]}/*/")):
        if not os.access(place, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


def refused(error: PermissionError) -> str:
    """What a reader can do about a folder that is not theirs, in one sentence."""
    where, who = error.filename or "a file", os.geteuid()
    remedy = "work in a folder of your own (`git clone` makes one), or let its owner give it to you"
    return f"{where} - wanted a place that user {who} can write to - {error.strerror} - {remedy}"
