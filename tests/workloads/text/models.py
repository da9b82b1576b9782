"""Tiny models of Hugging Face as the workloads make them."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import TypeAdapter
from torch import nn

from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.text import language, text_classes

_LLAMA = {"hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
LANGUAGE: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "head_dim": 8, **_LLAMA},
    "llama-tied": {"model_type": "llama", "head_dim": 8, "tie_word_embeddings": True, **_LLAMA},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 3, "n_head": 4, "n_inner": 24},
    "qwen2": {"model_type": "qwen2", **_LLAMA},
}
BERT = {"model_type": "bert", "hidden_size": 32, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4}


def build(config: dict[str, Any], architecture: Architecture | None = None, vocabulary: int = 60, context: int = 16) -> nn.Module:
    """A language model, or a classifier of three classes."""
    sizes = {"vocabulary": vocabulary, "context": context, "end": 0, "pad": 1, "length": context, "classes": 3}
    part = text_classes if config["model_type"] == "bert" else language
    settings = TypeAdapter(part.WORKLOAD.model_settings).validate_python({"family": "transformers", "config": config})
    torch.manual_seed(0)
    return part.WORKLOAD.model(settings, sizes, architecture)
