"""For how long nodes have been silent, measured by a head's own signs of life.

A server that is too busy to store signs of life, or is away, stores those of the head no more than those of its nodes. So a node's
silence grows by one beat with each sign of the head that the server has stored since, and not with the time: nobody is lost while nobody
is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from stillhouse.flows.nodes.life import BEAT

Stamps = Mapping[str, datetime]
"""Name -> when the server stored its last sign of life, by the server's clock."""


class Silence:
    """What a head has heard so far."""

    def __init__(self) -> None:
        self._own: datetime | None = None
        self._beats = 0
        self._heard: dict[str, tuple[datetime, float]] = {}
        """Name -> its last sign, and the beat of the head, perhaps one before its first, with which it came."""

    def seconds(self, stamps: Stamps, own: str) -> dict[str, float]:
        """Name -> seconds; `own` is the name under which the head beats, which has beaten once at least."""
        if (now := stamps.get(own, self._own)) != self._own:
            self._own, self._beats = now, self._beats + 1
        return {name: self._of(name, stamp) for name, stamp in stamps.items()}

    def _of(self, name: str, stamp: datetime) -> float:
        """What was silent before the head began is so by the server's clock."""
        assert self._own is not None
        last, beat = self._heard.get(name, (None, 0.0))
        if last is None:
            beat = self._beats - max(0.0, (self._own - stamp).total_seconds()) / BEAT
        elif last != stamp:
            beat = self._beats
        self._heard[name] = stamp, beat
        return (self._beats - beat) * BEAT
