"""What is done to an execution of a project, and the processes of one: every fault draws its details from a seeded generator.

A fault starts the execution itself and returns when that has ended, or was ended after `LIMIT` seconds; what is then broken on purpose
for longer than the execution (a full disk, a tracker that is away) is over when the fault returns.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from benchmarks import _disk

LIMIT = 1200.0
"""Seconds after which an execution counts as one that hangs."""
MARK = "STILLHOUSE_FAULTS"
"""The environment variable by which all processes of a project are found again."""
WORDS = {
    "runner": ("-m", "stillhouse", "run"),
    "stage": ("-m", "stillhouse.stages"),
    "dvc": ("-m", "dvc"),
    "tracker": ("-m", "stillhouse.tracking"),
    "server": ("-m", "prefect", "server"),
}
"""Consecutive words in the command of each kind of process."""


class Trial:
    """One execution of the project in `place`; `seconds` is how long an undisturbed one takes, `names` are the teachers and students.

    `struck`: the fault came before the execution's end; `hung`: the execution had to be ended by force.
    """

    def __init__(self, place: Path, seconds: float, rng: random.Random, names: Sequence[str] = (), limit: float = LIMIT) -> None:
        self.place, self.seconds, self.rng, self.names, self.limit = place, seconds, rng, names, limit
        self.said = place.parent / "said.txt"
        self.hung, self.struck = False, True

    def start(self, limit_bytes: int | None = None, **more: str) -> subprocess.Popen[bytes]:
        """Starts `stillhouse run`; `limit_bytes` is the largest file that it may write."""
        command = [sys.executable, *WORDS["runner"], *self.names]
        if limit_bytes is not None:
            command = ["sh", "-c", 'ulimit -f "$0"; exec "$@"', str(limit_bytes // 512), *command]
        environment = {**os.environ, MARK: str(self.place), "STILLHOUSE_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
        environment |= {"DVC_SITE_CACHE_DIR": str(self.place.parent / "dvc"), **more}
        with self.said.open("ab") as said:
            return subprocess.Popen(command, cwd=self.place, env=environment, stdout=said, stderr=said, process_group=0)

    def end(self, process: subprocess.Popen[bytes]) -> int:
        """Waits; returns the exit status, that of SIGKILL for one that hangs."""
        try:
            return process.wait(self.limit)
        except subprocess.TimeoutExpired:
            self.hung = True
            for left in self.processes():
                left.kill()
            return process.wait()

    def processes(self, kind: str | None = None) -> list[psutil.Process]:
        """The living processes of the project, all or of one kind; a process that only starts another one is not of its kind."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                ours = process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(self.place)
                words = tuple(process.cmdline())[1:]
                if ours and (kind is None or any(words[at : at + len(WORDS[kind])] == WORDS[kind] for at in (0, 2))):
                    found.append(process)
        return found

    def sleep(self, process: subprocess.Popen[bytes]) -> None:
        """Until a random moment of the execution, or its end."""
        with suppress(subprocess.TimeoutExpired):
            process.wait(self.rng.random() * self.seconds)


def kill(kind: str) -> Callable[[Trial], None]:
    """SIGKILL at a random moment, or as soon afterwards as there is such a process."""

    def fault(trial: Trial) -> None:
        process = trial.start()
        trial.sleep(process)
        trial.struck = False
        while process.poll() is None and not trial.struck:
            for found in trial.processes(kind)[:1]:
                with suppress(psutil.NoSuchProcess):
                    found.kill()
                    trial.struck = True
            time.sleep(0.02)
        trial.end(process)

    return fault


