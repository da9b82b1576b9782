"""The runner: what it leaves behind, and what it refuses."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.record import durations
from stillhouse.runner import run
from stillhouse.runner.params import Block
from stillhouse.stages.door import main
from stillhouse.tracking import outbox
from tests.projects import facts, locked, only, scratch

Runs = Callable[[], list[Any]]
Start = Callable[..., subprocess.Popen[str]]


def results(run: Any) -> dict[str, float]:
    """The metrics without those of the machine."""
    return {name: value for name, value in run.data.metrics.items() if not name.startswith("system/")}


def test_a_stage_under_dvc_leaves_everything_in_place(project: Path, start: Start, runs: Runs):
    repro = start("dvc", "repro", "--single-item", "prepare@rings")
    assert "Traceback" not in repro.communicate()[0]
    assert repro.returncode == 0
    entry = locked(project)["prepare@rings"]
    told = json.loads((project / "data/rings/prepared.json").read_text())
    assert (told["classes"], told["rows"], told["made"][0]) == (3.0, 240.0, f"fingerprint {scratch(project, 'prepare@rings')[0].name}")
    assert (project / "data/rings/prepared/train.parquet").exists()
    [folder] = scratch(project, "prepare@rings")
    assert sorted(path.name for path in folder.iterdir()) == ["done.json", "metrics.jsonl", "record"]
    [(_, stage, seconds)] = durations.noted(project)
    assert (stage, seconds >= 0) == ("prepare@rings", True), "an estimate knows of it, whatever it was run by"
    [run] = only(runs())
    assert run.data.tags["stillhouse.fingerprint"] == folder.name == json.loads((folder / "done.json").read_text())["fingerprint"]
    for way, key in (("deps", "dvc.in."), ("outs", "dvc.out.")):
        told = {name.removeprefix(key): value for name, value in run.data.tags.items() if name.startswith(key)}
        assert told == {item["path"]: item["md5"] for item in entry[way]}
    assert run.data.params == {"seed": "1", "noise": "0.1", "held_out": "0.25"}
    assert results(run) == {"rows": 240.0, "classes": 3.0}
    used = {"cpu_percent", "memory_megabytes", "seconds"}
    assert {name.removeprefix("system/") for name in run.data.metrics if name.startswith("system/")} == used
    datasets = {(each.dataset.name, each.dataset.digest): each.tags[0].value for each in run.inputs.dataset_inputs}
    read, written = ({(item["path"], item["md5"]): way for item in entry[kind]} for kind, way in (("deps", "read"), ("outs", "written")))
    assert datasets == read | written
    assert json.loads(run.data.tags["stillhouse.settings"]) == {"seed": "1"}, "the noise is what it would be anyway"
    assert run.data.tags["version.dvc"] == version("dvc")
    assert (run.data.tags["device"], run.data.tags["dvc.dirty"]) == ("cpu", "false")
    assert int(run.data.tags["threads"]) >= 1
    assert runs()[0].data.tags["stillhouse.execution"].split("/")[2] == str(repro.pid), "one `dvc repro`, one execution"


def test_teach_puts_model_metrics_and_curve_beside_each_other_and_drops_its_checkpoint(project: Path, runs: Runs):
    assert main(["prepare", "rings"]) == 0
    assert main(["teach", "rings"]) == 0
    names = sorted(path.name for path in (project / "data/rings").iterdir())
    assert names == ["prepared", "prepared.json", "teacher", "teacher.csv", "teacher.json"]
    assert sorted(path.name for path in (project / "data/rings/teacher").iterdir()) == [
        "SHA256SUMS",
        "context",
        "model.json",
        "model.safetensors",
    ]
    assert not list(project.glob(".work/*/*/checkpoint"))
    prepare, teach = only(runs())
    read = {each.dataset.name for each in teach.inputs.dataset_inputs if each.tags[0].value == "read"}
    code = {f"stillhouse/{name}" for name in ("contracts", "space", "training", "workloads")}
    assert read == {"data/rings/prepared", "parts", "stages/teach.py"} | code
    assert len(teach.outputs.model_outputs) == 1
    assert prepare.data.tags["mlflow.parentRunId"] == teach.data.tags["mlflow.parentRunId"], "both were started by this process"
    assert main(["teach", "rings"]) == 0, "an output that is in the way is replaced"


def test_nothing_is_imported_before_the_fingerprint_that_belongs_to_a_part_or_to_the_tracker(project: Path):
    late = {"torch", "mlflow", "prefect", "stillhouse.contracts.parts"}
    code = f"import sys, stillhouse.stages.door; print(sorted({late} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


def test_every_path_of_every_verb_has_its_place(project: Path):
    call = run.Call("", "half", "", Path(), None, None)  # type: ignore[arg-type]
    block = Block(None, {}, 0, 1, "rings", Path("data/raw/x.json"))
    places = {}
    for verb in registry.VERBS:
        for name, parameter in inspect.signature(getattr(registry.verb(verb), verb)).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and name not in ("rng", "log", "scratch"):
                places[name] = str(run._place(name, call, block))
    assert places == {
        "raw": "data/raw/x.json",
        "prepared": "data/rings/prepared",
        "teacher": "data/rings/teacher",
        "found": "data/half/found",
        "student": "data/half/student",
        "report": "data/reports/half",
        "reports": "data/reports",
        "comparison": "data/comparison",
    }


def test_a_mistake_is_a_sentence_before_any_work(project: Path, runs: Runs, capsys):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("noise: 0.1", "noise: -1"))
    assert main(["prepare", "rings"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "params.yaml: teachers.rings.prepare.noise - should be greater than or equal to 0 - got -1\n"
    assert not (project / "data/rings").exists()
    assert runs() == []


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("STILLHOUSE_DEVICE", "gpu", "STILLHOUSE_DEVICE should be auto, cpu, cuda or cuda:<number> - got 'gpu'"),
        ("STILLHOUSE_DEVICE", "cuda:99", "STILLHOUSE_DEVICE is 'cuda:99', but this process sees"),
    ],
)
def test_a_wrong_environment_is_told_before_any_work(project: Path, variable: str, value: str, sentence: str, monkeypatch, capsys):
    monkeypatch.setenv(variable, value)
    assert main(["prepare", "rings"]) == 2
    assert sentence in capsys.readouterr().err


def test_the_check_reads_every_block(project: Path, capsys):
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "params.yaml: every block is valid\n"


@pytest.mark.parametrize(("arguments", "sentence"), [(["teach"], "wants the name"), (["compare", "x"], "takes no name")])
def test_a_call_that_makes_no_sense_is_refused(arguments: list[str], sentence: str, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert sentence in capsys.readouterr().err


def test_bad_data_fail_the_run_with_a_sentence(project: Path, runs: Runs, stand_in: Any, capsys):
    def refuse(*_: Any, **__: Any) -> dict[str, float]:
        raise UserError("data/raw/toy.json: wanted rows - got none")

    stand_in(refuse)
    assert main(["prepare", "rings"]) == 2
    assert capsys.readouterr().err == "data/raw/toy.json: wanted rows - got none\n"
    [run] = only(runs())
    assert (run.info.status, run.data.tags["error"]) == ("FAILED", "UserError: data/raw/toy.json: wanted rows - got none")
    assert not (project / "data/rings").exists()


def test_a_bug_fails_the_run_and_keeps_its_traceback(project: Path, runs: Runs, stand_in: Any):
    stand_in(lambda *_, log, **__: log({"epoch": 1, "loss": 2}) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["prepare", "rings"])
    [run] = only(runs())
    assert (run.info.status, results(run), run.data.tags["error"]) == ("FAILED", {"loss": 2.0}, "ZeroDivisionError: division by zero")


def test_a_tracker_that_fails_does_not_fail_the_stage(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://x")
    assert main(["prepare", "rings"]) == 0
    assert (project / "data/rings/prepared").exists()
    assert not outbox.sync(project)
    assert "warning: the tracker is away; records wait in .work/outbox" in capsys.readouterr().err
    assert len(list((project / ".work/outbox").iterdir())) == 1


def test_what_is_not_finite_is_null_in_the_metrics_file(project: Path, stand_in: Any):
    stand_in(lambda *_, **__: {"ratio": float("nan"), "rows": 3})
    assert main(["prepare", "rings"]) == 0
    assert facts(project) == {"ratio": None, "rows": 3.0}


def test_old_scratch_folders_are_pruned(project: Path, stand_in: Any, monkeypatch: pytest.MonkeyPatch):
    stand_in(lambda *_, **__: {})
    params = project / "params.yaml"
    text = params.read_text()
    for index in range(run.KEPT_FOLDERS + 2):
        params.write_text(text.replace("noise: 0.1", f"noise: 0.{index}"))
        assert main(["prepare", "rings"]) == 0
    newest = max(scratch(project, "prepare@rings"), key=lambda path: path.stat().st_mtime)
    assert len(scratch(project, "prepare@rings")) == run.KEPT_FOLDERS
    assert (newest / "done.json").exists()


def test_a_run_on_changed_code_keeps_the_changes_and_names_files_that_nobody_knows(project: Path, runs: Runs):
    from mlflow.artifacts import load_text

    with (project / "stillhouse/contracts/parts.py").open("a") as file:
        file.write("# one more line\n")
    with (project / "params.yaml").open("a") as file:
        file.write("secrets: [Lice*]\n")
    (project / "parts/license.py").write_text("code = 'confidential'\n")
    (project / "notes.txt").write_text("unknown to git, and to the stage")
    assert main(["prepare", "rings"]) == 0
    [run] = only(runs())
    assert (run.data.tags["dvc.dirty"], run.data.tags["git.patch"]) == ("true", "changes.patch")
    kept = {name: load_text(f"{run.info.artifact_uri}/{name}") for name in ("changes.patch", "untracked.txt")}
    assert "+# one more line\n" in kept["changes.patch"]
    assert "confidential" not in kept["changes.patch"]
    assert kept["untracked.txt"] == "notes.txt"
