"""Picture classifiers of Hugging Face, of a configuration or of a local folder; nothing is ever downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from stillhouse.contracts import hugging_face
from stillhouse.contracts.families import Family
from stillhouse.contracts.hugging_face import TransformersSettings
from stillhouse.space.blueprint import Architecture


def transformers(settings: TransformersSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For pictures of the data's height and width, as the data are normalised."""
    config = _completed(settings.config, sizes)
    example = (torch.zeros(2, sizes["channels"], sizes["height"], sizes["width"]),)
    shape = (2, sizes["classes"])
    return hugging_face.network("AutoModelForImageClassification", "a picture classifier", config, example, architecture, shape)


def _completed(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    given = {"num_channels": sizes["channels"], **config}
    if "id2label" not in config:
        given.setdefault("num_labels", sizes["classes"])
    if sizes["height"] == sizes["width"]:
        given.setdefault("image_size", sizes["height"])
    return given


FAMILY = Family(TransformersSettings, transformers)
