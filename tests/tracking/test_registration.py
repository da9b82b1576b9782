"""The registry, on a real database: what is registered, who becomes the champion, and what is said of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.record import hashes
from stillhouse.record.run_record import Item, RunRecord
from stillhouse.serving.fetch import fetch
from stillhouse.serving.predict import main as predict
from stillhouse.tracking import outbox, registration
from stillhouse.training import checkpoint, table
from tests.projects import tell
from tests.tracking.test_tracking import PREPARED, TEACHER, record, waiting

FOUND = Item("data/half/found", "3" * 32 + ".dir", model=True)
OTHER_DATA = Item(PREPARED.path, "9" * 32 + ".dir", model=False)
Make = Callable[..., RunRecord]


@pytest.fixture
def distilled(project: Path) -> Make:
    """Leaves an untrained student in its place, another one for every seed; the record of its `distill`."""

    def make(seed: int = 0) -> RunRecord:
        workload = registry.workload("toy")
        folder = project / "data/half/student"
        shutil.rmtree(folder, ignore_errors=True)
        torch.manual_seed(seed)
        settings, sizes = workload.model_settings(), {"inputs": 2, "classes": 3}
        described = {"model": settings.model_dump(mode="json"), "sizes": sizes, "architecture": None}
        checkpoint.write_model(folder, workload.model(settings, sizes, None).state_dict(), described)
        table.keep(workload, project, folder)
        tags = {"dvc.stage": "distill@half", "dvc.fingerprint": "f" * 64, "dvc.rev": "abc"}
        return record("distill@half", inputs=[PREPARED, TEACHER, FOUND], output=_item("distill@half", "data/half/student"), tags=tags)

    return make


@pytest.fixture
def evaluated(project: Path) -> Make:
    """Leaves a report; the record of its `evaluate`."""

    def make(quality: float, share: float = 0.5, prepared: Item = PREPARED, **changes: Any) -> RunRecord:
        rows = {"teacher": {"accuracy": 0.8, "macs": 100.0}, "student": {"accuracy": quality, "macs": 100.0 * share}}
        search = {"method": "uniform", "unit": "macs", "share": 0.5}
        folder = project / "data/reports/half"
        write_json(folder / "report.json", {**rows, "metric": "accuracy", "higher_is_better": True, "search": search})
        inputs = [prepared, TEACHER, _item("distill@half", "data/half/student")]
        return record("evaluate@half", inputs=inputs, output=_item("evaluate@half", "data/reports/half"), **changes)

    return make


def _item(stage: str, path: str) -> Item:
    return Item.at(path, hashes.outputs(stage, Path())[path])


def versions() -> dict[str, Any]:
    from mlflow import MlflowClient

    return {str(version.version): version for version in MlflowClient().search_model_versions("name = 'half'")}


def champion() -> str | None:
    from mlflow import MlflowClient

    version = MlflowClient().get_registered_model("half").aliases.get("champion")
    return None if version is None else str(version)


def test_a_distilled_student_is_a_version_with_the_hashes_of_all_that_it_is_made_of(project: Path, distilled: Make, runs: Any, capsys):
    import mlflow

    mine = distilled()
    tell(project, mine)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("registered: half version 1\n", "")
    [version] = versions().values()
    run = runs()[-1]
    assert version.run_id == run.info.run_id
    assert {name: value for name, value in version.tags.items() if name != "hash.settings"} == {
        "hash.student": mine.output.md5,
        "hash.data": PREPARED.md5,
        "hash.teacher": TEACHER.md5,
        "hash.architecture": FOUND.md5,
        "dvc.fingerprint": "f" * 64,
        "dvc.rev": "abc",
        "bytes": "stored",
        "registered.by": run.info.run_id,
    }
    model = mlflow.MlflowClient().get_logged_model(run.outputs.model_outputs[0].model_id)
    assert version.source == f"models:/{model.model_id}", "the LoggedModel of the lineage, and no second one"
    assert "mlflow.model.isExternal" not in model.tags
    loaded = mlflow.pyfunc.load_model("models:/half/1")
    assert loaded.metadata.model_id == model.model_id
    assert list(loaded.predict(loaded.input_example).columns) == ["ring", "probabilities"]


def test_the_settings_have_a_hash_that_changes_with_them(project: Path, distilled: Make):
    first, second = distilled(0), distilled(1)
    hashes = {registration._hashes(mine, mine.output)["hash.settings"] for mine in (first, second)}
    assert len(hashes) == 1
    other = record("distill@half", params={"fit.epochs": "3"}, output=second.output)
    assert registration._hashes(other, other.output)["hash.settings"] not in hashes


def test_a_registered_student_answers_by_its_name_and_alias(project: Path, distilled: Make, evaluated: Make, tmp_path: Path):
    tell(project, distilled())
    tell(project, evaluated(0.8))
    (project / "rows.csv").write_text("x,y\n0,1\n2,0\n")
    assert predict(["half", "rows.csv", "here.parquet"]) == 0
    shutil.rmtree(project / "data")
    for address in ("models:/half/1", "models:/half@champion"):
        assert predict([address, "rows.csv", "there.parquet"]) == 0
        assert (project / "there.parquet").read_bytes() == (project / "here.parquet").read_bytes()


def test_a_model_that_is_not_registered_is_told_in_one_sentence(project: Path, capsys):
    assert predict(["models:/nobody/7", "params.yaml", "o.parquet"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("models:/nobody/7 - wanted a registered model (models:/NAME/VERSION or models:/NAME@ALIAS) - ")
    assert len(said.splitlines()) == 1


def test_the_same_bytes_are_one_version_and_a_record_told_again_changes_nothing(project: Path, distilled: Make):
    mine = distilled()
    tell(project, mine)
    tell(project, mine)
    assert waiting(project) == []
    tell(project, distilled())
    tell(project, distilled(1))
    assert sorted(versions()) == ["1", "2"]


def test_a_student_whose_bytes_are_gone_is_registered_without_them_and_never_champion(project: Path, distilled: Make, capsys):
    late = distilled(0)
    distilled(1)
    tell(project, late)
    reason = f"data/half/student no longer holds the bytes {late.output.md5}, which were made by another run than the last"
    assert f"registered: half version 1, without its bytes: {reason}\n" == capsys.readouterr().out
    assert versions()["1"].tags["bytes"] == reason
    with pytest.raises(UserError, match=r"models:/half/1 - wanted a model with its bytes - it was registered without"):
        fetch(project, "models:/half/1", project / "place")


def test_a_student_is_stored_from_the_folder_in_which_its_stage_worked(project: Path, distilled: Make):
    mine = distilled(0)
    elsewhere = shutil.copytree(project, project.parent / "elsewhere", symlinks=True)
    shutil.rmtree(project / "data/half")
    tell(project, replace(mine, folder=elsewhere))
    assert versions()["1"].tags["bytes"] == "stored"


def test_bytes_that_come_back_are_stored_then(project: Path, distilled: Make):
    late = distilled(0)
    distilled(1)
    tell(project, late)
    tell(project, distilled(0))
    assert {number: version.tags["bytes"] for number, version in versions().items()} == {"1": "stored"}


def test_a_workload_without_tables_is_registered_without_bytes_and_says_why(project: Path, distilled: Make, evaluated: Make, capsys):
    distilled()
    shutil.rmtree(project / "data/half/student/context")
    output = _item("distill@half", "data/half/student")
    tell(project, record("distill@half", output=output))
    why = "wanted a model that can be asked by a table - its workload reads no tables, or did not yet when it was trained"
    assert why in versions()["1"].tags["bytes"]
    tell(project, evaluated(0.8))
    assert champion() is None
    assert versions()["1"].tags["gate.reason"].startswith("its bytes are not in the registry: ")


def test_the_champion_changes_only_with_a_better_one_and_the_reason_is_kept(project: Path, distilled: Make, evaluated: Make, capsys):
    steps = [(0.78, 0.5, "1"), (0.5, 0.5, "1"), (0.9, 0.6, "1"), (0.78, 0.5, "1"), (0.8, 0.5, "5")]
    for seed, (quality, share, wanted) in enumerate(steps):
        tell(project, distilled(seed))
        tell(project, evaluated(quality, share))
        assert champion() == wanted
    tags = {number: version.tags for number, version in versions().items()}
    assert [tags[str(number)]["gate"] for number in range(1, 6)] == ["passed", "not passed", "not passed", "not passed", "passed"]
    assert tags["2"]["gate.reason"].startswith("it keeps 62.5% of its teacher's accuracy (0.5 to 0.8) and 95.0% are wanted; version 1")
    assert tags["3"]["gate.reason"] == "it costs 60.0% of its teacher's macs, above its budget of 50.0%"
    assert tags["4"]["gate.reason"] == "version 1, the present champion, has 0.78 on the same test data, no worse"
    assert tags["5"]["gate.reason"].endswith("version 1, the present champion, has 0.78 on the same test data, less good")
    assert {name: tags["5"][name] for name in ("test.data", "test.metric", "test.quality", "gate.before")} == {
        "test.data": PREPARED.md5,
        "test.metric": "accuracy",
        "test.quality": "0.8",
        "gate.before": "1",
    }
    printed = capsys.readouterr().out
    assert f"champion: half version 3 does not pass the gate: {tags['3']['gate.reason']}\n" in printed
    assert f"champion: half version 5 passes the gate: {tags['5']['gate.reason']}\n" in printed


def test_the_gate_is_set_in_params_yaml(project: Path, distilled: Make, evaluated: Make):
    with (project / "params.yaml").open("a") as file:
        file.write("gate: {kept: 0.5, other_data: replace}\n")
    tell(project, distilled(0))
    tell(project, evaluated(0.41))
    tell(project, distilled(1))
    tell(project, evaluated(0.40, prepared=OTHER_DATA))
    assert champion() == "2"


def test_other_test_data_do_not_move_the_champion_until_it_is_measured_on_them(project: Path, distilled: Make, evaluated: Make):
    tell(project, distilled(0))
    tell(project, evaluated(0.78))
    tell(project, distilled(1))
    tell(project, evaluated(0.8, prepared=OTHER_DATA))
    assert champion() == "1"
    assert "was not measured on these test data" in versions()["2"].tags["gate.reason"]
    distilled(0)
    tell(project, evaluated(0.77, prepared=OTHER_DATA))
    assert versions()["1"].tags["gate.reason"] == "it is the champion already"
    distilled(1)
    tell(project, evaluated(0.8, prepared=OTHER_DATA))
    assert champion() == "2"


def test_an_evaluation_told_late_does_not_judge_by_another_report(project: Path, distilled: Make, evaluated: Make):
    tell(project, distilled())
    late = evaluated(0.5)
    evaluated(0.8)
    tell(project, late)
    assert champion() is None
    assert versions()["1"].tags["gate.reason"] == "its report is no longer in place (evaluate@half has run again)"


def test_a_student_from_before_the_registry_is_registered_by_its_evaluation(project: Path, distilled: Make, evaluated: Make, runs: Any):
    distilled()
    tell(project, evaluated(0.8))
    assert champion() == "1"
    tags = versions()["1"].tags
    assert (tags["bytes"], tags["hash.data"], "hash.settings" in tags) == ("stored", PREPARED.md5, False)
    assert tags["registered.by"] == runs()[-1].info.run_id


def test_what_fails_on_the_way_is_made_up_for_later(project: Path, distilled: Make, evaluated: Make, monkeypatch: pytest.MonkeyPatch):
    from mlflow import MlflowClient

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("gone")

    steps: dict[str, Callable[[], RunRecord]] = {
        "delete_logged_model_tag": lambda: distilled(0),
        "create_model_version": lambda: distilled(1),
        "set_registered_model_alias": lambda: evaluated(0.8),
    }
    for name, make in steps.items():
        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, name, fail)
            tell(project, make())
        assert len(waiting(project)) == 1
        assert outbox.sync(project)
    assert champion() == "2"
    assert [(version.tags["bytes"], version.tags.get("gate")) for version in versions().values()] == [
        ("stored", "passed"),
        ("stored", None),
    ]


def test_an_old_report_crowns_nobody_and_does_not_hold_up_the_outbox(project: Path, distilled: Make, evaluated: Make):
    tell(project, distilled())
    evaluated(0.8)
    report = project / "data/reports/half/report.json"
    write_json(report, {**json.loads(report.read_text()), "search": {"method": "uniform"}})
    inputs = [PREPARED, TEACHER, _item("distill@half", "data/half/student")]
    tell(project, record("evaluate@half", inputs=inputs, output=_item("evaluate@half", "data/reports/half")))
    assert waiting(project) == []
    assert (champion(), versions()["1"].tags["gate.reason"]) == (None, "its report does not say 'unit'")


def test_a_failed_stage_and_those_of_a_teacher_register_nothing(project: Path, distilled: Make):
    from mlflow import MlflowClient

    mine = distilled()
    tell(project, record("distill@half", status="FAILED", output=mine.output))
    tell(project, record("teach@rings"))
    assert MlflowClient().search_registered_models() == []
