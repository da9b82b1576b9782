"""What stages have made on its way between head, remote and nodes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc.repo import Repo

from stillhouse.contracts.errors import UserError
from stillhouse.flows.graph import Node
from stillhouse.flows.nodes import away, outputs, parcel, result
from stillhouse.flows.stage import log_path
from stillhouse.record import remote, stored

Commands = list[tuple[str, ...]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Those of DVC that were to be run."""
    found: Commands = []
    for module in (outputs, parcel):
        monkeypatch.setattr(module, "dvc", lambda _, *words: found.append(words))
    return found


@pytest.mark.parametrize("move", [outputs.push, outputs.pull])
def test_the_command_of_dvc_is_started_where_this_process_cannot_move_them(
    move: Callable[..., None], commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = move.__name__
    move(tmp_path, ["teach@a"])
    assert commands == [(way, "teach@a")], "there is no repository"
    monkeypatch.setattr(remote, "moved", lambda _, word, stages: (word, stages) == (way, ["teach@a"]))
    move(tmp_path, ["teach@a"])
    assert len(commands) == 1


def test_the_command_says_why(tmp_path: Path) -> None:
    remote.configure(tmp_path, {"name": "store", "url": str(tmp_path / "store")})
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    with pytest.raises(UserError, match=r"^dvc pull teach@a: .*ERROR: failed to pull .*'teach@a'"):
        outputs.pull(tmp_path, ["teach@a"])


def committed(folder: Path, times: int = 1) -> None:
    commit = ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-q", "--allow-empty", "-m", "empty"]
    for words in (["init", "-q"], *[commit] * times):
        subprocess.run(["git", *words], cwd=folder, check=True)


def test_a_clone_without_history_is_refused(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    committed(tmp_path / "whole", 2)
    subprocess.run(["git", "clone", "-q", "--depth", "1", f"file://{tmp_path}/whole", "clone"], cwd=tmp_path, check=True)
    with pytest.raises(UserError, match="got a shallow clone: git fetch --unshallow"):
        parcel.Packer(tmp_path / "clone")


def test_what_came_from_the_remote_is_not_pushed_back(commands: Commands, tmp_path: Path) -> None:
    committed(tmp_path)
    remote.configure(tmp_path, {"name": "store", "url": str(tmp_path / "store")})
    packer = parcel.Packer(tmp_path)
    packer.came(Node("distill@a", "", (), "due", ()))
    packer.pack(Node("evaluate@a", "", ("search@a", "distill@a"), "due", ()))
    assert commands == [("push", "search@a")]


@pytest.mark.parametrize(("outcome", "told", "came"), [("kept", "done", ["teach@a"]), ("restored", "restored", [])])
def test_bytes_that_dvc_had_in_their_place_did_not_come_from_the_remote(
    outcome: str, told: str, came: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    packer: Any = SimpleNamespace(remote=None, came=lambda node: found.append(node.name))
    node = Node("teach@a", "", (), "due", ())
    log_path(tmp_path, node.name).parent.mkdir(parents=True)
    log_path(tmp_path, node.name).touch()
    monkeypatch.setattr(result, "there", lambda *_: True)
    for name in ("take", "records"):
        monkeypatch.setattr(result, name, lambda *_: None)
    monkeypatch.setattr(away, "run_due_stage", lambda *_, **__: outcome)
    head = away.Away(tmp_path, None, packer, lambda _: "0")  # type: ignore[arg-type]
    assert head.run(node, tmp_path, {}, None, key="0") == told  # type: ignore[arg-type]
    assert found == came


def test_a_lock_file_that_dvc_is_writing_is_waited_for(tmp_path: Path) -> None:
    """DVC empties it first: a node that gets nothing would know of no stage before its own."""
    committed(tmp_path)
    remote.configure(tmp_path, {"name": "store", "url": str(tmp_path / "store")})
    assert stored.lock_text(tmp_path) == ""
    path = tmp_path / "dvc.lock"
    with ThreadPoolExecutor() as pool:
        with Repo(str(tmp_path)) as repo, repo.lock:
            path.touch()
            read = pool.submit(stored.lock_text, tmp_path)
            with pytest.raises(TimeoutError):
                read.result(0.3)
            path.write_text("stages: {}\n")
        assert read.result(60) == "stages: {}\n"
