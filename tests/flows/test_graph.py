"""DVC's undocumented graph and status, held to the pinned version in a real repository."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import yaml

from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph, wishes
from stillhouse.flows.graph import Busy, Node
from tests.processes import alive, until

# DVC's own use of a library that has grown older.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")


def nodes() -> dict[str, Node]:
    return {node.name: node for node in graph.read(Path.cwd())}


def stale() -> dict[str, str]:
    """Stage -> state, without the unchanged ones."""
    return {name: node.state for name, node in nodes().items() if node.state != "unchanged"}


def test_a_fresh_project_has_every_stage_due_after_what_it_reads(fresh):
    found = nodes()
    assert {node.state for node in found.values()} == {"due"}
    assert {node.reasons for node in found.values()} == {("never run",)}
    assert len(found) == 2 * 2 + 2 * 3 + 1
    assert found["distill@half"].after == ("prepare@rings", "teach@rings", "search@half")
    assert set(found["compare"].after) == {"evaluate@half", "evaluate@third"}, "a folder is waited for through what lies in it"
    order = list(found)
    assert all(order.index(before) < order.index(name) for name, node in found.items() for before in node.after)
    assert found["teach@rings"].command == "python -m stillhouse.stages teach rings"
    assert (found["prepare@rings"].gpu, found["teach@rings"].gpu) == (0, 1)
    assert {name for name, node in found.items() if node.alone} == {"evaluate@half", "evaluate@third"}


def test_an_empty_path_that_dvc_cannot_read_is_told(fresh, monkeypatch):
    def needs(repo):
        raise AssertionError

    monkeypatch.setattr(graph.order, "needs", needs)
    with pytest.raises(UserError, match=r"^dvc\.yaml, params\.yaml - wanted paths that DVC can read - .* is a teacher's `raw` empty\?$"):
        nodes()


def test_only_true_makes_a_stage_alone(fresh):
    text = (fresh.folder / "dvc.yaml").read_text()
    for value in ("1", "false", "'yes'"):
        (fresh.folder / "dvc.yaml").write_text(text.replace("alone: true", f"alone: {value}"))
        with pytest.raises(UserError, match=r"dvc.yaml: evaluate@\w+: meta.alone - wanted true, or no such line - got "):
            nodes()


def test_nothing_is_due_when_all_is_done(done):
    assert stale() == {}


def test_a_loss_weight_makes_one_students_distillation_due(done):
    done.set("students.half.distill.losses.0.weight", 2.0)
    assert stale() == {"distill@half": "due", "evaluate@half": "maybe", "compare": "due"}
    assert nodes()["distill@half"].reasons == ("students.half.distill.losses.0.weight: 1.0 -> 2.0",)
    assert nodes()["evaluate@half"].reasons == ("after distill@half",)


def test_a_new_and_a_removed_value_are_told(done):
    done.set("students.half.distill", {"losses": [], "task_weight": 0.5})
    assert set(nodes()["distill@half"].reasons) == {
        "students.half.distill.losses.0.loss: logits -> (none)",
        "students.half.distill.losses.0.weight: 1.0 -> (none)",
        "students.half.distill.losses: (none) -> []",
        "students.half.distill.task_weight: (none) -> 0.5",
    }


def test_a_search_method_concerns_searches_for_dvc(done):
    """Which of them it can change is the runner's to say."""
    done.append("stillhouse/searches/random.py", "# better\n")
    assert {name for name, state in stale().items() if state == "due"} == {"search@half", "search@third"}
    assert nodes()["search@third"].reasons == ("stillhouse/searches changed (last edited: random.py)",)


def test_a_teachers_settings_concern_it_and_its_students(done):
    done.set("teachers.rings.teach.fit.epochs", 4)
    found = stale()
    assert found.pop("teach@rings") == "due"
    assert found == dict.fromkeys(
        [f"{verb}@{name}" for verb in ("search", "distill", "evaluate") for name in ("half", "third")] + ["compare"], "maybe"
    )


def test_a_verb_concerns_its_own_stages(done):
    done.append("stages/teach.py", "# comment\n")
    assert {name for name, state in stale().items() if state == "due"} == {"teach@rings", "teach@other"}


def test_a_changed_folder_names_the_file_that_was_edited_last(done):
    (done.folder / "stillhouse/losses/new.py").write_text("# new\n")
    assert nodes()["distill@half"].reasons == ("stillhouse/losses changed (last edited: new.py)",)


