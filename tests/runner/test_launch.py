"""A stage on several devices: real processes, which end together, however one ends; and what is refused before they start."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.record.part import CANDIDATES, Part
from stillhouse.record.process import AFRESH
from stillhouse.runner import devices, launch, params, run
from stillhouse.stages.door import main
from stillhouse.training import machine
from tests.processes import alive, until
from tests.projects import PARAMS, TINY

EPOCHS = 250
"""Some seconds for two processes that tell each other of each step."""
TWO = PARAMS.replace("fit: {epochs: 3, learning_rate: 0.02}", f"fit: {{epochs: {EPOCHS}, learning_rate: 0.002, devices: 2}}", 1)


def test_all_processes_end_with_any_of_them_and_one_device_goes_on_from_two(
    project: Path, start: Callable[..., subprocess.Popen[str]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed are the second process, which the stage tells, and the stage itself, which leaves nothing behind that computes."""
    monkeypatch.setenv("STILLHOUSE_EXECUTION", "test")
    (project / "params.yaml").write_text(TWO)
    assert main(["prepare", "rings"]) == 0

    stage = start("stillhouse.stages", "teach", "rings")
    os.kill(training(project, stage), signal.SIGKILL)
    assert stage.wait(30) == 2
    assert stage.stdout is not None
    said = r"device 2 of 2 ended before the others: stopped by SIGKILL \(its output is in \.work/teach@rings/\w+/devices/1\.txt\)"
    assert re.fullmatch(said, stage.stdout.read().splitlines()[-1])

    stage = start("stillhouse.stages", "teach", "rings")
    [other] = until(lambda: others(stage))  # not even told of yet: nothing but the kernel can end it
    stage.kill()
    stage.wait()
    until(lambda: not alive(other))
    assert not (project / "data/rings/teacher").exists()

    (project / "params.yaml").write_text(TWO.replace("devices: 2", "devices: 1"))
    assert main(["teach", "rings"]) == 0
    numbers = epochs(project)
    assert numbers[-1] == EPOCHS
    assert numbers[len(numbers) - numbers[::-1].index(EPOCHS) - 1] == EPOCHS
    assert numbers.count(1) == 1, "it went on from the checkpoint of two processes"
    assert len((project / "data/rings/teacher.csv").read_text().splitlines()) == EPOCHS + 1
    (project / "params.yaml").write_text(TWO)
    capsys.readouterr()
    assert main(["teach", "rings"]) == 0
    assert capsys.readouterr().out.startswith("kept: nothing that can change the result")


def epochs(project: Path) -> list[int]:
    """The epochs that have been told, in their order."""
    return [
        json.loads(line)["epoch"] for path in project.glob(".work/teach@rings/*/metrics.jsonl") for line in path.read_text().splitlines()
    ]


def training(project: Path, stage: subprocess.Popen[str]) -> int:
    """The stage's other process, once an epoch has been told."""
    until(lambda: stage.poll() is not None or epochs(project))
    [other] = others(stage)
    return other


def others(stage: subprocess.Popen[str]) -> list[int]:
    """The processes that a stage has started for its other devices."""
    return [child.pid for child in psutil.Process(stage.pid).children() if is_other(child)]


def is_other(process: psutil.Process) -> bool:
    """By its environment: a command that was forked this moment still has the line of the stage, and may be gone in the next one."""
    try:
        return launch.OTHER in process.environ()
    except psutil.Error:
        return False


DRAWN = "{method: random, budget: {unit: macs, share: 0.5}, settings: {draws: 4, fit: {epochs: 4, learning_rate: 0.02}}"
"""A search whose draws several processes may share."""


