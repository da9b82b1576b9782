"""A schedule of a project, as a deployment of Prefect's: at its times `stillhouse run` is said in the project's folder."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import httpx
from prefect import flow, get_client, get_run_logger
from prefect.exceptions import ObjectNotFound
from prefect.flows import EntrypointType
from prefect.schedules import Cron, Interval, Schedule
from prefect.states import Cancelled, Completed, Failed, State

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.contracts.hidden import hide
from stillhouse.flows import graph
from stillhouse.record import hashes
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed

FLOW = "stillhouse-schedule"
NOTES = Path(".work/schedules")
"""The raw data that the last run of a schedule read, a file for each."""
RAW = "data/raw"
NOTHING = "nothing to do"
_INTERRUPTED = 130
_AGAIN = 5.0
"""Seconds until a server that went away is asked again."""


@dataclass(frozen=True)
class Wish:
    """What shall be run in a folder and when: `cron` in a time zone, else `every` so many seconds; `raw`: only if raw data changed."""

    name: str
    folder: Path
    words: Sequence[str]
    cron: str = ""
    timezone: str = "UTC"
    every: float = 0.0
    raw: bool = False

    def schedule(self) -> Schedule:
        """For Prefect. Raises UserError at what is no cron line or no time zone."""
        try:
            zone = str(ZoneInfo(self.timezone))
            return Cron(self.cron, timezone=zone) if self.cron else Interval(self.every)
        except (ValueError, ZoneInfoNotFoundError) as error:
            wanted = "wanted such as --cron '0 3 * * *' --timezone Europe/Zurich"
            raise UserError(f"--cron {self.cron!r} --timezone {self.timezone} - {wanted} - {error}") from None

    def owner(self) -> str:
        """A tag that says whose deployment it is."""
        return f"folder:{platform.node()}:{self.folder}"


def serve(wish: Wish) -> None:
    """Keeps the deployment and runs what it asks for, until SIGTERM or Ctrl-C; then it is paused. A server that is away is waited for.

    Raises:
        UserError: times that cannot be, or a deployment of that name that is another folder's.
    """
    schedule = wish.schedule()
    _require_own(wish)
    try:
        while not _served(wish, schedule):
            time.sleep(_AGAIN)
    finally:
        _pause(wish)


def _served(wish: Wish, schedule: Schedule) -> bool:
    """Returns at the end, or False when the server went away."""
    try:
        retrain.serve(
            wish.name,
            schedule=schedule,
            parameters={"name": wish.name, "folder": str(wish.folder), "words": list(wish.words), "raw": wish.raw},
            tags=[wish.owner()],
            limit=1,
            pause_on_shutdown=False,  # not at SIGTERM
            print_starting_message=False,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
    except (httpx.HTTPError, RuntimeError) as error:  # of both kinds, since Prefect gives up after some tries
        print(f"Prefect's server is away ({hide(str(error))}): it is asked again", flush=True)
        return False
    return True


def _pause(wish: Wish) -> None:
    """Else the server would plan runs that nobody begins."""
    with suppress(httpx.HTTPError, ObjectNotFound), get_client(sync_client=True) as client:
        client.pause_deployment(client.read_deployment_by_name(f"{FLOW}/{wish.name}").id)


def _require_own(wish: Wish) -> None:
    with get_client(sync_client=True) as client:
        try:
            tags = client.read_deployment_by_name(f"{FLOW}/{wish.name}").tags
        except ObjectNotFound:
            return
    if wish.owner() not in tags:
        raise UserError(f"a schedule {wish.name!r} is there for another folder ({', '.join(tags)}): choose another --name")


@flow(name=FLOW, persist_result=False)
def retrain(name: str, folder: str, words: list[str], raw: bool) -> State[Any]:
    """One run of a schedule: what `stillhouse run` says is its log, and how that ends is its state."""
    return turn(name, Path(folder), words, raw, get_run_logger().info)


def turn(name: str, folder: Path, words: Sequence[str], raw: bool, say: Callable[[str], None]) -> State[Any]:
    """Says `stillhouse run`, unless it is to wait for other raw data than those of the last run that ended; how that ended."""
    note, now = folder / NOTES / f"{name}.json", _raw(folder)
    if raw and note.exists() and read_json(note) == now:
        return Completed(message="the raw data have not changed")
    code, last = _run(folder, words, say)
    if code == _INTERRUPTED:
        return Cancelled(message=last)
    write_json(note, now)
    return Failed(message=last) if code else Completed(message=last)


def _raw(folder: Path) -> dict[str, str]:
    """path -> MD5 of all raw data that stages read."""
    stages = [node.name for node in graph.read(folder) if node.command]
    read = {path: md5 for stage in stages for path, md5 in hashes.reads(stage, folder).items()}
    return {path: md5 for path, md5 in read.items() if Path(path).is_relative_to(RAW)}


def _run(folder: Path, words: Sequence[str], say: Callable[[str], None]) -> tuple[int, str]:
    """The exit status, and in one line how it ended."""
    command = leashed([sys.executable, "-W", "ignore", "-m", "stillhouse", "run", *words])
    private = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT__", "PREFECT_LOGGING_"))}
    process = subprocess.Popen(
        command, cwd=folder, env=private, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, process_group=0
    )
    lines = []
    try:
        for line in process.stdout or ():
            lines.append(hide(line.decode(errors="replace").rstrip()))
            say(lines[-1])
        code = process.wait()
    finally:
        end_group(process)
    return code, _ending(code, lines)


def _ending(code: int, lines: Sequence[str]) -> str:
    if nothing := [line for line in lines if line.startswith(NOTHING)]:
        return nothing[0]
    return next((line for line in reversed(lines) if line), "it said nothing") if code else "done"
