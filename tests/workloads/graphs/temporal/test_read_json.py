"""The JSON forms of PyTorch Geometric Temporal are read, and what is wrong with one is said with its key."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.read import ReadSettings, read

DYNAMIC = {
    "edge_mapping": {
        "edge_index": {"10": [[0, 1], [1, 1]], "9": [[1, 2]], "11": []},
        "edge_weight": {"9": [2.5], "10": [1, 7], "11": []},
    },
    "time_periods": 3,
    "y": [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
}
STATIC = {"edges": [[1, 0], [0, 1]], "weights": [0.5, 2.0], "X": [[1, 2], [3, 4], [5, 6]]}
LINKED = {
    "nodes": [{"id": 70, "y": [1, 2]}, {"id": "b", "y": [3, 4]}, {"id": 5, "y": [5, 6]}],
    "links": [{"source": "b", "target": 70, "weight": 3.5}, {"source": 5, "target": "b"}],
}


def read_json(tmp_path: Path, value: Any, **settings: Any) -> Panel:
    path = tmp_path / "g.json"
    path.write_text(json.dumps(value))
    return read(path, ReadSettings(**settings))


def rows(panel: Panel) -> list[tuple[float, ...]]:
    return list(zip(*(column.tolist() for column in (panel.step, panel.source, panel.target, panel.weight)), strict=True))


def test_edges_of_their_own_at_every_step_are_sorted_by_number(tmp_path: Path) -> None:
    panel = read_json(tmp_path, DYNAMIC)
    assert rows(panel) == [(0, 1, 2, 2.5), (1, 0, 1, 1.0), (1, 1, 1, 7.0)]
    assert panel.features[..., 0].tolist() == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]
    assert (panel.static, panel.channels, panel.labels) == (False, ("y",), None)
    assert len(read_json(tmp_path, DYNAMIC, undirected=True).step) == 5


def test_a_packed_file_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "g.json.gz").write_bytes(gzip.compress(json.dumps(DYNAMIC).encode()))
    assert rows(read(tmp_path / "g.json.gz", ReadSettings())) == rows(read_json(tmp_path, DYNAMIC))


def test_the_same_edges_at_all_steps(tmp_path: Path) -> None:
    panel = read_json(tmp_path, STATIC)
    assert rows(panel) == [(0, 0, 1, 2.0), (0, 1, 0, 0.5)]
    assert panel.features[..., 0].tolist() == [[1, 3, 5], [2, 4, 6]]
    assert (panel.static, panel.channels) == (True, ("X",))
    panel = read_json(tmp_path, {"FX": STATIC["X"], "edges": STATIC["edges"], "node_ids": {"a": 0, "b": 1}})
    assert panel.weight.tolist() == [1, 1]
    assert panel.channels == ("FX",)


def test_nodes_with_links_between_their_ids(tmp_path: Path) -> None:
    panel = read_json(tmp_path, LINKED)
    assert rows(panel) == [(0, 1, 0, 3.5), (0, 2, 1, 1.0)]
    assert panel.features[..., 0].tolist() == [[1, 2], [3, 4], [5, 6]]
    assert panel.static


def put(*path: Any) -> Callable[[Any], None]:
    """Sets what lies at the keys before the last to the last."""

    def change(value: Any) -> None:
        for key in path[:-2]:
            value = value[key]
        value[path[-2]] = path[-1]

    return change


INDEX, WEIGHT = ("edge_mapping", "edge_index"), ("edge_mapping", "edge_weight")
REFUSED = [
    (DYNAMIC, put("y", 1, [4, 5]), r"y\[1\] - wanted a row of 3 numbers - got \[4, 5\]"),
    (DYNAMIC, put("y", 1, 2, None), r"y\[1\], number 3 - wanted a finite number - got None"),
    (DYNAMIC, put("y", 1, 2, [6]), r"y\[1\], number 3 - wanted a finite number - got \[6\]"),
    (DYNAMIC, put("y", 0, 0, float("nan")), r"y\[0\], number 1 - wanted a finite number - got nan"),
    (DYNAMIC, put("y", 0, 0, 10**400), r"y\[0\], number 1 - wanted a finite number - got 1000.*0\.\.\.$"),
    (DYNAMIC, put("y", 1, [4] * 99), r"y\[1\] - wanted a row of 3 numbers - got \[4, .*\.\.\. \(99 in all\)$"),
    (DYNAMIC, put("y", [[[1], [2], [3]]]), r"y\[0\], number 1 - wanted a finite number - got \[1\]"),
    (DYNAMIC, put("y", []), r"y - wanted a series of at least one node and one step - got \[0, 0\] nodes and steps"),
    (DYNAMIC, put("y", 3), r"g\.json: y - wanted a JSON list - got 3"),
    (DYNAMIC, put("y", [[1, 2, 3]] * 4), r"edge_index - wanted each step from 9 to 12 once, as many as y has - got 3; see \[12\]"),
    (DYNAMIC, put(*INDEX, {}), r"edge_index - wanted each step from 0 to 2 once, as many as y has - got 0; see \[0, 1, 2\]"),
    (DYNAMIC, put(*INDEX, "x", []), r"edge_index - wanted steps as keys, whole numbers - got 'x'"),
    (DYNAMIC, put(*INDEX, "10", 3), r"edge_index: 10 - wanted a JSON list - got 3"),
    (DYNAMIC, put(*INDEX, "10", [[0, 1], [2]]), r"edge_index\.10\[1\] - wanted a row of 2 numbers - got \[2\]"),
    (DYNAMIC, put(*INDEX, "10", [[0, 1], [2, 0.5]]), r"edge_index\.10\[1\] - wanted whole numbers - got \[2\.0, 0\.5\]"),
    (DYNAMIC, put(*INDEX, "10", [[0, 1], [2, 3]]), r"edge_index\.10\[1\] - wanted a target of 0 to 2 - got 3"),
    (
        DYNAMIC,
        put(*INDEX, "10", [[0, 1], [0, 1]]),
        r"edge_index\.10\[1\] - wanted each edge once per step - .* is .*edge_index\.10\[0\] too",
    ),
    (DYNAMIC, put(*WEIGHT, "10", [1, -2]), r"edge_index\.10\[1\] - wanted a finite weight of at least 0 - got -2"),
    (DYNAMIC, put(*WEIGHT, "10", [1, "x"]), r"edge_weight\.10\[1\], number 1 - wanted a finite number - got 'x'"),
    (DYNAMIC, put(*WEIGHT, "10", [1]), r"edge_weight\.10 - wanted 2 weights, as many as edges - got 1"),
    (DYNAMIC, put(*WEIGHT, {"9": [1]}), r"edge_weight - wanted the steps of edge_index - there is no '10'"),
    (DYNAMIC, put("edge_mapping", {"edge_index": {}}), r"edge_mapping - wanted the key 'edge_weight' - got \['edge_index'\]"),
    (DYNAMIC, put("edge_mapping", []), r"g\.json: edge_mapping - wanted a JSON object - got \[\]"),
    (STATIC, put("weights", [1]), r"weights - wanted 2 weights, as many as edges - got 1"),
    (STATIC, put("edges", 0, [2, 0]), r"edges\[0\] - wanted a source of 0 to 1 - got 2"),
    (STATIC, put("edges", 0, "ab"), r"edges\[0\] - wanted a row of 2 numbers - got 'ab'"),
    (LINKED, put("nodes", 2, "id", 70), r"nodes - wanted a name for each node - nodes 0 and 2 are both 70"),
    (LINKED, put("nodes", 2, "id", [1]), r"nodes\[2\]: id - wanted a number or a name - got \[1\]"),
    (LINKED, put("nodes", 2, {"id": 5}), r"nodes\[2\] - wanted the key 'y' - got \['id'\]"),
    (LINKED, put("nodes", 2, 5), r"nodes\[2\] - wanted the key 'id' - got 5"),
    (LINKED, put("nodes", 2, "y", [1]), r"nodes\[2\]\.y - wanted a row of 2 numbers - got \[1\]"),
    (LINKED, put("links", 0, "source", 3), r"links\[0\] - wanted the id of a node - got 3"),
    (LINKED, put("links", 0, "weight", "x"), r"links\[0\]\.weight, number 1 - wanted a finite number - got 'x'"),
]


@pytest.mark.parametrize(("value", "change", "message"), REFUSED)
def test_what_is_wrong_is_named_by_its_key(tmp_path: Path, value: Any, change: Callable[[Any], None], message: str) -> None:
    value = deepcopy(value)
    change(value)
    with pytest.raises(UserError, match=message) as raised:
        read_json(tmp_path, value)
    assert str(raised.value).startswith(str(tmp_path / "g.json"))


@pytest.mark.parametrize("value", [{"edges": [], "y": []}, [1], 3])
def test_another_form_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(UserError, match=r"g\.json - wanted edge_mapping and y, or edges and FX or X, or nodes and links, or .* - got \["):
        read_json(tmp_path, value)


def test_a_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    for name, content, message in [
        ("g.json", b"[1,\n", r"g\.json:2 - wanted JSON - Expecting value"),
        ("g.json", b"\xff", r"g\.json - wanted UTF-8 text - byte 0 is not"),
        ("g.json.gz", b"{}", r"g\.json\.gz - wanted a gzip file - Not a gzipped file"),
        ("g.json.gz", gzip.compress(b"{}")[:-5], r"g\.json\.gz - wanted a gzip file - Compressed file ended"),
        ("g.txt", b"{}", r"g\.txt - wanted a folder, \.json or \.json\.gz of temporal graphs - there is something else"),
    ]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            read(tmp_path / name, ReadSettings())
    with pytest.raises(UserError, match=r"nowhere\.json - wanted a folder, .* - there is nothing"):
        read(tmp_path / "nowhere.json", ReadSettings())
