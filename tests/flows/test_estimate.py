"""How long an execution will take, computed from known numbers."""

from __future__ import annotations

import os

import pytest

from stillhouse.flows import estimate
from stillhouse.flows.graph import Node
from stillhouse.record import durations


def node(name, *after, state="due", alone=False):
    return Node(name, "", after, state, (), alone=alone)


CHAIN = [node("teach@a"), node("search@b", "teach@a"), node("search@c", "teach@a"), node("compare", "search@b", "search@c")]
SECONDS = {"teach@a": 60.0, "search@b": 30.0, "search@c": 40.0, "compare": 5.0}


@pytest.mark.parametrize(("at_once", "seconds"), [(1, 135.0), (2, 105.0), (9, 105.0)])
def test_stages_run_side_by_side_where_they_do_not_need_each_other(at_once, seconds):
    assert estimate.left(CHAIN, SECONDS, at_once) == seconds


def test_one_that_is_alone_has_no_neighbour():
    nodes = [node("teach@a"), node("evaluate@b", alone=True), node("teach@c"), node("teach@d")]
    seconds = {"teach@a": 20.0, "evaluate@b": 7.0, "teach@c": 10.0, "teach@d": 1.0}
    assert estimate.left(nodes, seconds, 4) == 27.0, "it waits for those that run"
    assert estimate.left(nodes[1:3], seconds, 4) == 17.0, "and they for it"


def test_what_is_needed_and_not_among_the_nodes_is_there():
    assert estimate.left([node("search@b", "teach@a")], {"search@b": 30.0}, 1) == 30.0
    assert estimate.left([], {}, 1) == 0


def test_a_stage_takes_what_it_took_last_or_what_its_verb_did(tmp_path):
    for at, (stage, seconds) in enumerate([("search@b", 9.0), ("teach@a", 60.04), ("search@b", 30.0), ("teach@z", 20.0)]):
        durations.note(tmp_path, stage, seconds)
        os.utime(tmp_path / ".work" / stage / "seconds.json", (at, at))
    (tmp_path / ".work/teach@bad").mkdir()
    (tmp_path / ".work/teach@bad/seconds.json").write_text("{")
    nodes = [*CHAIN, node("teach@new"), node("teach@bad"), node("teach@kept", state="kept"), node("data/raw/x.dvc")]
    assert estimate.expected(tmp_path, nodes) == {
        "teach@a": 60.0,
        "search@b": 30.0,
        "search@c": 30.0,
        "teach@new": 20.0,
        "teach@bad": 20.0,
        "teach@kept": 0.0,
        "data/raw/x.dvc": 0.0,
    }


def test_where_nothing_is_known_there_is_no_estimate(tmp_path):
    assert estimate.expected(tmp_path, CHAIN) == {}
    assert estimate.words(CHAIN, {}, 1).startswith("no estimate")
    assert estimate.words([node("compare", state="kept")], {"compare": 0.0}, 1) == "about 10 s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(4, "10 s"), (26, "30 s"), (94, "90 s"), (100, "2 min"), (1000, "17 min"), (5400, "1.5 h"), (36000, "10.0 h")]
)
def test_an_estimate_is_no_more_exact_than_it_can_be(seconds, text):
    assert estimate.words([node("compare")], {"compare": seconds}, 1) == f"about {text}"
    nodes = [node("compare"), node("teach@a")]
    assert estimate.words(nodes, {"compare": seconds}, 1) == f"at least {text} (nothing is known of teach@a)"
