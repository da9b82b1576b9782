"""Readers of a project's own files: params.yaml, dvc.lock, and what stages leave in .work."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from stillhouse.contracts.errors import UserError
from stillhouse.flows import estimate, graph, lost
from stillhouse.lineage import locks
from stillhouse.record import outbox, run_record, text
from stillhouse.record.run_record import Closing, Execution, Item, Planned, RunRecord
from stillhouse.runner import checked, params, results
from stillhouse.runner.entries import Entries
from stillhouse.training import progress
from tests.fuzz.mutations.nodes import json_mutated
from tests.fuzz.reader import Reader

_PARAMS = b"""seed: 0
threads: 1
secrets: ["*.key"]
gate: {}
teachers:
  t:
    workload: queue
    raw: data/raw/queue.json
    prepare: {valid_share: 0.2, watched: [0, 1]}
    teach: &teach
      model: {family: neural, width: 32, hidden: 32, depth: 2}
      data: {}
      fit: &fit {epochs: 40, learning_rate: 1.0e-2, clip_norm: 1.0}
students:
  s:
    teacher: t
    workload: queue
    search:
      method: dms
      budget: {unit: macs, share: 0.1}
      data: {}
      settings: {fit: *fit, structure_learning_rate: 2.0e-2}
    distill:
      losses: [{loss: logits, weight: 1.0, settings: {}}]
      data: {unlabelled: 20, unlabelled_loads: [11, 60]}
      fit: *fit
    evaluate: {data: {}, evaluations: [{evaluation: quality}]}
"""
_DVC = b"""stages:
  first:
    cmd: echo
    deps: [raw.txt]
    outs: [made]
  second:
    cmd: echo 2
    deps: [made]
    params: [seed]
    metrics: [report.json]
"""
_LOCK = b"""schema: '2.0'
stages:
  first:
    cmd: echo
    deps:
    - path: raw.txt
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e
      size: 0
    outs:
    - path: made
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e.dir
      size: 10
      nfiles: 1
  second:
    cmd: echo 2
    deps:
    - path: made
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e.dir
      size: 10
      nfiles: 1
    params:
      params.yaml:
        seed: 0
    outs:
    - path: report.json
      hash: md5
      md5: d41d8cd98f00b204e9800998ecf8427e
      size: 3
"""
_REPOSITORY = {"p/.dvc/config": b"[core]\n    no_scm = true\n    analytics = false\n", "p/raw.txt": b"", "p/params.yaml": b"seed: 0\n"}
_RUN = RunRecord(
    id="0123456789",
    stage="teach@t",
    execution=Execution("k", "1-2", managed=True),
    status="FINISHED",
    started=1,
    ended=2,
    params={"fit.epochs": "2"},
    tags={"dvc.fingerprint": "0"},
    history=[("valid/loss", 0.5, 1, 1)],
    metrics={"loss": 0.5},
    inputs=[Item("data/raw", "0", model=False)],
    output=Item("data/teachers/t", "1", model=True),
)
_CLOSING = Closing("k", "FAILED", 3, {"teach@t": Planned("due", ["never run"], "0", {"data": "0"})}, "name", {"s": {"quality": 0.5}})
_CODE = {"form": "x", "files": {"/a.py": {"stamp": [1, 2, 3, 4], "imports": [{"level": 0, "module": "a", "names": ["b"]}], "digest": "0"}}}
_RESULT = {"stage": "teach@t", "path": "data/t", "md5": "0", "environment": {"torch": "2"}, "beside": {".json": "{}"}}
_OPEN = [{"flow_run": "0", "verdict": "failed", "stages": {"teach@t": "FINISHED"}}]
_METRICS = b'{"time": 1.5, "epoch": 1, "loss": 0.5}\n{"time": 2.5, "trial": 2, "loss": 0.25}\n'


def _at(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """A reader that works in the folder of the file, or in the folder that it is handed."""

    def there(path: Path) -> object:
        with contextlib.chdir(path if path.is_dir() else path.parent):
            return read(Path(path.name))

    return there


def _entries(path: Path) -> object:
    entries = Entries.read(path)
    return entries.seed, entries.threads, entries.secrets, list(entries.stages()), entries.pairs()


def _plan(path: Path) -> object:
    """As `stillhouse plan` reads it, twice: what is kept of the first time serves the second."""
    entries = Entries.read(path)
    checked.read(entries)
    checked.check(entries)
    return [entries.roots(verb, name) for verb, name in entries.stages()], entries.pairs(), checked.read(entries)


def _graph(_: Path) -> object:
    try:
        return graph.read(Path.cwd())
    except UserError as error:
        raise UserError(f"p: {error}") from None


def _record(_: Path) -> object:
    """As the forwarder reads what waits: anything that is wrong with a record is counted, and sets it aside."""
    for path in outbox.waiting(Path()):
        try:
            run_record.read(path)
        except (ValidationError, OSError) as error:
            raise UserError(f".work: {type(error).__name__}") from None
    return outbox.aside(Path())


def _code(_: Path) -> object:
    text._kept.cache_clear()
    return text._kept(text.KEPT.resolve())


def _summed(content: bytes, rng: random.Random) -> bytes:
    """A file of code whose checksum is right, whatever it holds."""
    body = json_mutated(content.partition(b"\n")[2], rng)
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _newest(folder: Path) -> object:
    with contextlib.redirect_stderr(io.StringIO()):
        return progress.newest(folder)


def _checkpoint() -> dict[str, bytes]:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        for step in range(2):
            progress.write(Path(folder), {"a": torch.arange(3.0) + step}, {"fit": {"epoch": step}})
        return {f"checkpoint/{path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def _work(name: str, content: bytes) -> dict[str, bytes]:
    return {f".work/{name}": content}


def _in_work(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """The project's folder is the one that `.work` lies in."""

    def there(path: Path) -> object:
        with contextlib.chdir(path.parent):
            return read(Path())

    return there


READERS: dict[str, Reader] = {
    "params": Reader({"params.yaml": _PARAMS}, _entries),
    "params-checked": Reader({"params.yaml": _PARAMS}, params.check),
    "params-planned": Reader({"params.yaml": _PARAMS}, _at(_plan)),
    "dvc-lock": Reader({"dvc.lock": _LOCK}, lambda path: locks.here(path.parent)),
    "dvc-graph": Reader({"p/dvc.lock": _LOCK, "p/dvc.yaml": _DVC, **_REPOSITORY}, _at(_graph), steady=("p/dvc.yaml", *_REPOSITORY)),
    "outbox-run": Reader(_work("outbox/a.json", run_record._WAITING.dump_json(_RUN)), _in_work(_record)),
    "outbox-closing": Reader(_work("outbox/a.json", run_record._WAITING.dump_json(_CLOSING)), _in_work(_record)),
    "code": Reader(_work("code.json", b"0\n" + _bytes({**_CODE, "form": text._form()})), _in_work(_code), mutations=(_summed,)),
    "results": Reader(_work("results/0.json", _bytes(_RESULT)), _in_work(lambda _: results.find("0"))),
    "made": Reader({"made.json": _bytes({"made": ["fingerprint 0", "torch 2"]})}, results.told),
    "open": Reader(_work("open.json", _bytes(_OPEN)), _in_work(lost.read)),
    "seconds": Reader(_work("teach@t/seconds.json", b"2.5"), _in_work(lambda folder: estimate.expected(folder, []))),
    "metrics": Reader({"metrics.jsonl": _METRICS}, run_record.history),
    "checkpoints": Reader(_checkpoint(), _newest),
}
