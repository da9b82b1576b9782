"""The real stages on the toy workload, through the command and through plain DVC."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import sqlite3
import subprocess
from typing import Any

import pytest
import yaml

from stillhouse import lineage
from tests.connections import OWN, audited, watched
from tests.pipelines import REPOSITORY, Project, build_toy, commit
from tests.processes import until


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, _environment: None) -> Project:
    """One teacher and one student, all stages done by `stillhouse run` (the reply is kept as `first`, its sockets as `sockets`)."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    build_toy(folder)
    project = Project(folder)
    with audited(tmp_path_factory.mktemp("audit")) as addresses, watched() as sockets:
        project.first = project.call("stillhouse", "run")  # type: ignore[attr-defined]
    project.sockets, project.addresses = sockets, addresses.read_text().split()  # type: ignore[attr-defined]
    return project


@pytest.fixture(scope="module")
def plain(whole: Project, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs `dvc ...` where Prefect cannot be imported."""
    trap = tmp_path_factory.mktemp("trap")
    (trap / "prefect.py").write_text("raise ImportError('Prefect is not needed here')")

    def call(*arguments: str) -> str:
        done = whole.call("dvc", *arguments, PYTHONPATH=f"{trap}{os.pathsep}{os.environ['PYTHONPATH']}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def locked(project: Project) -> dict[str, Any]:
    return yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_one_command_goes_from_raw_data_to_a_report(whole):
    done = whole.first
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(locked(whole)) == {"prepare@rings", "teach@rings", "search@half", "distill@half", "evaluate@half", "compare"}
    rows = json.loads((whole.folder / "data/comparison/table.json").read_text())
    assert [row["name"] for row in rows] == ["rings", "half"]
    assert f"| half | {rows[1]['quality']:.4f} |" in done.stdout
    with (whole.folder / "data/half/student.csv").open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    assert (done.stderr, "Traceback" in done.stdout) == ("", False)


def test_it_listens_on_this_machine_alone_and_calls_nobody(whole):
    """Also where neither pytest nor a CI system silences MLflow's and Prefect's telemetry."""
    assert {("listens", "127.0.0.1"), ("speaks", "127.0.0.1")} <= whole.sockets, "else nobody looks"
    assert {address for _, address in whole.sockets} <= OWN
    assert "127.0.0.1" in whole.addresses, "else nobody listens"
    assert set(whole.addresses) <= OWN


def test_prefect_and_mlflow_agree_on_what_ran(whole):
    with sqlite3.connect(whole.folder / ".prefect/prefect.db") as prefect, sqlite3.connect(whole.folder / "mlflow.db") as mlflow:
        flows = prefect.execute("select id, state_name from flow_run").fetchall()
        stages = {name for (name,) in prefect.execute("select name from task_run where state_name = 'Done'")}
        told = {name for (name,) in mlflow.execute("select value from tags where key = 'dvc.stage'")}
        flow = [name for (name,) in mlflow.execute("select value from tags where key = 'prefect.flow_run_id'")]
        runs = mlflow.execute("select count(*) from runs").fetchone()[0]
        states = {name for (name,) in mlflow.execute("select status from runs")}
    assert [state for _, state in flows] == ["Completed"]
    assert stages == told == set(locked(whole))
    assert [name.replace("-", "") for name in flow] == runs * [flows[0][0].replace("-", "")]
    assert states == {"FINISHED"}


def test_the_execution_keeps_its_plan_and_the_model_its_lineage(whole):
    [kept] = whole.folder.glob("mlartifacts/**/plan.json")
    plan = {entry["stage"]: entry for entry in json.loads(kept.read_text())}
    assert {entry["outcome"] for entry in plan.values()} == {"FINISHED"}
    assert plan["prepare@rings"]["reasons"] == ["never run"]
    model = lineage.backward(whole.folder, "half")
    assert (model["run"], model["dirty"]) == (plan["distill@half"]["run"], False)
    assert lineage.backward(whole.folder, "data/comparison")["inputs"][0]["inputs"][0]["inputs"] == [model]


def test_the_run_of_an_execution_is_named_and_shows_what_the_table_compares(whole):
    with sqlite3.connect(whole.folder / "mlflow.db") as mlflow:
        [(run, name)] = mlflow.execute(
            "select run_uuid, name from runs join tags using (run_uuid) where key = 'stillhouse.execution'"
        ).fetchall()
        tags = dict(mlflow.execute("select key, value from tags where run_uuid = ?", (run,)).fetchall())
        metrics = dict(mlflow.execute("select key, value from latest_metrics where run_uuid = ?", (run,)).fetchall())
    student = json.loads((whole.folder / "data/comparison/table.json").read_text())[1]
    assert (name, tags["mlflow.note.content"]) == ("project", "Students: half"), "the subject of the commit"
    assert metrics == {"half.quality": pytest.approx(student["quality"]), "half.share": pytest.approx(student["macs_share"])}


def test_the_student_is_in_the_registry_and_predicts_for_a_table(whole, tmp_path):
    with sqlite3.connect(whole.folder / "mlflow.db") as mlflow:
        tags = dict(mlflow.execute("select key, value from model_version_tags where name = 'half'").fetchall())
        champions = mlflow.execute("select name, alias, version from registered_model_aliases").fetchall()
    assert tags["bytes"] == "stored"
    inputs = {item["path"]: item["md5"] for item in locked(whole)["evaluate@half"]["deps"]}
    assert {f"data/{path}": inputs[f"data/{path}"] for path in ("rings/prepared", "rings/teacher", "half/student")} == {
        "data/rings/prepared": tags["hash.data"],
        "data/rings/teacher": tags["hash.teacher"],
        "data/half/student": tags["hash.student"],
    }
    assert champions == ([("half", "champion", 1)] if tags["gate"] == "passed" else [])
    assert "registered: half version 1" in whole.first.stdout
    assert f"the gate: {tags['gate.reason']}" in whole.first.stdout
    (tmp_path / "rows.csv").write_text("x,y\n0,1\n")
    for model in ("half", "rings", "models:/half/1"):
        done = whole.call("stillhouse", "predict", model, str(tmp_path / "rows.csv"), str(tmp_path / "predictions.parquet"))
        assert (done.returncode, done.stdout) == (0, f"{tmp_path}/predictions.parquet: 1 rows\n"), done.stderr


def test_the_report_shows_results_and_lineage_and_is_no_file_for_git(whole):
    done = whole.call("stillhouse", "report")
    assert (done.returncode, done.stdout) == (0, f"report: {whole.folder}/report.html\n"), done.stderr
    text = (whole.folder / "report.html").read_text()
    assert "What half was made of" in text
    assert "Training of rings" in text
    assert len(text) < 60_000
    shown = subprocess.run(["git", "status", "--porcelain"], cwd=whole.folder, capture_output=True, text=True, check=True).stdout
    assert "report.html" not in shown


def test_a_second_run_does_no_stage_work(whole):
    before = {path: path.stat().st_mtime_ns for path in [*(whole.folder / "data").rglob("*"), *(whole.folder / ".work").rglob("*")]}
    again = whole.call("stillhouse", "run")
    assert again.returncode == 0
    assert "nothing to do: 6 stages are up to date" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_metrics_and_curves_are_files_for_git_and_outputs_are_not(whole):
    command = ["git", "status", "--porcelain", "-uall", "data"]
    shown = subprocess.run(command, cwd=whole.folder, capture_output=True, text=True, check=True).stdout
    assert set(shown.split()[1::2]) == {
        "data/rings/prepared.json",
        "data/rings/teacher.json",
        "data/rings/teacher.csv",
        "data/half/found.json",
        "data/half/student.json",
        "data/half/student.csv",
        "data/reports/half.json",
        "data/comparison.json",
    }


def test_plain_dvc_sees_and_shows_everything(whole, plain, tmp_path):
    assert "up to date" in plain("status")
    assert "didn't change, skipping" in plain("repro")
    assert "teacher_accuracy" in plain("metrics", "show")
    plain("plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    assert "data/half/student.csv" in page.replace("\\\\", "/")


def test_an_experiment_with_a_loss_weight_runs_only_what_depends_on_it(whole, plain):
    commit(whole.folder)
    before = locked(whole)
    whole.set("students.half.distill.losses.0.weight", 2.0)
    plain("exp", "run", "--quiet", "--name", "heavier")
    assert changed(before, locked(whole)) == {"distill@half", "evaluate@half", "compare"}
    with sqlite3.connect(whole.folder / "mlflow.db") as mlflow:  # the process that tells MLflow ends some seconds after DVC
        until(lambda: mlflow.execute("select count(*) from runs where name = 'heavier'").fetchone() == (1,))
    difference = json.loads(plain("params", "diff", "--json"))
    assert "students.half.distill.losses" in str(difference)
    assert "up to date" in plain("status")
    documented = next(line for line in (REPOSITORY / "docs/reference.md").read_text().splitlines() if line.startswith("    dvc exp show"))
    heads, *rows = csv.reader(plain(*shlex.split(documented)[1:], "--csv").splitlines())
    columns = set(heads) - {"Experiment", "rev", "typ", "Created", "parent"}
    assert columns - {"half.quality"} == {"students.half.distill.losses"}, "the quality is no column if it is the same in all"
    assert len(rows) == 3


def test_of_two_equal_searches_the_second_begins_when_its_result_is_known(whole):
    whole.set("students.half.search.budget.share", 0.45)
    students = yaml.safe_load((whole.folder / "params.yaml").read_text())["students"]
    whole.set("students", students | {"again": students["half"] | {"distill": students["half"]["distill"] | {"losses": []}}})
    done = whole.call("stillhouse", "run", "--jobs", "2", "search@half", "search@again")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line.partition(" after ")[0] for line in done.stdout.splitlines() if re.match(r"search@\w+: (running|done|kept)", line)]
    assert said == ["search@half: running", "search@half: done", "search@again: running", "search@again: kept"]


def test_a_sweep_keeps_each_combination_as_an_experiment_and_the_workspace_as_it_is(whole):
    """The second combination makes again what its weight can change; the rest is known since the first one."""
    commit(whole.folder)
    before = ((whole.folder / "params.yaml").read_text(), locked(whole))
    path = "students.half.distill.losses.0.weight"
    refused = whole.call("stillhouse", "run", "half", "--set", f"{path}=1.5,-2.0")
    assert refused.returncode == 1
    assert "weight--2.0: params.yaml: students.half.distill.losses[0].weight - should be greater than 0 - got -2.0" in " ".join(
        refused.stderr.split()
    )
    (whole.folder / "parts/losses").mkdir(parents=True, exist_ok=True)
    (whole.folder / "parts/losses/mine.py").write_text("from stillhouse.losses.logits import LOSS  # noqa: F401\n")
    names = ("half.distill.losses.0.weight=1.5,2.5", "half.distill.losses.0.loss=mine")
    done = whole.call("stillhouse", "run", "half", *(word for name in names for word in ("--set", f"students.{name}")), "--at-once", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ((whole.folder / "params.yaml").read_text(), locked(whole)) == before
    shown = list(csv.DictReader(whole.call("dvc", "exp", "show", "--csv").stdout.splitlines()))
    kept = {row["Experiment"]: row["students.half.distill.losses"] for row in shown if row["typ"].startswith("branch")}
    assert {name: json.loads(losses.replace("'", '"'))[0]["weight"] for name, losses in kept.items()} == {
        "weight-1.5_loss-mine": 1.5,
        "weight-2.5_loss-mine": 2.5,
    }
    assert (whole.folder / "sweep.html").read_text().count("<circle") == 2
    told = (whole.folder / ".work/sweep/weight-2.5_loss-mine.log").read_text()
    assert "teach@rings: restored" in told
    assert "distill@half: done" in told
    worktrees = subprocess.run(["git", "worktree", "list"], cwd=whole.folder, capture_output=True, text=True, check=True).stdout
    assert len(worktrees.splitlines()) == 1
