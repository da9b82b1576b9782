"""Settings of the whole suite."""

import os

# Small tensors gain nothing from a second thread, and tests that start processes would fight over the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
