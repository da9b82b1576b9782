"""Which executions a sweep stands for, and how params.yaml is changed for them; one runs in `test_whole.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import sweep

PARAMS = """\
seed: 1  # of everything
students:
  half:
    search: {budget: {unit: macs, share: 0.5}}
    distill:
      losses: [{loss: logits, weight: 1.0}]
"""


def test_each_value_meets_each_of_the_others_under_a_short_name():
    found = sweep.combinations(["students.half.search.budget.share=0.5,0.25,0.1", "students.half.distill.losses.0.loss=logits,pearson"])
    assert [each.name for each in found[:3]] == ["share-0.5_loss-logits", "share-0.5_loss-pearson", "share-0.25_loss-logits"]
    assert len(found) == 6
    assert found[-1].values == {"students.half.search.budget.share": 0.1, "students.half.distill.losses.0.loss": "pearson"}


def test_paths_of_one_end_are_told_apart_and_values_are_yaml():
    found = sweep.combinations(["students.a.fit.epochs=1", "students.b.fit.epochs=2", "teachers.t.model={width: 8, depth: [1, 2]}"])
    assert [each.name for each in found] == ["a.fit.epochs-1_b.fit.epochs-2_model---width---8---depth----1--2"]
    assert found[0].values["teachers.t.model"] == {"width": 8, "depth": [1, 2]}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["students.half"], "wanted PATH=VALUE,VALUE"),
        (["a="], "wanted PATH=VALUE,VALUE"),
        (["a=[1"], "wanted PATH=VALUE,VALUE"),
        (["a=1", "a=2"], "wanted each path once"),
        (["a=1,1"], "wanted each value of a path once"),
    ],
)
def test_what_is_no_list_of_values_is_told(given, told):
    with pytest.raises(UserError, match=told):
        sweep.combinations(given)


def test_values_are_changed_and_comments_stay():
    text = sweep.changed(PARAMS, {"students.half.distill.losses.0.weight": 3, "students.half.distill.task_weight": 0.5, "seed": 7})
    assert "seed: 7  # of everything" in text
    assert "losses: [{loss: logits, weight: 3}]" in text
    assert "task_weight: 0.5" in text
    assert "share: 0.5" in text


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("students.quarter.search", "--set students.quarter - wanted a path in params.yaml - there is no 'quarter', there are half"),
        ("students.half.distill.losses.1.loss", "there is no '1', there are 1 items"),
        ("students.half.distill.losses.1", "there is no '1', there are 1 items"),
        ("seed.value", "there is no 'value', there are 1"),
    ],
)
def test_a_path_that_is_not_there_is_told_with_what_there_is(path, told):
    with pytest.raises(UserError) as error:
        sweep.changed(PARAMS, {path: 1})
    assert told in str(error.value)


def test_experiments_are_saved_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """DVC fails now and then where two copies of a repository save at once."""
    (tmp_path / "dvc.lock").write_text("stages: {}")
    one, seen = sweep.Sweep(tmp_path, [], print), list[tuple[str, bool]]()

    def command(_: Path, module: str, *words: str, **names: Any) -> tuple[int, str]:
        seen.append((module, one._saving.locked()))
        return 0, ""

    monkeypatch.setattr(one, "_command", command)
    assert one._one(sweep.Combination("seed-2", {"seed": 2}), tmp_path).wrong == ""
    assert seen == [("stillhouse", False), ("dvc", True)]
