"""params.yaml, typed and checked before any work: the block of a verb, with the parts that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from stillhouse import registry
from stillhouse.comparison.gate import Gate
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import LARGEST, Settings, in_words
from stillhouse.runner import devices
from stillhouse.runner.entries import FOLDERS, has_latency, load

if TYPE_CHECKING:
    from stillhouse.contracts.parts import Workload


@dataclass(frozen=True)
class Block:
    """What a verb is handed: its settings, the parts it asks for by name (workload, method, losses, evaluations), and what it refers to."""

    settings: Any
    parts: Mapping[str, Any]
    seed: int
    threads: int
    teacher: str = ""
    """Whose prepared data and trained teacher are read."""
    raw: Path | None = None
    deterministic: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    """The settings with all defaults filled in, as plain values."""


class _Params(Settings):
    seed: int = Field(ge=0, le=LARGEST)
    threads: int = Field(1, ge=1, le=4096)
    """CPU threads of each stage. Sums in another order give other last digits, so it is a setting like any other."""
    environment: Literal["kept", "due"] = "kept"
    """Whether a result that was made with other versions of packages, or on another kind of device, is made again."""
    deterministic: bool = False
    """Whether only algorithms are used that give the same bits every time on one device; CUDA has faster ones that do not."""
    secrets: list[str] = Field(default_factory=list)
    """Patterns of file and folder names, beside those that are known, of which nothing but the name is recorded."""
    teachers: dict[str, Any]
    students: dict[str, Any] = Field(default_factory=dict)
    gate: Gate = Gate.model_validate({})


class _Teacher(Settings):
    workload: str
    raw: str = Field(min_length=1)
    prepare: dict[str, Any] | None = None
    teach: dict[str, Any] | None = None


class _Student(Settings):
    teacher: str
    workload: str
    search: dict[str, Any] | None = None
    distill: dict[str, Any] | None = None
    evaluate: dict[str, Any] | None = None


_OWNERS: dict[str, tuple[str, type[Settings]]] = {
    "prepare": ("teachers", _Teacher),
    "teach": ("teachers", _Teacher),
    "search": ("students", _Student),
    "distill": ("students", _Student),
    "evaluate": ("students", _Student),
}
_NAME = re.compile(r"[A-Za-z0-9-]+")
_LONGEST = 100
"""Names stand in the names of files, of which a file system takes 255 bytes."""
_Step = str | int


def read(path: Path, verb: str, name: str | None) -> Block:
    """The checked block of a verb for a teacher or student; the comparison has no name.

    Raises UserError with one line for each mistake, such as
    `params.yaml: teachers.umls.teach.fit.epochs - should be greater than 0 - got 0`.
    """
    reader = _Reader(path)
    block = reader.block(verb, name)
    reader.report()
    return block


def check(path: Path) -> dict[tuple[str, str], Block]:
    """(verb, name) -> block of every teacher and student; raises UserError with one line per mistake in the whole file."""
    reader = _Reader(path)
    names = [(verb, name) for verb, (owner, _) in _OWNERS.items() for name in getattr(reader.params, owner)]
    blocks = {(verb, name): reader.block(verb, name) for verb, name in names}
    reader.report()
    return blocks


class _Reader:
    """Collects the mistakes of a file, so that all are told at once."""

    def __init__(self, path: Path) -> None:
        self._file, self._lines = path.name, list[str]()
        self.params: _Params = self._must(_Params, load(path), ())

    def block(self, verb: str, name: str | None) -> Any:
        """The block; a mistake is noted, and then what is returned must not be used."""
        if verb == "compare":
            pairs = {student: entry.get("teacher") for student, entry in self.params.students.items() if isinstance(entry, dict)}
            return Block(pairs, {}, self.params.seed, self.params.threads, facts=pairs)
        owner, kind = _OWNERS[verb]
        if name not in getattr(self.params, owner):
            raise UserError(f"{self._file}: {owner} has no {name!r}; there are {_listed(getattr(self.params, owner))}")
        if mistake := self._misnamed(owner, str(name)):
            self._note((owner, str(name)), mistake, name)
        entry: Any = self._valid(kind, getattr(self.params, owner)[name], (owner, str(name)))
        if not isinstance(entry, _Teacher | _Student):
            return None
        teacher = self._teacher(entry, str(name)) if isinstance(entry, _Student) else str(name)
        workload = self._found(registry.workload, entry.workload, (owner, str(name), "workload"))
        return workload and self._settings(verb, entry, workload, (owner, str(name), verb), teacher)

    def _misnamed(self, owner: str, name: str) -> str:
        """What is wrong with a name, which becomes that of folders, stages and a registered model."""
        if not _NAME.fullmatch(name):
            return "a name should be made of letters, digits and hyphens"
        if name.startswith("-") or len(name) > _LONGEST:
            return f"a name should have at most {_LONGEST} characters, the first of them no hyphen"
        if name in FOLDERS:
            return f"a name should be none of {', '.join(FOLDERS)}, which are folders in data"
        if owner == "students" and name in self.params.teachers:
            return "a student should have another name than all teachers"
        return ""

    def report(self) -> None:
        """Raises UserError if there was any mistake."""
        if self._lines:
            raise UserError("\n".join(dict.fromkeys(self._lines)))

    def _teacher(self, student: _Student, name: str) -> str:
        entry = self.params.teachers.get(student.teacher)
        path = ("students", name)
        if entry is None:
            self._note((*path, "teacher"), f"should be one of {_listed(self.params.teachers)}", student.teacher)
        elif isinstance(entry, dict) and entry.get("workload") != student.workload:
            wanted = f"should be {entry.get('workload')!r}, the workload of its teacher {student.teacher!r}"
            self._note((*path, "workload"), wanted, student.workload)
        return student.teacher

    def _settings(self, verb: str, entry: Any, workload: Workload[Any], path: tuple[_Step, ...], teacher: str) -> Block:
        raw: dict[str, Any] = dict(getattr(entry, verb) or {})
        module = registry.verb(verb)
        parts: dict[str, Any] = {"workload": workload}
        if module.SETTINGS is None:
            settings = self._valid(workload.prepare_settings, raw, path)
        else:
            if verb == "evaluate":
                raw = module.complete(raw)
            self._fill(raw, "data", workload.data_settings, path)
            if verb == "teach" or (verb == "search" and raw.get("model") is not None):
                self._fill(raw, "model", workload.model_settings, path)
            parts |= self._parts(verb, raw, path)
            if verb in ("search", "evaluate") and has_latency(entry.search):
                parts["clock"] = registry.clock()
            settings = self._valid(module.SETTINGS, raw, path)
            for where, wanted, got in devices.obstacles(entry.workload, settings, parts):
                self._note((*path, *where), wanted, got)
        source = Path(entry.raw) if isinstance(entry, _Teacher) else None
        facts = self._facts(settings, path) if isinstance(settings, BaseModel) else {}
        return Block(settings, parts, self.params.seed, self.params.threads, teacher, source, self.params.deterministic, facts)

    def _facts(self, settings: BaseModel, path: tuple[_Step, ...]) -> dict[str, Any]:
        try:
            return settings.model_dump(mode="json", context={"fingerprint": True})
        except ValueError as error:  # of what JSON has no form for
            self._note(path, f"should have settings that JSON can hold: {error}")
            return {}

    def _parts(self, verb: str, raw: dict[str, Any], path: tuple[_Step, ...]) -> dict[str, Any]:
        """The parts that a verb's block names, by what the verb calls them; fills in their own settings."""
        if verb == "search" and "method" in raw:
            method = self._found(registry.search, raw["method"], (*path, "method"))
            self._fill(raw, "settings", getattr(method, "settings", Any), path)
            losses = self._chosen(raw, "losses", "loss", registry.loss, path)
            return {"method": method} | ({"losses": losses} if losses else {})
        if verb == "distill":
            return {"losses": self._chosen(raw, "losses", "loss", registry.loss, path)}
        if verb == "evaluate":
            return {"evaluations": self._chosen(raw, "evaluations", "evaluation", registry.evaluation, path)}
        return {}

    def _chosen(self, raw: dict[str, Any], key: str, word: str, look_up: Any, path: tuple[_Step, ...]) -> list[Any]:
        """The parts that a list names, such as `losses: [{loss: logits, settings: {...}}]`, each with its own settings filled in."""
        items = raw.get(key) or []
        if not (isinstance(items, list) and all(isinstance(item, dict) and word in item for item in items)):
            return []  # the verb's own class says what is wrong
        raw[key] = items = [dict(item) for item in items]
        places = [(*path, key, index) for index in range(len(items))]
        found = [self._found(look_up, item[word], (*place, word)) for item, place in zip(items, places, strict=True)]
        for item, part, place in zip(items, found, places, strict=True):
            self._fill(item, "settings", getattr(part, "settings", Any), place)
        return found

    def _fill(self, raw: dict[str, Any], key: str, kind: Any, path: tuple[_Step, ...]) -> None:
        """Replaces the plain block of a part by the part's own settings; a missing block is an empty one."""
        raw[key] = self._valid(kind, {} if raw.get(key) is None else raw[key], (*path, key))

    def _found(self, look_up: Any, name: Any, path: tuple[_Step, ...]) -> Any:
        try:
            return look_up(name)
        except UserError as error:
            self._note(path, str(error))
            return None

    def _valid(self, kind: Any, value: Any, path: tuple[_Step, ...]) -> Any:
        """The value as `kind`; or the value as it is, once its mistakes are noted."""
        try:
            return TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            for mistake in error.errors(include_url=False):
                self._note_mistake(kind, mistake, path)
            return value

    def _must(self, kind: type[Any], value: Any, path: tuple[_Step, ...]) -> Any:
        valid = self._valid(kind, value, path)
        self.report()
        return valid

    def _note_mistake(self, kind: Any, mistake: Any, path: tuple[_Step, ...]) -> None:
        steps, names = _resolve(kind, mistake["loc"])
        place = (*path, *steps)
        if mistake["type"] == "missing":
            self._note(place, "is required")
        elif mistake["type"] == "extra_forbidden":
            self._note(place, f"is no setting; there are {_listed(names)}")
        else:
            self._note(place, in_words(mistake), mistake["input"])

    def _note(self, path: tuple[_Step, ...], wanted: str, *got: Any) -> None:
        tail = f" - got {got[0]!r}" if got else ""
        self._lines.append(f"{self._file}: {_dotted(path)} - {wanted}{tail}")


def _resolve(kind: Any, location: tuple[_Step, ...]) -> tuple[list[_Step], list[str]]:
    """The steps of a mistake's place without the tags of discriminated unions, and the settings known where it ends."""
    models, steps = list(_models(kind)), list[_Step]()
    known = models
    for step in location:
        known = models
        inside = [inner for model in models if step in model.model_fields for inner in _models(model.model_fields[str(step)].annotation)]
        tagged = [model for model in models if _is_tag(step, model)]
        if isinstance(step, int) or inside or not tagged:
            steps.append(step)
            models = models if isinstance(step, int) else inside
        else:
            models = tagged
    return steps, sorted({name for model in known for name in model.model_fields})


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _is_tag(step: _Step, model: type[BaseModel]) -> bool:
    return any(step in get_args(inner.annotation) for inner in model.model_fields.values())


def _dotted(path: tuple[_Step, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "the file"


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