def full(where: str) -> Callable[[Trial], None]:
    """The disk of one folder fills at a random size; where no small disk can be mounted, no file may grow beyond some size."""

    def fault(trial: Trial) -> None:
        room, unasked = trial.rng.randrange(0, 64 * 1024), {"STILLHOUSE_DISK_RESERVE_MB": "0"}  # else the execution does not begin
        if not _disk.can_mount():
            trial.end(trial.start(limit_bytes=max(512, room // 16), **unasked))
            return
        with _disk.small(trial.place / where, room):
            trial.end(trial.start(**unasked))

    return fault


def tracker(answer: Callable[[socket.socket], None] | None) -> Callable[[Trial], None]:
    """The tracker's address is one at which nobody listens, or one that answers like this."""

    def fault(trial: Trial) -> None:
        with listening(answer) as port:
            trial.end(trial.start(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}"))

    return fault


@contextmanager
def listening(answer: Callable[[socket.socket], None] | None) -> Iterator[int]:
    """A port of this machine; without an answer it is closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        if answer:

            def serve() -> None:
                with suppress(OSError):
                    while True:
                        threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()

            threading.Thread(target=serve, daemon=True).start()
        else:
            server.close()
        yield port
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)


def hang(connection: socket.socket) -> None:
    """Accepts and never answers."""
    with suppress(OSError):
        while connection.recv(4096):
            pass


def trickle(connection: socket.socket) -> None:
    """Sends one byte a second of an answer that never ends."""
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(1)


def restarted(trial: Trial) -> None:
    """A real tracker on the project's own database is killed at a random moment and started again after five seconds."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    first = _mlflow(trial, port)
    process = trial.start(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{port}")
    trial.sleep(process)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(5)
    second = _mlflow(trial, port)
    trial.end(process)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()


def _mlflow(trial: Trial, port: int) -> subprocess.Popen[bytes]:
    store = ["--backend-store-uri", f"sqlite:///{trial.place / 'mlflow.db'}", "--artifacts-destination", str(trial.place / "mlartifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
    with (trial.place.parent / "mlflow.txt").open("ab") as said:
        server = subprocess.Popen(command, cwd=trial.place, stdout=said, stderr=said, process_group=0)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return server
        time.sleep(0.2)
    raise RuntimeError("MLflow's server does not start")


def corrupt_cache(trial: Trial) -> None:
    """A byte of some object in DVC's cache is another one, and what it stood for is no longer in the workspace."""
    objects = sorted(path for path in (trial.place / ".dvc/cache").rglob("*") if path.is_file())
    flip(trial.rng.choice(objects), trial.rng)
    for path in (trial.place / "data").glob("*/*"):
        if path.is_dir() and path.parent.name != "raw":
            shutil.rmtree(path)
    trial.end(trial.start())


def corrupt_checkpoint(trial: Trial) -> None:
    """A training is killed with its whole execution, and a byte of its newest checkpoint is another one."""
    process, trial.struck = trial.start(), False
    while process.poll() is None and not trial.struck:
        if found := sorted(trial.place.glob(".work/*/*/checkpoint/*.safetensors")):
            for left in trial.processes():
                left.kill()
            if found[-1].exists():
                flip(found[-1], trial.rng)
                trial.struck = True
        time.sleep(0.002)
    trial.end(process)


def corrupt_lock(trial: Trial) -> None:
    """The execution is killed at a random moment, and its dvc.lock is cut somewhere; then the remedy that is named is used."""
    kill("runner")(trial)
    path = trial.place / "dvc.lock"
    os.truncate(path, trial.rng.randrange(0, path.stat().st_size))
    trial.end(trial.start())
    subprocess.run(["git", "checkout", "-q", "dvc.lock"], cwd=trial.place, check=True)


def clock_back(trial: Trial) -> None:
    """The execution is killed at a random moment, and all its files are of tomorrow: so they look when the clock has been set back."""
    kill("runner")(trial)
    while trial.processes():
        time.sleep(0.05)
    tomorrow = time.time() + 86400
    for path in trial.place.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (tomorrow, tomorrow))


def flip(path: Path, rng: random.Random) -> None:
    """Changes one byte and nothing else, neither the mode nor the times."""
    facts = path.stat()
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.chmod(facts.st_mode | 0o200)
        with path.open("r+b") as file:
            file.write(data)
        path.chmod(facts.st_mode)
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


FAULTS: dict[str, Callable[[Trial], None]] = {
    **{f"SIGKILL of the {kind}": kill(kind) for kind in WORDS},
    **{f"disk full: {where}": full(where) for where in (".work", "data", ".dvc/cache")},
    "tracker away": tracker(None),
    "tracker hangs": tracker(hang),
    "tracker sends a byte a second": tracker(trickle),
    "tracker restarted": restarted,
    "cache object corrupted": corrupt_cache,
    "checkpoint corrupted": corrupt_checkpoint,
    "dvc.lock cut": corrupt_lock,
    "clock set back": clock_back,
}
