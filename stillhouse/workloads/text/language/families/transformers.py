"""Language models of Hugging Face (Llama, GPT-2, Qwen2 and others), of a configuration or of a local folder; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from stillhouse.contracts import hugging_face
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.hugging_face import TransformersSettings
from stillhouse.contracts.watched import watch
from stillhouse.space.blueprint import Architecture
from stillhouse.workloads.text.language.example import example


def transformers(settings: TransformersSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For the data's vocabulary, of which a model may know more; a context that the configuration does not state is the data's.

    Raises UserError if the configuration has fewer tokens than the data, and as `hugging_face.network`.
    """
    config, token = completed(settings.config, sizes), example(sizes)
    if not isinstance(config["vocab_size"], int) or config["vocab_size"] < sizes["vocabulary"]:
        wanted = f"wanted a vocab_size of {sizes['vocabulary']} at least, as the data have it"
        raise UserError(f"family transformers - {wanted} - got {config['vocab_size']!r:.100}")
    predicted = (*token.shape, config["vocab_size"])
    model = hugging_face.network("AutoModelForCausalLM", "a causal language model", config, {"input_ids": token}, architecture, predicted)
    return watch(model, settings.features, architecture)


def completed(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """With the vocabulary and the context of the data; nothing is cached, because only whole windows are asked."""
    ends = {"bos_token_id": sizes["end"], "eos_token_id": sizes["end"]}
    length = "n_positions" if config.get("model_type") == "gpt2" else "max_position_embeddings"
    return {"vocab_size": sizes["vocabulary"], length: sizes["context"], **ends, **config, "use_cache": False}


FAMILY = Family(TransformersSettings, transformers)
