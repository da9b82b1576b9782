"""Runs one benchmark and keeps its rows: `python -m benchmarks NAME [--data FOLDER]`; NAME `list` lists them.

A benchmark is a module of this folder with `name`, `expected_seconds`, `run(data)` and, if it has any, `settings`.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import platform
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import benchmarks
from stillhouse.contracts.files import write_json

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when torch is loaded, which the benchmarks do
RESULTS = Path(__file__).parent / "results"
VERSIONS = ("torch", "dvc", "prefect", "mlflow", "pyarrow")


def available() -> dict[str, ModuleType]:
    """Every benchmark by its name."""
    return {module.name: module for module in _modules() if hasattr(module, "name")}


def _modules() -> Iterator[ModuleType]:
    for info in pkgutil.iter_modules(benchmarks.__path__):
        if not info.name.startswith("_") and info.name != "tables":
            yield importlib.import_module(f"benchmarks.{info.name}")


def main(
    name: Annotated[str, typer.Argument(help="the benchmark, or `list`")],
    data: Annotated[Path | None, typer.Option(help="where the real data sets lie", envvar="STILLHOUSE_BENCHMARK_DATA")] = None,
    given: Annotated[list[str] | None, typer.Option("--set", help="a setting of the benchmark: count=5")] = None,
) -> None:
    """Runs one benchmark and writes benchmarks/results/NAME.json; the exit status is 1 if the benchmark finds that something is wrong."""
    found = available()
    if name == "list":
        Console().print(_listing(found))
        return
    if name not in found:
        raise typer.BadParameter(f"wanted one of {', '.join(sorted(found))} - got {name}")
    module = found[name]
    if getattr(module, "needs_data", False) and data is None:
        raise typer.BadParameter(f"{name} needs --data (make bench NAME={name} DATA=FOLDER), the folder where its real data sets lie")
    _set(module, given or [])
    rows = list(module.run(data))
    write_json(RESULTS / f"{name}.json", {"name": name, **_circumstances(module), "rows": rows})
    Console().print(_table(name, rows))
    raise typer.Exit(getattr(module, "exit_status", lambda rows: 0)(rows))


def _set(module: ModuleType, given: list[str]) -> None:
    """Changes settings of a benchmark, each to a value of the kind that it has."""
    known = getattr(module, "settings", {})
    for text in given:
        key, _, value = text.partition("=")
        if key not in known:
            raise typer.BadParameter(f"--set wants one of {', '.join(known) or 'no setting at all'} - got {key}")
        known[key] = type(known[key])(value)


def _circumstances(module: ModuleType) -> dict[str, Any]:
    import torch

    given = " DATA=FOLDER" if getattr(module, "needs_data", False) else ""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    machine = {"processor": _processor(), "cores": os.cpu_count(), "gpu": gpu, "python": platform.python_version()}
    return {
        "command": f"make bench NAME={module.name}{given}",
        "commit": _commit(),
        "machine": machine | {package: version(package) for package in VERSIONS},
        "settings": getattr(module, "settings", {}),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True, cwd=RESULTS.parent).stdout.strip()

    return git("rev-parse", "HEAD") + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")


def _listing(found: dict[str, ModuleType]) -> Table:
    table = Table("name", "expected", "needs data", "what")
    for name, module in sorted(found.items()):
        needs = "yes" if getattr(module, "needs_data", False) else ""
        table.add_row(name, f"{module.expected_seconds / 60:.0f} min", needs, (module.__doc__ or "").strip().splitlines()[0])
    return table


def _table(name: str, rows: list[dict[str, Any]]) -> Table:
    table = Table("set", "method", "metric", "mean", "sd", "seeds", title=name)
    for row in rows:
        table.add_row(row["set"], row["method"], row["metric"], f"{row['mean']:.4g}", f"{row['sd']:.2g}", str(row["seeds"]))
    return table


if __name__ == "__main__":
    typer.run(main)
