"""`stillhouse up` and `stillhouse down`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
Authentication = Annotated[bool, typer.Option(help="Whether the servers ask for the token; they must where other machines reach them.")]


def up(
    host: Host = "127.0.0.1",
    known_as: KnownAs = "",
    prefect_port: Port = PORTS["prefect"],
    mlflow_port: Port = PORTS["mlflow"],
    database: Database = "",
    mlflow_database: ForMLflow = "",
    authentication: Authentication = True,
) -> None:
    """Start Prefect's and MLflow's server, which stay; every command of this project uses them then."""
    from stillhouse.flows.head import life

    folder = graph.root(Path.cwd())
    wishes = Wishes(host, known_as, prefect_port, mlflow_port, database, mlflow_database or database, authentication)
    started = life.up(folder, wishes)
    known = servers.read(folder)
    for name, now in started.items():
        print(f"{servers.TITLES[name]}: {known[name].public.removesuffix('/api')} ({'started' if now else 'it runs already'})")
    for line in _more(folder, known["prefect"]):
        print(line)


def _more(folder: Path, prefect: servers.Server) -> list[str]:
    address = prefect.public.removesuffix("/api")
    secret = f" --token {servers.TOKEN.name}" if prefect.authentication else ""
    lines = [f"user {servers.USER}, password in {folder / servers.TOKEN}"] if prefect.authentication else []
    if is_local(address.partition("://")[2].rpartition(":")[0]):
        return [*lines, "only this machine reaches them: for nodes, `stillhouse down`, then `stillhouse up --host 0.0.0.0`"]
    copy = f", with a copy of {folder / servers.TOKEN}" if secret else ""
    return [*lines, f"on a node{copy}: stillhouse node --head {address}{secret}"]


def down() -> None:
    """End the servers that `stillhouse up` started."""
    from stillhouse.flows.head import life

    ended = life.down(graph.root(Path.cwd()))
    for name, ran in ended.items():
        print(f"{servers.TITLES[name]} {'has ended' if ran else 'had ended already'}")
    if not ended:
        print("no servers run for this project")
