"""What may be wrong with this machine, this environment or this folder, and what to do about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.text import Text

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows import graph, server
from stillhouse.record import outbox, revision, surroundings
from stillhouse.record import servers as kept

PACKAGES = ("torch", "dvc", "prefect", "fastapi", "mlflow", "pyarrow", "pydantic")
LINKS = ("reflink", "hardlink", "symlink")
PATIENCE = 120.0
"""Seconds that a check may take."""


def main(folder: Path) -> int:
    """Prints one line per check; returns the exit code, 1 if there is a problem."""
    console = Console()
    with ThreadPoolExecutor() as pool:
        findings = {name: pool.submit(_finding, check, folder) for name, check in CHECKS.items()}
    problems = 0
    for name, finding in findings.items():
        good, text = finding.result()
        problems += not good
        console.print(Text.assemble(("OK      ", "green") if good else ("problem ", "red"), f"{name}: {text}"), soft_wrap=True)
    return 1 if problems else 0


def _finding(check: Callable[[Path], str], folder: Path) -> tuple[bool, str]:
    try:
        return True, hide(check(folder))
    except UserError as problem:
        return False, hide(str(problem))
    except PermissionError as problem:
        return False, surroundings.refused(problem)


def versions(_: Path) -> str:
    """The packages whose versions decide most."""
    try:
        return ", ".join([f"python {sys.version.split()[0]}", *(f"{name} {version(name)}" for name in PACKAGES)])
    except PackageNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install -c constraints.txt -e .") from error


def servers(folder: Path) -> str:
    """A pair that no resolver knows: Prefect 3.8 says that it takes any fastapi, and its server does not import with 0.151 or later."""
    failed = _python(folder, "-W", "ignore", "-c", "import prefect.server.api.server")
    if failed:
        raise UserError(
            f"Prefect's server does not import with fastapi {version('fastapi')}: pip install 'fastapi>=0.139,<0.151' ({failed})"
        )
    return "Prefect's server imports"


def device(folder: Path) -> str:
    """What PyTorch can compute on; it is asked in a process of its own."""
    code = "import torch; n = torch.cuda.device_count(); print(f'{n} CUDA device(s)' if n else f'CPU, {torch.get_num_threads()} threads')"
    done = _run(folder, sys.executable, "-W", "ignore", "-c", code)
    if done.returncode:
        raise UserError(f"PyTorch does not import ({_last(done)}): install the build for this machine")
    return done.stdout.strip()


def git(folder: Path) -> str:
    """DVC runs without Git, but then nothing says which code made a model."""
    if not shutil.which("git"):
        raise UserError("git is not installed: runs could not say which commit they are of")
    commit = revision.head(folder)
    if not commit:
        raise UserError("this folder has no Git commit: git init && git add . && git commit")
    return f"at {commit[:7]}"


def pipeline(folder: Path) -> str:
    """dvc.yaml and params.yaml as DVC reads them; while a stage runs nothing more can be said."""
    try:
        nodes = graph.read(graph.root(folder))
    except graph.Busy as busy:
        return str(busy)
    due = sum(node.state != "unchanged" for node in nodes)
    return f"{len(nodes)} stages, {due} to run"


def settings(folder: Path) -> str:
    """params.yaml as the stages read it."""
    failed = _python(graph.root(folder), "-m", "stillhouse.stages", "check")
    if failed:
        raise UserError(failed)
    return "every block of params.yaml is valid"


def cache(folder: Path) -> str:
    """Whether DVC can link outputs into its cache; a copy costs the disk twice, and seconds per gigabyte while everything waits."""
    done = _run(graph.root(folder), sys.executable, "-m", "dvc", "doctor")
    possible = next((line.partition(":")[2].strip() for line in done.stdout.splitlines() if line.startswith("Cache types")), "")
    chosen = _run(graph.root(folder), sys.executable, "-m", "dvc", "config", "cache.type").stdout.strip()
    if not any(link in possible and link in chosen for link in LINKS):
        raise UserError(
            f"DVC copies every output into its cache (cache.type is {chosen or 'not set'}, possible here: {possible or 'unknown'}): "
            f"dvc config cache.type {','.join(LINKS)},copy, with .dvc/cache on the file system of data/"
        )
    return f"{possible} possible, cache.type {chosen}"


def tracker(folder: Path) -> str:
    """MLflow's store answers, no record waits for it, and none was set aside."""
    failed = _python(graph.root(folder), "-m", "stillhouse.tracking", "sync")
    if failed:
        raise UserError(
            f"{failed}: is MLFLOW_TRACKING_URI right, and its server up? `python -m stillhouse.tracking sync` forwards what waits"
        )
    if refused := outbox.aside(graph.root(folder)):
        path, reason = next(iter(refused.items()))
        raise UserError(
            f"{len(refused)} records were refused {outbox.TRIES} times and are set aside, {path} for one ({reason}): "
            f"move them to {outbox.FOLDER} to try again, or delete them"
        )
    return f"{os.environ.get('MLFLOW_TRACKING_URI', 'mlflow.db in this folder')} answers, nothing waits to be recorded"


def scheduler(_: Path) -> str:
    """Prefect's API answers, where one is named."""
    address = os.environ.get("PREFECT_API_URL")
    if not address:
        return "PREFECT_API_URL is not set: every run starts its own server"
    server.ask(address)
    return f"{address} answers"


def head(folder: Path) -> str:
    """The servers that `stillhouse up` started live."""
    root = graph.root(folder)
    if dead := kept.dead(root):
        raise UserError("; ".join(dead))
    known = [f"{kept.TITLES[name]} at {server.public}" for name, server in kept.read(root).items()]
    return ", ".join(known) or "none; `stillhouse up` starts some that stay"


CHECKS: dict[str, Callable[[Path], str]] = {
    "versions": versions,
    "Prefect's server": servers,
    "PyTorch": device,
    "Git": git,
    "pipeline": pipeline,
    "settings": settings,
    "DVC's cache": cache,
    "servers that stay": head,
    "MLflow": tracker,
    "Prefect's API": scheduler,
}


def _python(folder: Path, *arguments: str) -> str:
    """The last line that a Python process printed, if it failed."""
    done = _run(folder, sys.executable, *arguments)
    return _last(done) if done.returncode else ""


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise UserError(f"no answer within {PATIENCE:g} s from {' '.join(command[:4])}") from error
