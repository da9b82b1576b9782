"""The nodes of a pool as a person wants to see them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from threading import Event

from stillhouse.flows import server


def rows(name: str, folder: Path) -> Iterator[tuple[str, str, str, str, str]]:
    """(node, whether it lives, cores, GPUs, what runs since when). Raises UserError where there is no such server or pool."""
    os.environ.update(server.settings(folder))
    from stillhouse.flows.nodes.patience import asked
    from stillhouse.flows.nodes.pool import Pool, hosts, node_of

    pool, never = Pool(name), Event()
    asked(pool.require, never)
    runs = asked(pool.open_runs, never)
    for host in asked(lambda: hosts(pool, runs), never):
        going = [f"{run.name} ({_since(run.start_time)})" for run in runs if node_of(run) == host.name]
        gpus = ", ".join(f"{memory:.0f} GiB" for memory in host.gpus)
        lives = (host.unlike or "yes") if host.alive else "no sign of life"
        yield host.name, lives, str(host.cores), gpus or "none", "\n".join(going) or "nothing"


def _since(started: datetime | None) -> str:
    """For example "since 14:03", by the clock of this machine."""
    return f"since {started.astimezone():%H:%M}" if started else "waits"
