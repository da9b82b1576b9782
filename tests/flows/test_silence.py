"""A node is silent for as long as the server hears the head and not the node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stillhouse.flows.nodes.life import BEAT, LOST
from stillhouse.flows.nodes.silence import Silence

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(beats: float) -> datetime:
    return START + timedelta(seconds=beats * BEAT)


def test_a_node_is_lost_after_five_signs_of_the_head_without_one_of_its_own() -> None:
    silence = Silence()
    silences = [silence.seconds({"head": at(beat), "dead": at(0), "alive": at(beat)}, "head") for beat in range(7)]
    assert [each["dead"] >= LOST for each in silences] == [False] * 5 + [True] * 2
    assert all(each["alive"] == 0 for each in silences)


def test_nobody_is_lost_while_the_server_stores_nothing() -> None:
    silence = Silence()
    silence.seconds({"head": at(0), "node": at(0)}, "head")
    assert [silence.seconds({"head": at(0), "node": at(0)}, "head")["node"] for _ in range(100)] == [0] * 100
    # It is there again after an hour, and the head is heard first.
    assert silence.seconds({"head": at(1200), "node": at(0)}, "head")["node"] == BEAT
    assert silence.seconds({"head": at(1201), "node": at(1200.5)}, "head")["node"] == 0


def test_who_was_silent_before_the_head_began_is_so_by_the_servers_clock() -> None:
    silences = Silence().seconds({"head": at(100), "dead": at(90), "alive": at(99), "ahead": at(101)}, "head")
    assert silences == pytest.approx({"head": 0, "dead": 10 * BEAT, "alive": BEAT, "ahead": 0})


def test_a_node_that_comes_back_lives() -> None:
    silence = Silence()
    for beat in range(8):
        silence.seconds({"head": at(beat), "node": at(0)}, "head")
    assert silence.seconds({"head": at(8), "node": at(8)}, "head")["node"] == 0
