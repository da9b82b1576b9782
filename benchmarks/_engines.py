"""What both engines are measured with: processes killed with all that they started, marks of stages, a Prefect server."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

LINE = "a line that the stage prints"
STAGE = f'''"""What a node runs: it says when it began, where, and with which device."""

import json
import os
import time
from pathlib import Path


def work(mark, seconds):
    begun = {{"time": time.time(), "pid": os.getpid(), "device": os.environ.get("CUDA_VISIBLE_DEVICES")}}
    Path(mark + ".part").write_text(json.dumps(begun))
    os.replace(mark + ".part", mark)
    print("{LINE}")
    time.sleep(seconds)
    Path(mark + ".end").touch()
'''


@contextmanager
def running(command: list[str], folder: Path, environment: Mapping[str, str], log: str) -> Iterator[psutil.Process]:
    """A command in a folder of its own, killed at the end with all that it started."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / log).open("ab") as said:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=said, stderr=said, start_new_session=True)
    try:
        yield psutil.Process(process.pid)
    finally:
        kill(process.pid)
        process.wait()


def family(pid: int) -> list[psutil.Process]:
    """A process with all that it started, itself and its like by session, since daemons have other parents."""
    found = {}
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        found = {each.pid: each for each in (first, *first.children(recursive=True))}
    for each in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            if os.getsid(each.pid) == pid:
                found |= {each.pid: each} | {child.pid: child for child in each.children(recursive=True)}
    return list(found.values())


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Sends a signal to a whole family at once, as if its machine were gone."""
    for each in family(pid):
        with suppress(psutil.NoSuchProcess):
            each.send_signal(number)


def until(condition: Callable[[], Any], limit: float) -> Any:
    """The value of a condition once it is true; None after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        with suppress(OSError):
            if value := condition():
                return value
        time.sleep(0.05)
    return None


def begun(mark: Path, limit: float = 240) -> dict[str, Any]:
    """What a stage wrote when it began. Raises RuntimeError if it does not begin."""
    if not until(mark.exists, limit):
        raise RuntimeError(f"{mark.name} did not begin within {limit:g} s")
    return dict(json.loads(mark.read_text()))


def port() -> int:
    """One that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Head:
    """Prefect's server in a folder, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._stack, self._port = folder, ExitStack(), port()
        self.address = f"http://127.0.0.1:{self._port}/api"
        self.environment = {"PREFECT_HOME": str(folder), "PREFECT_API_URL": self.address}

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        self._stack.enter_context(running(command, self._folder, self.environment, "server.log"))
        if not until(lambda: urllib.request.urlopen(f"{self.address}/health", timeout=5), 180):
            raise RuntimeError(f"Prefect's server does not answer, see {self._folder / 'server.log'}")

    def stop(self) -> None:
        """Kills it."""
        self._stack.close()

    def ask(self, path: str, question: Any) -> Any:
        """What the server says to a question of its interface."""
        wanted = urllib.request.Request(f"{self.address}{path}", json.dumps(question).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(wanted, timeout=20) as reply:
            return json.load(reply)

    def lines(self) -> int:
        """How many of the lines that stages printed it has in its log."""
        return sum(entry["message"] == LINE for entry in self.ask("/logs/filter", {"limit": 200}))
