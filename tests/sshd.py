"""A real SSH server with SFTP, on this machine alone, as a place for a DVC remote: that of AsyncSSH, which needs nothing of the system.

It runs in a process of its own, `python -m tests.sshd FOLDER PORT`, and lets one key in.
"""

from __future__ import annotations

import asyncio
import getpass
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncssh

from tests.processes import free_port, listens, until


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Starts one whose files lie in `folder`; gives the options of a DVC remote: "url", "port", "user" and "keyfile"."""
    folder.mkdir(parents=True)
    for name in ("host", "user"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.sshd", str(folder), str(port)], cwd=Path(__file__).parents[1])
    try:
        until(lambda: listens(port))
        store = {"url": f"ssh://127.0.0.1{folder / 'store'}", "port": str(port), "user": getpass.getuser()}
        yield store | {"keyfile": str(folder / "user")}
    finally:
        process.terminate()
        process.wait()


async def _command(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """What a client runs, as a shell of this machine does."""
    run = await asyncio.create_subprocess_shell(
        process.command or "", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    await process.redirect(run.stdin, run.stdout, run.stderr)
    process.exit(await run.wait())


async def _serve(folder: Path, port: int) -> None:
    await asyncssh.listen(
        "127.0.0.1",
        port,
        server_host_keys=[str(folder / "host")],
        authorized_client_keys=str(folder / "user.pub"),
        process_factory=_command,
        encoding=None,
        sftp_factory=True,
    )
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
