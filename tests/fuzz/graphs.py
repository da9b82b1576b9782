"""Readers of temporal and of knowledge graphs."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from typing import Any

from stillhouse.workloads.graphs.knowledge import read as knowledge
from stillhouse.workloads.graphs.temporal import read as temporal
from tests.fuzz.reader import Reader, table


def _text(value: Any) -> bytes:
    return json.dumps(value).encode()


def _zip(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return sink.getvalue()


def _temporal(**settings: Any) -> Any:
    checked = temporal.ReadSettings.model_validate(settings)
    return lambda path: temporal.read(path, checked)


_DYNAMIC = {
    "edge_mapping": {"edge_index": {"0": [[0, 1], [1, 2]], "1": [[2, 0]]}, "edge_weight": {"0": [1.0, 0.5], "1": [2]}},
    "y": [[1, 2, 3.5], [4, 5, 6]],
}
_STATIC = {"edges": [[0, 1], [1, 2]], "weights": [1.0, 2.0], "FX": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}
_LINKED = {
    "nodes": [{"id": "a", "y": [1, 2, 3]}, {"id": "b", "y": [3, 2, 1]}],
    "links": [{"source": "a", "target": "b", "weight": 2.0}, {"source": "b", "target": "a"}],
}
_PLANTED = {"generator": "planted", "nodes": 10, "steps": 20, "degree": 2, "churn": 0.2, "own": 0.1, "neighbours": 0.5, "seed": 1}
_RINGS = {"generator": "dyncsl", "samples": 4, "steps": 4, "noise_edges": 2, "unequal": True, "random_marks": True, "seed": 1}
_PACKAGE = {"package": "torch", "files": {"series": {"path": "torch/version.py", "sha256": "0"}, "edges": {"path": "x", "sha256": "0"}}}
_STEPS = b"date,a,b,c\n2001-01-01,1,2,3\n2001-01-02,4,5,6\n2001-01-03,7,8,9\n"
_NODES = b"name,2001,2002,2003\nNew York,1,2,3\nOhio,4,5,6\nUtah,7,8,9\n"
_SERIES = [{"step": step, "node": f"n{node}", "graph": node // 2, "x": step + 0.5, "y": node} for node in range(4) for step in range(3)]
_EDGES = [{"source": "n0", "target": "n1", "step": step, "weight": 1.0} for step in range(3)]
_LABELS = [{"graph": 0, "label": 1}, {"graph": 1, "label": 0}]
_TRIPLES = {
    "graph/train.txt": b"a\tr\tb\nb\tr\tc\nNew York\tpart of\tUSA\n",
    "graph/valid.txt": b"a\tr\tc\n",
    "graph/test.txt": b"c\tr\tb\nb\ts\ta\n",
    "graph/msg.txt": b"x\tr\ty\ny\ts\tz\n",
}
_OTHER = {"other/train.tsv": b"head\trelation\ttail\nx\tr\ty\n", "other/test.csv": b'x,r,y\n"z, z",r,y\n'}
_MIXED = {**_TRIPLES, **{f"graph/{name}": content for name, content in _OTHER.items()}}
_ROWS = [{"head": "a", "relation": "r", "tail": "b", "split": split} for split in ("train", "train", "valid", "test", "observe")]
_FAMILY = {"generator": "family_diagram_2", "depth": 3, "seed": 1}
_FILES = {"package": "torch", "files": {"train": {"path": "torch/version.py", "sha256": "0"}}}


def _knowledge(train: str = "", test: str = "") -> Any:
    return lambda path: knowledge.read(path, train, test)


READERS: dict[str, Reader] = {
    "temporal-json-dynamic": Reader({"t.json": _text(_DYNAMIC)}, _temporal(undirected=True)),
    "temporal-json-static": Reader({"t.json": _text(_STATIC)}, _temporal(missing="mask", missing_value=0)),
    "temporal-json-linked": Reader({"t.json": _text(_LINKED)}, _temporal(missing="interpolate")),
    "temporal-json-packed": Reader({"t.json.gz": gzip.compress(_text(_STATIC), mtime=0)}, _temporal()),
    "temporal-json-generators": Reader({"t.json": _text(_PLANTED)}, _temporal()),
    "temporal-json-rings": Reader({"t.json": _text(_RINGS)}, _temporal()),
    "temporal-json-package": Reader({"t.json": _text(_PACKAGE)}, _temporal()),
    "temporal-csv-steps": Reader(
        {"t/series.csv": _STEPS, "t/edges.csv": b"from,to,cost,step\na,b,1.0,0\nb,c,2.0,1\n"},
        _temporal(series="series.csv", edges="edges.csv", repeated="once"),
    ),
    "temporal-csv-nodes": Reader(
        {"t/series.csv": _NODES, "t/edges.csv": b"0,1,0\n0.5,0,1\n0,0,0\n"},
        _temporal(series="series.csv", edges="edges.csv", rows="nodes", columns="[0-9]+", missing="mask"),
    ),
    "temporal-gal": Reader(
        {"t/series.csv": _NODES, "t/edges.gal": b"0 3 us NAME\n0 1\n1\n1 2\n0 2\n2 0\n"},
        _temporal(series="series.csv", edges="edges.gal", rows="nodes"),
    ),
    "temporal-csv-packed": Reader(
        {"t/series.csv.gz": gzip.compress(_NODES, mtime=0), "t/edges.gal": b"3\n0 1\n1\n1 2\n0 2\n2 0\n"},
        _temporal(series="series.csv.gz", edges="edges.gal", rows="nodes"),
    ),
    "temporal-parquet": Reader(
        {"t/series.parquet": table(_SERIES), "t/edges.parquet": table(_EDGES), "t/labels.parquet": table(_LABELS)},
        _temporal(labels="labels.parquet"),
    ),
    "temporal-parquet-gaps": Reader({"t/series.parquet": table(_SERIES), "t/edges.parquet": table(_EDGES)}, _temporal(missing="mask")),
    "knowledge-folder": Reader(_TRIPLES, _knowledge()),
    "knowledge-two-folders": Reader(_MIXED, _knowledge("", "other")),
    "knowledge-zip": Reader({"g.zip": _zip({name.removeprefix("graph/"): content for name, content in _MIXED.items()})}, _knowledge()),
    "knowledge-parquet": Reader({"g.parquet": table(_ROWS)}, _knowledge()),
    "knowledge-json-family": Reader({"g.json": _text(_FAMILY)}, _knowledge()),
    "knowledge-json-package": Reader({"g.json": _text(_FILES)}, _knowledge()),
}
