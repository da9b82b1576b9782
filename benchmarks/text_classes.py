"""Question types and intents by a small BERT trained from nothing, and students of it with and without its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import _students
from stillhouse.workloads.text.text_classes import WORKLOAD

name = "text_classes"
expected_seconds = 1500
needs_data = True
_SHARES = (0.5, 0.25)


def _fit(epochs: int) -> _students.Block:
    return {"epochs": epochs, "learning_rate": 2e-3, "optimizer": "adamw", "weight_decay": 1e-2, "schedule": "cosine", "clip_norm": 1.0}


def _taught(share: float, losses: list[_students.Block]) -> _students.Block:
    return {
        "search": {"method": "uniform", "budget": {"unit": "macs", "share": share}},
        "distill": {"losses": losses, "task_weight": 1.0, "fit": _fit(8)},
    }


settings: dict[str, Any] = {
    "seeds": [42, 43, 44],
    "teach": {
        "model": {
            "family": "transformers",
            "config": {
                "model_type": "bert",
                "hidden_size": 64,
                "intermediate_size": 192,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
            },
        },
        "data": {"batch_size": 64, "evaluation_batch_size": 256},
        "fit": _fit(12),
    },
    "prepare": {
        title: {"read": {"where": {"set": title}, "label": "label_name"}, "tokenizer": {"vocabulary": 2048}, "length": 48}
        for title in ("trec", "banking77")
    },
    "students": {
        f"{title}@{share:g}": _taught(share, losses)
        for share in _SHARES
        for title, losses in {"alone": [], "logits": [{"loss": "logits", "weight": 1.0, "settings": {"temperature": 2.0}}]}.items()
    },
}


def run(data: Path) -> list[_students.Row]:
    """`data` holds text-classes/text-classes.parquet, with the columns set, text, label_name and split."""
    return _students.run(WORKLOAD, sets(data), settings["students"], settings["seeds"])


def sets(data: Path) -> list[_students.Set]:
    """Both sets, whose splits are those of the table."""
    table = data / "text-classes" / "text-classes.parquet"
    return [_students.Set(title, table, prepare, settings["teach"]) for title, prepare in settings["prepare"].items()]
