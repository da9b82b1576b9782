"""Picture classifiers of Hugging Face, of a configuration or of a local folder; nothing is ever downloaded."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.families import Family
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.space.blueprint import Architecture


class TransformersSettings(Settings):
    """The configuration, `{model_type: vit, ...}`, or the `path` of a folder whose `config.json` becomes it.

    What it leaves open of classes, channels and the pictures' size, the data say. Weights are given by `teach: {given: ...}`.
    """

    family: Literal["transformers"] = "transformers"
    path: None = None
    """Read when the settings are; a model's own folder then needs no other one."""
    config: dict[str, Any] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("path") is None:
            return values
        if "config" in values:
            raise ValueError("should have either path or config")
        try:
            config = read_json(Path(str(values["path"])) / "config.json")
        except (UserError, OSError) as error:
            raise ValueError(f"path should be a folder with config.json - {error}") from None
        return {**values, "path": None, "config": config}


def transformers(settings: TransformersSettings, sizes: Mapping[str, int], architecture: Architecture | None) -> nn.Module:
    """For pictures of the data's height and width, as the data are normalised."""
    config = _completed(settings.config, sizes)
    example = (torch.zeros(2, sizes["channels"], sizes["height"], sizes["width"]),)
    key = json.dumps(config, sort_keys=True)
    hook = foreign.AsOutput("classes", "logits")
    return foreign.network(key, lambda: _made(config), hook, example, architecture, (2, sizes["classes"]))


def _completed(config: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    given = {"num_channels": sizes["channels"], **config}
    if "id2label" not in config:
        given.setdefault("num_labels", sizes["classes"])
    if sizes["height"] == sizes["width"]:
        given.setdefault("image_size", sizes["height"])
    return given


def _made(config: Mapping[str, Any]) -> nn.Module:
    library = _library()
    values = {name: value for name, value in config.items() if name != "auto_map"}
    try:
        known = library.AutoConfig.for_model(**values)
        model: nn.Module = library.AutoModelForImageClassification.from_config(known, trust_remote_code=False)
    except (ValueError, TypeError, LookupError, AttributeError, OSError, ImportError) as error:
        said = " ".join(str(error).split())[:300]
        raise UserError(f"family transformers - wanted a configuration of a picture classifier - {type(error).__name__}: {said}") from None
    return model.float()


def _library() -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import transformers
    except ImportError:
        wanted = "wanted the package transformers, which is not installed"
        raise UserError(f"family transformers - {wanted}: pip install 'stillhouse[transformers]'") from None
    return transformers


FAMILY = Family(TransformersSettings, transformers)
