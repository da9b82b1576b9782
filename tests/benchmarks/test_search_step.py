"""Steps that are timed side by side: what is compared with what."""

from __future__ import annotations

import pytest
import torch

from benchmarks import search_step
from benchmarks._steps import interleaved, ratio


def test_a_ratio_is_of_steps_of_one_round() -> None:
    assert ratio([2.0, 20.0, 400.0], [1.0, 10.0, 100.0]) == 2.0


def test_steps_take_turns_and_the_first_round_does_not_count() -> None:
    taken: list[str] = []
    seconds = interleaved({name: lambda name=name: taken.append(name) for name in ("one", "two")}, 3, torch.device("cpu"))
    assert taken == ["one", "two"] * 4
    assert {name: len(values) for name, values in seconds.items()} == {"one": 3, "two": 3}


def test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    models = {
        "resnet": {"family": "resnet", "stem": "small", "width": 4, "blocks": [2, 2, 2]},
        "vision transformer": {"family": "transformer", "width": 8, "heads": 2, "hidden": 8, "layers": 3, "patch": 4},
    }
    sizes = {"channels": 3, "height": 8, "width": 8, "classes": 3}
    monkeypatch.setattr(search_step, "settings", search_step.settings | {"seeds": 2, "rounds": 2, "models": models, "sizes": sizes})
    rows = list(search_step.run())
    assert {row["set"] for row in rows} == set(models)
    methods = {"plain", "dms", "student alone", "teacher asked", "logits", "pearson", "channel"}
    assert {row["method"] for row in rows} == methods
    ratios = {row["method"]: row["mean"] for row in rows if row["metric"] == "ratio"}
    assert ratios["plain"] == ratios["student alone"] == 1
    assert all(row["mean"] > 0 and row["seeds"] == 2 for row in rows)
