"""dvc.yaml as frozen nodes: what there is, what is due and why.

The status of one stage and the lock are no documented part of DVC's interface; this and `order` are the places that use
them, and tests/flows/test_graph.py holds them to the pinned version.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc.lock import LockError
from dvc.progress import Tqdm
from dvc.repo import Repo, lock_repo
from dvc.rwlock import rwlock

from stillhouse.contracts.errors import UserError
from stillhouse.flows import order, wishes, zombies
from stillhouse.record import hashes, locked

if TYPE_CHECKING:
    from dvc.stage import Stage

# Outside its own command line DVC's warnings (such as "a file is empty") would end up in the middle of a table.
logging.getLogger("dvc").setLevel(logging.ERROR)
# DVC's bars are never seen here, and this process must stay without a second thread (see `ready`).
Tqdm.monitor_interval = 0

State = Literal["due", "kept", "maybe", "unchanged"]


class Busy(UserError):
    """A stage is running in this folder, so nothing can be said about what is due."""


@dataclass(frozen=True)
class Node:
    """One stage. `maybe`: only something before it is due, and it is skipped if that leaves the same bytes.

    `kept`: due for DVC, and what it would make is known.
    """

    name: str
    command: str
    after: tuple[str, ...]
    state: State
    reasons: tuple[str, ...]
    gpu: int = 0
    memory: float = 0.0
    """GiB that each of its GPUs must have at least, on nodes."""
    retries: int = 0
    timeout: float | None = None
    """Seconds for one try, None for no limit."""
    forced: bool = False
    """To be run although DVC finds nothing changed."""
    threads: int = 1
    """CPU threads of all its processes, as params.yaml says."""
    workers: int = 1
    """How many of them share the candidates of a search."""
    alone: bool = False
    """Whether no other stage of the execution may run meanwhile."""
    same_as: str = ""
    """An earlier stage that makes the same result, as far as can be told before they run."""
    lacking: tuple[str, ...] = ()
    """Data that it reads, which are not there and which no stage is about to make."""


def read(folder: Path, *, allow_missing: bool = False) -> tuple[Node, ...]:
    """All stages of the pipeline in `folder`, predecessors first.

    `allow_missing`: what is not there, and is otherwise as dvc.lock has it, makes nothing due, as in `dvc repro --allow-missing`.

    Raises:
        Busy: a stage is running.
        UserError: there is no pipeline, or dvc.yaml or params.yaml cannot be read.
    """
    try:
        # DVC names stages, and paths in its messages, as seen from the working folder.
        with contextlib.chdir(folder), Repo() as repo, lock_repo(repo):
            if not Path("dvc.yaml").exists():
                raise UserError(f"there is no dvc.yaml in {folder}: `git checkout HEAD dvc.yaml` brings it back")
            zombies.release(repo)
            locked.check(Path())
            return tuple(_nodes(order.needs(repo), allow_missing=allow_missing))
    except LockError as error:
        raise Busy("busy: a stage is running in this folder, so its files cannot be compared yet") from error
    except DvcException as error:
        raise UserError(hashes.sentence(error)) from error
    except AssertionError as error:  # all that DVC says of a path that is empty
        raise UserError("dvc.yaml, params.yaml - wanted paths that DVC can read - it cannot: is a teacher's `raw` empty?") from error
    except NotImplementedError as error:
        raise UserError(f"dvc.lock names a kind of hash that DVC does not know: {hashes.LOCK_REMEDY}") from error


@contextlib.contextmanager
def at_rest(folder: Path) -> Iterator[None]:
    """Keeps DVC's own commands from working on any file below `folder`.

    Raises:
        Busy: one of them does.
    """
    try:
        with Repo(str(folder)) as repo, lock_repo(repo):
            zombies.release(repo)
            with rwlock(str(repo.tmp_dir), localfs, "stillhouse verify", [], [str(repo.root_dir)], hardlink=False):
                yield
    except LockError as error:
        raise Busy("busy: a stage is running in this folder, so its files cannot be compared yet") from error
    except DvcException as error:
        raise UserError(hashes.sentence(error)) from error


def root(folder: Path) -> Path:
    """The folder of the DVC repository that `folder` lies in.

    Raises:
        UserError: there is none.
    """
    try:
        return Path(Repo.find_root(str(folder)))
    except DvcException as error:
        raise UserError(f"{folder} is not inside a DVC repository: go to the project's folder, or say `dvc init` in it") from error


def select(nodes: Sequence[Node], names: Sequence[str]) -> tuple[Node, ...]:
    """The nodes of some teachers, students or stages, with all that they need; every node if no name is given.

    But for the comparison where there is no student: it has nothing to compare.

    Raises:
        UserError: a name that nothing has.
    """
    if not names:
        compared = any(node.name.startswith("evaluate@") for node in nodes)
        return tuple(node for node in nodes if compared or node.name != "compare")
    wanted = {node.name for name in names for node in _named(nodes, name)}
    for node in reversed(nodes):
        if node.name in wanted:
            wanted |= set(node.after)
    return tuple(node for node in nodes if node.name in wanted)


def force(nodes: Sequence[Node], names: Sequence[str]) -> tuple[Node, ...]:
    """The nodes, with those of some names due although DVC finds nothing changed."""
    return tuple(
        replace(node, state="due", forced=True, reasons=node.reasons or ("forced",)) if node.name in names else node for node in nodes
    )


def _named(nodes: Sequence[Node], name: str) -> list[Node]:
    found = [node for node in nodes if name in (node.name, node.name.partition("@")[2])]
    if not found:
        keys = sorted({key for node in nodes if (key := node.name.partition("@")[2])})
        stages = ", ".join(node.name for node in nodes)
        raise UserError(f"no teacher, student or stage is named {name!r}; there are {', '.join(keys)}, and the stages {stages}")
    return found


def _nodes(needs: Mapping[Stage, Sequence[Stage]], *, allow_missing: bool) -> Iterator[Node]:
    stale: dict[str, Stage] = {}
    for stage, needed in needs.items():
        before = [other.addressing for other in needed]
        state, reasons = _judge(
            stage, [other for other in needed if other.addressing in stale], _passed_over(needed) if allow_missing else None
        )
        # Data that were added with DVC lie there as they will be read, whatever DVC has still to write down about them.
        if state != "unchanged" and stage.cmd:
            stale[stage.addressing] = stage
        lacking = () if state == "unchanged" else tuple(_lacking(stage, stale.values(), needed))
        yield Node(stage.addressing, str(stage.cmd), tuple(before), state, reasons, **wishes.of(stage), lacking=lacking)


def _lacking(stage: Stage, stale: Iterable[Stage], needed: Sequence[Stage]) -> Iterator[str]:
    made = [Path(out.fs_path) for other in stale for out in other.outs]
    for dep in stage.deps:
        place = Path(dep.fs_path)
        if not any(out.is_relative_to(place) or place.is_relative_to(out) for out in made) and not dep.exists:
            yield str(dep)
        # A folder that others fill is there with a part of it alone, and what reads it would not notice.
        parts = [out for other in needed for out in other.outs if place in Path(out.fs_path).parents]
        yield from (str(out) for out in parts if Path(out.fs_path) not in made and not out.exists)


Passed = Callable[[Any, Any], bool]
"""Whether a dependency in a state of DVC's ("deleted", "modified") is only not there, which makes nothing due."""


