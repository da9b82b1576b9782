"""Who may run beside whom: what is measured in time has the machine to itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Condition, Event

from stillhouse.flows.graph import Node


def ready(waiting: Sequence[Node], settled: Mapping[str, bool]) -> list[Node]:
    """The waiting stages that may begin: all that they need has ended, and what is alone lets everything else go first.

    Nor does a stage begin before an earlier one that makes the same result has ended, since it finds that then and has no work.
    Without the second rule a stage that is alone would wait for the longest stage that runs, and all other cores with it.

    Args:
        settled: whether a stage of the execution has ended, by name; the waiting ones are among them.
    """
    free = [node for node in waiting if all(settled.get(name, True) for name in (*node.after, node.same_as))]
    beside = [node for node in free if not node.alone]
    going = {name for name, ended in settled.items() if not ended} - {node.name for node in waiting}
    return beside if beside or going else free


class Turns:
    """Any number of stages together, or one that is alone; who waits to be alone lets nobody else begin."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._running, self._waiting, self._alone = 0, 0, False

    @contextmanager
    def take(self, alone: bool, stop: Event) -> Iterator[None]:
        """Waits for the stage's turn; the wait ends early, with whatever turn, when `stop` is set."""
        with self._changed:
            self._waiting += alone
            while not self._free(alone) and not stop.is_set():
                self._changed.wait(0.2)
            self._waiting -= alone
            self._alone = self._alone or alone
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running, self._alone = self._running - 1, self._alone and not alone
                self._changed.notify_all()

    def _free(self, alone: bool) -> bool:
        return not self._running if alone else not self._alone and not self._waiting
