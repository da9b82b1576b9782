"""One story with a real Prefect server: a failure, an interruption, a kill, and the end of the work."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from stillhouse.flows.server import settings
from stillhouse.record.process import is_dead
from tests.connections import OWN, audited
from tests.pipelines import Project
from tests.processes import alive, command_line, until

FINAL = {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


@dataclass
class Chapter:
    """One call of `stillhouse run`: how it ended, what ran, and the state in which Prefect has its stages."""

    code: int
    text: str
    ran: list[str] = field(default_factory=list)
    flow: str = ""
    stages: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def story(fresh_template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All chapters in one project, since each start of a server takes seconds."""
    folder = tmp_path_factory.mktemp("story") / "project"
    shutil.copytree(fresh_template, folder, symlinks=True)
    project, told = Project(folder), {"folder": folder}
    text = (folder / "dvc.yaml").read_text()
    text = text.replace("meta: {gpu: 1}", "meta: {gpu: 1, retries: 1}")
    before, search, after = text.partition("  search:\n")
    (folder / "dvc.yaml").write_text(before + search + after.replace("meta: {gpu: 1,", "meta: {gpu: 1, alone: true,", 1))
    with audited(tmp_path_factory.mktemp("audit")) as told["addresses"], pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there
        (folder / "wrong").touch()
        told["mistake"] = chapter(project)
        (folder / "wrong").unlink()
        # The other teacher's training still goes on when the first student's search could begin.
        project.order(search__third={"exit": 1, "say": "singular matrix"}, teach__other={"seconds": 4}, teach__rings={"seconds": 2})
        told["failure"] = chapter(project)
        project.order(search__third={"seconds": 60})
        with named_server(folder) as server, pytest.MonkeyPatch.context() as named:
            named.setenv("PREFECT_API_URL", server.address)
            told["interruption"] = chapter(project, signal.SIGINT)
            told["kill at a named server"] = chapter(project, signal.SIGKILL)
            project.order(search__third={"until": "killed", "exit": 1})
            told["named server dies"] = chapter(project, dies=("search@third", server.process))
            told["known then"] = [row["state_name"] for row in rows(folder, "flow_run")]
        project.order(search__third={"seconds": 60})
        told["kill"] = chapter(project, signal.SIGKILL)
        told["unfinished"] = [
            folder / "data/half/.AbCdEfGhIjKlMnOpQrSt_-.tmp",
            folder / ".dvc/cache/files/md5/a.AbCdEfGhIjKlMnOpQrSt_-.tmp",
        ]
        for path in told["unfinished"]:
            path.touch()
        project.order(compare={"until": "killed"})
        told["end"] = chapter(project, dies=("compare", None))
        told["nothing"] = chapter(project)
        project.order(teach__other={"exit": 1})
        told["first failure"] = chapter(project, None, "--force", "--no-keep-going", "--jobs", "1")
    return told


@dataclass(frozen=True)
class Named:
    """A server of one's own, for `PREFECT_API_URL`."""

    address: str
    process: psutil.Popen


@contextmanager
def named_server(folder: Path) -> Iterator[Named]:
    """One that nobody here has started, as it seems; on the database of the project, so that `rows` finds all there is."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    environment = {**os.environ, **settings(folder)}
    process = psutil.Popen(command, cwd=folder.parent, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: connects(port), 120)
        yield Named(f"http://127.0.0.1:{port}/api", process)
    finally:
        process.kill()
        process.wait()


def connects(port: int) -> bool:
    """Whether somebody listens at a port; asked without any proxy."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def chapter(
    project: Project, end: signal.Signals | None = None, *options: str, dies: tuple[str, psutil.Process | None] | None = None
) -> Chapter:
    """Runs the command; with a signal, sends it when search@third runs and Prefect follows.

    `dies`: in which stage Prefect's server is killed, a named one or the command's own; the file `killed` tells the stage of it.
    """
    project.forget("search@third")
    (project.folder / "killed").unlink(missing_ok=True)
    before = {row["id"] for row in rows(project.folder, "flow_run")}
    process, family = project.start("stillhouse", "run", *options), []
    if end:
        project.process("search@third")
        until(
            lambda: [row for row in rows(project.folder, "task_run") if row["name"] == "search@third" and row["flow_run_id"] not in before]
        )
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(end)
    if dies:
        stage, server = dies
        follow(project, stage, before)
        [server] = [server] if server else [child for child in psutil.Process(process.pid).children() if "server" in command_line(child)]
        server.kill()
        (project.folder / "killed").touch()
    text, _ = process.communicate(timeout=240)
    until(lambda: not any(alive(member.pid) for member in family))
    flows = [row for row in rows(project.folder, "flow_run") if row["id"] not in before]
    tasks = [row for row in rows(project.folder, "task_run") if flows and row["flow_run_id"] == flows[0]["id"]]
    assert len(flows) <= 1
    states = {row["name"]: row["state_name"] for row in tasks}
    return Chapter(process.returncode, text, project.ran(), flows[0]["state_name"] if flows else "", states)


