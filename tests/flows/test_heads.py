"""The head of a project, beside others and while Prefect's server is busy."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes import heads, patience


class Busy:
    """A pool whose server answers every second question; of each name it knows for how long it has been silent."""

    def __init__(self, silent: dict[str, float]) -> None:
        self.silent, self.own, self.left, self._asked = silent, "", list[str](), 0

    def _answer(self) -> None:
        self._asked += 1
        if self._asked % 2:
            raise httpx.ConnectError("busy")

    def beat(self, name: str) -> None:
        self._answer()
        self.silent[name] = 0.0

    def silences(self) -> dict[str, float]:
        self._answer()
        return self.silent

    def leave(self, name: str) -> None:
        self.left.append(name)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(patience, "POLL", 0.0)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return Busy({"head other box%3A%2Fthere": 0.0, "box": 0.0})


def test_a_busy_server_is_asked_again_before_a_run_begins(pool: Any, tmp_path: Path) -> None:
    with heads.alone(pool, "project", tmp_path, Event()):
        assert pool.own.startswith("head project ")
        assert not pool.left
    assert pool.left == [pool.own]


def test_a_head_of_the_same_project_is_found_by_a_busy_server_too(pool: Any, tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match="another head runs this project, box:/there: wait for its end"),
        heads.alone(pool, "other", tmp_path, Event()),
    ):
        pytest.fail("it began")
    assert pool.left == [pool.own]
