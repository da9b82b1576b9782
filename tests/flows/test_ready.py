"""DVC as a copy of the process that has loaded it: that it is one, that it says as much, and what ends with what."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXECUTION = """
import logging, os, subprocess, sys, threading
import dvc
from stillhouse.flows.ready import dvc_ready
from stillhouse.record.quietly import command

dvc.__version__ = "changed here"
logging.getLogger("dvc").setLevel(logging.CRITICAL)
if "thread" in sys.argv:
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("said once")
with dvc_ready():
    if "kill" in sys.argv:
        os.kill(os.getpid(), 9)
    sys.exit(subprocess.run(command("dvc", *sys.argv[2:]), env={**os.environ, "PYTHONUNBUFFERED": "1"}).returncode)
"""


def execution(how: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A process that has loaded DVC, changed the version that it tells, and starts a command of it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", EXECUTION, how, *words], env=environment, capture_output=True, text=True, timeout=120)


def test_dvc_is_a_copy_of_the_process_that_has_loaded_it():
    done = execution("alone", "--version")
    assert done.stdout.startswith("said once\n")
    assert done.stdout.endswith("changed here\n")
    assert done.returncode == 0
    failed = execution("alone", "root", "--nonsense")
    assert failed.stderr.count("unrecognized arguments: --nonsense") == 1
    assert failed.returncode == 254


def test_beside_a_thread_dvc_is_loaded_anew():
    assert "changed here" not in execution("thread", "--version").stdout


def test_what_stands_ready_ends_with_a_killed_execution():
    done = execution("kill")  # its end is that of all that hold its standard output
    assert done.stdout.startswith("said once\n")
    assert done.returncode == -signal.SIGKILL
