"""Prefect's own server for the time of one execution, on this machine only and with nothing sent anywhere."""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import psutil

from stillhouse.contracts.errors import UserError
from stillhouse.record import quietly
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed
from stillhouse.record.servers import JOINED, REMEDY

STILL = 120.0
"""Seconds in which a server that starts must print something or compute; its first start in a folder also makes its database."""
LONGEST = 1800.0
"""Seconds that the start of a server may take at all."""
PATIENCE = 60.0
"""Seconds in which a server answers that is there but busy; one that is not there refuses at once."""
BANNER = "Check out the dashboard at "
"""With this Prefect's own words end."""
UNUSED = ("scheduler", "late_runs", "foreman", "triggers", "cancellation_cleanup", "pause_expirations")


def settings(folder: Path) -> dict[str, str]:
    """The environment in which Prefect, client and server, stays quiet and at home; what the reader has set stays."""
    private = {
        "PREFECT_HOME": str(folder / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": "CRITICAL",  # the board says what failed, in one place
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
        "PREFECT_CLIENT_MAX_RETRIES": "2",  # a server that is gone is waited for in each of its threads
        **{f"PREFECT_SERVER_SERVICES_{name.upper()}_ENABLED": "false" for name in UNUSED},
    }
    return {name: os.environ.get(name, value) for name, value in private.items()}


class Busy(UserError):
    """A server that is there and cannot answer now: it may be asked again."""


@dataclass(frozen=True)
class Serving:
    """A server that is there, or is starting while its client is imported. `own`: it was started here, for this execution alone."""

    own: bool
    wait: Callable[[Event], None]
    """Returns when it answers, or when the event is set. Raises UserError if it does not start."""
    lives: Callable[[], bool]
    """Whether its process does; of one that was not started here, whether it answers."""


@contextmanager
def server(folder: Path) -> Iterator[Serving]:
    """The server of PREFECT_API_URL, or one that is started here and stopped at the end.

    Call it before the first import of prefect, which reads its settings then.

    Raises:
        UserError: the reader has named one, and it does not answer.
    """
    os.environ.update(settings(folder))
    if address := os.environ.get("PREFECT_API_URL"):
        yield _named(address)
        return
    port = _free_port()
    address = f"http://127.0.0.1:{port}/api"
    process = _start(folder, port)
    os.environ["PREFECT_API_URL"] = address
    try:
        yield Serving(own=True, wait=partial(_wait, process, address, folder), lives=lambda: process.poll() is None)
    finally:
        end_group(process)
        del os.environ["PREFECT_API_URL"]


def _named(address: str) -> Serving:
    """A server of the reader's must answer; one of the project's may be away, and then its flow hears nothing."""
    try:
        ask(address)
    except UserError:
        if JOINED not in os.environ:
            raise
        return Serving(own=False, wait=lambda _: ask(address), lives=lambda: False)
    return Serving(own=False, wait=lambda _: None, lives=partial(_answers, address))


def ask(address: str, seconds: float = PATIENCE, remedy: str = "") -> None:
    """Asks a server for its health. `remedy`: what to do where it does not answer, else what helps a run.

    Raises:
        Busy: it says that it cannot answer now (503 and the like).
        UserError: no answer, or not that of such a server.
    """
    _health(address, seconds, remedy)


def _health(address: str, seconds: float, remedy: str = "") -> Any:
    """What `ask` hears."""
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/health", timeout=seconds) as answer:
            return answer
    except (OSError, ValueError) as error:
        kind = Busy if isinstance(error, urllib.error.HTTPError) and error.code >= 500 else UserError
        remedy = remedy or (REMEDY if JOINED in os.environ else "start that server, or unset PREFECT_API_URL")
        raise kind(f"{address} does not answer ({error}): {remedy}") from error


def skew(address: str) -> float:
    """Seconds by which this machine's clock is ahead of a server's, to about one. Raises as `ask` does."""
    told = _health(address, 10).headers.get("Date")
    return time.time() - parsedate_to_datetime(told).timestamp() if told else 0.0


def _answers(address: str) -> bool:
    try:
        ask(address, seconds=10)
    except UserError:
        return False
    return True


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    home = Path(os.environ["PREFECT_HOME"])
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"PREFECT_HOME is {home} - wanted a folder to write to - {error.strerror}: unset it, or name another") from None
    command = quietly.command("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    environment = {**os.environ, "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api"}
    with (home / "server.log").open("wb") as log:
        return subprocess.Popen(
            leashed(command), cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, process_group=0
        )


def _wait(process: subprocess.Popen[bytes], address: str, folder: Path, stop: Event) -> None:
    log = Path(os.environ["PREFECT_HOME"]) / "server.log"
    await_answer("Prefect's server", process, log, partial(ask, address), stop, f", or run `stillhouse doctor` in {folder}")


def await_answer(
    title: str, process: subprocess.Popen[bytes], log: Path, asking: Callable[[], None], stop: Event, remedy: str = ""
) -> None:
    """Returns when a server that starts answers (`asking` raises no error any more), or when the event is set.

    Raises:
        UserError: it has ended, or neither prints nor computes, with the last words of its log.
    """
    end, still, seen = time.monotonic() + LONGEST, time.monotonic() + STILL, (0, 0)
    while process.poll() is None and time.monotonic() < min(end, still) and not stop.is_set():
        with suppress(UserError, OSError):
            asking()
            return
        if (now := _progress(process, log)) != seen:
            still, seen = time.monotonic() + STILL, now
        stop.wait(0.1)
    if not stop.is_set():
        raise UserError(f"{title} does not start: {last_words(log)} (see {log}{remedy})")


def _progress(process: subprocess.Popen[bytes], log: Path) -> tuple[int, int]:
    """The bytes that it has printed, and for how many tenths of seconds it has computed."""
    with suppress(psutil.Error):
        times = psutil.Process(process.pid).cpu_times()
        return log.stat().st_size, int(10 * (times.user + times.system))
    return log.stat().st_size, 0


def last_words(log: Path) -> str:
    """The last line that the server printed, if that is not Prefect's banner."""
    text = log.read_text(errors="replace", encoding="utf-8")
    said = text.partition(BANNER)[2].splitlines()[1:] if BANNER in text else text.splitlines()
    return next((line for line in reversed(said) if line.strip()), "it said nothing").strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
