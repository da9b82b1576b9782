"""Queues: a chain is learned from how often a few states are seen under light load, and asked for the full queue under heavy load."""

from __future__ import annotations

from torch import nn

from stillhouse.contracts import families
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Workload
from stillhouse.workloads.queue.batch import Batch, agreement, loss, score
from stillhouse.workloads.queue.prepare import PrepareSettings, prepare
from stillhouse.workloads.queue.sample import DataSettings, load
from stillhouse.workloads.queue.table import TABLE


def apply(network: nn.Module, batch: Batch) -> Output:
    """A model sees the loads alone."""
    output: Output = network(batch.load)
    return output


FAMILIES = families.of("queue", __name__)
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
    higher_is_better=False,
    agreement=agreement,
    table=TABLE,
)
