"""EvolveGCN whose weights follow the nodes (arXiv 1902.10191, EvolveGCN-H)."""

from __future__ import annotations

from typing import Literal

from stillhouse.contracts.families import Family
from stillhouse.workloads.graphs.temporal.evolvegcn import EvolveGcn, EvolveGcnSettings
from stillhouse.workloads.graphs.temporal.network import framed


class EvolveGcnHSettings(EvolveGcnSettings):
    """Those of both forms."""

    family: Literal["evolvegcn_h"] = "evolvegcn_h"


FAMILY = Family(EvolveGcnHSettings, framed(EvolveGcn))
