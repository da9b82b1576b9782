"""Classifiers of texts of Hugging Face (BERT and others), of a configuration or of a local folder; nothing is ever downloaded."""

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
from stillhouse.workloads.text.text_classes.example import example


def transformers(settings: TransformersSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For the data's vocabulary, of which a model may know more; a length that the configuration does not state is the data's.

    Raises UserError if the configuration has fewer tokens than the data, and as `hugging_face.network`.
    """
    config = completed(settings.config, sizes)
    if not isinstance(config["vocab_size"], int) or config["vocab_size"] < sizes["vocabulary"]:
        wanted = f"wanted a vocab_size of {sizes['vocabulary']} at least, as the data have it"
        raise UserError(f"family transformers - {wanted} - got {config['vocab_size']!r:.100}")
    kind, wanted = "AutoModelForSequenceClassification", "a classifier of texts"
    model = hugging_face.network(kind, wanted, config, example(sizes), architecture, (2, sizes["classes"]))
    return watch(model, settings.features, architecture)


def completed(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """With the vocabulary, the length and the classes of the data."""
    length = "n_positions" if config.get("model_type") == "gpt2" else "max_position_embeddings"
    given = {"vocab_size": sizes["vocabulary"], length: sizes["length"], "pad_token_id": sizes["pad"], **config}
    if "id2label" not in config:
        given.setdefault("num_labels", sizes["classes"])
    return given


FAMILY = Family(TransformersSettings, transformers)
