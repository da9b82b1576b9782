"""params.yaml is checked as a whole, and every mistake is one line with its place."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.runner import params
from stillhouse.runtimes.clock import clock
from tests.projects import PARAMS, TINY
from tests.tiny.parts.workloads.toy import WORKLOAD


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(TINY)


def tree() -> Any:
    values = YAML(typ="safe").load(PARAMS)
    del values["teachers"]["slow"]
    return values


def put(values: Any, path: str, value: Any) -> Any:
    """Sets, or with ... deletes, what a dotted path names."""
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    inner = values
    for step in steps:
        inner = inner[step]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return values


def mistakes(values: Any, folder: Path, verb: str = "", name: str | None = None) -> list[str]:
    path = folder / "params.yaml"
    YAML().dump(values, path)
    with pytest.raises(UserError) as caught:
        params.read(path, verb, name) if verb else params.check(path)
    return str(caught.value).splitlines()


def test_a_latency_comes_with_what_measures_it(tmp_path: Path) -> None:
    student = next(iter(tree()["students"]))
    values = put(tree(), f"students.{student}.search.budget", {"unit": "latency", "share": 0.5, "runtime": "pt2"})
    assert [block(values, tmp_path, verb, student).parts.get("clock") for verb in ("search", "distill", "evaluate")] == [clock, None, clock]
    assert "clock" not in block(tree(), tmp_path, "search", student).parts
    wrong = put(values, f"students.{student}.search.budget.runtime", "openvino")
    assert "runtime - should be 'torch', 'torch-compile', 'onnx', 'onnx-int8' or 'pt2'" in mistakes(wrong, tmp_path)[0]


def block(values: Any, folder: Path, verb: str, name: str | None) -> params.Block:
    YAML().dump(values, folder / "params.yaml")
    return params.read(folder / "params.yaml", verb, name)


def test_a_teachers_block_carries_the_settings_of_its_parts(tmp_path: Path):
    found = block(tree(), tmp_path, "teach", "rings")
    assert found.settings.model == registry.workload("toy").model_settings(width=12, depth=2)
    assert found.settings.data == registry.workload("toy").data_settings(batch_size=60)
    assert (found.settings.fit.epochs, found.seed, found.teacher, found.raw) == (3, 1, "rings", Path("data/raw/toy.json"))
    assert found.facts["fit"]["weight_decay"] == 0.0, "a default is part of the facts"


def test_prepare_has_the_settings_of_the_workload_alone(tmp_path: Path):
    assert block(tree(), tmp_path, "prepare", "rings").settings == registry.workload("toy").prepare_settings(noise=0.1)


def test_a_students_blocks_carry_method_and_losses(tmp_path: Path):
    search = block(tree(), tmp_path, "search", "half")
    assert search.parts["method"] is registry.search("uniform")
    assert isinstance(search.settings.settings, registry.search("uniform").settings)
    distill = block(tree(), tmp_path, "distill", "half")
    assert distill.parts["losses"] == [registry.loss("logits")]
    assert isinstance(distill.settings.losses[0].settings, registry.loss("logits").settings)
    assert (distill.teacher, distill.raw) == ("rings", None)


def test_a_search_may_be_taught_and_says_nothing_of_it_where_it_is_not(tmp_path: Path):
    plain = block(tree(), tmp_path, "search", "half")
    assert "losses" not in plain.parts
    assert not {"losses", "task_weight", "warmup_epochs"} & plain.facts.keys(), "results of before keep their fingerprint"
    values = put(tree(), "students.half.search.settings", {"fit": {"epochs": 1, "learning_rate": 0.1}})
    values = put(values, "students.half.search.losses", [{"loss": "logits", "weight": 2.0}])
    taught = block(values, tmp_path, "search", "half")
    assert taught.parts["losses"] == [registry.loss("logits")]
    assert taught.settings.losses[0].settings == registry.loss("logits").settings()
    assert taught.facts["losses"][0]["weight"] == 2.0


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("losses", [{"loss": "logits"}], "search - losses should be left out where nothing is trained: uniform has no settings.fit"),
        ("task_weight", 0.5, "search - task_weight and warmup_epochs should be left out where there are no losses"),
        ("losses", [{"loss": "none"}], "search.losses[0].loss - unknown loss 'none'"),
        ("losses", [{"loss": "logits", "settings": {"heat": 1}}], "search.losses[0].settings.heat - is no setting; there are temperature"),
    ],
)
def test_a_mistake_in_what_a_search_is_taught_is_one_sentence(tmp_path: Path, path: str, value: Any, line: str):
    assert any(line in found for found in mistakes(put(tree(), f"students.half.search.{path}", value), tmp_path, "search", "half"))


def test_the_usual_evaluations_run_whether_or_not_they_are_named(tmp_path: Path):
    found = block(put(tree(), "students.half.evaluate", None), tmp_path, "evaluate", "half")
    names = [item.evaluation for item in found.settings.evaluations]
    assert names == ["quality", "cost", "latency", "agreement"]
    assert found.parts["evaluations"] == [registry.evaluation(name) for name in names]
    assert found.facts["evaluations"][2]["settings"] == {"rounds": 20, "spread": 0.05, "seconds": 5.0}


def test_an_evaluation_that_is_named_has_its_own_settings_and_its_place(tmp_path: Path):
    chosen = [{"evaluation": "latency", "settings": {"rounds": 3}}]
    found = block(put(tree(), "students.half.evaluate", {"evaluations": chosen}), tmp_path, "evaluate", "half")
    assert [item.evaluation for item in found.settings.evaluations] == ["latency", "quality", "cost", "agreement"]
    assert found.settings.evaluations[0].settings.rounds == 3


def test_the_old_key_for_latency_is_that_many_rounds(tmp_path: Path):
    old, new = ({"latency_repetitions": 7}, {"evaluations": [{"evaluation": "latency", "settings": {"rounds": 7, "seconds": 0}}]})
    first, second = (block(put(tree(), "students.half.evaluate", value), tmp_path, "evaluate", "half").settings for value in (old, new))
    assert first == second


def test_the_comparison_knows_whose_student_each_is(tmp_path: Path):
    assert block(tree(), tmp_path, "compare", None).settings == {"half": "rings"}


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path):
    (tmp_path / "params.yaml").write_text(PARAMS.replace("learning_rate: 0.02", "learning_rate: 2e-2"))
    assert params.read(tmp_path / "params.yaml", "teach", "rings").settings.fit.learning_rate == 0.02


def test_the_sentence_names_the_place_what_was_wanted_and_what_was_got(tmp_path: Path):
    lines = mistakes(put(tree(), "teachers.rings.teach.fit.epochs", 0), tmp_path, "teach", "rings")
    assert lines == ["params.yaml: teachers.rings.teach.fit.epochs - should be greater than 0 - got 0"]


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("seed", ..., "seed - is required"),
        ("seed", "one", r"seed - should be a valid integer, .* - got 'one'"),
        (
            "teachers.rings.teach.fit.epoch",
            3,
            "teachers.rings.teach.fit.epoch - is no setting; there are accumulate, checkpointing, clip_norm, .*epochs.*",
        ),
        ("teachers.rings.teach.fit", ..., "teachers.rings.teach.fit - is required"),
        ("teachers.rings.teach.model.width", "wide", "teachers.rings.teach.model.width - should be a valid integer.* - got 'wide'"),
        ("teachers.rings.teach.data.batch", 6, "teachers.rings.teach.data.batch - is no setting; there are batch_size"),
        ("teachers.rings.prepare.noise", -1, "teachers.rings.prepare.noise - should be greater than or equal to 0 - got -1"),
        ("teachers.rings.workload", "tyo", "teachers.rings.workload - unknown workload 'tyo'; there are .*toy.*"),
        ("teachers.rings.train", {}, "teachers.rings.train - is no setting; there are prepare, raw, teach, workload"),
        ("teachers.rings", 3, "teachers.rings - should be a mapping of names to values - got 3"),
        ("teachers.rings.raw", "", "teachers.rings.raw - .*should have at least 1 character.* - got ''"),
        ("teachers.r_1", {}, r"teachers.r_1 - a name should be made of letters, digits and hyphens - got 'r_1'"),
        ("teachers.-r", {}, "teachers.-r - a name should have at most 100 characters, the first of them no hyphen - got '-r'"),
        ("teachers." + "r" * 101, {}, "teachers.r+ - a name should have at most 100 characters, the first of them no hyphen - got 'r+'"),
        ("students.raw", {}, "students.raw - a name should be none of raw, reports, comparison, which are folders in data - got 'raw'"),
        ("students.rings", {}, "students.rings - a student should have another name than all teachers - got 'rings'"),
        ("students.half.teacher", "ring", "students.half.teacher - should be one of rings - got 'ring'"),
        ("students.half.search.method", "unifrom", "students.half.search.method - unknown search method 'unifrom'; there are .*uniform.*"),
        ("students.half.search.method", ..., "students.half.search.method - is required"),
        ("students.half.search.settings", {"a": 1}, "students.half.search.settings.a - is no setting; there are .*"),
        (
            "students.half.search.budget.unit",
            "macks",
            "students.half.search.budget.unit - should be 'macs', 'parameters', .* or .* - got 'macks'",
        ),
        ("students.half.distill.losses.0.loss", "x", r"students.half.distill.losses\[0\].loss - unknown loss 'x'; there are .*logits.*"),
        ("students.half.distill.losses.0.weight", 0, r"students.half.distill.losses\[0\].weight - should be greater than 0 - got 0"),
        ("students.half.distill.losses.0.settings", {"b": 2}, r"students.half.distill.losses\[0\].settings.b - is no setting; .*"),
        ("students.half.distill.losses", "logits", "students.half.distill.losses - should be a list - got 'logits'"),
        ("students.half.evaluate", None, None),
        ("students.half.evaluate.evaluations", "latency", "students.half.evaluate.evaluations - should be a list - got 'latency'"),
        (
            "students.half.evaluate.evaluations.0.evaluation",
            "time",
            r"students.half.evaluate.evaluations\[0\].evaluation - unknown evaluation 'time'; "
            "there are agreement, cascade, cost, full_ranking, generation, latency, quality, runtimes, stress",
        ),
        (
            "students.half.evaluate.evaluations.0.settings.rounds",
            0,
            r"students.half.evaluate.evaluations\[0\].settings.rounds - should be greater than 0 - got 0",
        ),
        (
            "students.half.evaluate.evaluations",
            [{"evaluation": "cost"}, {"evaluation": "cost"}],
            "students.half.evaluate - should name an evaluation once; cost stands twice - got .*",
        ),
    ],
)
def test_every_mistake_is_one_line(path: str, value: Any, line: str | None, tmp_path: Path):
    values = put(tree(), path, value)
    if line is None:
        YAML().dump(values, tmp_path / "params.yaml")
        params.check(tmp_path / "params.yaml")  # an empty block has the defaults
        return
    found = mistakes(values, tmp_path)
    assert any(re.fullmatch(f"params.yaml: {line}", each) for each in found), found


def test_a_student_has_the_workload_of_its_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "parts/workloads").mkdir(parents=True)
    (tmp_path / "parts/workloads/other.py").write_text("from tests.tiny.parts.workloads.toy import WORKLOAD")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "parts"]:
        monkeypatch.delitem(sys.modules, name)
    line = "params.yaml: students.half.workload - should be 'toy', the workload of its teacher 'rings' - got 'other'"
    assert mistakes(put(tree(), "students.half.workload", "other"), tmp_path, "search", "half") == [line]


def test_all_mistakes_of_a_block_are_told_at_once(tmp_path: Path):
    values = put(put(put(tree(), "teachers.rings.teach.fit.epochs", 0), "teachers.rings.teach.model.width", 0), "teachers.rings.teach.x", 1)
    lines = mistakes(values, tmp_path, "teach", "rings")
    assert sorted(line.split(" ")[1] for line in lines) == [f"teachers.rings.teach.{name}" for name in ("fit.epochs", "model.width", "x")]


def test_a_stage_is_not_stopped_by_a_mistake_in_a_later_block(tmp_path: Path):
    values = put(tree(), "students.half.distill.fit.epochs", 0)
    assert block(values, tmp_path, "teach", "rings").settings.fit.epochs == 3
    assert len(mistakes(values, tmp_path)) == 1, "but the check of the file tells it"


def test_an_unknown_teacher_is_told_with_those_that_exist(tmp_path: Path):
    assert mistakes(tree(), tmp_path, "teach", "ring") == ["params.yaml: teachers has no 'ring'; there are rings"]


def test_a_missing_or_broken_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(UserError, match=r"there is no params.yaml in /"):
        params.check(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: 1\nseed: 2\n")
    with pytest.raises(UserError, match=r"^params.yaml: is not valid YAML - .*duplicate key.*line 2.*$") as told:
        params.check(tmp_path / "params.yaml")
    assert not [word for word in ("unicode", "suppress", "https") if word in str(told.value)]


def test_a_file_in_another_encoding_is_told_by_its_line(tmp_path: Path):
    (tmp_path / "params.yaml").write_bytes("seed: 0\n# grün\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"^params.yaml - wanted UTF-8 - got 0xfc in line 2: save it as UTF-8$"):
        params.check(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: 0\n", encoding="utf-16")
    with pytest.raises(UserError, match=r"^params.yaml - wanted UTF-8 - got 0xff in line 1"):
        params.check(tmp_path / "params.yaml")


class Gated(Settings):
    kind: Literal["gated"] = "gated"
    gates: int = Field(2, gt=0)


class Plain(Settings):
    kind: Literal["plain"] = "plain"
    width: int = Field(4, gt=0)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ({"kind": "gated", "gates": 0}, "teachers.rings.teach.model.gates - should be greater than 0 - got 0"),
        ({"kind": "gated", "width": 3}, "teachers.rings.teach.model.width - is no setting; there are gates, kind"),
        ({"kind": "bent"}, r"teachers.rings.teach.model - tag 'bent' found using 'kind' does not match .*'gated', 'plain'.*"),
    ],
)
def test_a_family_of_models_is_no_part_of_the_place(model: Any, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    union = Annotated[Gated | Plain, Field(discriminator="kind")]
    monkeypatch.setattr(registry, "workload", lambda name: replace(WORKLOAD, model_settings=union))
    found = mistakes(put(tree(), "teachers.rings.teach.model", model), tmp_path, "teach", "rings")
    assert len(found) == 1
    assert re.fullmatch(f"params.yaml: {line}", found[0]), found


LEAVES = ["seed", "teachers.rings.raw", "teachers.rings.prepare.noise", "teachers.rings.teach.model.width"]
LEAVES += ["students.half.teacher", "students.half.search.budget.share", "students.half.distill.fit", "students.half.evaluate"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(LEAVES), value=st.sampled_from([[], [1], {"x": 1}, "word", -5, True, 1e9, 2.5]))
def test_whatever_stands_at_a_leaf_is_either_valid_or_told_at_its_place(path: str, value: Any, tmp_path: Path):
    YAML().dump(put(tree(), path, value), tmp_path / "params.yaml")
    assert all(line.startswith(f"params.yaml: {path}") for line in told(tmp_path / "params.yaml"))


def told(path: Path) -> list[str]:
    try:
        params.check(path)
    except UserError as error:
        return str(error).splitlines()
    return []


def test_a_mistake_in_a_block_is_told_alone(tmp_path: Path):
    """What else would follow from it is no second mistake: whether a network wants a fit, or a search has one."""
    values = put(tree(), "students.half.search.losses", [{"loss": "logits"}])
    values = put(values, "students.half.search.settings", {"speed": 1})
    teacher = next(iter(values["teachers"]))
    values = put(values, f"teachers.{teacher}.teach", {"model": {"size": 1}, "data": {}})
    told = mistakes(values, tmp_path)
    assert [line.partition(" - ")[2].partition(";")[0] for line in told] == ["is no setting", "is no setting"]


def test_settings_that_json_cannot_hold_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Strange(Settings):
        batch_size: int = 1
        kind: object = object()

    monkeypatch.setattr(registry, "workload", lambda name: replace(WORKLOAD, data_settings=Strange))
    [told] = mistakes(tree(), tmp_path, "teach", "rings")
    assert told.startswith("params.yaml: teachers.rings.teach - should have settings that JSON can hold: Unable to serialize unknown type")
