"""The benchmark of few answers on graphs: what its students see, and that they train for about as many steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import few_graphs
from benchmarks._few import Method

RATES = dict.fromkeys(("0.01", "0.1", "1.0"), 1e-2)
TRAINED = {"umls": 2 * 5216, "us-income": 49}
"""Training examples, of which every triple is two."""


def methods(title: str, seed: int = 2) -> dict[str, Method]:
    workload = few_graphs.KNOWLEDGE if title == "umls" else few_graphs.TEMPORAL
    source = few_graphs.Source(title, Path(), workload)
    return dict(few_graphs._methods(source, seed, RATES, dict.fromkeys(source.block["losses"], 1.0)))


@pytest.mark.parametrize("title", TRAINED)
def test_students_with_and_without_a_teacher_take_about_as_many_steps(title: str) -> None:
    block = few_graphs.settings["sets"][title]
    for share, passes in block["shares"].items():
        size = (block["data"] | block["few"] if float(share) < 1 else block["data"])["batch_size"]
        known = max(1, round(float(share) * TRAINED[title]))
        rest = TRAINED[title] - known
        alone = passes["labels"] * -(-known // size)
        taught = passes["all"] * -(-rest // block["beside"]) if rest else alone
        assert 0.75 < taught / alone < 1.3, share
        assert passes["longer"] > passes["labels"]


@pytest.mark.parametrize("title", TRAINED)
def test_only_who_has_a_teacher_sees_examples_without_an_answer(title: str) -> None:
    for name, method in methods(title).items():
        kind, _, share = name.partition("@")
        if method.block:
            data, losses = method.block["distill"]["data"], method.block["distill"]["losses"]
            assert bool(losses) == (kind not in ("alone", "longer")), name
            assert (data.get("unlabelled", 0) > 0) == (bool(losses) and share != "1.0"), name
            assert data["train_limit"] == float(share)


@pytest.mark.parametrize("title", TRAINED)
def test_each_seed_draws_its_own_answers_and_a_poor_teacher_has_those_of_its_student(title: str) -> None:
    for seed in (2, 3):
        same = methods(title, seed)["same@0.01"]
        student = same.block["distill"]["data"]
        assert student["labels_seed"] == seed
        assert {key: same.entry.teach["data"][key] for key in ("train_limit", "labels_seed")} == {"train_limit": 0.01, "labels_seed": seed}
    assert "train_limit" not in methods(title)["alone@0.01"].entry.teach["data"]
