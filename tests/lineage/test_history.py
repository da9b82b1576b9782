"""What is read of MLflow: the two ways give the same, over all pages, and a path comes back as it was."""

from __future__ import annotations

import json
import os
import sqlite3
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillhouse.contracts.errors import UserError
from stillhouse.lineage import history
from stillhouse.record import process
from stillhouse.record.run_record import Closing, Execution, Item, Planned, RunRecord
from stillhouse.tracking import entities, outbox, queries
from stillhouse.tracking.store import opened

RAW = Item("data/raw/a+b (1)@2.json", "0" * 32, model=False)
PREPARED = Item("data/t/prepared", "1" * 32 + ".dir", model=False)
METRICS = Item("data/t/prepared.json", "2" * 32, model=False)


def record(stage: str, key: str, at: int, **changes: Any) -> RunRecord:
    values: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "stage": stage,
        "execution": Execution(key, process.identity(os.getpid()), managed=True),
        "status": "FINISHED",
        "started": at,
        "ended": at + 1,
        "params": {},
        "tags": {
            "dvc.stage": stage,
            "dvc.fingerprint": "f" * 64,
            "dvc.rev": "c" * 40,
            "dvc.dirty": "true",
            "stillhouse.settings": '{"seed": "1"}',
            "version.torch": "2",
            "threads": "3",
            "device": "cpu",
        },
        "inputs": [RAW],
        "output": PREPARED,
        "beside": [METRICS],
    }
    return RunRecord(**{**values, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracker with two executions: in the second one a stage was as it should be, another failed, and one was deleted later."""
    folder = tmp_path_factory.mktemp("history")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        with opened(folder) as store:
            made = store.tell(record("prepare@t", "one", 1))
            store.tell(record("prepare@t", "other", 2, output=Item("data/t/prepared", "9" * 32, model=False)))
            store.tell(record("teach@t", "two", 3, status="FAILED", output=None, beside=[]))
            store.client.delete_run(store.tell(record("search@s", "two", 4)))
            planned = Planned("unchanged", [], "f" * 64, {PREPARED.path: PREPARED.md5, METRICS.path: METRICS.md5})
            never = Planned("due", ["never run"], "", {})
            plan = {"prepare@t": planned, "teach@t": Planned("due", ["code"], "e" * 64, {}), "distill@s": never}
            store.close(Closing("two", "FAILED", 9, plan))
        (folder / "made").write_text(made)
    return folder


@pytest.fixture(autouse=True)
def no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "set, so that what a test makes of it is forgotten")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")


def test_a_run_is_read_with_all_that_lineage_needs(folder: Path):
    links, _ = history.read(folder)
    assert [(link.stage, link.started, link.deleted) for link in links] == [
        ("prepare@t", 1, False),
        ("prepare@t", 2, False),
        ("search@s", 4, True),
    ]
    first = links[0]
    assert first.inputs == {RAW.path: RAW.md5}
    assert first.outputs == {PREPARED.path: PREPARED.md5, METRICS.path: METRICS.md5}
    assert (first.commit, first.dirty, first.parameters) == ("c" * 40, True, {"seed": "1"})
    assert first.machine == {"device": "cpu", "threads": "3", "version.torch": "2"}


def test_an_execution_is_about_what_it_ran_and_what_it_left_as_it_was(folder: Path):
    links, executions = history.read(folder)
    made, execution = (folder / "made").read_text(), links[2].execution
    assert links[0].run == made
    assert executions[execution or ""] == {made, links[2].run} | {
        run["run"] for run in history._runs(folder) if run["tags"].get("dvc.stage") == "teach@t"
    }


def test_the_plan_is_kept_with_the_execution(folder: Path):
    made, execution = (folder / "made").read_text(), history.read(folder)[0][2].execution or ""
    with opened(folder) as store:
        plan = {entry["stage"]: entry for entry in json.loads(queries.artifact(store.client, execution, "plan.json"))}
    assert {stage: (entry["state"], entry["outcome"]) for stage, entry in plan.items()} == {
        "prepare@t": ("unchanged", "UNCHANGED"),
        "teach@t": ("due", "FAILED"),
        "distill@s": ("due", "NOT RUN"),
    }
    assert (plan["prepare@t"]["run"], plan["distill@s"]["run"], plan["distill@s"]["reasons"]) == (made, None, ["never run"])


def test_the_database_and_the_client_tell_the_same_page_by_page(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queries, "_PAGE", 2)
    with opened(folder) as store:
        asked = list(queries.runs(store.client, store.experiment))
    read = list(history._runs(folder))
    assert len(asked) == len(read) == 7
    assert sorted(asked, key=lambda run: run["run"]) == sorted(read, key=lambda run: run["run"])


def test_a_project_that_has_never_run_has_no_history_and_none_is_begun(tmp_path: Path):
    assert history.read(tmp_path) == ([], {})
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_none_is_told(tmp_path: Path):
    (tmp_path / "mlflow.db").write_text("no database")
    with pytest.raises(UserError, match=r"MLflow's database cannot be read \(file is not a database\)"):
        history.read(tmp_path)
    (tmp_path / "mlflow.db").unlink()
    sqlite3.connect(tmp_path / "mlflow.db").close()
    with pytest.raises(UserError, match=r"MLflow's database cannot be read \(no such table: runs\)"):
        history.read(tmp_path)


def test_what_mlflow_does_not_answer_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(Path(outbox.__file__).parents[2]))
    with pytest.raises(UserError, match=r"^a registered model is models:/NAME/VERSION or models:/NAME@ALIAS - got models:/x$"):
        history.ask(folder, "version", "models:/x")
    with pytest.raises(UserError, match=r"nobody"):
        history.ask(folder, "version", "models:/nobody/1")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_path_comes_back_as_it_was(path: str):
    assert history.path_of(entities.path(path)) == path
