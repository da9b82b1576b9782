"""Several executions with different settings, each in a copy of the project and kept as an experiment of DVC.

What two combinations have in common is made once, and the workspace stays as it is.
"""

from __future__ import annotations

import copy
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Event, Lock
from typing import Any

from ruamel.yaml import YAML, YAMLError

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.flows import copies
from stillhouse.record.group import end_group
from stillhouse.record.leash import leashed

PLACE = Path(".work/sweep")
_POLL = 0.2
_LONGEST = 150
"""Bytes of a name, which becomes that of a folder, a log and an experiment: a file system takes 255."""
Log = Callable[[str], None]


@dataclass(frozen=True)
class Combination:
    """One value for each of the paths in `params.yaml`; `name` is that of its experiment."""

    name: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Result:
    """How a combination ended: `wrong` is empty or says why it has no `reports`, which are those of the students by name."""

    combination: Combination
    wrong: str
    reports: Mapping[str, Any]


def combinations(given: Sequence[str]) -> list[Combination]:
    """Each value of each `PATH=VALUE,VALUE` with each of the others, in the order given. Raises UserError at what is none."""
    axes = dict(map(_axis, given))
    if len(axes) < len(given):
        raise UserError("--set - wanted each path once - got one twice")
    named, chosen = short(list(axes)), [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    names = ["_".join(f"{named[path]}-{_word(value)}" for path, value in each.items()) for each in chosen]
    return [Combination(_told_apart(names, number), each) for number, each in enumerate(chosen)]


def _told_apart(names: Sequence[str], number: int) -> str:
    """A name as it is, or with its number where another one reads the same or no file system takes it whole."""
    name = names[number]
    begin = name.encode()[:_LONGEST].decode(errors="ignore")
    return name if name == begin and names.count(name) == 1 else f"{begin}_{number + 1}"


def _axis(text: str) -> tuple[str, list[Any]]:
    path, sign, values = text.partition("=")
    try:
        found = YAML(typ="safe", pure=True).load(f"[{values}]")
    except (YAMLError, ValueError):  # dates that are none, and the like
        found = None
    if not (sign and path and found):
        raise UserError(f"--set - wanted PATH=VALUE,VALUE such as students.half.search.budget.share=0.5,0.25 - got {text!r}")
    if len({json.dumps(value, default=str) for value in found}) < len(found):
        raise UserError(f"--set - wanted each value of a path once - got one twice in {text!r}")
    return path, found


def short(paths: Sequence[str]) -> dict[str, str]:
    """For each path as few of its last words as tell it from the others."""
    found = {}
    for path in paths:
        words = path.split(".")
        ends = [".".join(words[-count:]) for count in range(1, len(words) + 1)]
        found[path] = next(end for end in ends if sum(f".{other}".endswith(f".{end}") for other in paths) == 1 or end == path)
    return found


def _word(value: Any) -> str:
    """A value as part of a name that git takes for a reference."""
    return re.sub(r"(?<!\d)\.|\.(?!\d)|[^\w.]|_", "-", str(value)).rstrip("-") or "empty"


def changed(text: str, values: Mapping[str, Any]) -> str:
    """The text of a `params.yaml` with other values; a last key may be new, which the check of the settings decides on.

    Raises UserError naming the path that is not there.
    """
    yaml = YAML()
    yaml.representer.ignore_aliases = lambda _: True  # two copies would have one anchor, which DVC warns of
    params = yaml.load(text)
    for path, value in values.items():
        *parents, last = path.split(".")
        place = params
        for number, step in enumerate(parents):
            child = _child(place, step, ".".join(parents[: number + 1]))
            # What `*` or `<<` repeats here is one thing with what stands elsewhere, which keeps its value.
            place[_key(place, step)] = place = copy.deepcopy(child)
        _child(place, last, path, absent=True)
        place[_key(place, last)] = value
    stream = StringIO()
    yaml.dump(params, stream)
    return stream.getvalue()


def _key(place: Any, step: str) -> str | int:
    return int(step) if isinstance(place, list) else step


def _child(place: Any, step: str, path: str, absent: bool = False) -> Any:
    if isinstance(place, Mapping) and (step in place or absent):
        return place.get(step)
    if isinstance(place, list) and step.isdecimal() and int(step) < len(place):
        return place[int(step)]
    there = ", ".join(map(str, place)) if isinstance(place, Mapping) else f"{len(place)} items" if isinstance(place, list) else repr(place)
    raise UserError(f"--set {path} - wanted a path in params.yaml - there is no {step!r}, there are {there}")


class Sweep:
    """The combinations of one sweep of a project, from their check to their experiments."""

    def __init__(self, folder: Path, words: Sequence[str], log: Log) -> None:
        """`words` are what `stillhouse run` is called with in each copy: names and options."""
        self.stop, self._saving = Event(), Lock()
        self._folder, self._words, self._log = folder, words, log

    def run(self, wanted: Sequence[Combination], at_once: int) -> Iterator[Result]:
        """Checks all before any begins; then the first, which makes what all have in common, and the others side by side.

        Raises UserError, naming the combinations, at settings that cannot be; nothing has run then.
        """
        text = (self._folder / "params.yaml").read_text(encoding="utf-8")
        texts = [changed(text, each.values) for each in wanted]
        with copies.made(self._folder, self._folder / PLACE, [each.name for each in wanted]) as places:
            for place, content in zip(places, texts, strict=True):
                (place / "params.yaml").write_text(content, encoding="utf-8")
            self._check(wanted, places)
            self._command(self._folder, "stillhouse.tracking", "sync")  # MLflow's database is the project's, not a copy's
            with ThreadPoolExecutor(at_once) as pool:
                try:
                    yield self._one(wanted[0], places[0])
                    yield from pool.map(self._one, wanted[1:], places[1:])
                finally:
                    self.stop.set()

    def _check(self, wanted: Sequence[Combination], places: Sequence[Path]) -> None:
        wrong = []
        for each, place in zip(wanted, places, strict=True):
            code, said = self._command(place, "stillhouse.stages", "check")
            wrong += [f"{each.name}: {line}" for line in said.splitlines()] if code else []
        if wrong:
            raise UserError("\n".join(wrong))

    def _one(self, combination: Combination, place: Path) -> Result:
        if self.stop.is_set():
            return Result(combination, "not begun", {})
        self._log(f"{combination.name}: running")
        began = time.monotonic()
        code, said = self._command(place, "stillhouse", "run", *self._words, name=combination.name)
        if code == 0:
            words = ("exp", "save", "--force", "--name", combination.name, *_whole(place))
            with self._saving:  # what DVC puts aside meanwhile lies in the repository that all copies have in common
                code, said = self._command(place, "dvc", *words, log=f"{combination.name}.saved")
        lines = said.strip().splitlines() or ["it said nothing"]
        wrong = lines[-1] if code else ""
        self._log(f"{combination.name}: {f'failed: {wrong}' if code else 'done'} after {time.monotonic() - began:.0f} s")
        return Result(combination, wrong, {} if code else _reports(place))

    def _command(self, place: Path, module: str, *words: str, name: str = "", log: str = "check") -> tuple[int, str]:
        """Exit status and all that a module said, which also stays in a file beside the copies."""
        said = self._folder / PLACE / f"{name or log}.log"
        with said.open("wb") as file:
            command = leashed([sys.executable, "-W", "ignore", "-m", module, *words])
            process = subprocess.Popen(
                command, cwd=place, env=self._environment(name), stdin=subprocess.DEVNULL, stdout=file, stderr=file, process_group=0
            )
            try:
                while process.poll() is None and not self.stop.wait(_POLL):
                    pass
            finally:
                end_group(process)
        return process.wait(), said.read_text(errors="replace", encoding="utf-8")

    def _environment(self, name: str) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        tracker = {"MLFLOW_TRACKING_URI": f"sqlite:///{self._folder.resolve() / 'mlflow.db'}"}
        return {**tracker, **os.environ, "PATH": path, **({"DVC_EXP_NAME": name} if name else {})}


def _whole(project: Path) -> list[str]:
    """The stages whose outputs are there: those that were not among the names may never have run, and DVC would miss their outputs."""
    stages = YAML(typ="safe").load((project / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    return [name for name, stage in stages.items() if all((project / out["path"]).exists() for out in stage.get("outs", ()))]


def _reports(project: Path) -> dict[str, Any]:
    return {path.parent.name: read_json(path) for path in sorted((project / "data/reports").glob("*/report.json"))}