def follow(project: Project, stage: str, before: set[str]) -> None:
    """Waits until a stage runs, and Prefect has it in a flow run that was not there `before`."""
    project.process(stage)
    until(lambda: [row for row in rows(project.folder, "task_run") if row["name"] == stage and row["flow_run_id"] not in before])


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """What Prefect's database has."""
    path = folder / ".prefect/prefect.db"
    if not path.exists():
        return []
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"select * from {table}")]


def left_over(folder: Path) -> list[int]:
    """The processes that still work in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def test_a_mistake_in_the_parameters_is_told_before_any_stage_runs(story):
    assert story["mistake"].code == 1
    assert "params.yaml: seed - is wrong" in story["mistake"].text
    assert story["mistake"].ran == []


def test_a_failure_stops_those_who_need_it_and_nobody_else(story):
    told = story["failure"]
    assert told.code == 1
    assert told.ran.count("search@third") == 2, "it was tried again, as its meta asks"
    assert set(told.ran) == {f"{verb}@{name}" for verb in ("prepare", "teach") for name in ("rings", "other")} | {
        "search@third",
        "search@half",
        "distill@half",
        "evaluate@half",
    }
    assert told.ran.index("prepare@rings") < told.ran.index("teach@rings") < told.ran.index("search@half") < told.ran.index("distill@half")


def test_stages_that_do_not_need_each_other_run_side_by_side(story):
    times = {name: (begin, end) for name, begin, end in reversed(spans(story["folder"]))}
    assert times["teach@other"][0] < times["teach@rings"][1]
    assert times["teach@rings"][0] < times["teach@other"][1]
    assert times["prepare@rings"][1] < times["teach@rings"][0]


def test_the_first_stages_do_not_wait_for_prefects_server(story):
    begun = min(begin for _, begin, _ in spans(story["folder"]))
    first, *_ = rows(story["folder"], "flow_run")
    assert begun < datetime.fromisoformat(first["start_time"]).replace(tzinfo=UTC).timestamp()


def test_without_any_server_the_stages_run_and_a_line_says_so(fresh):
    done = fresh.call("stillhouse", "run", "prepare@rings", PREFECT_SERVER_DATABASE_CONNECTION_URL="nonsense://")
    assert (done.returncode, fresh.ran()) == (0, ["prepare@rings"])
    assert "warning: Prefect's server does not start: " in done.stderr
    assert (done.stderr.count("\n"), "Traceback" in done.stdout + done.stderr) == (1, False)


def spans(folder: Path) -> list[tuple[str, float, float]]:
    """Begin and end of each stage's work, as the stages have written them."""
    return [(name, float(begin), float(end)) for name, begin, end in map(str.split, (folder / "spans.txt").read_text().splitlines())]


def test_a_stage_that_is_alone_overlaps_with_no_other(story):
    told = spans(story["folder"])
    beside = {
        (one[0], other[0]) for index, one in enumerate(told) for other in told[index + 1 :] if one[1] < other[2] and other[1] < one[2]
    }
    assert {"search@half", "search@third", "teach@other", "evaluate@half"} <= {name for name, *_ in told}
    assert [pair for pair in beside if any(name.startswith(("search@", "evaluate@")) for name in pair)] == []


def test_prefect_has_a_true_state_for_every_stage(story):
    assert story["failure"].flow == "Failed"
    assert story["failure"].stages == {
        **dict.fromkeys(story["failure"].ran, "Done"),
        "search@third": "Failed",
    }
    assert story["interruption"].flow == "Cancelled"
    assert story["interruption"].stages == {"search@third": "Cancelled"}
    assert story["kill"].flow == story["kill at a named server"].flow == "Running", "nobody was left to say otherwise"
    assert story["end"].flow == "Running", "its server was killed in the last stage"


def test_results_do_not_depend_on_prefect_and_the_next_run_tells_it_though_nothing_is_due(story):
    assert story["end"].code == 0
    assert "warning: Prefect's server went away" in story["end"].text
    flow = rows(story["folder"], "flow_run")[-2]
    told = {row["name"]: row["state_name"] for row in rows(story["folder"], "task_run") if row["flow_run_id"] == flow["id"]}
    assert (flow["state_name"], told) == ("Completed", dict.fromkeys(story["end"].ran, "Done"))
    assert not (story["folder"] / ".work/open.json").exists()


