"""The command line, where no stage is run: what is printed, the exit codes, and what is not imported."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys

import psutil
import pytest
from typer import Exit

from stillhouse.cli.__main__ import _leave, app
from stillhouse.flows.execution import Ended

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

HEAVY = ("prefect", "mlflow", "torch", "pandas", "pyarrow", "numpy")


@pytest.fixture
def stillhouse(capsys, monkeypatch):
    """Runs the command in this process: (exit code, what it printed)."""

    def call(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["stillhouse", *arguments])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            app()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out + printed.err

    return call


def test_a_clean_plan_is_0_and_a_stale_one_3_with_reasons(done, stillhouse):
    assert stillhouse("plan") == (0, "nothing is due: 11 stages are up to date\n")
    done.set("students.half.distill.losses.0.weight", 2.0)
    code, text = stillhouse("plan")
    assert code == 3
    assert [line.split()[:2] for line in text.splitlines()[1:4]] == [
        ["distill@half", "due"],
        ["evaluate@half", "maybe"],
        ["compare", "due"],
    ]
    assert "students.half.distill.losses.0.weight: 1.0 -> 2.0" in text
    assert stillhouse("plan", "third")[0] == 0
    assert done.ran() == []


def test_many_reasons_are_cut_short_on_the_screen_alone(done, stillhouse):
    done.set("teachers.rings.teach.fit", {f"value{index}": index for index in range(9)})
    assert "and 5 more" in stillhouse("plan")[1]
    nodes = json.loads(stillhouse("plan", "--json")[1])
    teach = next(node for node in nodes if node["name"] == "teach@rings")
    assert len(teach["reasons"]) == 10
    assert teach["command"] == "python -m stillhouse.stages teach rings"
    assert {node["state"] for node in nodes} == {"due", "maybe", "unchanged"}


def test_the_command_works_below_the_projects_folder(done, stillhouse, monkeypatch):
    monkeypatch.chdir(done.folder / "stillhouse" / "contracts")
    assert stillhouse("plan")[0] == 0


def test_a_run_with_nothing_to_do_shows_what_there_is(done, stillhouse):
    code, text = stillhouse("run")
    assert code == 0
    assert "nothing to do: 11 stages are up to date" in text
    assert "| half | 0.75 |" in text
    assert f"reports: {done.folder}/data/reports" in text
    assert f"MLflow: sqlite:///{done.folder}/mlflow.db" in text
    assert not (done.folder / ".prefect").exists()


def test_a_dry_run_shows_what_would_run_and_runs_nothing(done, stillhouse):
    assert stillhouse("run", "--dry") == (0, "nothing is due: 11 stages are up to date\n")
    code, text = stillhouse("run", "--dry", "--force", "teach@rings")
    assert code == 0
    assert [line.split() for line in text.splitlines()[1:3]] == [["prepare@rings", "due", "forced"], ["teach@rings", "due", "forced"]]
    assert done.ran() == []
    assert not (done.folder / ".prefect").exists()


def test_the_help_of_run_has_an_example_of_each_option(stillhouse):
    text = " ".join(stillhouse("run", "--help")[1].replace("│", " ").split())
    for example in ("run --force teach@umls", "run --no-keep-going", "run --force --dry umls", "plan --allow-missing"):
        assert f"Example: stillhouse {example}" in text


@pytest.mark.parametrize("command", ["plan", "run"])
def test_what_all_stages_read_of_the_parameters_is_told_if_it_is_missing(done, stillhouse, command):
    params = done.folder / "params.yaml"
    params.write_text(params.read_text().replace("threads: 1\n", ""))
    assert stillhouse(command) == (1, "params.yaml: threads - wanted by every stage - there is none - add `threads: 1`\n")
    params.write_text("threads: 1\n" + re.sub(r"raw: \S+", "raw: ''", params.read_text()))
    code, said = stillhouse(command)
    assert (code, said.splitlines()[0]) == (1, "params.yaml: teachers.rings.raw - wanted a path under data/raw - got an empty one")
    assert done.ran() == []


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ("teachers: {}", "students - wanted blocks by their names - got none - without any it is `students: {}`"),
        ("teachers:\nstudents: {}", "teachers - wanted blocks by their names - got none - without any it is `teachers: {}`"),
        ("teachers: []\nstudents: {}", "teachers - wanted blocks by their names - got list - without any it is `teachers: {}`"),
        ("teachers: {a: 1}\nstudents: {}", "teachers.a.raw - wanted a path under data/raw - got none"),
        ("teachers: {a: {raw: 3}}\nstudents: {}", "teachers.a.raw - wanted a path under data/raw - got 3"),
        (
            "teachers: {a: {raw: ./data/a/prepared}}\nstudents: {}",
            "teachers.a.raw - wanted what a is made of - got ./data/a/prepared, which is made of it: name a path in data/raw",
        ),
        (
            "teachers: {}\nstudents: {comparison: {teacher: a}}",
            "students.comparison - a name should have no @, and be none of raw, reports, comparison, folders in data",
        ),
        (
            "teachers: {}\nstudents: {b@c: {teacher: a}}",
            "students.b@c - a name should have no @, and be none of raw, reports, comparison, folders in data",
        ),
        ("teachers: {}\nstudents: {b: {workload: classify}}", "students.b.teacher - wanted the name of its teacher - got none"),
    ],
)
def test_what_leads_to_no_stage_is_told_in_the_words_of_params_yaml(done, stillhouse, blocks, told):
    (done.folder / "params.yaml").write_text(f"seed: 1\nthreads: 1\n{blocks}\n")
    assert stillhouse("plan") == (1, f"params.yaml: {told}\n")


def test_results_of_students_who_are_gone_are_not_shown(done, stillhouse):
    table = done.folder / "data/comparison/table.md"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("| half |\n")
    assert "| half |" in stillhouse("run", "teach@rings")[1]
    params = done.folder / "params.yaml"
    params.write_text(params.read_text().partition("students:")[0] + "students: {}\n")
    code, said = stillhouse("run")
    assert (code, "half" in said, "reports:" in said) == (0, False, False)
    assert stillhouse("report") == (
        1,
        "params.yaml: students - wanted those that are reported on - got none: results that lie in data are of others\n",
    )


@pytest.mark.parametrize(("names", "anew"), [([], True), (["rings", "compare"], True), (["rings"], False)])
def test_a_table_of_before_the_run_is_said_to_be_one(done, names, anew, capsys):
    table = done.folder / "data/comparison/table.md"
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_text("| half |\n")
    with pytest.raises(Exit):
        _leave(done.folder, Ended(0, gone=False), names)
    said = capsys.readouterr().out
    assert "| half |" in said
    assert ("compared before this run: `stillhouse run compare` does it anew" in said) is not anew


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("plan", "whole"), "no teacher, student or stage is named 'whole'"), (("run", "whole"), "there are half, other, rings, third")],
)
def test_a_mistake_is_told_in_one_line(done, stillhouse, arguments, sentence):
    code, text = stillhouse(*arguments)
    assert code == 1
    assert sentence in text
    assert len(text.splitlines()) == 1


def test_outside_a_project_it_says_so(tmp_path, stillhouse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, text = stillhouse("plan")
    assert code == 1
    assert "is not inside a DVC repository" in text


@pytest.mark.parametrize("command", ["plan", "run", "lineage half", "lineage data/raw/toy.json --forward --svg picture.svg"])
def test_when_nothing_is_due_nothing_heavy_is_imported(done, command):
    code = f"""
