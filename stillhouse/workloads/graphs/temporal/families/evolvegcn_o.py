"""EvolveGCN whose weights follow themselves (arXiv 1902.10191, EvolveGCN-O)."""

from __future__ import annotations

from typing import Literal

from stillhouse.contracts.families import Family
from stillhouse.workloads.graphs.temporal.evolvegcn import EvolveGcn, EvolveGcnSettings
from stillhouse.workloads.graphs.temporal.network import framed


class EvolveGcnOSettings(EvolveGcnSettings):
    """Those of both forms."""

    family: Literal["evolvegcn_o"] = "evolvegcn_o"


FAMILY = Family(EvolveGcnOSettings, framed(EvolveGcn))
