"""A pool as all stages of an execution see it: looked at once a second for all of them, since Prefect's server is asked three things."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from uuid import UUID

import httpx
from prefect.client.schemas.objects import FlowRun

from stillhouse.flows.nodes.choose import Host
from stillhouse.flows.nodes.patience import POLL
from stillhouse.flows.nodes.pool import Pool, hosts


@dataclass(frozen=True)
class View:
    """One look: the runs that wait or run anywhere in the pool, and the nodes that ever joined."""

    runs: Sequence[FlowRun]
    hosts: Sequence[Host]

    def run(self, run: UUID) -> FlowRun | None:
        """One of the runs, None if it has ended, or was not there yet."""
        return next((each for each in self.runs if each.id == run), None)

    def host(self, name: str) -> Host | None:
        """A node by its name."""
        return next((host for host in self.hosts if host.name == name), None)


class Watch:
    """Looks when somebody asks and the last look is older than a second; a look that failed has failed for all who ask meanwhile."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._lock = pool, Lock()
        self._view: View | httpx.HTTPError
        self._until = 0.0

    def view(self) -> View:
        """Raises httpx.HTTPError while the server is away or too busy."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._view = self._look()
                self._until = time.monotonic() + POLL
            view = self._view
        if isinstance(view, httpx.HTTPError):
            raise view
        return view

    def forget(self) -> None:
        """The next one who asks sees what has just been changed."""
        with self._lock:
            self._until = 0.0

    def _look(self) -> View | httpx.HTTPError:
        try:
            runs = self._pool.open_runs()
            return View(runs, hosts(self._pool, runs))
        except httpx.HTTPError as error:
            return error
