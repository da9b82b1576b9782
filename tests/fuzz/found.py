"""Inputs that once brought a reader down: files lie in `corpus`, a folder for each; what expands, or is no file, is made here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from tests.fuzz.mutations import packed
from tests.fuzz.reader import Entry, Folder, Link, Pipe
from tests.fuzz.readers import READERS

CORPUS = Path(__file__).parent / "corpus"
DEEP = b"[" * 100_000
Case = tuple[str, dict[str, Entry]]
"""A reader, and the files that differ from the valid ones."""


def _bomb(reader: str) -> Case:
    data = READERS[reader].files["g.zip"]
    members = packed.members(data)
    return reader, {"g.zip": packed.with_bomb(members, members[0][0])}


MADE: dict[str, Callable[[], Case]] = {
    "queue-csv, a cell of 140,000 characters": lambda: ("queue-csv", {"q.csv": b"callrate,Q=0,Q=1\n1,2," + b"x" * 140_000}),
    "temporal-json-static, nested deeply": lambda: ("temporal-json-static", {"t.json": DEEP}),
    "temporal-json-packed, expands": lambda: ("temporal-json-packed", {"t.json.gz": packed.gzip_bomb()}),
    "temporal-csv-packed, expands": lambda: ("temporal-csv-packed", {"t/series.csv.gz": packed.gzip_bomb()}),
    "temporal-csv-steps, a pipe": lambda: ("temporal-csv-steps", {"t/series.csv": Pipe()}),
    "temporal-csv-steps, a device": lambda: ("temporal-csv-steps", {"t/edges.csv": Link("/dev/zero")}),
    "temporal-csv-steps, a link that leads out": lambda: ("temporal-csv-steps", {"t/edges.csv": Link("/etc/passwd")}),
    "knowledge-zip, expands": lambda: _bomb("knowledge-zip"),
    "knowledge-folder, a pipe": lambda: ("knowledge-folder", {"graph/train.txt": Pipe()}),
    "knowledge-folder, a link that leads out": lambda: ("knowledge-folder", {"graph/train.txt": Link("/etc/passwd")}),
    "language-files, a word of 140,000 characters": lambda: ("language-files", {"t/train/b/3.txt": b"x" * 140_000}),
    "params, a folder": lambda: ("params", {"params.yaml": Folder()}),
    "params, a pipe": lambda: ("params", {"params.yaml": Pipe()}),
    "dvc-lock, nested deeply": lambda: ("dvc-lock", {"dvc.lock": DEEP}),
    "dvc-graph, nested deeply": lambda: ("dvc-graph", {"p/dvc.lock": DEEP}),
    "dvc-lock, a pipe": lambda: ("dvc-lock", {"dvc.lock": Pipe()}),
    "outbox-run, a pipe": lambda: ("outbox-run", {".work/outbox/a.json": Pipe()}),
    "results, a pipe": lambda: ("results", {".work/results/0.json": Pipe()}),
    "metrics, nested deeply": lambda: ("metrics", {"metrics.jsonl": DEEP}),
    "detect-coco, a picture that leads out": lambda: ("detect-coco", {"raw/0.png": Link("/etc/passwd")}),
    "detect-voc, elements without end": lambda: ("detect-voc", {"raw/Annotations/0.xml": b"<object>" * 9000}),
    "classify-json, other lines": lambda: ("classify-json", {"c.json": READERS["classify-json"].files["c.json"].replace(b"8", b"9", 1)}),
    "model-queue, no dictionary": lambda: ("model-queue", {"m/context/workload.json": b"[]"}),
    "model-queue, facts of nothing": lambda: ("model-queue", {"m/context/facts.json": b"{}"}),
    "model-queue, nested deeply": lambda: ("model-queue", {"m/model.json": DEEP}),
    "model-knowledge, an empty graph": lambda: ("model-knowledge", {"m/context/graph.parquet": b""}),
    "model-knowledge, a folder": lambda: ("model-knowledge", {"m/context/names.parquet": Folder()}),
    "model-sums, a pipe": lambda: ("model-sums", {"m/SHA256SUMS": Pipe()}),
    "model-sums, a device": lambda: ("model-sums", {"m/SHA256SUMS": Link("/dev/zero")}),
    "predict-table-csv, a column twice": lambda: ("predict-table-csv", {"t.csv": b"a,a\n1,2\n"}),
    "predict-table-csv, names of bytes": lambda: ("predict-table-csv", {"t.csv": b"\xf7,b\n1,2\n"}),
    "code, nested deeply": lambda: ("code", {".work/code.json": _code()}),
}


def _code() -> bytes:
    """What is kept of code, its checksum right."""
    return hashlib.sha256(DEEP).hexdigest().encode() + b"\n" + DEEP


def cases() -> dict[str, Callable[[], Case]]:
    """All, by their names."""
    found = dict(MADE)
    for folder in sorted(CORPUS.glob("*/*")):
        found[f"{folder.parent.name}, {folder.name}"] = lambda folder=folder: (folder.parent.name, _files(folder))  # type: ignore[misc]
    return found


def _files(folder: Path) -> dict[str, Entry]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
