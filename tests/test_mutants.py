"""The list of mutants keeps up with the code, and its runner tells the truth; all of them run in `make mutants`."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.trial import ROOT, copied, tried

ALWAYS = (
    "scored_in_training_mode",
    "task_weight_ignored",
    "fresh_start_ignored",
    "error_not_negated",
    "report_says_higher_is_better",
    "teacher_agrees_with_itself",
    "first_round_counted",
)
"""Mistakes that would make every number of the library worthless: these are tried here too."""


def functions(file: str) -> set[str]:
    """The names of the test functions in a file."""
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_mutant_applies_and_its_tests_are_there():
    for mutant in MUTANTS:
        assert mutant.mutated(ROOT) != (ROOT / mutant.file).read_text(), mutant.name
        ast.parse(mutant.mutated(ROOT))
        for test in mutant.tests:
            file, _, name = test.partition("::")
            assert name in functions(file), f"{mutant.name}: there is no {test}"


@pytest.mark.parametrize("text", ["no such text", "import"])
def test_a_text_that_is_not_there_exactly_once_is_told(text: str):
    with pytest.raises(ValueError, match=rf"wanted '{text}' once in .* - it is there \d+ times"):
        replace(MUTANTS[0], old=text).mutated(ROOT)


def test_the_gravest_are_killed_and_what_is_not_is_told(tmp_path: Path):
    gravest = [mutant for mutant in MUTANTS if mutant.name in ALWAYS]
    harmless = replace(gravest[0], name="harmless", new=gravest[0].old + "    # the same\n")
    gone = replace(gravest[0], name="gone", old="no such text")
    broken = replace(gravest[0], name="broken", new="    model.eval(\n")
    verdicts = {verdict.mutant: verdict.words for verdict in tried([*gravest, harmless, gone, broken], copied(ROOT, tmp_path))}
    assert verdicts == dict.fromkeys(ALWAYS, "killed") | {"harmless": "survived", "gone": "gone", "broken": "not tried"}
