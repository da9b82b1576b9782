"""Prepared tables: byte for byte the same, splits apart, and nothing in them that training must not see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.training.files import read_parquet
from stillhouse.workloads.queue.prepare import PrepareSettings, prepare

RECIPE = {"generator": "queue", "states": 8, "light_samples": 4, "heavy": [31, 60], "heavy_samples": 2}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    (tmp_path / "queue.json").write_text(json.dumps(RECIPE))
    return tmp_path / "queue.json"


def prepared(folder: Path, raw: Path, seed: int = 0, **settings: Any) -> Metrics:
    folder.mkdir()
    return prepare(PrepareSettings(**settings), raw, folder, torch.Generator().manual_seed(seed))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_twice_gives_equal_bytes_and_another_seed_another_split(tmp_path: Path, raw: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepared(tmp_path / name, raw, seed)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert {name for name in first if first[name] != other[name]} >= {"train.parquet", "valid.parquet"}
    assert first["test.parquet"] == other["test.parquet"]


def test_light_samples_are_split_and_show_watched_states_alone(tmp_path: Path, raw: Path) -> None:
    facts = prepared(tmp_path / "out", raw, watched=(0, 2))
    assert facts == {"train_samples": 16, "valid_samples": 4, "test_samples": 4, "states": 8}
    tables = {name: read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("train", "valid", "test")}
    assert set(tables["train"]) == set(tables["valid"]) == {"load", "counts"}
    for name in ("train", "valid"):
        hidden = [state for state in range(8) if state not in (0, 2)]
        assert tables[name]["counts"][:, hidden].sum() == 0
        assert (tables[name]["counts"].sum(1) > 0).all()
        assert tables[name]["load"].max() <= 15
    assert sorted(torch.cat([torch.as_tensor(tables[name]["load"]) for name in ("train", "valid")]).tolist()) == [
        float(load) for load in range(11, 16) for _ in range(4)
    ]
    assert tables["test"]["load"].tolist() == [31, 31, 60, 60]
    assert tables["test"]["full"][0] == tables["test"]["full"][1]
    record = read_json(tmp_path / "out" / "facts.json")
    assert record["mean_load"] == pytest.approx(torch.as_tensor(tables["train"]["load"]).mean().item())


def test_without_a_share_validation_is_the_training_set(tmp_path: Path, raw: Path) -> None:
    prepared(tmp_path / "out", raw, valid_share=0)
    found = contents(tmp_path / "out")
    assert found["train.parquet"] == found["valid.parquet"]


def test_a_bound_says_what_is_light(tmp_path: Path, raw: Path) -> None:
    assert prepared(tmp_path / "out", raw, light=12)["test_samples"] == 4 + 3 * 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"watched": (0, 8)}, "wanted watched states below 8, the number of states - got 8"),
        ({"light": 100.0}, "heavy ones to test - got [0-9]+, 4 and 0"),
        ({"light": 1.0}, "wanted light samples .* - got 0, "),
    ],
)
def test_what_leaves_nothing_is_refused(tmp_path: Path, raw: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(tmp_path / "out", raw, **settings)


def test_data_without_a_split_wants_a_bound_and_a_full_queue(tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text("callrate,Q=0,Q=1,Q=2\n10,5,3,2\n12,5,3,1\n20,4,4,0\n")
    with pytest.raises(UserError, match="wanted `light`, the heaviest load to train on"):
        prepared(tmp_path / "a", calls)
    with pytest.raises(UserError, match="wanted a heavy load under which the last state was seen - got none among 1"):
        prepared(tmp_path / "b", calls, light=15)
    assert prepared(tmp_path / "c", calls, light=15, states=2)["test_samples"] == 1


def test_a_share_of_time_above_one_is_refused(tmp_path: Path) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text("callrate,Q=0,Q=1,Q=2\n10,5,3,12\n12,5,3,1\n20,4,4,21\n")
    with pytest.raises(UserError, match=r"calls\.csv - wanted a full queue counted at most as often as the load, .* the load 20"):
        prepared(tmp_path / "out", calls, light=15)


@pytest.mark.parametrize("watched", [(0,), (0, 0), (-1, 2)])
def test_watched_states_are_two_or_more(watched: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        PrepareSettings(watched=watched)
