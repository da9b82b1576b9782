"""This machine as a node: what it has, whether it is fit, and Prefect's worker that takes stages from its queue."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import psutil

from stillhouse.contracts.errors import UserError
from stillhouse.flows import server, slots
from stillhouse.flows.nodes.life import BEAT, HOME, LOST, SKEW
from stillhouse.flows.nodes.patience import asked
from stillhouse.record import quietly
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed

if TYPE_CHECKING:
    from stillhouse.flows.nodes.pool import Pool

ROOM = 2 * 2**30
"""Bytes that must be free for clones, caches and checkpoints."""
_REACH = "say `stillhouse up --host ...` on the head, and here --head with Prefect's address as that prints it, http://HEAD:4200/api"
_BEATS = 3
"""Signs of life in which a node of the same name would give another one."""
_AGAIN = 5.0
"""Seconds until a worker that ended, for example because the head was away for long, is started again."""


@dataclass(frozen=True)
class Here:
    """This machine as a node of a pool, in its own folder."""

    name: str
    home: Path
    head: str
    pool: str
    cores: int

    def check(self, stop: Event) -> list[str]:
        """What was looked at, a line each. Raises UserError at what is not as it should be, and as `asked` does."""
        asked(lambda: server.ask(self.head, remedy=_REACH), stop)
        if not shutil.which("git"):
            raise UserError("this node has no git: install it")
        free = shutil.disk_usage(self.home).free
        if free < ROOM:
            raise UserError(
                f"{self.home} - wanted {ROOM / 2**30:g} GiB of free disk - got {free / 2**30:.1f}: --folder names another place"
            )
        return [
            _versions(),
            f"GPUs: {self._gpus() or 'none'}",
            f"disk: {free / 2**30:.0f} GiB free in {self.home}",
            asked(self._clock, stop),
        ]

    def facts(self) -> dict[str, Any]:
        """What the head is told of it."""
        from stillhouse.flows.nodes.release import HERE

        packages = {"python": platform.python_version(), "stillhouse": version("stillhouse"), "release": HERE}
        return {"cores": self.cores, "gpus": gpus(), "memory": round(psutil.virtual_memory().total / 2**30), **packages}

    def _gpus(self) -> str:
        return ", ".join(f"{memory:.0f} GiB" for memory in gpus())

    def _clock(self) -> str:
        skew = server.skew(self.head)
        if abs(skew) > SKEW:
            raise UserError(f"this node's clock is {skew:+.0f} s from the head's: set it (timedatectl set-ntp true)")
        return f"clock: {skew:+.0f} s from the head's"

    def join(self, stop: Event) -> Pool:
        """Becomes a node of the pool. Raises UserError where it is not let in, or another node has its name; and as `asked` does."""
        os.environ.update(server.settings(self.home) | {"PREFECT_API_URL": self.head})
        from stillhouse.flows.nodes.pool import Pool

        pool = Pool(self.pool)
        asked(pool.make, stop)
        asked(lambda: self._require_own_name(pool), stop)
        asked(lambda: pool.announce(self.name, self.facts()), stop)
        if warning := asked(lambda: pool.warning(self.name), stop):
            print(f"warning: {warning}", file=sys.stderr, flush=True)
        return pool

    def _require_own_name(self, pool: Pool) -> None:
        """Of this node, killed a moment ago, the last sign of life stays as it is."""
        before = pool.stamps().get(self.name)
        if before is None or pool.silences()[self.name] >= LOST:
            return
        time.sleep(_BEATS * BEAT)
        if pool.stamps().get(self.name, before) != before:
            raise UserError(f"a node {self.name} of the pool {self.pool} lives already: --name gives this one another name")

    def serve(self, pool: Pool, stop: Event) -> None:
        """Takes stages until `stop` is set; then those that run are stopped, and the head sends them elsewhere.

        Raises:
            UserError: the server does not let it in any more.
        """
        while not stop.is_set():
            with pool.borne():
                pool.give_back(self.name)  # what ran when the last worker ended, or this machine lost its power
                with self._worker() as worker:
                    while worker.poll() is None and not stop.wait(0.2):
                        pass
            stop.wait(_AGAIN)
        with pool.borne():
            pool.give_back(self.name)
            pool.leave(self.name)

    @contextmanager
    def _worker(self) -> Iterator[subprocess.Popen[bytes]]:
        command = leashed(quietly.command("stillhouse.flows.nodes.worker", self.name, self.pool))
        with (self.home / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.home, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        try:
            yield process
        finally:
            end_group(process)

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        return {
            **os.environ,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PATH": path,
            HOME: str(self.home),
            "DVC_SITE_CACHE_DIR": str(self.home / "site"),
        }


def gpus() -> list[float]:
    """GiB of each GPU that stages may use here."""
    seen = slots.devices()
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        words = ["nvidia-smi", "--query-gpu=index,memory.total", "--format=csv,noheader,nounits"]
        lines = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout.splitlines()
        sizes = dict(line.split(", ") for line in lines)
        return [float(sizes.get(name, 0)) / 1024 for name in seen]
    return [0.0] * len(seen)


def _versions() -> str:
    names = ("stillhouse", "torch", "dvc", "prefect")
    return ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in names)])
