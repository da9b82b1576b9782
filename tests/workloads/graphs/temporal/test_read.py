"""Pointers to packages and generators, and the real files where they are at hand."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.planted import Planted
from stillhouse.workloads.graphs.temporal.planted import generate as planted
from stillhouse.workloads.graphs.temporal.read import ReadSettings, read
from stillhouse.workloads.graphs.temporal.skip_links import SkipLinks
from stillhouse.workloads.graphs.temporal.skip_links import generate as skip_links

INCOME = Path(__file__).parents[4] / "data" / "raw" / "us-income.json"
YEARS = ReadSettings(rows="nodes", columns="[0-9]+")


def same(first: Panel, second: Panel) -> bool:
    names = ("features", "step", "source", "target", "weight", "graph", "length")
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


def written(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_the_committed_pointer_holds_and_imports_nothing() -> None:
    panel = read(INCOME, YEARS)
    assert panel.features.shape == (48, 81, 1)
    assert panel.features[0, 0].item() == 323
    assert len(panel.step) == 214
    assert panel.static
    assert "libpysal" not in sys.modules


def test_generators(tmp_path: Path) -> None:
    raw = written(tmp_path / "g.json", {"generator": "dyncsl", "samples": 4, "seed": 3})
    assert same(read(raw, ReadSettings()), skip_links(SkipLinks(generator="dyncsl", samples=4, seed=3)))
    raw = written(tmp_path / "g.json", {"generator": "planted", "steps": 5})
    assert same(read(raw, ReadSettings()), planted(Planted(generator="planted", steps=5)))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"generator": "other"},
            r"wanted a generator with its settings - .*one of 'dyncsl', 'planted', got 'other'",
        ),
        ({"generator": "dyncsl", "steps": 1}, r"dyncsl\.steps - wanted a generator with its settings - it should be greater"),
        (
            {"generator": "planted", "own": 0.5},
            r"planted - wanted a generator with its settings - .* own \+ neighbours less than 1 - got 1\.3",
        ),
        ({"package": "p", "files": {}}, r"files\.series - wanted a package with files - it is missing"),
        (
            {"package": "pydantic", "files": {name: {"path": "pydantic/version.py", "sha256": "a"} for name in ("series", "edges")}},
            r"files\.series - wanted pydantic/version\.py with sha256 a - got [0-9a-f]{64}",
        ),
    ],
)
def test_a_pointer_that_does_not_hold_is_refused(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"p\.json: .*{message}"):
        read(written(tmp_path / "p.json", value), ReadSettings())


REAL = [
    ("england_covid.json.gz", {}, (129, 61), 82_529, 61),
    ("chickenpox.json.gz", {}, (20, 521), 102, 1),
    ("pedalme_london.json.gz", {}, (15, 35), 225, 1),
    ("montevideo_bus.json.gz", {}, (675, 744), 690, 1),
    ("los_speed.csv.gz", {"edges": "los_adj.csv.gz"}, (207, 2016), 2833, 1),
    ("us_income_usjoin.csv", {"edges": "us_income_states48.gal", "rows": "nodes", "columns": "[0-9]+"}, (48, 81), 214, 1),
]


@pytest.fixture(scope="module")
def data() -> Path:
    """The folder that holds the published files, at any depth."""
    if "STILLHOUSE_DATA" not in os.environ:
        pytest.skip("STILLHOUSE_DATA names no folder of published files")
    return Path(os.environ["STILLHOUSE_DATA"])


@pytest.mark.parametrize(("name", "settings", "shape", "events", "steps"), REAL)
def test_the_published_files(data: Path, name: str, settings: dict[str, Any], shape: tuple[int, int], events: int, steps: int) -> None:
    found = next(data.rglob(name))
    panel = read(found.parent, ReadSettings(series=name, **settings)) if settings else read(found, ReadSettings())
    assert panel.features.shape == (*shape, 1)
    assert len(panel.step) == events
    assert len(panel.step.unique()) == steps
    assert panel.static == (steps == 1)


def test_the_self_loops_and_counts_of_england(data: Path) -> None:
    panel = read(next(data.rglob("england_covid.json.gz")), ReadSettings())
    count = torch.bincount(panel.step)
    assert (count.min(), count.max()) == (836, 2158)
    assert int((panel.source == panel.target).sum()) == 129 * 61
    assert (panel.weight.min(), panel.weight.max()) == (10, 965_153)
    assert panel.features.max() == 182


def test_the_roads_of_pems(data: Path, tmp_path: Path) -> None:
    for number, nodes, pairs in ((4, 307, 340), (8, 170, 274)):
        (tmp_path / "series.csv").write_text(",".join(f"s{node}" for node in range(nodes)) + "\n" + ",".join("0" * nodes) + "\n")
        name = f"pems0{number}_distance.csv"
        (tmp_path / name).write_bytes(next(data.rglob(name)).read_bytes())
        settings = ReadSettings(series="series.csv", edges=name, undirected=True, repeated="once")
        assert len(read(tmp_path, settings).step) == 2 * pairs
