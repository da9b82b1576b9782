"""Stands in for the tracker: writes down how it was called, and the status that it was told at the end."""

import sys
from pathlib import Path

with Path("tracked.txt").open("a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\n")
if sys.argv[1] == "serve" and (status := sys.stdin.readline().strip()):
    with Path("tracked.txt").open("a") as calls:
        calls.write(f"told {sys.argv[2]} {status}\n")
