"""How many bytes of keys and values a language model keeps of each token, so that it need not compute them for the next one again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

BYTES = 4
"""Of a number in single precision, as in the memory of a forward pass."""


def cache_bytes(model: nn.Module) -> float | None:
    """For one token, in all layers together; None if the network is no generating one of Hugging Face."""
    if not hasattr(model, "prepare_inputs_for_generation"):
        return None
    token = torch.zeros(1, 1, dtype=torch.int64, device=next(model.parameters()).device)
    with torch.no_grad():
        returned: Any = model.forward(input_ids=token, use_cache=True)  # past the hooks, which keep the prediction alone
    cache = next((returned[name] for name in ("cache", "past_key_values") if returned.get(name) is not None), None)
    held = [(layer.keys, layer.values) for layer in cache.layers] if cache is not None else []
    return float(BYTES * sum(tensor.numel() for tensor in tree_leaves(held) if isinstance(tensor, Tensor)))
