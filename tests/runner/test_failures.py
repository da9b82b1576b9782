"""What DVC alone would record falsely or lose, each failure first without its answer, then with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from stillhouse import registry
from stillhouse.record import process
from stillhouse.stages.door import main
from tests.processes import alive, command_line, until
from tests.projects import facts, locked, only, scratch

Runs = Callable[[], list[Any]]
Start = Callable[..., subprocess.Popen[str]]
ONE_COMMAND = "stages:\n  plain:\n    cmd: {command}\n    deps: [code.txt]\n    outs: [out.txt]\n"
SLEEPER = "import time, pathlib; pathlib.Path('started').touch(); time.sleep(600)"


# Code that is edited while a stage runs


def test_plain_dvc_records_code_that_did_not_make_the_output(project: Path, start: Start):
    """The failure that the fingerprint answers: it is DVC's, and if it goes away this test says so."""
    (project / "code.txt").write_text("first")
    command = "cp code.txt out.txt && touch started && while ! test -e go; do sleep 0.05; done"
    (project / "dvc.yaml").write_text(ONE_COMMAND.format(command=f'"{command}"'))
    repro = start("dvc", "repro")
    until((project / "started").exists)
    (project / "code.txt").write_text("second")
    (project / "go").touch()
    repro.communicate()
    assert repro.returncode == 0
    assert (project / "out.txt").read_text() == "first"
    status = start("dvc", "status")
    assert "up to date" in status.communicate()[0], "it calls the output of the first code that of the second"


def test_the_runner_refuses_to_have_it_recorded(project: Path, start: Start, runs: Runs):
    repro = start("dvc", "repro", "--single-item", "prepare@slow")
    until((project / "started").exists)
    with (project / "stillhouse/space/cost.py").open("a") as file:
        file.write("# an afterthought\n")
    (project / "go").touch()
    output = repro.communicate()[0]
    assert repro.returncode != 0
    assert "prepare@slow: changed while it ran, so its result is not recorded: stillhouse/space; run it again" in output
    assert "Traceback" not in output
    assert locked(project) == {}
    assert runs() == []
    assert not (project / "data/slow").exists()


# A part that fails


@pytest.mark.parametrize(("raised", "said"), [("1 % 0", "ZeroDivisionError: integer modulo by zero"), ("exit(0)", "SystemExit: 0")])
def test_what_a_part_raises_is_told_by_its_line_below_the_traceback(project: Path, capsys, raised: str, said: str):
    path = project / "parts/workloads/slow/__init__.py"
    path.write_text(path.read_text().replace('Path("started").touch()', raised))
    assert main(["prepare", "slow"]) == 2
    *above, last = capsys.readouterr().err.splitlines()
    line = path.read_text().splitlines().index(f"    {raised}") + 1
    assert last == f"parts/workloads/slow/__init__.py:{line} - wanted code that runs to its end - {said}"
    assert above[0] == "Traceback (most recent call last):"
    assert not (project / "data/slow").exists()


# A killed DVC


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_command_outlives_a_killed_dvc(project: Path, start: Start, shell: str):
    """The failure that the watch on the caller answers."""
    (project / "code.txt").write_text("x")
    (project / "sleeper.py").write_text(SLEEPER)
    (project / "dvc.yaml").write_text(ONE_COMMAND.format(command=f"{sys.executable} sleeper.py"))
    repro = start("dvc", "repro", SHELL=shell)
    until((project / "started").exists)
    [child] = [each for each in psutil.Process(repro.pid).children(recursive=True) if "sleeper.py" in command_line(each)[1:2]]
    repro.kill()
    repro.wait()
    time.sleep(0.3)
    assert alive(child.pid)


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_stage_does_not_and_a_second_copy_is_refused_meanwhile(project: Path, start: Start, runs: Runs, shell: str, capsys):
    repro = start("dvc", "repro", "--single-item", "prepare@slow", SHELL=shell)
    until((project / "started").exists)
    stage = psutil.Process(int((project / ".work/prepare@slow/lease").read_text()))
    assert main(["prepare", "slow"]) == 2
    assert capsys.readouterr().err == f"this stage is already running here as process {stage.pid}: wait for its end, or stop it\n"
    repro.kill()
    repro.wait()
    until(lambda: not alive(stage.pid))
    assert not (project / "data/slow").exists()
    [run] = only(runs())
    assert (run.info.status, run.data.tags["error"]) == ("KILLED", "Stopped: stopped by SIGTERM")
    with process.lease(project / ".work/prepare@slow/lease"):
        pass  # the kernel has given it back


