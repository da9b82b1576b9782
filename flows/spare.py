"""The spare process of an execution (see `stillhouse.record.spare`), from the check of params.yaml to the last stage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record.copied import listening
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed
from stillhouse.record.spare import ADDRESS

LOG = Path(".work/spare.txt")


class Spare:
    """A process that checks params.yaml and then stands ready; `spare` makes and ends it."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / LOG
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Starts it, if it is not there; the stages that are started from now on ask it, and wait until it has loaded what they need."""
        if self._process or not sys.platform.startswith("linux"):
            return
        self._log.parent.mkdir(exist_ok=True)
        with listening() as (listener, address), self._log.open("wb") as log:
            self._process = self._start(listener.fileno(), log.fileno())
        os.environ[ADDRESS] = address

    def check(self) -> None:
        """Waits for the end of its check. Raises UserError with the mistakes in params.yaml."""
        self.begin()
        assert self._process
        assert self._process.stdout
        if not self._process.stdout.readline() and self._process.wait():
            raise UserError(self._log.read_text(errors="replace", encoding="utf-8").strip())

    def end(self) -> None:
        """Ends it, and whatever copy of it is left."""
        os.environ.pop(ADDRESS, None)
        if self._process:
            with self._process:
                end_group(self._process)

    def _start(self, listener: int, log: int) -> subprocess.Popen[bytes]:
        command = leashed([sys.executable, "-m", "stillhouse.stages", "check", str(listener)])
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # as stages are started
        return subprocess.Popen(
            command,
            cwd=self._log.parents[1],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            pass_fds=[listener],
            process_group=0,
        )


@contextmanager
def spare(folder: Path) -> Iterator[Spare]:
    """A spare process for the stages that are started inside, once somebody wants it."""
    one = Spare(folder)
    try:
        yield one
    finally:
        one.end()
