"""Which modules a stage is made of: of a workload's model families those that its blocks can lead to, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stillhouse import registry
from stillhouse.cli import sources
from stillhouse.runner.entries import Entries

FAMILIES = "stillhouse.workloads.pictures.classify.families."


def families(verb: str, name: str, teach: Any, search: Any = None) -> set[str]:
    """Those among the roots of a stage."""
    student = {"teacher": "big", "workload": "classify", "search": {"method": "uniform", **({"model": search} if search else {})}}
    teacher = {"workload": "classify", "teach": {"model": teach}}
    roots = Entries({"teachers": {"big": teacher}, "students": {"small": student}}).roots(verb, name)
    return {root.removeprefix(FAMILIES) for root in roots if ".families." in root}


@pytest.mark.parametrize(("verb", "name"), [("teach", "big"), ("search", "small"), ("distill", "small"), ("evaluate", "small")])
def test_the_family_that_is_named_and_no_other(verb: str, name: str):
    assert families(verb, name, {"family": "resnet"}) == {"resnet"}


def test_data_are_prepared_without_a_model():
    assert families("prepare", "big", {"family": "resnet"}) == set()


def test_a_student_may_be_of_another_family_than_its_teacher():
    assert families("distill", "small", {"family": "resnet"}, {"family": "mobilenet"}) == {"resnet", "mobilenet"}
    assert families("teach", "big", {"family": "resnet"}, {"family": "mobilenet"}) == {"resnet"}


def test_where_none_is_named_it_may_be_any():
    assert families("teach", "big", {}) == {"resnet", "mobilenet", "transformer", "module", "transformers", "ensemble"}
    assert families("teach", "big", None) == {"resnet", "mobilenet", "transformer", "module", "transformers", "ensemble"}


@pytest.mark.parametrize("latency", [{"unit": "latency", "share": 0.5}, [{"unit": "macs", "share": 0.5}, {"unit": "latency", "value": 2}]])
def test_the_runtimes_count_where_a_latency_is_measured_and_nowhere_else(latency: Any):
    def measuring(budget: Any) -> list[str]:
        student = {"teacher": "big", "workload": "classify", "search": {"method": "uniform", "budget": budget}}
        entries = Entries({"teachers": {"big": {"workload": "classify"}}, "students": {"small": student}})
        return [verb for verb in ("search", "distill", "evaluate") if registry.CLOCK in entries.roots(verb, "small")]

    assert measuring(latency) == ["search", "evaluate"]
    assert measuring({"unit": "macs", "share": 0.5}) == measuring(None) == []


@pytest.mark.parametrize("verb", ["teach", "search", "distill", "evaluate"])
def test_code_of_a_factory_counts(verb: str):
    teacher = {"workload": "classify", "teach": {"model": {"family": "module", "factory": "parts.nets:build"}}}
    student = {"teacher": "big", "workload": "classify", "search": {"method": "uniform"}}
    entries = Entries({"teachers": {"big": teacher}, "students": {"small": student}})
    assert "parts.nets" in entries.roots(verb, "big" if verb == "teach" else "small")


def test_files_that_a_block_names_are_those_below_the_raw_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/raw/vit/deep").mkdir(parents=True)
    for name in ("data/raw/vit/config.json", "data/raw/vit/model.safetensors", "data/raw/w.pt", "data/secret.json"):
        (tmp_path / name).touch()
    named = ["data/raw/../secret.json", "data/raw/gone", "data/raw/w.pt", "a\0b", "", "resnet", 3, None]
    teach = {"given": {"path": "data/raw/vit"}, "model": {"path": "./data/raw/vit"}, "others": named}
    entries = Entries({"teachers": {"big": {"raw": "data/raw/pictures.zip", "teach": teach}}})
    found = [path.as_posix() for path in dict.fromkeys(entries.files("teach", "big"))]
    assert found == ["data/raw/vit/config.json", "data/raw/vit/model.safetensors", "data/raw/w.pt"]
    assert list(entries.files("compare", None)) == []


def ensemble(*members: Any) -> Entries:
    """A teacher made of these, beside one that is trained."""
    model = {"family": "ensemble", "members": list(members)}
    return Entries({"teachers": {"one": {"teach": {"model": {}}}, "both": {"teach": {"model": model}}}})


def test_trained_networks_that_a_teacher_is_made_of_are_known_with_the_stages_that_make_them():
    members = [
        {"path": "data/one/teacher", "sha256": "a"},
        {"path": "./data/small/student"},
        {"path": "data/raw/given"},
        "data/x/teacher",
        3,
    ]
    assert list(ensemble(*members).members("both")) == [
        ("teach@one", "data/one/teacher", "a"),
        ("distill@small", "data/small/student", "None"),
    ]
    assert list(ensemble().members("one")) == list(ensemble().members("nobody")) == []


def test_a_network_that_was_trained_again_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    entries = ensemble({"path": "data/one/teacher", "sha256": "a" * 64})
    assert list(sources.retrained(entries)) == []
    Path("data/one/teacher").mkdir(parents=True)
    for now in "ab":
        Path("data/one/teacher/SHA256SUMS").write_text(f"{now * 64}  model.safetensors\n")
        told = list(sources.retrained(entries))
        assert (told == []) == (now == "a")
    assert f"{{path: data/one/teacher, sha256: {'b' * 64}}} takes it up, and until then both" in told[0]
