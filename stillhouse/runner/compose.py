"""The record of one run of a stage, put together from all who saw something of it."""

from __future__ import annotations

import json
import math
import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import md5_of
from stillhouse.contracts.files import replace as replace_file
from stillhouse.contracts.hidden import hide
from stillhouse.record import hashes, process, revision
from stillhouse.record.run_record import Item, RunRecord, Status, flat, history
from stillhouse.runner.entries import Entries

if TYPE_CHECKING:
    from stillhouse.record.revision import Revision
    from stillhouse.runner.run import Run
    from stillhouse.runner.usage import Row

PACKAGES = ("torch", "numpy", "scipy", "pyarrow", "safetensors", "pydantic", "dvc", "prefect", "mlflow")
"""Whose versions a run carries: what computes a result, and what records it."""
LONGEST = 8000
"""Characters of a tag in MLflow."""


@dataclass(frozen=True)
class Seen:
    """What is known of a run beside its work: the code as it was at the start, and what it took of the machine."""

    revision: Revision
    usage: list[Row] = field(default_factory=list)


def compose(ready: Run, seen: Seen, status: Status, metrics: Mapping[str, float], error: BaseException | None = None) -> RunRecord:
    """The record of a run that has just ended."""
    made = hashes.outputs(ready.call.stage, Path()) if status == "FINISHED" else {}
    output = str(ready.call.destination)
    return RunRecord(
        id=_identifier(ready, status),
        stage=ready.call.stage,
        execution=replace(ready.call.execution, name=revision.title(Path())),
        status=status,
        started=int(1000 * ready.started),
        ended=int(1000 * time.time()),
        params=dict(flat({"seed": ready.block.seed, **ready.block.facts})),
        tags={name: value for name, value in _tags(ready, seen.revision, error).items() if value},
        history=history(ready.scratch / "metrics.jsonl"),
        metrics={name: float(value) for name, value in metrics.items() if math.isfinite(value)},
        inputs=list(_inputs(ready)),
        output=Item.at(output, made.pop(output)) if output in made else None,
        beside=[Item.at(path, md5) for path, md5 in made.items()],
        usage=seen.usage,
        files=_files(seen.revision),
        folder=Path.cwd(),
    )


def _identifier(ready: Run, status: Status) -> str:
    """A new one, but for a result that is computed a second time, because the first was lost before DVC stored it: that counts once."""
    kept = ready.scratch / "record"
    if status != "FINISHED":
        return uuid.uuid4().hex
    if os.environ.get(process.AFRESH) or not kept.exists():
        replace_file(kept, lambda temporary: temporary.write_text(uuid.uuid4().hex, encoding="utf-8"))
    return kept.read_text(encoding="utf-8")


def _inputs(ready: Run) -> Iterator[Item]:
    """What DVC knows that the stage reads, and what its settings name: files, and trained networks."""
    known, entries = ready.before.inputs, Entries.read()
    yield from (Item.at(path, md5) for path, md5 in known.items())
    for stage, member, _ in dict.fromkeys(entries.members(ready.call.name) if ready.call.verb == "teach" else ()):
        with suppress(UserError):  # no stage of this pipeline any more
            yield from (Item.at(made, md5) for made, md5 in hashes.outputs(stage, Path()).items() if made == member)
    for path in dict.fromkeys(entries.files(ready.call.verb, ready.call.name)):
        if path.as_posix() not in known:
            yield Item(path.as_posix(), md5_of(path), model=False)


def _tags(ready: Run, revision: Revision, error: BaseException | None) -> dict[str, str]:
    tags = {
        "dvc.stage": ready.call.stage,
        "dvc.fingerprint": ready.before.key,
        "stillhouse.fingerprint": ready.fingerprint.key,
        "dvc.rev": revision.commit,
        "dvc.dirty": str(revision.dirty).lower(),
        "git.patch": f"left out: {revision.omitted}" if revision.omitted else "changes.patch" if revision.patch else "",
        "git.left_out": ", ".join(revision.left_out)[:LONGEST],
        "prefect.flow_run_id": ready.call.flow_run or "",
        "device": _device() if ready.computes else "",
        "threads": str(ready.block.threads) if ready.computes else "",
        "error": hide(f"{type(error).__name__}: {error}") if error else "",
        "version.python": platform.python_version(),
        "stillhouse.settings": _settings(ready),
    }
    return tags | {f"version.{package}": _version(package) for package in PACKAGES}


def _settings(ready: Run) -> str:
    """The settings that differ from their defaults, as JSON; "" if they are too many for a tag."""
    block = ready.block
    values: Any = block.settings
    if hasattr(values, "model_dump"):
        values = values.model_dump(mode="json", exclude_defaults=True, context={"fingerprint": True})
    text = json.dumps(dict(flat({"seed": block.seed, **(values or {})})))
    return text if len(text) <= LONGEST else ""


def _device() -> str:
    from stillhouse.training import machine

    return machine.device_name()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _files(revision: Revision) -> dict[str, str]:
    files = {"changes.patch": revision.patch, "untracked.txt": "\n".join(revision.untracked)}
    return {name: text for name, text in files.items() if text}
