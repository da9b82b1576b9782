"""Begins and ends the two servers of a project."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event

import psutil

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows import server
from stillhouse.flows.head import databases, token
from stillhouse.flows.head.programs import PROGRAMS, environment
from stillhouse.flows.head.wishes import Wishes, check, require_free
from stillhouse.record import process, servers
from stillhouse.record.group import GRACE
from stillhouse.record.servers import TITLES, Server

_LOOK = 5.0
"""Seconds between two looks at whether they live."""
_HEALTH = {"prefect": "/api/health", "mlflow": "/health"}


def up(folder: Path, wishes: Wishes) -> dict[str, bool]:
    """Starts what does not run yet and waits until it answers; the names of the servers, and whether each was started now.

    Raises:
        UserError: a wish that cannot be, a port that is taken, a database that does not answer, a server that does not start.
    """
    check(wishes)
    with _held(folder):
        known = servers.read(folder)
        running = {name: each for name, each in known.items() if each.lives()}
        missing = [name for name in PROGRAMS if name not in running]
        for name in known.keys() - running.keys():
            _end(known[name])
        for name in missing:
            require_free(wishes.host, wishes.port(name), f"--{name}-port")
            if database := wishes.database(name):
                databases.prepare(database, name)
        _start(folder, wishes, running, missing)
    return {name: name in missing for name in PROGRAMS}


def stay(folder: Path, wishes: Wishes, stop: Event) -> None:
    """Starts again what dies, until `stop` is set; then ends both. A start that fails, because a database is away, is tried again."""
    while not stop.wait(_LOOK):
        if len(servers.read(folder)) == len(PROGRAMS) and not servers.dead(folder):
            continue
        try:
            up(folder, wishes)
        except UserError as problem:
            print(hide(str(problem)), file=sys.stderr, flush=True)
    down(folder)


def down(folder: Path) -> dict[str, bool]:
    """Ends the servers, Prefect's first; the names of those that were known, and whether each still ran."""
    with _held(folder):
        known = servers.read(folder)
        ended = {name: known[name].lives() for name in PROGRAMS if name in known}
        for name in ended:
            _end(known.pop(name))
            servers.write(folder, known)
    return ended


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """One `up` or `down` at a time."""
    with process.waiting_lock(folder / servers.FOLDER / "lock"):
        yield


def _start(folder: Path, wishes: Wishes, running: Mapping[str, Server], missing: list[str]) -> None:
    """All at once, since most of a start is imports; none stays if one of them fails."""
    secret = token.kept(folder) if wishes.authentication else ""
    started: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in missing:
            started[name] = _begin(folder, name, wishes, secret)
            servers.write(folder, {**running, **_described(started, wishes)})
        for name, begun in started.items():
            ask = partial(_ask, f"http://{wishes.asked_at}:{wishes.port(name)}{_HEALTH[name]}")
            server.await_answer(TITLES[name], begun, log(folder, name), ask, Event())
        servers.write(folder, {**running, **_described(started, wishes)})
    except BaseException:
        for each in _described(started, wishes).values():
            _end(each)
        servers.write(folder, running)
        raise


def _ask(address: str) -> None:
    with urllib.request.urlopen(address, timeout=10):
        pass


def _begin(folder: Path, name: str, wishes: Wishes, secret: str) -> subprocess.Popen[bytes]:
    """A process that outlives the terminal and everything else that is here now."""
    command, more = PROGRAMS[name](folder, wishes, secret)
    with log(folder, name).open("wb") as said:
        return subprocess.Popen(
            command, cwd=folder, env=environment(more), stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )


def _described(started: Mapping[str, subprocess.Popen[bytes]], wishes: Wishes) -> dict[str, Server]:
    """Those that live: where they are, and each process that they consist of now."""
    found = {}
    for name, begun in started.items():
        port, path = wishes.port(name), "/api" if name == "prefect" else ""
        with suppress(psutil.NoSuchProcess):
            first = psutil.Process(begun.pid)
            family = tuple(process.identity(each.pid) for each in (first, *first.children(recursive=True)))
            local, public = f"http://{wishes.asked_at}:{port}{path}", f"http://{wishes.public}:{port}{path}"
            found[name] = Server(local, public, family, wishes.authentication)
    return found


def _end(known: Server) -> None:
    """Asks all its processes to end, waits, and ends by force what is left; a process with a number of theirs, but another start, stays."""
    family = {each for name in known.processes if not process.is_dead(name) for each in _family(int(name.split("/")[-2]))}
    for each in family:
        with suppress(psutil.NoSuchProcess):
            each.terminate()
    for each in psutil.wait_procs(family, timeout=GRACE)[1]:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def _family(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    return []


def log(folder: Path, name: str) -> Path:
    """Where a server's own words are."""
    return folder / servers.FOLDER / f"{name}.log"
