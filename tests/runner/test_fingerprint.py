"""The fingerprint: what can change a result is in it, and nothing else. What it does to whole stages: `test_kept.py`."""

from __future__ import annotations

import pytest

from stillhouse.runner import fingerprint
from stillhouse.runner.entries import Entries

TEACHER = {"workload": "classify", "raw": "data/raw/digits", "teach": {"model": {"family": "resnet"}}}
STUDENT = {"teacher": "big", "workload": "classify", "search": {"method": "uniform"}}
INPUTS = {"data/big/prepared": "a" * 32, "data/big/teacher": "b" * 32, "data/small/student": "c" * 32, "stillhouse/registry.py": "d" * 32}
SETTINGS = {"evaluations": [{"evaluation": "cost", "settings": {}}], "data": {"batch_size": 8}}


def key(inputs=INPUTS, settings=SETTINGS, name: str = "small", **values) -> str:
    entries = Entries({"seed": 1, "threads": 2, "teachers": {"big": TEACHER}, "students": {name: STUDENT}} | values)
    return fingerprint.take("evaluate", name, inputs, settings, entries).key


@pytest.mark.parametrize(
    "change",
    [
        {"settings": SETTINGS | {"data": {"batch_size": 9}}},
        {"inputs": INPUTS | {"data/big/teacher": "e" * 32}},
        {"seed": 2},
        {"threads": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_can_change_the_result_changes_the_fingerprint(change):
    assert key(**change) != key()


def test_the_code_of_an_evaluation_that_is_named_counts():
    entries = Entries({"teachers": {"big": TEACHER}, "students": {"small": STUDENT}})
    code = fingerprint.take("evaluate", "small", INPUTS, SETTINGS, entries).facts["code"]
    assert "stillhouse.evaluations.cost" in code
    assert "stillhouse.evaluations.agreement" not in code


def test_the_code_of_a_loss_counts_where_the_search_names_it():
    def code(search):
        entries = Entries({"teachers": {"big": TEACHER}, "students": {"small": STUDENT | {"search": search}}})
        return fingerprint.take("search", "small", INPUTS, SETTINGS, entries).facts["code"].keys()

    plain, taught = code({"method": "uniform"}), code({"method": "uniform", "losses": [{"loss": "logits"}]})
    assert not any(module.startswith("stillhouse.losses.") for module in plain)
    assert "stillhouse.losses.logits" in taught - plain


def test_names_are_not_in_the_fingerprint():
    renamed = {path.replace("small", "tiny"): md5 for path, md5 in INPUTS.items()}
    assert key(renamed, name="tiny") == key()


def test_the_bytes_of_code_are_not_in_the_fingerprint():
    assert key(INPUTS | {"stillhouse/registry.py": "f" * 32}) == key()


def test_the_environment_counts_where_it_is_asked_for(monkeypatch):
    before = {wish: key(environment=wish) for wish in (None, "due")}
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda")
    assert key() == before[None]
    assert key(environment="due") != before["due"]


def test_files_that_own_parts_may_read_are_in_the_fingerprint(tmp_path, monkeypatch):
    (tmp_path / "parts/losses").mkdir(parents=True)
    (tmp_path / "parts/losses/mine.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    student = STUDENT | {"distill": {"losses": [{"loss": "mine"}]}}
    entries = Entries({"teachers": {"big": TEACHER}, "students": {"small": student}})

    def keys():
        return [fingerprint.take(verb, "small", INPUTS, SETTINGS, entries).key for verb in ("search", "distill")]

    before = keys()
    (tmp_path / "parts/weights.json").write_text("1.0")
    first = keys()
    (tmp_path / "parts/weights.json").write_text("2.0")
    assert [one == other for one, other in zip(first, keys(), strict=True)] == [True, False]
    assert before[0] == first[0], "the search reaches no code of the project"
    assert before[1] != first[1]
