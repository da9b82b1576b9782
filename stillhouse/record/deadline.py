"""One limit for a whole piece of work with a tracker, which may answer slowly, by single bytes, or never."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

VARIABLE = "STILLHOUSE_TRACKER_SECONDS"
UPLOADS = 5.0
"""How many times as long models may take to be uploaded as a contact without them."""
_AGAIN = 1.0
"""Seconds until it rings again, where somebody has swallowed the first time."""
_GRACE = 20.0
"""Seconds after which the process is ended, where it waits in foreign code that no signal interrupts."""


class TooLate(BaseException):
    """The limit has passed. No Exception, so that no client takes it for a failure of one request, and tries again."""


def seconds() -> float:
    """The limit of one contact with the tracker: a minute, or STILLHOUSE_TRACKER_SECONDS."""
    try:
        return max(float(os.environ.get(VARIABLE, "")), 0.1)
    except ValueError:
        return 60.0


@contextmanager
def within(limit: float) -> Iterator[None]:
    """Ends what is inside with TooLate after `limit` seconds, whatever it waits for. For the main thread only, and not nested."""

    def ring(number: int, frame: Any) -> None:
        raise TooLate(f"no end within {limit:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        faulthandler.dump_traceback_later(limit + _GRACE, exit=True, file=nowhere)
        signal.setitimer(signal.ITIMER_REAL, limit, _AGAIN)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            faulthandler.cancel_dump_traceback_later()