import atexit, sys
from stillhouse.cli.__main__ import _leave, app
from stillhouse.flows.execution import Ended
sys.argv = ["stillhouse", *{command.split()}]
atexit.register(lambda: print(sorted(set({HEAVY!r}) & set(sys.modules))))
app()
"""
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert finished.stdout.splitlines()[-1] == "[]"


def test_a_named_server_that_is_away_is_told_in_one_line(fresh):
    away = fresh.call("stillhouse", "run", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert away.returncode == 1
    assert away.stderr.startswith("http://127.0.0.1:9/api does not answer (")
    assert len(away.stderr.splitlines()) == 1
    assert fresh.ran() == []


def test_a_second_run_in_the_same_folder_is_refused(fresh):
    (fresh.folder / ".work").mkdir()
    with (fresh.folder / ".work/execution.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        second = fresh.call("stillhouse", "run")
    assert second.returncode == 1
    assert second.stderr == "another `stillhouse run` is going on in this folder: wait for it, or stop it with Ctrl-C\n"
    assert fresh.ran() == []


def test_prefects_server_starts_beside_the_check_and_leaves_nothing_after_a_mistake(done):
    done.set("students.half.distill.losses.0.weight", 2.0)
    (done.folder / "wrong").touch()
    assert done.call("stillhouse", "run", "--dry").returncode == 1
    assert not (done.folder / ".prefect").exists()
    wrong = done.call("stillhouse", "run")
    assert wrong.returncode == 1
    assert "params.yaml: seed - is wrong" in wrong.stderr
    assert (done.folder / ".prefect/server.log").exists()
    there = [process.info for process in psutil.process_iter(["pid", "cmdline", "cwd"]) if process.info["cwd"] == str(done.folder)]
    assert [process for process in there if process["pid"] != os.getpid()] == []
