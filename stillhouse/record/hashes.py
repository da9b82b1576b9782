"""A stage as DVC sees it: its command, the contents of its dependencies and its parameters, and the bytes of its outputs.

Beside the flow's graph, `stored` and `remote` this is the only file that calls DVC. Nothing it calls is documented API, so a test
compares the results with a real `dvc.lock`. What a stage reads is never taken from `dvc.lock`: another stage may be writing it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.dvcfile import ProjectFile
from dvc.exceptions import DvcException
from dvc.parsing import EntryNotFound
from dvc.repo import Repo
from dvc.stage.loader import StageLoader

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import replace

LOCK_REMEDY = "say `git checkout HEAD dvc.lock`, or delete it if git has none: what is known is then put in place, not computed"


@dataclass(frozen=True)
class Inputs:
    """What decides a stage's result. `inputs`: path -> MD5 as in dvc.lock; `params`: file -> key -> value."""

    stage: str
    command: str
    inputs: Mapping[str, str]
    params: Mapping[str, Mapping[str, Any]]
    key: str
    """The SHA-256 of all this."""

    def changes(self, other: Inputs) -> list[str]:
        """The paths, parameters and (as `dvc.yaml`) the command in which the other one differs."""
        mine, its = self._facts(), other._facts()
        return sorted(name for name in mine.keys() | its.keys() if mine.get(name) != its.get(name))

    def _facts(self) -> dict[str, Any]:
        params = {f"{file}: {name}": value for file, values in self.params.items() for name, value in values.items()}
        return {"dvc.yaml": self.command, **self.inputs, **params}


def take(stage: str, folder: Path) -> Inputs:
    """What one stage of the dvc.yaml in `folder` reads, now.

    Large files are hashed once: DVC's own table of known hashes is asked first. Raises UserError if the stage, a dependency
    or a parameter does not exist.
    """
    with _stages(folder) as load:
        return _inputs(stage, load(stage))


def standing(stages: list[str], folder: Path) -> dict[str, tuple[Inputs, dict[str, str]]]:
    """What those of several stages read whose dependencies all exist, each with the `outputs` in place."""
    found = {}
    with _stages(folder) as load:
        for name in stages:
            with suppress(UserError, DvcException):
                stage = load(name)
                found[name] = _inputs(name, stage), _outputs(stage)
    return found


def outputs(stage: str, folder: Path) -> dict[str, str]:
    """path -> MD5 of the outputs (metrics and plots too) that lie in the workspace now, as dvc.lock will name them."""
    with _stages(folder) as load:
        return _outputs(load(stage))


def reads(stage: str, folder: Path) -> dict[str, str]:
    """path -> MD5 of all that a stage reads, "" for what is not there."""
    with _stages(folder) as load:
        deps = [item for item in load(stage).deps if not isinstance(item, ParamsDependency)]
        return {item.def_path: _md5(item) if item.exists else "" for item in deps}


def locked(stage: str, folder: Path) -> dict[str, str]:
    """path -> MD5 of the outputs that dvc.lock has for a stage; {} if it has none, or cannot be read just now."""
    try:
        with _opened(folder) as repo:
            found = repo.stage.load_one(str(folder.resolve() / "dvc.yaml"), stage)
            return {out.def_path: out.hash_info.value for out in found.outs if out.hash_info}
    except DvcException:
        return {}


def cached(stage: str, path: str, md5: str, folder: Path) -> bool:
    """Whether DVC's cache has the bytes of a hash, with all files if it is a folder's; `path` is an output of the stage."""
    with _stages(folder) as load:
        return _holding(load(stage), path, md5) is not None


def fetch(stage: str, path: str, md5: str, folder: Path) -> bool:
    """Puts the bytes of a hash from DVC's cache in the place of one of a stage's outputs; False if the cache lacks any of them."""
    with _stages(folder) as load:
        out = _holding(load(stage), path, md5)
        if out is None:
            return False
        out.checkout(force=True)
        return True


def sentence(error: DvcException) -> str:
    """What is wrong in one line, with the remedy for a dvc.lock that DVC cannot read."""
    words = " ".join(str(error).split())
    damaged = "dvc.lock is damaged, or holds the marks of an unfinished merge"
    return f"{damaged} ({words}): {LOCK_REMEDY}" if "dvc.lock'" in words else words


def from_git(path: str, md5: str) -> bool:
    """Puts a file of the last commit back in its place if it has that hash; False if not."""
    done = subprocess.run(["git", "show", f"HEAD:./{path}"], capture_output=True, check=False)
    if done.returncode or hashlib.md5(done.stdout, usedforsecurity=False).hexdigest() != md5:
        return False
    replace(Path(path), lambda temporary: temporary.write_bytes(done.stdout))
    return True


def _holding(stage: Any, path: str, md5: str) -> Any:
    """The output at a path with a hash that is not its own, None if the cache does not hold it."""
    out = next(out for out in stage.outs if out.def_path == path)
    out.hash_info = type(out.hash_info)("md5", md5)
    return None if out.changed_cache() else out


@contextmanager
def _opened(folder: Path) -> Iterator[Repo]:
    """DVC's repository around a folder. To open one reads its settings, which takes a tenth of a second, so that is done once."""
    repo = _repository(folder.resolve())
    for seen in ("index", "dvcignore", "dvcfs", "datafs"):  # files may have changed since the last time
        repo.__dict__.pop(seen, None)
    with repo:
        yield repo


@cache
def _repository(folder: Path) -> Repo:
    return Repo(str(folder))


@contextmanager
def _stages(folder: Path) -> Iterator[Callable[[str], Any]]:
    """Gives a function that loads a stage of dvc.yaml with all templates resolved, and without its locked hashes."""
    try:
        with _opened(folder) as repo:
            project = ProjectFile(repo, str(folder.resolve() / "dvc.yaml"))
            yield lambda name: _load(project, name)
    except DvcException as error:
        raise UserError(sentence(error)) from error


def _load(project: ProjectFile, name: str) -> Any:
    try:
        return StageLoader.load_stage(project, name, project.resolver.resolve_one(name)[name])
    except EntryNotFound:
        raise UserError(f"dvc.yaml has no stage {name!r}; there are {', '.join(project.resolver.get_keys())}") from None


def _inputs(name: str, stage: Any) -> Inputs:
    inputs: dict[str, str] = {}
    params: dict[str, Mapping[str, Any]] = {}
    for item in stage.deps:
        if isinstance(item, ParamsDependency):
            params[item.def_path] = item.get_hash().value
        elif item.exists:
            inputs[item.def_path] = _md5(item)
        else:
            raise UserError(f"the dependency {item.def_path} of stage {name} does not exist")
    facts = {"cmd": stage.cmd, "deps": inputs, "params": params}
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), default=str)
    return Inputs(name, str(stage.cmd), inputs, params, hashlib.sha256(text.encode()).hexdigest())


def _outputs(stage: Any) -> dict[str, str]:
    return {out.def_path: _md5(out) for out in stage.outs if out.exists}


def _md5(item: Any) -> str:
    item.use_cache = False  # else DVC would stage an output for its cache, and only the hash is wanted
    return str(item.get_hash().value)
