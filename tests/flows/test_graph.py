"""DVC's undocumented graph and status, held to the pinned version in a real repository."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph
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


def test_wishes_to_the_scheduler_change_no_result(done):
    text = (done.folder / "dvc.yaml").read_text()
    (done.folder / "dvc.yaml").write_text(text.replace("meta: {gpu: 1}", "meta: {gpu: 2, retries: 3, timeout: 90}"))
    teach = nodes()["teach@rings"]
    assert (teach.state, teach.gpu, teach.retries, teach.timeout) == ("unchanged", 2, 3, 90.0)
    (done.folder / "dvc.yaml").write_text(text.replace("meta: {gpu: 1}", "meta: {gpu: many}"))
    with pytest.raises(UserError, match=r"teach@rings: meta wants numbers for gpu, .* got \{'gpu': 'many'\}"):
        nodes()


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


def test_a_broken_pipeline_is_told_in_one_line(fresh, tmp_path):
    (fresh.folder / "params.yaml").write_text("seed: 1\nteachers: {}\n")
    with pytest.raises(UserError, match="students") as caught:
        nodes()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="not inside a DVC repository"):
        graph.root(tmp_path)
