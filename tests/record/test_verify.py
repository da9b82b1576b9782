"""A verification that is killed before a file operation leaves nothing half-written, and the next one ends the work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dvc.repo import Repo

from stillhouse.record import verify
from stillhouse.record.verify import Report
from tests.cli.test_verify import flip
from tests.killing import operations

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

STAGE = "stages:\n  a:\n    cmd: mkdir out && echo one > out/a && echo two > out/b\n    outs: [out]\n"
EVERY = int(os.environ.get("STILLHOUSE_TEST_KILL_EVERY", "4"))


def verified() -> Report:
    return verify.verify(Path(), None, mend=True, tell=lambda done, total: None)


def killed(before: int) -> bool:
    """Verifies in a process that dies before one of its file operations; False if it had fewer."""
    if (pid := os.fork()) == 0:
        operations(before, lambda count: None)
        verified()
        os._exit(0)
    return os.waitpid(pid, 0)[1] != 0


def test_a_kill_before_any_file_operation_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    Path("dvc.yaml").write_text(STAGE)
    with Repo() as repo, repo.config.edit("local") as config:
        config.update(cache={"type": "hardlink"}, remote={"store": {"url": str(tmp_path / "remote")}}, core={"remote": "store"})
    with Repo() as repo:
        repo.reproduce()
        repo.push()
    for before in range(1, 200, EVERY):
        flip(Path("out/a"))
        ended = not killed(before)
        report = verified()
        assert report.sound
        assert Path("out/a").read_text() == "one\n"
        assert verified().damages == []
        if ended:
            break
    assert before > 10
