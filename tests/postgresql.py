"""A server of PostgreSQL for tests, from the system's packages."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.processes import free_port, listens, until

PLACES = f"{os.environ['PATH']}{os.pathsep}/usr/lib/postgresql/15/bin"
PASSWORD = "correct-horse"


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of an empty database. The test is skipped where there is no PostgreSQL."""
    programs = {name: shutil.which(name, path=PLACES) for name in ("initdb", "postgres")}
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed: pip install 'stillhouse[postgresql]'")
    if not all(programs.values()):
        pytest.skip("PostgreSQL is not installed: initdb and postgres are not found")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    try:
        with _running(programs, folder) as address:
            yield address
    finally:
        shutil.rmtree(folder)


@contextmanager
def _running(programs: dict[str, str | None], folder: Path) -> Iterator[str]:
    port, secret, who = free_port(), folder / "password", _someone()
    secret.write_text(PASSWORD)
    for path in (folder, secret):
        os.chown(path, who.get("user", -1), who.get("group", -1))
    data = ["-D", str(folder / "data")]
    options = ["-U", "someone", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync", "--no-instructions"]
    subprocess.run([str(programs["initdb"]), *data, *options], check=True, capture_output=True, cwd=folder, **who)
    command = [str(programs["postgres"]), *data, "-h", "127.0.0.1", "-p", str(port), "-k", str(folder), "-c", "fsync=off"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **who)
    try:
        until(lambda: listens(port))
        yield f"postgresql://someone:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(2)  # with SIGINT it does not wait for its clients
        server.wait(30)


def _someone() -> dict[str, Any]:
    """PostgreSQL refuses to be run by root."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    pytest.skip("PostgreSQL refuses to be run by root, and there is no user postgres or nobody")