def _passed_over(needed: Sequence[Stage]) -> Passed:
    """As DVC does it: unless the stage that made it has something else in dvc.lock now. A folder is missing if all is that fills it."""
    outs = [out for other in needed for out in other.outs]
    newest = {out.fs_path: out.hash_info for out in outs}

    def passed(dep: Any, state: Any) -> bool:
        parts = [out for out in outs if out.use_cache and Path(dep.fs_path) in Path(out.fs_path).parents]
        if parts:
            return not any(out.exists for out in parts)
        return bool(state == "deleted" and newest.get(dep.fs_path, dep.hash_info) == dep.hash_info)

    return passed


def _judge(stage: Stage, stale: Sequence[Stage], passed: Passed | None) -> tuple[State, tuple[str, ...]]:
    made = {str(out) for other in stale for out in other.outs}
    reasons = tuple(_reasons(stage, made, passed))
    if reasons:
        return "due", reasons
    if stale:
        return "maybe", (f"after {', '.join(other.addressing for other in stale)}",)
    return "unchanged", ()


def _reasons(stage: Stage, made: set[str], passed: Passed | None) -> Iterator[str]:
    """`made`: paths that a stage before this one is about to write; that they differ now says nothing."""
    entries = stage.status().get(stage.addressing, [])
    if entries and stage.deps and not any(dep.hash_info for dep in stage.deps):
        yield "never run"
        return
    for entry in entries:
        if isinstance(entry, str):
            yield entry
            continue
        changed = entry.get("changed deps", {})
        for dep in stage.deps:
            if not (passed and passed(dep, changed.get(str(dep)))):
                yield from _changed_dep(dep, changed, made)
        for path, state in entry.get("changed outs", {}).items():
            if not (passed and state in ("deleted", "not in cache")):
                yield f"output {path} {_WORDS.get(state, state)}"


_WORDS = {"deleted": "missing", "modified": "changed"}


def _changed_dep(dep: Any, changed: Mapping[str, Any], made: set[str]) -> Iterator[str]:
    path = str(dep)
    if hasattr(dep, "read_params"):
        if path in changed:
            yield from _changed_values(dep.hash_info.value or {}, dep.read_params())
    elif path in changed and not any(Path(out).is_relative_to(path) or Path(path).is_relative_to(out) for out in made):
        newest = _newest(Path(dep.fs_path)) if changed[path] == "modified" else None
        yield f"{path} {_WORDS.get(changed[path], changed[path])}" + (f" (last edited: {newest})" if newest else "")


def _changed_values(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for key in [*before, *(key for key in after if key not in before)]:
        if before.get(key, _NONE) != after.get(key, _NONE):
            yield f"{key}: {before.get(key, _NONE)} -> {after.get(key, _NONE)}"


_NONE = "(none)"


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """("students.small.distill.losses.0.weight", 1.0) and the like."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    if prefix and (not isinstance(value, Mapping | list) or not value):
        yield prefix, value
    for key, inner in items:
        yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))


def _newest(folder: Path) -> str | None:
    """The last edited file in a folder of code: DVC keeps one hash for the whole folder, so the file itself is not known."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return str(max(files, key=lambda path: path.stat().st_mtime).relative_to(folder)) if files else None