def test_what_an_earlier_stage_will_write_anyway_is_no_reason(done):
    shutil.rmtree(done.folder / "data/rings/prepared")
    found = nodes()
    assert found["prepare@rings"].reasons == ("output data/rings/prepared missing",)
    assert found["teach@rings"].state == "maybe"


def test_missing_raw_data_are_a_reason(done):
    (done.folder / "data/raw/toy.json").unlink()
    assert nodes()["prepare@rings"].reasons == ("data/raw/toy.json missing",)


def test_what_is_missing_alone_may_be_passed_over(done):
    shutil.rmtree(done.folder / "data/rings")
    shutil.rmtree(done.folder / "data/reports/third")
    shutil.rmtree(done.folder / "data/reports/half")
    (done.folder / "data/raw/toy.json").unlink()
    assert {node.state for node in graph.read(Path.cwd(), allow_missing=True)} == {"unchanged"}
    done.set("students.half.evaluate", {"evaluations": []})
    done.append("stages/distill.py", "# edited\n")
    found = {node.name: node for node in graph.read(Path.cwd(), allow_missing=True)}
    states = {name: node.state for name, node in found.items() if node.state != "unchanged"}
    assert states == {
        **dict.fromkeys(["distill@half", "distill@third", "evaluate@half", "compare"], "due"),
        "evaluate@third": "maybe",
    }
    assert found["distill@half"].lacking == ("data/rings/prepared", "data/rings/teacher")


def test_a_comparison_wants_all_reports_and_not_those_that_are_there(done):
    shutil.rmtree(done.folder / "data/reports/third")
    done.set("students.half.evaluate", {"evaluations": []})
    found = {node.name: node for node in graph.read(Path.cwd(), allow_missing=True)}
    assert (found["evaluate@third"].state, found["compare"].lacking) == ("unchanged", ("data/reports/third",))


def test_what_is_missing_and_was_made_anew_since_is_not_passed_over(done):
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["teach@rings"]["outs"][0]["md5"] = "0" * 32 + ".dir"
    Path("dvc.lock").write_text(yaml.safe_dump(lock))
    shutil.rmtree(done.folder / "data/rings/teacher")
    found = {node.name: node.state for node in graph.read(Path.cwd(), allow_missing=True)}
    assert {name: found[name] for name in ("teach@rings", "search@half", "teach@other")} == {
        "teach@rings": "unchanged",
        "search@half": "due",
        "teach@other": "unchanged",
    }


def test_wishes_to_the_scheduler_change_no_result(done):
    text = (done.folder / "dvc.yaml").read_text()
    (done.folder / "dvc.yaml").write_text(text.replace("meta: {gpu: 1}", "meta: {gpu: 2, retries: 3, timeout: 90}"))
    teach = nodes()["teach@rings"]
    assert (teach.state, teach.gpu, teach.retries, teach.timeout) == ("unchanged", 2, 3, 90.0)
    (done.folder / "dvc.yaml").write_text(text.replace("meta: {gpu: 1}", "meta: {gpu: many}"))
    with pytest.raises(UserError, match=r"teach@rings: meta wants numbers for gpu, .* got \{'gpu': 'many'\}"):
        nodes()


def test_a_training_that_is_split_takes_a_device_and_threads_for_each_part(fresh):
    path = fresh.folder / "params.yaml"
    path.write_text(path.read_text().replace("threads: 1", "threads: 2").replace("epochs: 3", "epochs: 3\n        devices: 2", 1))
    found = nodes()
    assert (found["teach@rings"].gpu, found["teach@rings"].threads) == (2, 4)
    assert (found["prepare@rings"].gpu, found["prepare@rings"].threads) == (0, 2)
    assert (found["teach@other"].gpu, found["teach@other"].threads) == (1, 2)


def test_a_search_whose_candidates_are_shared_takes_a_device_and_threads_for_each_process():
    block = {"students.half.search": {"method": "random", "workers": 3, "settings": {"fit": {"epochs": 4, "workers": 5}}}}
    stage = SimpleNamespace(
        deps=[SimpleNamespace(read_params=lambda: block), SimpleNamespace(read_params=lambda: {"threads": 2}), object()]
    )
    assert (wishes.processes(stage), wishes.workers(stage), wishes.threads(stage)) == (3, 3, 6)


