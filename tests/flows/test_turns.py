"""Turns: a stage that is alone overlaps with none, and nobody waits for ever."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from stillhouse.flows.graph import Node
from stillhouse.flows.turns import Turns, ready

LONG, SHORT = Node("teach@long", "", (), "due", ()), Node("teach@short", "", (), "due", ())
MEASURED = Node("evaluate@short", "", ("teach@short",), "due", (), alone=True)
AFTER = Node("distill@long", "", ("teach@long", "search@kept"), "maybe", ())
TABLE = Node("compare", "", ("evaluate@short", "distill@long"), "maybe", ())


@pytest.mark.parametrize(
    ("ended", "begun", "wanted"),
    [
        ([], [], ["teach@long", "teach@short"]),
        (["teach@short"], ["teach@long"], []),
        (["teach@short"], [], ["teach@long"]),
        (["teach@short", "teach@long"], [], ["distill@long"]),
        (["teach@short", "teach@long"], ["distill@long"], []),
        (["teach@short", "teach@long", "distill@long"], [], ["evaluate@short"]),
        (["teach@short", "teach@long", "distill@long", "evaluate@short"], [], ["compare"]),
    ],
)
def test_what_is_alone_begins_when_nothing_else_can(ended: list[str], begun: list[str], wanted: list[str]):
    nodes = [LONG, SHORT, AFTER, MEASURED, TABLE]
    waiting = [node for node in nodes if node.name not in ended + begun]
    assert [node.name for node in ready(waiting, {node.name: node.name in ended for node in nodes})] == wanted


def test_what_makes_the_same_result_as_another_begins_after_it():
    first, second, other = (
        Node(f"search@{name}", "", (), "due", (), same_as=same) for name, same in (("a", ""), ("b", "search@a"), ("c", ""))
    )
    assert ready([first, second, other], dict.fromkeys(["search@a", "search@b", "search@c"], False)) == [first, other]
    assert ready([second], {"search@a": False, "search@b": False, "search@c": True}) == []
    assert ready([second], {"search@a": True, "search@b": False, "search@c": False}) == [second]
    assert ready([second], {"search@b": False}) == [second], "the first of them was not due"


def test_what_is_alone_overlaps_with_nothing_and_others_run_together():
    turns, stop, spans = Turns(), Event(), []

    def stage(index: int) -> None:
        alone = index % 4 == 3
        with turns.take(alone, stop):
            started = time.monotonic()
            time.sleep(0.02)
            spans.append((alone, started, time.monotonic()))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(stage, range(24), timeout=30))
    pairs = [(a, b) for i, a in enumerate(spans) for b in spans[i + 1 :] if a[1] < b[2] and b[1] < a[2]]
    assert len(spans) == 24
    assert pairs, "those that are not alone run side by side"
    assert [pair for pair in pairs if pair[0][0] or pair[1][0]] == []


def test_nobody_begins_while_one_waits_to_be_alone():
    turns, stop = Turns(), Event()

    def stage(alone: bool) -> float:
        with turns.take(alone, stop):
            return time.monotonic()

    with ThreadPoolExecutor() as pool:
        with turns.take(False, stop):
            alone = pool.submit(stage, True)
            time.sleep(0.05)
            later = pool.submit(stage, False)
            time.sleep(0.3)
            assert not later.done(), "else one after another would keep it waiting for ever"
        assert alone.result(timeout=60) <= later.result(timeout=60)


def test_an_interruption_ends_the_wait():
    turns, stop = Turns(), Event()
    with turns.take(False, stop), ThreadPoolExecutor() as pool:
        waiting = pool.submit(lambda: turns.take(True, stop).__enter__())
        time.sleep(0.05)
        assert not waiting.done()
        stop.set()
        waiting.result(timeout=60)
