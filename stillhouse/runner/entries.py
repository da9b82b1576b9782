"""params.yaml as it stands, read without the parts that it names: who there is, and which modules a stage is made of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.raw import content
from stillhouse.contracts.yamls import DEPTH, require_plain

PARAMS = Path("params.yaml")
FOLDERS = ("raw", "reports", "comparison")
"""What lies in data beside teachers and students, who have other names."""
_RAW = Path("data/raw")
_DATA, _MAKERS = ("data",), {"teacher": "teach", "student": "distill"}
_BYTES, _VALUES = 1_000_000, 20_000
"""What is read in some seconds; the default params.yaml has some six hundred values and keys."""
_TEACHERS, _STUDENTS = ("prepare", "teach"), ("search", "distill", "evaluate")


def load(path: Path) -> Any:
    """YAML 1.2 as DVC reads it: `1e-3` is a number, `on` is a word.

    Raises UserError if there is no such file, no YAML in it, or more than a megabyte, also when what `*` repeats is written out; and at
    values other than text, numbers, true and false, lists, and mappings from text.
    """
    if not os.path.lexists(path):
        raise UserError(f"there is no {path.name} in {path.resolve().parent}")
    try:
        written = content(path, most=_BYTES).decode("utf-8-sig")
        require_plain(written, f"{path.name}: is not valid YAML", _VALUES)
        values = YAML(typ="safe", pure=True).load(written)
        if (size := _size(values, path.name, 0, {})) > _BYTES:
            raise UserError(f"{path.name}: wanted at most {_BYTES} characters when repeated parts are written out - got {size:.3g}")
        return values
    except RecursionError:
        raise UserError(f"{path.name}: is not valid YAML - it is nested too deeply") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path.name} - wanted UTF-8 - got {error.object[error.start]:#x} in line {line}: save it as UTF-8") from None
    except UserError:
        raise
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:  # numbers, dates, bytes and keys that are none
        raise UserError(f"{path.name}: is not valid YAML - {_said(error)[:500]}") from None


def _said(error: Exception) -> str:
    """Without the name that the reader gives to what it reads, and its advice to programmers on keys that are given twice."""
    words = " ".join(str(error).partition("To suppress this check")[0].split())
    return words.replace('in "<unicode string>", ', "at ")


def _size(value: Any, file: str, depth: int, known: dict[int, int]) -> int:
    """About how many characters a value has when all that it repeats is written out; what is repeated is looked at once."""
    if depth > DEPTH:
        raise UserError(f"{file}: wanted values nested at most {DEPTH} deep - it is deeper, or a part contains itself")
    if isinstance(value, list | dict):
        if id(value) not in known:
            for key in value if isinstance(value, dict) else ():
                if not isinstance(key, str):
                    raise UserError(f"{file}: wanted keys that are text, in quotes where they look like something else - got {key!r:.200}")
            items = [*value, *value.values()] if isinstance(value, dict) else value
            known[id(value)] = 2 + sum(_size(item, file, depth + 1, known) for item in items)
        return known[id(value)]
    if value is not None and not isinstance(value, str | int | float):
        raise UserError(f"{file}: wanted text, numbers, true and false, lists and mappings - got {value!r:.200}: text wants quotes")
    return len(value) + 3 if isinstance(value, str) else 5


@dataclass(frozen=True)
class Entries:
    """The values of a params.yaml. What is of another kind than it should be counts as missing: `check` tells it."""

    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path = PARAMS) -> Entries:
        """The values of a file. Raises UserError as `load` does."""
        return cls(_mapping(load(path)))

    @property
    def seed(self) -> Any:
        """The seed of all stages."""
        return self.values.get("seed")

    @property
    def threads(self) -> int:
        """CPU threads of each stage."""
        value = self.values.get("threads", 1)
        return value if isinstance(value, int) and value > 0 else 1

    @property
    def environment(self) -> Any:
        """`due`: a result that was made with other versions or on another kind of device is made again."""
        return self.values.get("environment")

    @property
    def deterministic(self) -> bool:
        """Whether only algorithms are used that give the same bits every time."""
        return self.values.get("deterministic") is True

    @property
    def secrets(self) -> list[str]:
        """Patterns of further file and folder names of which nothing is recorded."""
        value = self.values.get("secrets")
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def stages(self) -> Iterator[tuple[str, str | None]]:
        """(verb, name) of each stage that has a block."""
        for owner, verbs in (("teachers", _TEACHERS), ("students", _STUDENTS)):
            for name in _mapping(self.values.get(owner)):
                yield from ((verb, name) for verb in verbs)

    def raw(self, name: str | None) -> str | None:
        """The path of a teacher's raw data."""
        return _mapping(_mapping(self.values.get("teachers")).get(name)).get("raw")

    def block(self, verb: str, name: str | None) -> Any:
        """What is said of a stage, as it stands."""
        owner = "teachers" if verb in _TEACHERS else "students"
        return _mapping(_mapping(self.values.get(owner)).get(name)).get(verb)

    def files(self, verb: str, name: str | None) -> Iterator[Path]:
        """The files under data/raw that a stage's block names, such as given weights; of a folder those that lie in it."""
        for text in dict.fromkeys(_texts(self.block(verb, name))):
            path = Path(os.path.normpath(text)) if text and "\0" not in text else Path()
            if path.is_relative_to(_RAW):
                yield from (file for file in (sorted(path.iterdir()) if path.is_dir() else [path]) if file.is_file())

    def members(self, name: str | None) -> Iterator[tuple[str, str, str]]:
        """(stage, path, hash of weights) of the trained networks that a teacher is made of, where stages of this pipeline make them."""
        found = _mapping(_mapping(self.block("teach", name)).get("model")).get("members")
        for item in found if isinstance(found, list) else ():
            path = Path(os.path.normpath(str(_mapping(item).get("path"))))
            if path.parts[:1] == _DATA and len(path.parts) == 3 and path.name in _MAKERS:
                yield f"{_MAKERS[path.name]}@{path.parts[1]}", path.as_posix(), str(_mapping(item).get("sha256"))

    def pairs(self) -> dict[str, Any]:
        """Student -> teacher, as the comparison is given them."""
        students = _mapping(self.values.get("students"))
        return {name: entry.get("teacher") for name, entry in students.items() if isinstance(entry, Mapping)}

    def roots(self, verb: str, name: str | None) -> list[str]:
        """The modules that a stage is made of: the verb and the parts that its block names. Raises UserError at an unknown one."""
        return [f"stillhouse.stages.{verb}", *self._parts(verb, name)]

    def _parts(self, verb: str, name: str | None) -> Iterator[str]:
        if name is None:
            return
        owner = "teachers" if verb in _TEACHERS else "students"
        entry = _mapping(_mapping(self.values.get(owner)).get(name))
        block = _mapping(entry.get(verb))
        yield registry.module("workloads", str(entry.get("workload")))
        if verb != "prepare":
            yield from self._families(entry)
        if verb in ("search", "evaluate") and has_latency(entry.get("search")):
            yield registry.CLOCK
        if verb == "search":
            yield registry.module("searches", str(block.get("method")))
        if verb in ("search", "distill"):
            losses = block.get("losses")
            for item in losses if isinstance(losses, list) else []:
                yield registry.module("losses", str(_mapping(item).get("loss")))

    def _families(self, entry: Mapping[Any, Any]) -> Iterator[str]:
        """The model families that a teacher's or student's entry can lead to: a block that names none may mean any."""
        known = registry.family_modules(str(entry.get("workload")))
        teacher = _mapping(_mapping(self.values.get("teachers")).get(str(entry["teacher"]))) if "teacher" in entry else entry
        blocks = [_mapping(teacher.get("teach")).get("model"), _mapping(entry.get("search")).get("model")]
        for block in map(_mapping, blocks[:1] if blocks[1] is None else blocks):
            name = str(block.get("family"))
            yield from [known[name]] if name in known else known.values()
            if factory := registry.factory(block):
                yield factory


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)


def has_latency(search: Any) -> bool:
    """Whether a student's block `search` has a latency among its budgets."""
    budgets = _mapping(search).get("budget")
    return any(_mapping(item).get("unit") == "latency" for item in (budgets if isinstance(budgets, list) else [budgets]))


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}
