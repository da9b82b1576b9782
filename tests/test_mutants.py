"""The list of mutants keeps up with the code, and its runner tells the truth; all of them run in `make mutants`."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import main, report
from tests.mutants.catalogue import MUTANTS
from tests.mutants.trial import ROOT, Verdict, copied, tried

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
            assert name in functions(file) or not name, f"{mutant.name}: there is no {test}"


@pytest.mark.parametrize("text", ["no such text", "import"])
def test_a_text_that_is_not_there_exactly_once_is_told(text: str):
    with pytest.raises(ValueError, match=rf"wanted '{text}' once in .* - it is there \d+ times"):
        replace(MUTANTS[0], old=text).mutated(ROOT)


@pytest.mark.parametrize(
    ("words", "status"),
    [(["killed"] * 2, 0), (["killed", "survived"], 1), (["killed", "gone"], 1), (["the tests are red without a mistake"], 1)],
)
def test_anything_but_killed_fails(words: list[str], status: int):
    assert report([Verdict("one", word) for word in words], 2) == status


def test_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["no_such_mutant"])
    assert "unknown mutant no_such_mutant; there are scored_in_training_mode, " in capsys.readouterr().err


@pytest.mark.timeout(900)  # nine processes, each of which loads PyTorch
def test_the_gravest_are_killed_and_what_is_not_is_told(tmp_path: Path):
    gravest = [mutant for mutant in MUTANTS if mutant.name in ALWAYS]
    harmless = replace(gravest[0], name="harmless", new=gravest[0].old.replace("()", "()  # the same"))
    gone = replace(gravest[0], name="gone", old="no such text")
    verdicts = {verdict.mutant: verdict.words for verdict in tried([*gravest, harmless, gone], copied(ROOT, tmp_path))}
    assert verdicts == dict.fromkeys(ALWAYS, "killed") | {"harmless": "survived", "gone": "gone"}
