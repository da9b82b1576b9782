"""Which executions a sweep stands for, and how params.yaml is changed for them; one runs in `test_whole.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

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
        (["a=2020-13-45"], "wanted PATH=VALUE,VALUE"),
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


REPEATED = """\
students:
  one: {distill: &distill {losses: &losses [&first {loss: logits, weight: 1.0}, *first], fit: &fit {epochs: 5}}}
  two: {distill: *distill, search: {settings: {fit: *fit}}}
  three: {distill: {<<: *distill, losses: *losses, fit: {<<: *fit, patience: 2}}}
"""


@pytest.mark.parametrize(
    "path",
    [
        "students.one.distill.fit.epochs",
        "students.two.distill.fit.epochs",
        "students.two.search.settings.fit.epochs",
        "students.two.distill.losses.1.weight",
        "students.three.distill.fit.epochs",
        "students.three.distill.losses.0.weight",
    ],
)
def test_what_a_file_repeats_is_changed_where_the_path_leads_alone(path: str):
    wanted: Any = json.loads(json.dumps(YAML(typ="safe").load(REPEATED)))  # in which nothing is one thing with another
    place = wanted
    *steps, last = (int(step) if step.isdecimal() else step for step in path.split("."))
    for step in steps:
        place = place[step]
    place[last] = 77
    text = sweep.changed(REPEATED, {path: 77})
    assert json.loads(json.dumps(YAML(typ="safe").load(text))) == wanted
    assert "&" not in text  # an anchor that stands twice, of which DVC warns


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("t.raw=data/a_b.json,data/a-b.json", ["raw-data-a-b-json_1", "raw-data-a-b-json_2"]),
        ("t.raw=../x.lock,1:30", ["raw----x-lock", "raw-1-30"]),
        (f"x={'k' * 300}", [f"x-{'k' * 148}_1"]),
        (f"x={'é' * 300}", [f"x-{'é' * 74}_1"]),
    ],
)
def test_names_of_experiments_are_told_apart_and_git_takes_them(given: str, names: list[str]):
    assert [each.name for each in sweep.combinations([given])] == names


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
