"""Stands in for the tracker: writes down how it was called."""

import sys
from pathlib import Path

with Path("tracked.txt").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\n")
