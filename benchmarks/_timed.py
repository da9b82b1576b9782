"""Networks whose latency is looked at: the teachers of params.yaml, untrained, and three networks of Hugging Face with random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from benchmarks._cells import ROOT
from stillhouse import registry
from stillhouse.contracts.output import Output
from stillhouse.runner.entries import Entries
from stillhouse.space.blueprint import Architecture
from stillhouse.space.trace import builder
from stillhouse.stages.prepare import prepare
from stillhouse.training import machine
from stillhouse.training.score import EVALUATION_SEED, first_batch

TEXT = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024, "vocab_size": 1000}
VISION = {"hidden_size": 192, "num_hidden_layers": 6, "num_attention_heads": 3, "intermediate_size": 768, "image_size": 64, "patch_size": 8}
RESNET = {"embedding_size": 32, "hidden_sizes": [32, 64, 128, 256], "depths": [2, 2, 2, 2], "layer_type": "basic"}


@dataclass(frozen=True)
class Subject:
    """A task and a batch of it, and `build`, which makes the whole network for None and else that of an architecture."""

    task: Any
    example: Any
    build: Callable[[Architecture | None], nn.Module]


def default(teacher: str) -> Subject:
    """A teacher of params.yaml, with the batch on which its costs are counted."""
    entry = Entries.read(ROOT / "params.yaml").values["teachers"][teacher]
    workload, taught = registry.workload(entry["workload"]), entry["teach"]
    with tempfile.TemporaryDirectory() as place:
        how: dict[str, Any] = {"raw": ROOT / entry["raw"], "prepared": Path(place) / "prepared", "rng": machine.seed(EVALUATION_SEED)}
        prepare(workload.prepare_settings(**entry["prepare"]), workload, **how, log=lambda record: None)
        data = workload.load(workload.data_settings(**taught["data"]), how["prepared"])
        example = first_batch(data.valid, torch.device("cpu"))
    model = TypeAdapter(workload.model_settings).validate_python(taught["model"])
    return Subject(workload, example, partial(workload.model, model, data.sizes))


def many(teacher: str, times: int) -> Subject:
    """The same, asked so many times at once as its batch has questions."""
    subject = default(teacher)
    parts = (torch.cat([getattr(subject.example, field.name)] * times) for field in fields(subject.example))
    return replace(subject, example=type(subject.example)(*parts))


def traced(kind: str) -> Subject:
    """One of Hugging Face's, found by tracing, with eight pictures of 64 x 64 or eight texts of 64 words."""
    import transformers as hf

    words, pictures = torch.arange(512).view(8, 64), torch.randn(8, 3, 64, 64)
    make, key, example = {
        "ResNet": (lambda: hf.ResNetForImageClassification(hf.ResNetConfig(**RESNET)), "pixel_values", pictures),
        "ViT": (lambda: hf.ViTForImageClassification(hf.ViTConfig(**VISION)), "pixel_values", pictures),
        "BERT": (lambda: hf.BertForSequenceClassification(hf.BertConfig(**TEXT)), "input_ids", words),
    }[kind]
    task = SimpleNamespace(apply=lambda model, batch: Output(model(**{key: batch}).logits, "classes"))
    return Subject(task, example, builder(make, {key: example}))


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "digits, 256 pictures": partial(default, "digits"),
    "us-income, 16 windows": partial(default, "us-income"),
    "umls, 20 queries": partial(default, "umls"),
    "calls, one split": partial(default, "calls"),
    "calls, 1000 loads": partial(many, "calls", 100),
    "ResNet, 8 pictures": partial(traced, "ResNet"),
    "ViT, 8 pictures": partial(traced, "ViT"),
    "BERT, 8 texts": partial(traced, "BERT"),
}
