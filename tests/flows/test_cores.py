"""Stages side by side."""

import pytest

from stillhouse.flows.cores import at_once
from stillhouse.flows.graph import Node


@pytest.mark.parametrize(("cores", "threads", "wanted"), [(8, 1, 8), (8, 3, 2), (2, 4, 1), (1, 1, 1)])
def test_as_many_stages_run_at_once_as_their_threads_have_cores(cores: int, threads: int, wanted: int):
    assert at_once([Node("teach", "", (), "due", (), threads=threads)], cores) == wanted


def test_without_a_stage_nothing_is_divided():
    assert at_once([], 2) == 2
