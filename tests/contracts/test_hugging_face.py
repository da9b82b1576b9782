"""Configurations of Hugging Face's library that no machine can build are refused when they are read."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from stillhouse.contracts.hugging_face import TransformersSettings


@pytest.mark.parametrize("layers", [{"num_hidden_layers": 10**12}, {"n_layer": 20_000}, {"depths": [2, 10**9]}])
def test_layers_without_number_are_refused(layers: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=f"{next(iter(layers))} should be at most 10000 layers"):
        TransformersSettings(config={"model_type": "bert", **layers})


def test_usual_ones_are_taken() -> None:
    assert TransformersSettings(config={"model_type": "bert", "num_hidden_layers": 96, "layer_norm_eps": 1e-12, "layer_types": ["full"]})
