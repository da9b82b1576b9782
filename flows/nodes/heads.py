"""One head at a time for a project, or for an experiment of it, which has a dvc.lock of its own: two would write it for the same stages.

A head gives signs of life as workers do, under a name that says whose it is; no lock is left behind by one that dies.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from urllib.parse import quote, unquote

import httpx

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes.life import BEAT, LOST
from stillhouse.flows.nodes.patience import asked
from stillhouse.flows.nodes.pool import Pool


@contextmanager
def alone(pool: Pool, project: str, folder: Path, stop: Event) -> Iterator[None]:
    """Raises UserError while another head of the project lives, of two that begin in the same moment perhaps in both; as `asked` does."""
    start, over = f"head {project}{os.environ.get('DVC_EXP_NAME', '')} ", Event()
    mine = start + quote(f"{socket.gethostname()}:{folder.resolve()}", safe="")
    pool.own = mine
    asked(lambda: pool.beat(mine), stop)
    others = [name for name, silent in asked(pool.silences, stop).items() if name.startswith(start) and name != mine and silent < LOST]
    if others:
        pool.leave(mine)
        where = unquote(others[0].split(" ", 2)[2])
        raise UserError(f"another head runs this project, {where}: wait for its end, or stop it")
    beating = Thread(target=_go_on, args=(pool, mine, over), daemon=True)
    beating.start()
    try:
        yield
    finally:
        over.set()
        beating.join()
        pool.leave(mine)


def _go_on(pool: Pool, name: str, over: Event) -> None:
    while not over.wait(BEAT):
        with suppress(httpx.HTTPError):
            pool.beat(name)