def test_a_running_stage_makes_the_folder_busy_and_not_the_reader_wait(fresh):
    fresh.order(prepare__rings={"seconds": 30})
    running = fresh.start("dvc", "repro", "--single-item", "prepare@rings")
    try:
        while not (fresh.folder / "ran.txt").exists():
            time.sleep(0.05)
        with pytest.raises(Busy, match="a stage is running"):
            nodes()
    finally:
        os.kill(fresh.process("prepare@rings"), signal.SIGKILL)
        running.communicate()


def test_what_a_zombie_holds_is_free_and_what_a_process_holds_is_not(fresh):
    """DVC itself takes a zombie for a process that still works."""
    lock = fresh.folder / ".dvc/tmp/rwlock"
    lock.parent.mkdir(exist_ok=True)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as holder:
        entry = {"pid": holder.pid, "cmd": "dvc repro"}
        raw = str(fresh.folder / "data/raw/toy.json")
        lock.write_text(json.dumps({"write": {raw: entry}, "read": {}}))
        with pytest.raises(Busy, match="a stage is running"):
            nodes()
        holder.kill()
        until(lambda: not alive(holder.pid))
        assert psutil.pid_exists(holder.pid)
        assert nodes()
    assert not any(json.loads(lock.read_text()).values())


def test_names_choose_a_part_with_all_that_it_needs(fresh):
    everything = graph.read(Path.cwd())
    assert {node.name for node in graph.select(everything, ["rings"])} == {"prepare@rings", "teach@rings"}
    half = {"prepare@rings", "teach@rings", "search@half", "distill@half", "evaluate@half"}
    assert {node.name for node in graph.select(everything, ["half"])} == half
    assert {node.name for node in graph.select(everything, ["search@half"])} == half - {"distill@half", "evaluate@half"}
    assert graph.select(everything, []) == everything
    with pytest.raises(UserError, match="is named 'whole'; there are half, other, rings, third, and the stages"):
        graph.select(everything, ["whole"])


def test_a_pipeline_that_is_gone_is_told(fresh):
    (fresh.folder / "dvc.yaml").unlink()
    with pytest.raises(UserError, match=r"there is no dvc\.yaml in .*`git checkout HEAD dvc\.yaml`"):
        graph.read(fresh.folder)


def test_without_students_there_is_nothing_to_compare(fresh):
    text = (fresh.folder / "params.yaml").read_text()
    (fresh.folder / "params.yaml").write_text(text[: text.index("students:")] + "students: {}\n")
    found = graph.read(fresh.folder)
    assert [node.lacking for node in found if node.name == "compare"] == [("data/reports",)]
    assert [node.name for node in graph.select(found, [])] == [node.name for node in found if node.name != "compare"]


def test_a_broken_pipeline_is_told_in_one_line(fresh, tmp_path):
    (fresh.folder / "params.yaml").write_text("seed: 1\nteachers: {}\n")
    with pytest.raises(UserError, match="students") as caught:
        nodes()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="not inside a DVC repository"):
        graph.root(tmp_path)


def test_a_lock_in_which_dvc_repeats_a_part_by_its_name_is_whole(done):
    path, known = done.folder / "dvc.lock", {}
    lock = yaml.safe_load(path.read_text())
    for stage in lock["stages"].values():  # as `dvc commit` has it, for which several stages have one dependency in memory
        stage["deps"] = [known.setdefault(dep["path"], dep) for dep in stage.get("deps", [])]
    path.write_text(yaml.safe_dump(lock, sort_keys=False))
    assert "*id001" in path.read_text()
    assert {node.state for node in graph.read(done.folder)} == {"unchanged"}


def test_a_hash_of_no_kind_is_told(done):
    path = done.folder / "dvc.lock"
    path.write_text(path.read_text().replace("hash: md5", "hash: ''", 1))
    with pytest.raises(UserError, match="wanted a kind of hash, such as md5, for"):
        nodes()


@pytest.mark.parametrize(
    "damage", ["", "[1]", "<<<<<<< HEAD\nschema: '2.0'\n=======\n>>>>>>> other\n", "schema: '2.0'\nstages:\n  a: {cmd", "\0"]
)
def test_a_damaged_lock_is_told_with_its_remedy(done, damage):
    (done.folder / "dvc.lock").write_text(damage)
    with pytest.raises(UserError, match=r"dvc\.lock is damaged, or holds the marks .* say `git checkout HEAD dvc\.lock`") as told:
        nodes()
    assert "\n" not in str(told.value)
