"""How long Prefect's server may be away or too busy before a stage on a node counts as lost; meanwhile the nodes go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

import httpx

from stillhouse.contracts.errors import UserError
from stillhouse.flows.server import Busy
from stillhouse.flows.stage import Stopped

POLL = 1.0
"""Seconds between two questions."""
LONGEST = 600.0
"""Seconds in which the server must answer again."""
NOTICEABLE = 15.0
"""Seconds after which a reader is told that it does not."""
Answer = TypeVar("Answer")


class Patience:
    """Counts from the last answer."""

    def __init__(self) -> None:
        self._answered, self._noticed = time.monotonic(), False

    def answered(self) -> None:
        """It has answered just now."""
        self._answered, self._noticed = time.monotonic(), False

    def bear(self, error: Exception) -> bool:
        """Whether it is away for so long now that this should be said, which is so once. Raises UserError after a while.

        An error that is a sentence already, as those of the remote are, is borne as long, and then raised itself.
        """
        away, noticed = time.monotonic() - self._answered, self._noticed
        self._noticed = away > NOTICEABLE
        if away > LONGEST:
            if isinstance(error, UserError):
                raise error
            raise UserError(
                f"Prefect's server has not answered for {LONGEST:g} s ({error}): start it again, and say `stillhouse run` again"
            ) from None
        return self._noticed and not noticed


def asked(ask: Callable[[], Answer], stop: Event) -> Answer:
    """The answer, asked for again while the server is away. Raises UserError after a while, and Stopped where `stop` was set."""
    patience = Patience()
    while True:
        try:
            return ask()
        except (httpx.HTTPError, Busy) as error:
            patience.bear(error)
        if stop.wait(POLL):
            raise Stopped