def test_processes_that_share_a_search_find_what_one_finds(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the other process is told of as gone, and then runs in this one: what each has done, the next one finds."""
    monkeypatch.setenv("STILLHOUSE_EXECUTION", "test")
    (project / "params.yaml").write_text(PARAMS.replace("{method: uniform, budget: {unit: macs, share: 0.5}", DRAWN))
    assert [main([verb, name]) for verb, name in (("prepare", "rings"), ("teach", "rings"), ("search", "half"))] == [0, 0, 0]
    found = contents(project / "data/half/found")
    (project / "params.yaml").write_text(PARAMS.replace("{method: uniform, budget: {unit: macs, share: 0.5}", DRAWN + ", workers: 2"))
    assert main(["search", "half"]) == 0
    assert "kept: nothing that can change the result" in capsys.readouterr().out
    monkeypatch.setenv(AFRESH, "1")
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(launch, "_start", other("exit 3", told))
    assert main(["search", "half"]) == 2
    assert "device 2 of 2 ended before the others" in capsys.readouterr().err
    launch.follow("search", "half", told[0])
    draws = sorted(path.parent.name for path in project.glob(".work/search@half/*/checkpoint/candidates/*/*.safetensors"))
    assert draws == ["draw1", "draw2", "draw3", "draw4"]
    assert not list(project.glob(".work/search@half/*/devices/output")), "it writes nothing of what was found"
    monkeypatch.setattr(launch, "_start", other("exit 0", told))
    assert main(["search", "half"]) == 0
    assert contents(project / "data/half/found") == found
    on_two_machines(project, told[0]["key"], monkeypatch)
    assert contents(project / "data/half/found") == found
    part(monkeypatch, 1, "another fingerprint")
    assert main(["search", "half"]) == 2
    assert "search@half reads something else here than where its search began" in capsys.readouterr().err


def on_two_machines(project: Path, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stage of the second one makes all candidates, since nobody else does; that of the first one has them then, and writes."""
    part(monkeypatch, 1, key)
    before = (project / "data/half/found").stat()
    assert main(["search", "half"]) == 0
    candidates = [path for path in project.glob(f".work/search@half/*/{CANDIDATES}/*/*") if path.suffix]
    assert len(candidates) == 4
    assert (project / "data/half/found").stat() == before
    part(monkeypatch, 0, key)
    assert main(["search", "half"]) == 0


def part(monkeypatch: pytest.MonkeyPatch, number: int, key: str) -> None:
    for name, value in Part(number, 2, "search@half", key).environment().items():
        monkeypatch.setenv(name, value)


def other(script: str, told: list[dict[str, Any]]) -> Callable[..., subprocess.Popen[bytes]]:
    """In the place of another process: one that is ready at once, and what that process would have been told."""

    def start(ready: run.Run, folder: Path, number: int, count: int) -> subprocess.Popen[bytes]:
        told.append(launch._telling(ready, number, count))
        (folder / f"{number}.ready").touch()
        (folder / f"{number}.txt").touch()
        return subprocess.Popen(["sh", "-c", script])

    return start


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_process_that_is_done_first_has_not_failed(tmp_path: Path) -> None:
    both = [subprocess.Popen(["true"]), subprocess.Popen(["sh", "-c", "exit 3"])]
    for process in both:
        process.wait()
    (tmp_path / "1.txt").write_text("a line\nthe last line\n")
    assert launch.Others(both[:1], tmp_path).ended() is None
    said = launch.Others(both[1:], tmp_path).ended()
    assert said == f"device 2 of 2 ended before the others: the last line (its output is in {tmp_path / '1.txt'})"


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of a params.yaml that may name the toy workload."""
    monkeypatch.syspath_prepend(TINY)
    return tmp_path


FIT = "fit: {epochs: 1, learning_rate: 0.1, devices: 2, accumulate: 2}"
SEARCH = "search: {{method: {}, budget: {{unit: {}, share: 0.5}}, settings: {{{}" + FIT.replace("{", "{{").replace("}", "}}") + "}}}}"
FITS = "students.half.search.settings.fit"


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (
            SEARCH.format("random", "macs", "draws: 1, "),
            f"{FITS}.devices - should be 1: the search 'random' decides by more than its training",
        ),
        (
            SEARCH.format("dms", "latency", ""),
            f"{FITS}.devices - should be 1 where a budget is a latency: each device would measure another one",
        ),
        (
            "search: {method: uniform, budget: {unit: macs, share: 0.5}, workers: 2}",
            "students.half.search.workers - should be 1: the search 'uniform' has no candidates that are judged one by one",
        ),
        (
            "search: {method: zico, budget: {unit: latency, share: 0.5}, settings: {candidates: 4}, workers: 2}",
            "students.half.search.workers - should be 1 where a budget is a latency: each process would measure another one",
        ),
        (
            f"distill: {{losses: [{{loss: pearson, settings: {{pairs: [trunk]}}}}], {FIT}}}",
            "students.half.distill.fit.accumulate - should be 1: pearson wants all rows of a batch at once",
        ),
    ],
)
def test_what_a_method_or_a_loss_cannot_split_is_told_by_the_check(toy: Path, block: str, said: str) -> None:
    teachers = TWO.split("students:")[0].split("  slow:")[0]
    (toy / "params.yaml").write_text(f"{teachers}students:\n  half:\n    teacher: rings\n    workload: toy\n    {block}\n")
    with pytest.raises(UserError) as caught:
        params.read(toy / "params.yaml", block.partition(":")[0], "half")
    assert str(caught.value) == f"params.yaml: {said} - got 2"


def test_what_a_workload_cannot_split_is_told_by_the_check(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (toy / "params.yaml").write_text(TWO.replace("devices: 2", "devices: 2, accumulate: 2"))
    monkeypatch.setattr(registry, "workload", whole(registry.workload))
    with pytest.raises(UserError) as caught:
        params.read(toy / "params.yaml", "teach", "rings")
    said = "teachers.rings.teach.fit.{} - should be 1: a batch of the workload 'toy' cannot be split - got 2"
    assert str(caught.value).splitlines() == [f"params.yaml: {said.format(name)}" for name in ("devices", "accumulate")]


def whole(known: Callable[[str], Any]) -> Callable[[str], Any]:
    """Workloads whose batches cannot be split."""
    return lambda name: replace(known(name), split=None)


def test_of_what_is_said_one_process_for_each_device_comes(toy: Path) -> None:
    (toy / "params.yaml").write_text(TWO)
    block = params.read(toy / "params.yaml", "teach", "rings")
    assert devices.number(block.settings) == 2
    assert not {"devices", "accumulate"} & block.facts["fit"].keys(), "what was made without them is known still"


def test_several_devices_are_counted_from_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.require(2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda:1")
    with pytest.raises(UserError, match=r"^STILLHOUSE_DEVICE - wanted cuda, without a number, where fit\.devices is 2 - got cuda:1$"):
        machine.require(2)
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cuda")
    with pytest.raises(UserError, match=r"^workers - wanted 3 CUDA devices - this process sees 2: lower it$"):
        machine.require(3, "workers")
    with pytest.raises(UserError, match=r"^fit\.devices - wanted 3 CUDA devices - this process sees 2: lower it$"):
        machine.require(3)
