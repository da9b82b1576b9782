"""How often a node gives a sign of life, and when it counts as lost; free of Prefect, which reads its settings when it is imported."""

from __future__ import annotations

import os

BEAT = float(os.environ.get("STILLHOUSE_BEAT_SECONDS", "3"))
"""Seconds between two signs of life."""
LOST = 5 * BEAT
"""Seconds without one after which a node is lost."""
RETURN = 100 * BEAT
"""Seconds without one in which a node that is lost may come back: so long a stage waits for it that goes nowhere else."""
SKEW = 300.0
"""Seconds by which a node's clock may differ from the head's: file systems and certificates go by it."""
HOME = "STILLHOUSE_NODE"
"""The variable that names a node's folder to the stages that it starts."""
