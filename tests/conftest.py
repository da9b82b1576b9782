"""Settings of the whole suite."""

import os
from pathlib import Path

# Read when torch is loaded. Small tensors gain nothing from a second thread, tests that start processes would fight over
# the cores, and threads that wait by spinning make that much worse.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import pytest
from hypothesis import settings

from tests import shapes

shapes.install()  # before anything of the library is imported
pytest_plugins = ["tests.projects", "tests.pipelines"]

# Examples are bounded in number; a deadline in milliseconds would only measure how busy the machine is.
settings.register_profile("stillhouse", deadline=None)
settings.load_profile("stillhouse")

TESTS = Path(__file__).parent
LONGEST = (
    "test_your_model.py",
    "runner/test_kept.py",
    "test_extending.py",
    "test_mutants.py",
    "fuzz/test_fuzz.py",
    "tracking/test_forwarding.py",
    "lineage/test_story.py",
    "flows/test_pipeline.py",
    "cli/test_elsewhere.py",
    "flows/test_whole.py",
)
"""The files that take a minute or more, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: a process that began one last would work on alone while the others have nothing left."""
    places = {f"{TESTS}/{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(str(item.path), len(places)))
