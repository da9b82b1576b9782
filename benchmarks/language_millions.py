"""As `language` with a Llama of some million parameters, which reads all of the books twice, and with its students at half of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import language
from benchmarks._cells import Row

name = "language_millions"
expected_seconds = 4000
needs_data = True
_SIZES = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 6, "num_attention_heads": 6, "head_dim": 32}
settings: dict[str, Any] = language.settings | {
    "seeds": 1,
    "removed": [0.5],
    "methods": [language.OURS, "taylor", "uniform", "short"],
    "prepare": language.settings["prepare"] | {"tokenizer": {"vocabulary": 4096}},
    "model": {"family": "transformers", "config": language.settings["model"]["config"] | _SIZES},
    "data": {"context": 256, "stride": 256, "batch_size": 8, "evaluation_batch_size": 16},
    "teacher_windows": 16384,
    "teacher_epochs": 2,
    "teacher_rate": 2e-3,
    "windows": 768,
}


def run(data: Path) -> list[Row]:
    """As that of `language`."""
    language.settings.update(settings)
    return language.run(data)
