"""A project that was moved or copied, on a real database: its models keep their bytes, and nothing is written where it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.head import programs
from stillhouse.flows.head.wishes import Wishes
from stillhouse.record import moved
from stillhouse.serving.fetch import fetch
from tests.projects import tell
from tests.tracking.test_registration import Make, distilled
from tests.tracking.test_tracking import record

__all__ = ["distilled"]


@pytest.fixture
def there(project: Path, distilled: Make, tmp_path: Path) -> Path:
    """Where the project will go, of which a version is registered with its bytes."""
    tell(project, distilled())
    return tmp_path / "an other place, größer" / "project"


def go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a command that begins in a folder."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")


def move(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there.parent.mkdir()
    project.rename(there)
    go(there, monkeypatch)


def copy(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there.parent.mkdir()
    shutil.copytree(project, there, symlinks=True)
    go(there, monkeypatch)


def places(folder: Path) -> list[str]:
    """All that the database says of where something is."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return [str(place) for table, column in moved._PLACES for (place,) in connection.execute(f"select {column} from {table}")]


def plans(folder: Path) -> list[Path]:
    """Those that a test here has told; others may have come with the project."""
    return [path for path in folder.glob("mlartifacts/*/artifacts/plan.json") if path.read_text() == "{}"]


def seen(folder: Path) -> dict[str, float]:
    """Every file, with when it was written."""
    return {str(path): path.stat().st_mtime for path in folder.rglob("*") if path.is_file()}


def add(folder: Path, run: str, place: Path) -> None:
    """A run more in the database, with its artifacts in a place."""
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection, connection:
        names = [name for (_, name, *_) in connection.execute("pragma table_info(runs)") if name not in ("run_uuid", "artifact_uri")]
        words = ", ".join(names)
        connection.execute(
            f"insert into runs (run_uuid, artifact_uri, {words}) select ?, ?, {words} from runs limit 1", [run, place.as_uri()]
        )


@pytest.mark.parametrize("way", [move, copy])
def test_its_models_are_found_and_new_artifacts_land_in_the_new_place(
    project: Path, there: Path, way: Any, monkeypatch: pytest.MonkeyPatch
):
    from mlflow import MlflowClient

    way(project, there, monkeypatch)
    before = seen(project)
    assert (fetch(there, "models:/half/1", there / "fetched") / "MLmodel").exists()
    tell(there, record("teach@rings", id="5" * 32, files={"plan.json": "{}"}))
    [written] = plans(there)
    run = MlflowClient().get_run(written.parents[1].name)
    assert run.info.artifact_uri == written.parent.as_uri()
    assert seen(project) == before, "nothing is written, or made again, where it was"
    assert [place for place in places(there) if f"{project}/" in place] == []


def test_the_tracker_alone_mends_it_too(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch):
    move(project, there, monkeypatch)
    tell(there, record("teach@rings", id="5" * 32, files={"plan.json": "{}"}))
    assert len(plans(there)) == 1
    assert not project.exists()


def test_so_does_what_stays_up_before_it_starts(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch):
    move(project, there, monkeypatch)
    programs.mlflow(there, Wishes(authentication=False), "")
    assert [place for place in places(there) if f"{project}/" in place] == []


def test_an_experiment_that_a_server_has_made_moves_with_its_number(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch):
    with closing(sqlite3.connect(project / "mlflow.db")) as connection, connection:
        connection.execute("update experiments set artifact_location = artifact_location || '/1' where name = 'stillhouse'")
    move(project, there, monkeypatch)
    moved.follow(there, f"sqlite:///{there}/mlflow.db")
    assert f"{there.as_uri()}/mlartifacts/1" in places(there)
    assert [place for place in places(there) if f"{project}/" in place] == []


def test_a_folder_with_two_paths_stays_as_it_is(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither a link to it, nor one that was left where it had been."""
    before = places(project)
    there.parent.mkdir()
    there.symlink_to(project)
    go(there, monkeypatch)
    tell(there, record("teach@rings", id="5" * 32))
    there.unlink()
    move(project, there.parent.parent / "second" / "project", monkeypatch)
    project.symlink_to(Path.cwd())
    fetch(Path.cwd(), "models:/half/1", Path("fetched").absolute())
    assert set(before) <= set(places(Path.cwd()))
    assert all(f"{project}/" in place for place in places(Path.cwd()) if "mlartifacts" in place)


def test_another_tracker_and_places_of_the_readers_choice_are_left_alone(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch):
    copy(project, there, monkeypatch)
    before = places(there)
    (there / "mlflow.db").rename(there / "other.db")
    (there / "mlflow.db").symlink_to(there / "other.db")
    for tracker in ("http://127.0.0.1:9", f"sqlite:///{project}/mlflow.db", f"sqlite:///{there}/other.db", f"sqlite:///{there}/mlflow.db"):
        moved.follow(there, tracker)
    (there / "other.db").replace(there / "mlflow.db")
    assert places(there) == before
    for chosen in ("s3://bucket/mlartifacts", "file:///big/disk", "file:///big/disk/1", "mlflow-artifacts:/1"):
        with closing(sqlite3.connect(there / "mlflow.db")) as connection, connection:
            connection.execute("update experiments set artifact_location = ? where name = 'stillhouse'", [chosen])
        before = places(there)
        moved.follow(there, f"sqlite:///{there}/mlflow.db")
        assert places(there) == before


def test_bytes_that_an_earlier_copy_has_written_to_the_original_are_still_found(
    project: Path, there: Path, monkeypatch: pytest.MonkeyPatch
):
    copy(project, there, monkeypatch)
    for name in ("left", "gone"):
        add(there, name, project / "mlartifacts" / name / "artifacts")
    (project / "mlartifacts/left/artifacts").mkdir(parents=True)
    moved.follow(there, f"sqlite:///{there}/mlflow.db")
    kept = [place for place in places(there) if f"{project.as_uri()}/" in place]
    assert kept == [f"{project.as_uri()}/mlartifacts/left/artifacts"]
    assert f"{there.as_uri()}/mlartifacts/gone/artifacts" in places(there)


def test_a_database_that_cannot_be_mended_is_told(project: Path, there: Path, monkeypatch: pytest.MonkeyPatch):
    copy(project, there, monkeypatch)
    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: plain(f"file:{path}?mode=ro", uri=True, **options))
    with pytest.raises(
        UserError, match=r"mlflow\.db - wanted MLflow's database, to write the folder's new path to - attempt to write a read"
    ):
        fetch(there, "models:/half/1", there / "fetched")
    (there / "mlflow.db").write_bytes(b"")
    moved.follow(there, f"sqlite:///{there}/mlflow.db")
    os.unlink(there / "mlflow.db")
    moved.follow(there, f"sqlite:///{there}/mlflow.db")
    assert not (there / "mlflow.db").exists()