def test_in_the_end_nothing_is_left_open(story):
    found = rows(story["folder"], "flow_run") + rows(story["folder"], "task_run")
    assert {row["state_type"] for row in found} <= FINAL
    states = [row["state_name"] for row in rows(story["folder"], "flow_run")]
    assert states == ["Failed", "Cancelled", "Crashed", "Failed", "Crashed", "Completed", "Failed"]


def test_a_named_server_may_die_and_is_told_of_what_was_killed(story):
    told = story["named server dies"]
    assert (told.code, told.ran) == (1, ["search@third", "search@third"])
    assert "warning: Prefect's server went away" in told.text
    assert story["known then"] == ["Failed", "Cancelled", "Crashed", "Running"], "others use that server: only one's own runs are closed"


def test_the_time_left_is_estimated_from_the_runs_before(story):
    assert "time left: no estimate" in story["failure"].text
    assert re.match(r"time left: at least \d+ s \(nothing is known of compare\)\nsearch@third: running\n", story["end"].text)
    assert (story["folder"] / ".work/search@half/seconds.json").exists()
    assert "time left" not in story["nothing"].text


def test_a_failure_is_shown_with_its_log_and_what_to_do(story):
    text = story["failure"].text
    assert "search@third: failed: search@third failed with exit code" in text
    assert "singular matrix" in text
    assert "By hand: dvc repro --single-item search@third" in text
    assert "distill@third: not run: search@third gave no result" in text


def test_an_interruption_ends_at_once_and_cleanly(story):
    told = story["interruption"]
    assert told.code == 130
    assert told.ran == ["search@third"]
    assert "search@third: stopped" in told.text
    assert "distill@third: not run: interrupted\n" in told.text


def test_ctrl_c_during_the_start_ends_in_order_also_where_a_script_ignores_it(fresh):
    command = ["bash", "-c", f"trap '' INT; exec {sys.executable} -m stillhouse run"]
    process = subprocess.Popen(command, cwd=fresh.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until((fresh.folder / ".work/open.json").exists)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert (process.returncode, text, fresh.ran()) == (130, "", [])
    assert not (fresh.folder / ".work/open.json").exists()
    until(lambda: left_over(fresh.folder) == [os.getpid()])


def test_a_killed_execution_leaves_no_process(story):
    assert story["kill"].code == -signal.SIGKILL
    assert left_over(story["folder"]) == []


def test_what_a_killed_dvc_had_not_finished_is_removed(story):
    assert [path for path in story["unfinished"] if path.exists()] == []


def test_the_rest_is_done_and_then_nothing(story):
    assert story["end"].code == 0
    assert sorted(story["end"].ran) == ["compare", "distill@third", "evaluate@third", "search@third"]
    assert "| half | 0.75 |" in story["end"].text
    assert (story["nothing"].code, story["nothing"].ran, story["nothing"].flow) == (0, [], "")
    assert "nothing to do" in story["nothing"].text


def test_a_forced_run_does_what_is_unchanged_and_may_end_at_the_first_failure(story):
    told = story["first failure"]
    assert told.code == 1
    assert {"prepare@rings", "prepare@other"} <= set(told.ran), "nothing was due"
    assert told.ran[-2:] == ["teach@other", "teach@other"], "it was tried again, and nothing began after it"
    assert "evaluate@half: not run: " in told.text
    assert "teach@other: failed" in told.text
    seen = json.loads((story["folder"] / ".work/prepare@rings/fingerprint/seen.json").read_text())
    assert seen["STILLHOUSE_AFRESH"] == "1"


def test_no_traceback_is_ever_printed(story):
    texts = [told.text for told in story.values() if isinstance(told, Chapter)]
    assert [text for text in texts if "Traceback" in text or "Exception" in text] == []


def test_nothing_speaks_to_another_machine(story):
    addresses = set(story["addresses"].read_text().split())
    assert "127.0.0.1" in addresses, "else the listener does not listen"
    assert addresses <= OWN


def test_the_tracker_hears_of_every_execution_and_its_stages(story):
    calls = [call.split() for call in (story["folder"] / "tracked.txt").read_text().splitlines()]
    started = [call[1] for call in calls if call[0] == "serve"]
    finished = {call[1]: call[2] for call in calls if call[0] == "told"}
    assert len(started) == 7, "a mistake in params.yaml is told before anything is opened"
    assert [finished.get(key) for key in started] == ["FAILED", "KILLED", None, "FAILED", None, "FINISHED", "FAILED"]
    seen = json.loads((story["folder"] / ".work/compare/fingerprint/seen.json").read_text())
    assert seen["STILLHOUSE_EXECUTION"] == started[-2]
    assert is_dead(seen["STILLHOUSE_EXECUTION_OWNER"]), "it is the command's process, which has ended"
    plan = json.loads((story["folder"] / ".work/plan.json").read_text())
    assert len(plan) == 11
