"""A model made again in a worktree: what is refused, what is reached, what is compared, and that nothing is left."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from stillhouse import lineage
from stillhouse.contracts.errors import UserError
from stillhouse.lineage import locks, rebuild
from stillhouse.record.run_record import Execution, Item, RunRecord
from stillhouse.tracking.store import opened
from tests.pipelines import Project
from tests.processes import alive, until

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def tree(project: Project, what: str = "rings", **facts: Any) -> lineage.Tree:
    """The lineage of a thing, as if a run had been recorded."""
    known = {"commit": git(project.folder, "rev-parse", "HEAD").strip(), "dirty": False, "run": "f" * 32}
    return lineage.backward(project.folder, what) | known | facts


def again(project: Project, wanted: lineage.Tree, **choices: Any) -> dict[str, bool]:
    with rebuild.worktree(project.folder, wanted, **{"patched": False, **choices}) as place:
        rebuild.run(place, wanted)
        return {pair.path: pair.same for pair in rebuild.compare(place, wanted)}


def left(project: Project) -> list[Path]:
    assert len(git(project.folder, "worktree", "list").splitlines()) == 1 + len(list(project.folder.glob(".work/reproduce/*")))
    return list(project.folder.glob(".work/reproduce/*"))


def test_the_same_commit_gives_the_same_bytes_though_the_folder_has_moved_on(done):
    wanted = tree(done)
    done.set("seed", 2)
    before = git(done.folder, "status", "--porcelain")
    done.ran()
    assert again(done, wanted) == {"data/raw/toy.json": True, "data/rings/prepared": True, "data/rings/teacher": True}
    assert (git(done.folder, "status", "--porcelain"), left(done), done.ran()) == (before, [], [])


def test_another_commit_gives_other_bytes_and_the_first_difference_is_known(done):
    done.set("seed", 2)
    git(done.folder, "commit", "-qam", "another seed")
    assert again(done, tree(done)) == {"data/raw/toy.json": True, "data/rings/prepared": False, "data/rings/teacher": False}


def test_changes_that_were_kept_are_applied_when_asked_for(done, monkeypatch):
    wanted = tree(done, dirty=True)
    git(done.folder, "rm", "-q", "--cached", "params.yaml")
    git(done.folder, "commit", "-qm", "without parameters")
    commit = git(done.folder, "rev-parse", "HEAD").strip()
    git(done.folder, "add", "-N", "params.yaml")
    patch = git(done.folder, "diff", "HEAD", "--", "params.yaml")
    monkeypatch.setattr("stillhouse.lineage.history.ask", lambda folder, *words: {("artifact", "f" * 32, "changes.patch"): patch}[words])
    assert again(done, wanted | {"commit": commit}, patched=True)["data/rings/teacher"]


def test_raw_data_that_git_does_not_have_are_lent(done):
    wanted = tree(done)
    git(done.folder, "rm", "-q", "--cached", "data/raw/toy.json")
    git(done.folder, "commit", "-qm", "raw data are too large for git")
    wanted["commit"] = git(done.folder, "rev-parse", "HEAD").strip()
    assert again(done, wanted)["data/rings/teacher"]
    (done.folder / "data/raw/toy.json").write_text("{ }")
    with pytest.raises(UserError, match=r"data/raw/toy.json has other bytes \(.*\) than those that the model was made of"):
        again(done, wanted)
    (done.folder / "data/raw/toy.json").unlink()
    with pytest.raises(UserError, match=r"data/raw/toy.json is neither in the commit nor here: bring the raw data back"):
        again(done, wanted)
    assert left(done) == []


def test_a_commit_that_is_not_here_and_a_stage_that_fails_are_told_and_nothing_is_left(done, capfd):
    with pytest.raises(UserError, match=r"git worktree: .*invalid reference"):
        again(done, tree(done, commit="0" * 40))
    (done.folder / "stages/__main__.py").write_text("raise SystemExit(7)")
    git(done.folder, "commit", "-qam", "broken")
    with pytest.raises(UserError, match="prepare@rings could not be made again: dvc repro ended with exit code"):
        again(done, tree(done))
    assert left(done) == []


def test_it_is_left_for_a_look_when_asked_for(done):
    with rebuild.worktree(done.folder, tree(done), patched=False, keep=True) as place:
        pass
    assert left(done) == [place]
    assert (place / "params.yaml").exists()


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"dirty": True}, "with changes on top that nobody committed; --patch applies those that were kept with run ffffffff"),
        ({"commit": None, "missing": "its run is gone"}, r"no run says of which commit it is, so there is nothing to start from \(its run"),
        ({"stage": None, "missing": None}, "was made by no stage that is known: it is raw data"),
    ],
)
def test_what_cannot_be_made_again_is_refused_in_a_sentence(done, facts, sentence):
    rebuild.refuse(tree(done), patched=False)
    with pytest.raises(UserError, match=sentence):
        rebuild.refuse(tree(done, **facts), patched=False)
    rebuild.refuse(tree(done, dirty=True), patched=True)


def test_packages_that_have_moved_on_are_named():
    machine = {"device": "cpu", "version.torch": "1.0", "version.nothing-like-it": "3", "version.pytest": pytest.__version__}
    now = rebuild._version("torch")
    assert rebuild.moved({"machine": machine}) == [f"torch 1.0 then, {now} now", "nothing-like-it 3 then, not installed now"]


def tell(project: Project) -> None:
    """A tracker knows a run on the present commit for each stage of dvc.lock."""
    commit = git(project.folder, "rev-parse", "HEAD").strip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.folder / 'mlflow.db'}")
        _tell(project, commit)


def _tell(project: Project, commit: str) -> None:
    with opened(project.folder) as store:
        for at, link in enumerate(locks.here(project.folder)):
            inputs = [Item(path, md5, model=False) for path, md5 in link.inputs.items()]
            (output,) = link.made()
            tags = {"dvc.stage": link.stage, "dvc.fingerprint": link.fingerprint, "dvc.rev": commit, "dvc.dirty": "false", "device": "cpu"}
            facts = {"inputs": inputs, "output": Item(*output, model=False)}
            store.tell(RunRecord(f"{at}", link.stage, Execution("one", "", managed=True), "FINISHED", at, at, {}, tags, **facts))


def test_the_command_says_by_its_exit_code_too_whether_the_bytes_are_the_same(done):
    done.order(teach__other={"result": "of something that is neither in git nor in dvc.yaml"})
    done.call("dvc", "repro", "--force", "--single-item", "teach@other")
    tell(done)
    same, other = (done.call("stillhouse", "reproduce", name) for name in ("rings", "other"))
    assert same.returncode == 0, same.stdout + same.stderr
    assert same.stdout.splitlines()[-1].startswith("the same bytes: data/rings/teacher ")
    assert other.returncode == 4, other.stdout + other.stderr
    assert other.stdout.splitlines()[-1] == "other bytes, from data/other/teacher on (made on cpu)"
    assert [line.split()[-1] for line in other.stdout.splitlines()[-4:-1]] == ["same", "same", "different"]
    assert left(done) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_leaves_neither_a_worktree_nor_a_process(done, number):
    stub = done.folder / "stages/__main__.py"
    stub.write_text(stub.read_text().replace("time.sleep(order.get", "time.sleep(60 or order.get"))
    git(done.folder, "commit", "-qam", "slow")
    tell(done)
    command = done.start("stillhouse", "reproduce", "rings")
    try:
        until(lambda: list(done.folder.glob(".work/reproduce/*/.work/*/fingerprint/seen.json")) or command.poll() is not None)
        family = psutil.Process(command.pid).children(recursive=True)
    finally:
        command.send_signal(number)
    text, _ = command.communicate(timeout=120)
    assert (command.returncode, len(family) >= 2) == (130, True), text
    until(lambda: not any(alive(process.pid) for process in family))
    assert left(done) == []
