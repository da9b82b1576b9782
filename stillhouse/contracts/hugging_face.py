"""Networks of Hugging Face's library, of a configuration or of a local folder; nothing is ever downloaded, nor code of a folder run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator
from torch import nn

from stillhouse.contracts import foreign
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.watched import Watched
from stillhouse.space.blueprint import Architecture

MOST_LAYERS = 10_000
"""Far above any network there is: more would be built until the memory ends."""


class TransformersSettings(Settings):
    """The configuration, `{model_type: vit, ...}`, or the `path` of a folder whose `config.json` becomes it.

    What it leaves open of the data's sizes, the data say. Weights are given by `teach: {given: ...}`.
    """

    family: Literal["transformers"] = "transformers"
    path: None = None
    """Read when the settings are; a model's own folder then needs no other one."""
    config: dict[str, Any] = Field(min_length=1)
    features: dict[str, Watched] = Field(default_factory=dict)
    """What losses may compare: a name of one's own -> the name of a module, whose first returned tensor it is."""

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

    @field_validator("config")
    @classmethod
    def _bounded(cls, config: dict[str, Any]) -> dict[str, Any]:
        for name, value in config.items():
            counts = value if isinstance(value, list) else [value]
            if ("layer" in name or name == "depths") and any(isinstance(count, int) and count > MOST_LAYERS for count in counts):
                raise ValueError(f"{name} should be at most {MOST_LAYERS} layers")
        return config


def network(
    kind: str,
    wanted: str,
    config: Mapping[str, Any],
    example: foreign.Example,
    architecture: Architecture | None,
    shape: tuple[int, ...],
) -> nn.Module:
    """The network that the library's class `kind` (`AutoModelFor...`) makes of a configuration, traced on the example.

    Its logits are classes. Raises UserError, naming what was `wanted`, if there is none of that configuration, and as `foreign.network`.
    """
    key = json.dumps([kind, config], sort_keys=True)
    return foreign.network(key, lambda: _made(kind, wanted, config), foreign.AsOutput("classes", "logits"), example, architecture, shape)


def _made(kind: str, wanted: str, config: Mapping[str, Any]) -> nn.Module:
    library = _library()
    values = {name: value for name, value in config.items() if name != "auto_map"}
    try:
        known = library.AutoConfig.for_model(**values)
        model: nn.Module = getattr(library, kind).from_config(known, trust_remote_code=False)
    except Exception as error:  # the library checks configurations with errors that are of no kind in common
        said = " ".join(str(error).split())[:300]
        raise UserError(f"family transformers - wanted a configuration of {wanted} - {type(error).__name__}: {said}") from None
    return model.float()


def _library() -> Any:
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        import transformers
    except ImportError:
        missing = "wanted the package transformers, which is not installed"
        raise UserError(f"family transformers - {missing}: pip install 'stillhouse[transformers]'") from None
    return transformers
