"""All stages of an execution share one look at the pool."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from stillhouse.flows.nodes.life import BEAT


class Pool:
    """Counts its questions; `away` makes it refuse them."""

    def __init__(self) -> None:
        self.asked, self.away = 0, False

    def open_runs(self) -> list[Any]:
        self.asked += 1
        if self.away:
            raise httpx.ReadTimeout("busy")
        return []

    def silences(self) -> dict[str, float]:
        return {"a": BEAT}

    def facts(self) -> dict[str, dict[str, Any]]:
        return {"a": {"cores": 8, "gpus": [24.0]}, "b": {"cores": 2}}


def test_a_second_has_one_look_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    from stillhouse.flows.nodes import watch

    monkeypatch.setattr(watch, "POLL", 1000.0)
    pool = Pool()
    seen = watch.Watch(pool)  # type: ignore[arg-type]
    hosts = [seen.view().hosts for _ in range(20)][-1]
    assert [(host.name, host.cores, host.gpus, host.alive) for host in hosts] == [("a", 8, (24.0,), True), ("b", 2, (), False)]
    assert pool.asked == 1
    pool.away = True
    seen.forget()
    for _ in range(3):
        with pytest.raises(httpx.ReadTimeout):
            seen.view()
    assert pool.asked == 2
