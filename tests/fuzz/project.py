"""Readers of a project's own files: params.yaml."""

from __future__ import annotations

from pathlib import Path

from stillhouse.runner import params
from stillhouse.runner.entries import Entries
from tests.fuzz.reader import Reader

_PARAMS = b"""seed: 0
threads: 1
secrets: ["*.key"]
gate: {}
teachers:
  t:
    workload: queue
    raw: data/raw/queue.json
    prepare: {valid_share: 0.2, watched: [0, 1]}
    teach: &teach
      model: {family: neural, width: 32, hidden: 32, depth: 2}
      data: {}
      fit: &fit {epochs: 40, learning_rate: 1.0e-2, clip_norm: 1.0}
students:
  s:
    teacher: t
    workload: queue
    search:
      method: dms
      budget: {unit: macs, share: 0.1}
      data: {}
      settings: {fit: *fit, structure_learning_rate: 2.0e-2}
    distill:
      losses: [{loss: logits, weight: 1.0, settings: {}}]
      data: {unlabelled: 20, unlabelled_loads: [11, 60]}
      fit: *fit
    evaluate: {data: {}, evaluations: [{evaluation: quality}]}
"""


def _entries(path: Path) -> object:
    entries = Entries.read(path)
    return entries.seed, entries.threads, entries.secrets, list(entries.stages()), entries.pairs()


READERS: dict[str, Reader] = {
    "params": Reader({"params.yaml": _PARAMS}, _entries),
    "params-checked": Reader({"params.yaml": _PARAMS}, params.check),
}
