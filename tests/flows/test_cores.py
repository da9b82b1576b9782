"""Threads for stages side by side."""

from stillhouse.flows.cores import shares
from stillhouse.flows.graph import Node


def node(name: str, *after: str) -> Node:
    return Node(name, "", after, "due", ())


NODES = [node("teach"), node("search@a", "teach"), node("search@b", "teach"), node("distill@a", "search@a"), node("compare", "distill@a")]


def test_stages_that_may_run_together_share_the_cores(monkeypatch):
    monkeypatch.delenv("STILLHOUSE_WORKERS", raising=False)
    given = {name: int(extra["STILLHOUSE_WORKERS"]) for name, extra in shares(NODES, 8).items()}
    assert given == {"teach": 8, "search@a": 4, "search@b": 4, "distill@a": 8, "compare": 8}
    assert all(extra == {"STILLHOUSE_WORKERS": "1"} for extra in shares(NODES, 1).values())


def test_what_the_reader_has_set_stays(monkeypatch):
    monkeypatch.setenv("STILLHOUSE_WORKERS", "3")
    assert all(extra == {} for extra in shares(NODES, 8).values())
