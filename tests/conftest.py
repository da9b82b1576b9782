"""Settings of the whole suite."""

import os

# Read when torch is loaded. Small tensors gain nothing from a second thread, tests that start processes would fight over
# the cores, and threads that wait by spinning make that much worse.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from hypothesis import settings

from tests import shapes

shapes.install()  # before anything of the library is imported
pytest_plugins = ["tests.projects", "tests.pipelines"]

# Examples are bounded in number; a deadline in milliseconds would only measure how busy the machine is.
settings.register_profile("stillhouse", deadline=None)
settings.load_profile("stillhouse")