def test_a_stage_whose_dvc_has_gone_before_it_began_does_not_begin(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setenv("DVC_STAGE", "prepare@rings")
    monkeypatch.setattr(os, "getppid", lambda: 1)  # the first process of the system has taken it in
    assert main(["prepare", "rings"]) == 128 + signal.SIGTERM
    assert not (project / ".work/prepare@rings").exists()


def test_the_caller_of_a_process_that_has_gone_is_nobody():
    gone = subprocess.Popen(["true"])
    gone.wait()
    with pytest.raises(process.Stopped):
        process.caller(gone.pid)
    with pytest.raises(process.Stopped):
        process.die_with(gone.pid)


def test_a_stage_run_by_hand_outlives_its_shell(project: Path, start: Start, monkeypatch: pytest.MonkeyPatch):
    watched: list[int] = []
    monkeypatch.setattr(process, "die_with", watched.append)
    assert main(["prepare", "rings"]) == 0
    assert watched == []
    monkeypatch.setenv("DVC_STAGE", "prepare@rings")
    assert main(["prepare", "rings"]) == 0
    assert watched == [process.caller(os.getppid())]


# Told to stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_stage_ends_in_order(project: Path, runs: Runs, stand_in: Any, number: signal.Signals, capsys):
    def stopped(*_: Any, prepared: Path, log: Any, **__: Any) -> dict[str, float]:
        (prepared / "half").write_text("half")
        log({"epoch": 1, "loss": 0.5})
        os.kill(os.getpid(), number)
        time.sleep(5)
        raise AssertionError("it went on")

    stand_in(stopped)
    assert main(["prepare", "rings"]) == 128 + number
    assert capsys.readouterr().err == f"stopped by {number.name}\n"
    assert not (project / "data/rings").exists()
    [run] = only(runs())
    assert (run.info.status, run.data.metrics["loss"]) == ("KILLED", 0.5)


# Going on after an interruption


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`prepare` becomes a training of four epochs that is killed after two, unless it finds a checkpoint."""

    def prepare(settings: Any, workload: Any, *, raw: Path, prepared: Path, rng: Any, log: Any, scratch: Path) -> dict[str, float]:
        path = scratch / "epoch"
        done = int(path.read_text()) if path.exists() else 0
        scratch.mkdir(exist_ok=True)
        for epoch in range(done + 1, 5):
            path.write_text(str(epoch))
            log({"epoch": epoch, "loss": 1 / epoch})
            if done == 0 and epoch == 2:
                raise process.Stopped(signal.SIGTERM)
        return {"resumed_from": done}

    monkeypatch.setattr(registry.verb("prepare"), "prepare", prepare)


def test_a_killed_stage_goes_on_where_it_was(project: Path, counting: None):
    assert main(["prepare", "rings"]) == 143
    assert main(["prepare", "rings"]) == 0
    assert facts(project) == {"resumed_from": 2.0}
    [folder] = scratch(project, "prepare@rings")
    assert [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()] == [1, 2, 3, 4]
    assert not (folder / "checkpoint").exists()


def test_a_checkpoint_never_serves_another_experiment(project: Path, counting: None):
    params = project / "params.yaml"
    text = params.read_text()
    assert main(["prepare", "rings"]) == 143
    params.write_text(text.replace("noise: 0.1", "noise: 0.2"))
    assert main(["prepare", "rings"]) == 143, "other settings begin at the beginning"
    params.write_text(text)
    assert main(["prepare", "rings"]) == 0, "and going back goes on"
    assert facts(project) == {"resumed_from": 2.0}


def test_a_persistent_output_of_plain_dvc_does_serve_another_experiment(project: Path, start: Start):
    """The failure that scratch folders by fingerprint answer."""
    (project / "code.txt").write_text("learning rate 0.1")
    (project / "epochs.sh").write_text("cat code.txt >> out.txt; echo >> out.txt\n")
    text = ONE_COMMAND.format(command="sh epochs.sh").replace("[out.txt]", "[out.txt: {persist: true, cache: false}]")
    (project / "dvc.yaml").write_text(text)
    start("dvc", "repro").communicate()
    (project / "code.txt").write_text("learning rate 0.9")
    start("dvc", "repro").communicate()
    assert (project / "out.txt").read_text() == "learning rate 0.1\nlearning rate 0.9\n", "it went on with what another one had begun"


def test_a_stage_refuses_what_has_rotted_since_it_was_written(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "rings"]) == 0
    path = project / "data/rings/prepared/train.parquet"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert main(["teach", "rings"]) == 2
    assert "data/rings/prepared/train.parquet no longer has the bytes that were written" in capsys.readouterr().err
    assert not (project / "data/rings/teacher").exists()
