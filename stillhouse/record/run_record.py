"""What is told about one run of a stage: plain values, so that it can wait in a file until the tracker is there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, TypeAdapter

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.raw import content

Status = Literal["FINISHED", "FAILED", "KILLED"]
LARGEST = 2**26
"""Bytes of a record; one of ten thousand epochs has about a hundredth of them."""
_STRICT = ConfigDict(extra="forbid")
"""A field that is not known is of a newer version: it is refused, for without it the record would be another one."""


@dataclass(frozen=True)
class Execution:
    """Which stages belong together: all that one flow, or one `dvc repro`, ran.

    `owner` is the process (an `identity`) whose death ends it; `managed` says that a flow opens and closes it. `name` is what people call
    it, "" if nothing says so.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    key: str
    owner: str
    managed: bool
    name: str = ""


@dataclass(frozen=True)
class Item:
    """Bytes that a stage read or wrote: the path, the hash that dvc.lock has for it, and whether it is a model's folder."""

    path: str
    md5: str
    model: bool

    @classmethod
    def at(cls, path: str, md5: str) -> Item:
        """The Item of a path in the working folder; a folder with `model.safetensors` in it is a model."""
        return cls(path, md5, (Path(path) / "model.safetensors").exists())


@dataclass(frozen=True)
class RunRecord:
    """One run of a stage. Times are milliseconds since 1970; `history` and `usage` have rows (metric, value, time, step).

    `inputs` are all dependencies, code too, and the files under data/raw that the settings name; `beside` are the metrics and curves that
    lie beside the `output`; `files` are texts to be kept with the run, by name.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    id: str
    stage: str
    execution: Execution
    status: Status
    started: int
    ended: int
    params: Mapping[str, str]
    tags: Mapping[str, str]
    history: list[tuple[str, float, int, int]] = field(default_factory=list)
    metrics: Mapping[str, float] = field(default_factory=dict)
    inputs: list[Item] = field(default_factory=list)
    output: Item | None = None
    beside: list[Item] = field(default_factory=list)
    usage: list[tuple[str, float, int, int]] = field(default_factory=list)
    files: Mapping[str, str] = field(default_factory=dict)
    folder: Path = Path()
    """In which all paths lie; the tracker's own working folder if it is not known."""


@dataclass(frozen=True)
class Planned:
    """A stage in the plan of an execution: what `stillhouse plan` said of it, and what was in place when the execution ended.

    `fingerprint` is "" if something that the stage needs was missing; `outputs` are hashes by path.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    state: str
    reasons: list[str]
    fingerprint: str
    outputs: Mapping[str, str]


@dataclass(frozen=True)
class Closing:
    """The end of an execution that a flow manages, with all stages that it was about, whether they ran or not.

    `results` are the numbers that a person compares, by student, of every report that was in place; `flow_run` is the run of Prefect that
    followed it, "" if none did.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT
    key: str
    status: Status
    ended: int
    stages: Mapping[str, Planned]
    name: str = ""
    results: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    flow_run: str = ""


_WAITING: TypeAdapter[RunRecord | Closing] = TypeAdapter(RunRecord | Closing)


def write(record: RunRecord | Closing, path: Path) -> None:
    """Writes what the tracker is to be told as JSON; a reader sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(_WAITING.dump_json(record))
    partial.replace(path)


def read(path: Path) -> RunRecord | Closing:
    """What `write` wrote. Raises UserError at a file of more than `LARGEST` bytes, which is no record."""
    if (size := path.stat().st_size) > LARGEST:
        raise UserError(f"{path} - wanted a record of at most {LARGEST} bytes - got {size}")
    return _WAITING.validate_json(path.read_bytes())


def flat(values: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """("fit.epochs", "20") and the like, for every leaf of nested settings."""
    if isinstance(values, Mapping):
        pairs: Iterable[tuple[Any, Any]] = values.items()
    elif isinstance(values, list | tuple):
        pairs = enumerate(values)
    else:
        yield prefix, str(values)
        return
    for key, value in pairs:
        yield from flat(value, f"{prefix}.{key}" if prefix else str(key))


def history(path: Path) -> list[tuple[str, float, int, int]]:
    """The numbers of a metrics.jsonl by step (epoch, or else trial, or else line).

    A resumed stage may tell an epoch twice; the last word counts.
    """
    rows: dict[tuple[str, int], tuple[str, float, int, int]] = {}
    lines = content(path).decode(errors="replace").splitlines() if path.is_file() else []
    for index, line in enumerate(lines):
        try:
            record = json.loads(line)
            time = int(1000 * record.pop("time"))
            step = int(record.get("epoch", record.get("trial", index)))
        except (ValueError, RecursionError, AttributeError, KeyError, TypeError, OverflowError):
            continue  # the process was killed while it wrote this line, or a disk has damaged it
        for name, value in record.items():
            if name not in ("epoch", "epochs", "trial") and isinstance(value, int | float) and abs(value) <= sys.float_info.max:
                rows[name, step] = (name, float(value), time, step)
    return list(rows.values())
