"""A cache that was cleared costs no result that lies in place."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from stillhouse.flows import graph, uncached

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")


def due() -> list[str]:
    return [node.name for node in graph.read(Path.cwd()) if node.state != "unchanged"]


def test_results_in_place_are_stored_again(done):
    shutil.rmtree(done.folder / ".dvc/cache")
    nodes = graph.read(done.folder)
    found = due()
    assert found
    assert uncached.may_be(nodes)
    assert set(found) <= set(uncached.store(done.folder)) | {"compare"}
    assert due() == []
    assert not uncached.may_be(graph.read(done.folder))
    assert done.ran() == []


def test_what_is_due_for_more_is_not_recorded_as_it_lies(done):
    shutil.rmtree(done.folder / ".dvc/cache")
    done.set("students.half.distill.losses.0.weight", 2.0)
    assert "distill@half" not in uncached.store(done.folder)
    assert "distill@half" in due()
    assert "students.half.distill.losses.0.weight: 1.0 -> 2.0" in str([node.reasons for node in graph.read(done.folder)])
