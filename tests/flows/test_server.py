"""How long the start of Prefect's server is waited for, and what is said if it fails; a small server stands in for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import server

SLOW = """
import http.server, sys, time
end = time.monotonic() + 2.5
while time.monotonic() < end: pass
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""
STUCK = "import time; print('the database is locked', flush=True); time.sleep(60)"
BANNER = "art\n\nCheck out the dashboard at http://127.0.0.1:1\n\n\n"


def wait(code: str, folder: Path) -> None:
    port = server._free_port()
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code, str(port)], stdout=log, stderr=log)
    try:
        server._wait(process, f"http://127.0.0.1:{port}/api", folder, Event())
    finally:
        process.kill()
        process.wait()


@pytest.fixture(autouse=True)
def _impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr(server, "STILL", 1.5)


def test_a_server_that_still_computes_is_waited_for(tmp_path):
    wait(SLOW, tmp_path)


def test_one_that_does_nothing_is_given_up_with_its_last_words(tmp_path):
    with pytest.raises(UserError, match=r"Prefect's server does not start: the database is locked \(see "):
        wait(STUCK, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [(BANNER, "it said nothing"), (f"{BANNER}port in use\n\n", "port in use"), ("no module\n", "no module"), ("", "it said nothing")],
)
def test_the_last_words_of_a_server_are_not_its_banner(tmp_path, text, words):
    (tmp_path / "server.log").write_text(text)
    assert server.last_words(tmp_path / "server.log") == words
