"""A model made again of its commit and its raw data alone, in a git worktree of its own with an empty DVC cache."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import md5_of
from stillhouse.lineage import Tree, history, locks
from stillhouse.lineage.links import is_raw
from stillhouse.record import quietly
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed
from stillhouse.record.worktree import add, remove

PLACE = Path(".work/reproduce")
_INHERITED_VARIABLES = (
    "STILLHOUSE_EXECUTION",
    "STILLHOUSE_EXECUTION_OWNER",
    "STILLHOUSE_FLOW_RUN",
    "PREFECT__FLOW_RUN_ID",
    "DVC_ROOT",
    "DVC_STAGE",
)
"""What a process of another execution may have left in the environment."""


@dataclass(frozen=True)
class Pair:
    """The hash that a thing had when the model was made, and the one that it has now; "" if it is not there any more."""

    path: str
    recorded: str
    now: str

    @property
    def same(self) -> bool:
        """Whether the bytes are."""
        return self.recorded == self.now


def refuse(tree: Tree, *, patched: bool) -> None:
    """Says why a model cannot be made again; `patched`: the changes that were kept with its run may be applied.

    Raises:
        UserError: it cannot.
    """
    named = f"{tree['path']} {tree['hash'][:10]}"
    if not tree["stage"]:
        raise UserError(f"{named} was made by no stage that is known: {tree['missing'] or 'it is raw data'}")
    if not tree["commit"]:
        raise UserError(
            f"{named}: no run says of which commit it is, so there is nothing to start from ({tree['missing'] or 'no git then'})"
        )
    if tree["dirty"] and not patched:
        commit = f"commit {tree['commit'][:10]} with changes on top that nobody committed"
        raise UserError(f"{named} is of {commit}; --patch applies those that were kept with run {tree['run']}")


@contextmanager
def worktree(folder: Path, tree: Tree, *, patched: bool, keep: bool = False) -> Iterator[Path]:
    """The project as it was when a model was made, with its raw data; it is removed at the end unless it is to be kept.

    Raises:
        UserError: the commit, the patch or raw data of those bytes are not to be had.
    """
    (folder / PLACE).mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix=f"{tree['hash'][:10]}-", dir=(folder / PLACE).resolve()))
    try:
        patch = _patch(folder, tree).encode() if tree["dirty"] and patched else b""
        project = add(folder, place, tree["commit"], patch)
        for path, md5 in raw(tree).items():
            _reach(folder, project, path, md5)
        (project / ".dvc/config.local").write_text(f"[cache]\n    dir = {project / '.dvc/cache'}\n", encoding="utf-8")
        yield project
    finally:
        if not keep:
            remove(folder, place)


def run(project: Path, tree: Tree) -> None:
    """Runs the stages of a model.

    Raises:
        UserError: a stage failed.
    """
    for stage in _stages(tree):
        _repro(project, stage)


def _repro(project: Path, stage: str) -> None:
    """A stage with all that it needs; neither the tracker nor a cache of the house hears of it. Raises UserError if one fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    kept = {name: value for name, value in os.environ.items() if name not in _INHERITED_VARIABLES}
    environment = kept | {"PATH": path, "MLFLOW_TRACKING_URI": f"sqlite:///{project / 'mlflow.db'}"}
    command = leashed(quietly.command("dvc", "repro", "--no-run-cache", stage))
    process = subprocess.Popen(command, cwd=project, env=environment, stdin=subprocess.DEVNULL, process_group=0)
    try:
        code = process.wait()
    finally:
        end_group(process)
        process.wait()
    if code:
        raise UserError(f"{stage} could not be made again: dvc repro ended with exit code {code}")


def compare(project: Path, tree: Tree) -> list[Pair]:
    """Everything that the model was made of and the model itself, from the raw data on."""
    # Stages that were not made again may still have entries of other times in that dvc.lock.
    stages = {link.stage: link for link in locks.here(project)}
    links = [stages[name] for name in _stages(tree) if name in stages]
    now = {path: md5 for kind in ("inputs", "outputs") for link in links for path, md5 in getattr(link, kind).items()}
    return [Pair(path, md5, now.get(path) or _lent(project, path)) for path, md5 in things(tree).items()]


def _lent(project: Path, path: str) -> str:
    """The hash of a raw file that no dvc.lock has, because the settings of a stage name it; "" for anything else."""
    file = project / path
    return md5_of(file) if is_raw(path) and file.is_file() else ""


def things(tree: Tree) -> dict[str, str]:
    """Path and hash of all that a thing was made of, and of itself, inputs first."""
    found: dict[str, str] = {}
    for each in tree["inputs"]:
        found |= things(each)
    return found | {tree["path"]: tree["hash"]}


def _stages(tree: Tree) -> dict[str, dict[str, str]]:
    """The stages that made a thing and what it was made of, with the machines that they ran on, inputs first."""
    found: dict[str, dict[str, str]] = {}
    for each in tree["inputs"]:
        found |= _stages(each)
    return found | ({tree["stage"]: tree["machine"]} if tree["stage"] else {})


def raw(tree: Tree) -> dict[str, str]:
    """Those that no stage makes."""
    return {path: md5 for path, md5 in things(tree).items() if is_raw(path)}


def moved(tree: Tree) -> list[str]:
    """Packages that had another version then: "torch 2.12.0 then, 2.13.0 now"."""
    versions = {name.removeprefix("version."): value for name, value in tree["machine"].items() if name.startswith("version.")}
    now = {name: _version(name) for name in versions}
    return [f"{name} {then} then, {now[name]} now" for name, then in versions.items() if now[name] != then]


def _version(package: str) -> str:
    try:
        return sys.version.split()[0] if package == "python" else version(package)
    except PackageNotFoundError:
        return "not installed"


def _patch(folder: Path, tree: Tree) -> str:
    text: str = history.ask(folder, "artifact", tree["run"], "changes.patch")
    return text


def _reach(folder: Path, project: Path, path: str, md5: str) -> None:
    """Sees to it that raw data are there: of the commit, or lent by the folder."""
    there, here = project / path, folder / path
    if not there.exists():
        if not here.exists():
            raise UserError(f"{path} is neither in the commit nor here: bring the raw data back, with {md5} as their hash")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(here.resolve())
    found = "" if there.is_dir() else md5_of(there)
    if found and found != md5:
        raise UserError(f"{path} has other bytes ({found}) than those that the model was made of ({md5})")
