"""`stillhouse node`: this machine takes stages of a pool. `stillhouse nodes`: which nodes there are, and what runs on them."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph
from stillhouse.record import process, room, servers

POOL = "nodes"
FOLDER = Path("~/.stillhouse")
PoolName = Annotated[str, typer.Option("--pool", help="The work pool of Prefect.")]


def node(
    head: Annotated[
        str, typer.Option("--head", help="Prefect's address on the head, as `stillhouse up` prints it. Example: http://head:4200/api.")
    ],
    pool: PoolName = POOL,
    name: Annotated[str, typer.Option("--name", help="What the head calls this node; the name of the machine by default.")] = "",
    cores: Annotated[int, typer.Option("--cores", min=0, help="CPU cores that stages may use; all by default.")] = 0,
    folder: Annotated[Path, typer.Option("--folder", help="Where clones, caches and checkpoints lie.")] = FOLDER,
) -> None:
    """Take stages of a pool on this machine until Ctrl-C."""
    from stillhouse.flows.nodes.node import Here
    from stillhouse.flows.stage import Stopped

    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    home = folder.expanduser().resolve()
    home.mkdir(parents=True, exist_ok=True)
    here = Here(name or socket.gethostname(), home, head.rstrip("/"), pool, cores or os.cpu_count() or 1)
    try:
        with process.lease(home / "node.lease", f"{home} is that of another node, process {{}}: --folder names another place"):
            for line in here.check(stop):
                print(line)
            joined = here.join(stop)
            print(f"node {here.name} takes stages of pool {pool}; its log: {here.home / 'worker.log'}", flush=True)
            here.serve(joined, stop)
    except Stopped:
        return
    except OSError as error:
        raise UserError(room.told(error, here.home) or f"{here.home}: {error}") from error


def nodes(pool: PoolName = POOL) -> None:
    """Show the nodes of a pool: what each has, what runs on it since when, and whether it lives."""
    if "PREFECT_API_URL" not in os.environ:
        servers.join(graph.root(Path.cwd()))
    if "PREFECT_API_URL" not in os.environ:
        raise UserError("no server is named that has nodes: say `stillhouse up`, or set PREFECT_API_URL")
    from rich.console import Console
    from rich.table import Table

    from stillhouse.flows.nodes import listed

    table = Table(box=None, pad_edge=False)
    for column in ("node", "lives", "cores", "GPUs", "runs"):
        table.add_column(column, overflow="fold")
    for row in listed.rows(pool, Path.cwd()):
        table.add_row(*row)
    Console().print(table)
