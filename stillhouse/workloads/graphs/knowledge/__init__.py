"""Inductive knowledge graph completion: rank the true triple among false ones, on a graph with new nodes and new relations."""

from __future__ import annotations

from typing import Any

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.graphs.knowledge.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.knowledge.ranking import loss, score
from stillhouse.workloads.graphs.knowledge.sample import DataSettings, load
from stillhouse.workloads.graphs.knowledge.table import TABLE


def apply(network: nn.Module, batch: Any) -> Output:
    """The network hides the answers itself; it is given a batch, or what it has made ready of one."""
    return network(batch)


FAMILIES = families.of("knowledge", __name__)
WORKLOAD = Workload(
    prepare_settings=PrepareSettings,
    data_settings=DataSettings,
    model_settings=FAMILIES.settings,
    prepare=prepare,
    load=load,
    model=FAMILIES.model,
    apply=apply,
    loss=loss,
    score=score,
    table=TABLE,
)
