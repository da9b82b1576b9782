"""A real SSH server of the system, on this machine alone, as a place for a DVC remote."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import free_port, listens, until

PROGRAM = shutil.which("sshd") or "/usr/sbin/sshd"


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Starts one whose files lie in `folder`; gives the options of a DVC remote: "url", "port", "user" and "keyfile".

    Skips the test where the system has none.
    """
    if not Path(PROGRAM).exists():
        pytest.skip("this machine has no sshd")
    folder.mkdir(parents=True)
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
    if os.getuid() == 0:  # it wants its empty folder then
        Path("/run/sshd").mkdir(exist_ok=True)
    port = free_port()
    (folder / "settings").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nAuthorizedKeysFile {folder / 'user.pub'}\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", str(folder / "settings")], stdout=log, stderr=log)
    try:
        until(lambda: listens(port))
        store = {"url": f"ssh://127.0.0.1{folder / 'store'}", "port": str(port), "user": getpass.getuser()}
        yield store | {"keyfile": str(folder / "user")}
    finally:
        process.terminate()
        process.wait()
