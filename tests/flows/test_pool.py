"""What the head makes of the ends of runs on nodes."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        ("node a: no sign of life for 15 s", True),
        ("node a has stopped its stages", True),
        ("Failed to submit flow run to infrastructure: ReadTimeout: ", True),
        ("it exited with status -9", False),
    ],
)
def test_a_stage_whose_node_is_silent_or_has_ended_or_could_not_begin_it_goes_on_elsewhere(message, lost):
    from prefect.states import Crashed, Failed

    from stillhouse.flows.nodes import pool

    assert pool.was_lost(Crashed(message=message)) == lost
    assert not pool.was_lost(Failed(message=message))
