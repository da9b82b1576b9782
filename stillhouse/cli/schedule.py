"""`stillhouse schedule`: what is due is run at set times."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph, server


def schedule(
    names: Annotated[list[str] | None, typer.Argument(help="As those of `stillhouse run`.")] = None,
    cron: Annotated[str, typer.Option(help="When. Example: --cron '0 3 * * *' is every night at three.")] = "",
    timezone: Annotated[str, typer.Option(help="That of --cron. Example: --timezone Europe/Zurich.")] = "UTC",
    every: Annotated[float, typer.Option(min=1, help="Seconds between two runs, where there is no --cron.")] = 300.0,
    raw: Annotated[bool, typer.Option("--raw", help="Run only where the hash of raw data is another one than at the last run.")] = False,
    on: Annotated[str, typer.Option("--on", help="Run stages on the nodes of this pool.")] = "",
    name: Annotated[str, typer.Option(help="What Prefect calls the deployment; the name of the folder by default.")] = "",
) -> None:
    """Say `stillhouse run` at set times, as a deployment of Prefect's, until Ctrl-C; where nothing is due, nothing runs."""
    folder = graph.root(Path.cwd()).resolve()
    if "PREFECT_API_URL" not in os.environ:
        raise UserError("a schedule wants a Prefect server that stays: say `stillhouse up`, or set PREFECT_API_URL")
    os.chdir(folder)
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
    os.environ.update(server.settings(folder))
    server.ask(os.environ["PREFECT_API_URL"])
    from stillhouse.flows.schedule import FLOW, Wish, serve

    wish = Wish(name or folder.name, folder, [*(names or []), *(["--on", on] if on else [])], cron, timezone, every, raw)
    print(f"{FLOW}/{wish.name}: {f'{cron} {timezone}' if cron else f'every {every:g} s'}; Ctrl-C ends it", flush=True)
    serve(wish)
