"""`stillhouse up` and `stillhouse down`."""

from __future__ import annotations

import signal
from pathlib import Path
from threading import Event
from typing import Annotated
from urllib.parse import urlsplit

import typer

from stillhouse.flows import graph
from stillhouse.flows.head.wishes import PORTS, Wishes, is_local
from stillhouse.record import servers

Host = Annotated[str, typer.Option(help="Where the servers listen. Example: --host 0.0.0.0, where other machines are to reach them.")]
KnownAs = Annotated[str, typer.Option(help="The name or address of this machine for others; with --host 0.0.0.0 its own name by default.")]
Database = Annotated[
    str,
    typer.Option(envvar="STILLHOUSE_DATABASE", help="postgresql://USER:PASSWORD@HOST:PORT/DATABASE for both servers; SQLite by default."),
]
ForMLflow = Annotated[str, typer.Option(envvar="STILLHOUSE_MLFLOW_DATABASE", help="Another one for MLflow; that of --database by default.")]
Port = Annotated[int, typer.Option(min=1, max=65535)]
Stay = Annotated[bool, typer.Option("--stay", help="Do not return, as a service: start again what dies, and end both at Ctrl-C.")]
Authentication = Annotated[bool, typer.Option(help="Whether the servers ask for the token; they must where other machines reach them.")]


def up(
    host: Host = "127.0.0.1",
    known_as: KnownAs = "",
    prefect_port: Port = PORTS["prefect"],
    mlflow_port: Port = PORTS["mlflow"],
    database: Database = "",
    mlflow_database: ForMLflow = "",
    authentication: Authentication = True,
    stay: Stay = False,
) -> None:
    """Start Prefect's and MLflow's server, which stay; every command of this project uses them then."""
    from stillhouse.flows.head import life

    folder, stop = graph.root(Path.cwd()), Event()
    if stay:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    wishes = Wishes(host, known_as, prefect_port, mlflow_port, database, mlflow_database or database, authentication)
    started = life.up(folder, wishes)
    known = servers.read(folder)
    for name, now in started.items():
        print(f"{servers.TITLES[name]}: {known[name].public.removesuffix('/api')} ({'started' if now else 'it runs already'})")
    for line in _more(folder, known["prefect"]):
        print(line, flush=True)
    if stay:
        life.stay(folder, wishes, stop)


def _more(folder: Path, prefect: servers.Server) -> list[str]:
    secret, ask = folder / servers.TOKEN, prefect.authentication
    lines = [f"user {servers.USER}, password in {secret}"] if ask else []
    if is_local(urlsplit(prefect.public).hostname or ""):
        return [*lines, "only this machine reaches them: for nodes, `stillhouse down`, then `stillhouse up --host 0.0.0.0`"]
    given = f'PREFECT_API_AUTH_STRING="{servers.USER}:$(cat token)" ' if ask else ""
    return [*lines, f"on a node, beside a copy of that file: {given}stillhouse node --head {prefect.public}"]


def down() -> None:
    """End the servers that `stillhouse up` started."""
    from stillhouse.flows.head import life

    ended = life.down(graph.root(Path.cwd()))
    for name, ran in ended.items():
        print(f"{servers.TITLES[name]} {'has ended' if ran else 'had ended already'}")
    if not ended:
        print("no servers run for this project")
