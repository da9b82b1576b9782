"""Whom a command and all that it starts speak to, and where they listen: as Python tells it, and as the kernel does."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

OWN = {"127.0.0.1", "localhost", "::1", "None"}
"""This machine, and no address at all."""
SILENCED = ("PYTEST_CURRENT_TEST", "PYTEST_VERSION", "CI", "GITHUB_ACTIONS", "DO_NOT_TRACK")
"""Where one of these is set, MLflow and Prefect are silent by themselves."""
_AUDIT = '''
"""Writes down every address that this process and all its children speak to or listen at."""
import os, sys

def listen(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"):
        address = arguments[1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        address = (arguments[0],)
    else:
        return
    if isinstance(address, tuple):
        with open(os.environ["ADDRESSES"], "a") as file:
            file.write(f"{address[0]}\\n")

if "ADDRESSES" in os.environ:
    sys.addaudithook(listen)
'''


@contextmanager
def audited(place: Path) -> Iterator[Path]:
    """Every Python process started meanwhile writes the addresses that it uses, one a line, to the file that this yields."""
    (place / "sitecustomize.py").write_text(_AUDIT)
    addresses = place / "addresses.txt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ['PYTHONPATH']}")
        patch.setenv("ADDRESSES", str(addresses))
        for name in SILENCED:
            patch.delenv(name, raising=False)
        yield addresses


@contextmanager
def watched() -> Iterator[set[tuple[str, str]]]:
    """("listens", address) and ("speaks", address) of the sockets that processes below this one have meanwhile, ten times a second."""
    seen: set[tuple[str, str]] = set()
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(seen, over), daemon=True)
    thread.start()
    yield seen
    over.set()
    thread.join()


def _watch(seen: set[tuple[str, str]], over: threading.Event) -> None:
    while not over.wait(0.1):
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                seen.update(_sockets(process))


def _sockets(process: psutil.Process) -> Iterator[tuple[str, str]]:
    for connection in process.net_connections("inet"):
        if connection.status == psutil.CONN_LISTEN:
            yield "listens", connection.laddr.ip
        elif connection.raddr:
            yield "speaks", connection.raddr.ip
