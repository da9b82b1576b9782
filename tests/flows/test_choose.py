"""Stages go where they fit and where there is room."""

from __future__ import annotations

import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.flows.nodes.choose import Host, Need, choose
from stillhouse.flows.nodes.life import LOST, RETURN

SMALL, LARGE = Host("a", 8, (24.0,)), Host("b", 8, (80.0, 80.0))


def named(hosts: list[Host], need: Need) -> str | None:
    found = choose(hosts, need)
    return found.name if found else None


def test_memory_and_number_of_gpus_decide():
    assert named([SMALL, LARGE], Need(gpu=1, memory=40)) == "b"
    assert named([SMALL, LARGE], Need(gpu=2)) == "b"
    assert named([SMALL, LARGE], Need(gpu=1, memory=20)) == "a"


def test_a_full_node_is_waited_for_and_not_refused():
    full = Host("b", 8, (80.0, 80.0), (Need(gpu=1), Need(gpu=1)))
    assert named([SMALL, full], Need(gpu=1, memory=40)) is None
    assert named([SMALL, full], Need(gpu=1)) == "a"


def test_who_has_least_to_do_comes_first():
    assert named([Host("a", 8, running=(Need(),)), Host("b", 8)], Need()) == "b"


def test_cores_are_not_given_twice():
    assert named([Host("a", 2, running=(Need(threads=1),))], Need(threads=1)) == "a"
    assert named([Host("a", 2, running=(Need(threads=1),))], Need(threads=2)) is None
    assert named([Host("a", 2)], Need(threads=4)) == "a"


def test_what_is_measured_has_a_node_to_itself():
    assert named([Host("a", 8, running=(Need(),))], Need(alone=True)) is None
    assert named([Host("a", 8, running=(Need(alone=True),))], Need()) is None
    assert named([Host("a", 8)], Need(alone=True)) == "a"


def test_where_no_node_has_a_gpu_cores_do():
    assert named([Host("a", 8)], Need(gpu=1)) == "a"
    assert named([Host("a", 8), LARGE], Need(gpu=1)) == "b"


def test_a_node_that_may_come_back_is_waited_for():
    silent = Host("b", 8, (80.0,), silent=LOST)
    assert named([silent], Need()) is None
    assert named([Host("a", 8), silent], Need()) == "a"
    assert named([Host("a", 8), silent], Need(gpu=1)) is None
    assert named([Host("a", 8), Host("b", 8, (80.0,), silent=RETURN)], Need(gpu=1)) == "a"


@pytest.mark.parametrize(
    ("hosts", "need", "told"),
    [
        ([SMALL, LARGE], Need(gpu=1, memory=100), "wanted a node with 1 GPUs of 100 GiB - a has 24 GiB; b has 80 GiB, 80 GiB"),
        ([SMALL, LARGE], Need(gpu=3), "wanted a node with 3 GPUs"),
        ([Host("a", 8)], Need(gpu=1, memory=8), "a has none"),
        ([], Need(), "no node is there"),
        ([Host("a", 8, silent=RETURN)], Need(), "a gave no sign of life"),
    ],
)
def test_what_no_node_can_ever_do_is_refused(hosts, need, told):
    with pytest.raises(UserError, match=told):
        choose(hosts, need)
