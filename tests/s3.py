"""An S3-compatible store on this machine alone, as a place for a DVC remote."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import free_port, listens, until

SECRETS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """Starts one with an empty bucket; gives the options of a DVC remote. Skips the test where no such server is installed."""
    for package in ("moto", "dvc_s3"):
        pytest.importorskip(package, reason="make test-nodes installs what it takes")
    port = free_port()
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        until(lambda: listens(port), 60)
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/bucket", method="PUT")).close()
        yield {"url": "s3://bucket/dvc", "endpointurl": f"http://127.0.0.1:{port}"}
    finally:
        process.terminate()
        process.wait()
