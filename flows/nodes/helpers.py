"""The other nodes of a search whose candidates several nodes share: they only hasten it, so what becomes of them fails nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from uuid import UUID

import httpx

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes import pool as pools
from stillhouse.flows.nodes.patience import POLL
from stillhouse.flows.nodes.pool import Pool
from stillhouse.flows.nodes.watch import Watch

Place = Callable[[int], UUID | None]
"""Sends a part of a search by its number to a node with room; the run, None while there is no room."""


@contextmanager
def helped(pool: Pool, watch: Watch, count: int, place: Place) -> Iterator[None]:
    """While the first part of a search goes on, sees that the others do, each on a node that lives; at the end they are stopped."""
    if count == 1:
        yield
        return
    helpers, over = Helpers(pool, watch, count, place), Event()
    thread = Thread(target=helpers.stay, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        helpers.end()


class Helpers:
    """The parts of one search but the first, and where they run."""

    def __init__(self, pool: Pool, watch: Watch, count: int, place: Place) -> None:
        self._pool, self._watch, self._place = pool, watch, place
        self._waiting = set(range(1, count))
        self._runs = dict[int, UUID]()

    def stay(self, over: Event) -> None:
        """Looks after them until `over` is set."""
        while not over.wait(POLL):
            with suppress(httpx.HTTPError, UserError):  # the next look may find what this one did not
                self.look()

    def look(self) -> None:
        """Sends those that wait, for a node with room or since their node was lost."""
        self._waiting |= {number for number, run in self._runs.items() if self._lost(run)}
        for number in sorted(self._waiting):
            if run := self._place(number):
                self._runs[number] = run
                self._waiting.remove(number)

    def _lost(self, run: UUID) -> bool:
        """Whether its node is, and then it is given up; one that has failed is not tried again."""
        view = self._watch.view()
        found = view.run(run) or self._pool.read(run)
        if found.state is not None and found.state.is_final():
            return pools.was_lost(found.state)
        host = view.host(name := pools.node_of(found))
        if host is not None and host.alive:
            return False
        self._pool.give_up(run, name)
        return True

    def end(self) -> None:
        """Asks their nodes to stop them."""
        for run in self._runs.values():
            with suppress(httpx.HTTPError):
                self._pool.cancel(run, force=False)
