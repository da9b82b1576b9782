"""How many bytes of keys and values a language model keeps of each token, so that it need not compute them for the next one again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from stillhouse.space import cost
from stillhouse.space.blueprint import Blueprint
from stillhouse.space.cost import Cost, blocks_by_module
from stillhouse.space.memory import BYTES, term
from stillhouse.space.trace.labels import Ids, Ties
from stillhouse.space.trace.placed import Numbering, leaves
from stillhouse.space.trace.tracer import Tracer


def cache(model: nn.Module) -> Cost | None:
    """Bytes for one token, in all layers together, in single precision; None if the network is no generating one of Hugging Face.

    The tensors that its cache holds after a token are followed back to the heads that they come of.
    """
    if not hasattr(model, "prepare_inputs_for_generation"):
        return None
    blueprint = getattr(model, "blueprint", None)
    groups = tuple(blueprint.groups.values()) if isinstance(blueprint, Blueprint) and blueprint.architecture is None else ()
    numbering, blocks = Numbering(groups), blocks_by_module(model)
    watch = _Watch(leaves(model, numbering), Ties())
    token = torch.zeros(1, 1, dtype=torch.int64, device=next(model.parameters()).device)
    with torch.no_grad(), watch.watching(model), watch:
        returned: Any = model.forward(input_ids=token, use_cache=True)  # past the hooks, which keep the prediction alone
    return Cost(tuple(term(watch.labels(held), BYTES, watch.made[id(held)], numbering, blocks) for held in _held(returned)))


def cache_bytes(model: nn.Module) -> float | None:
    """For one token, of the network as it stands; None as in `cache`."""
    found = cache(model)
    return None if found is None else cost.total(found)


def _held(returned: Any) -> list[Tensor]:
    """Keys and values of the layers that have some."""
    name = next((name for name in ("cache", "past_key_values") if returned.get(name) is not None), None)
    layers = returned[name].layers if name else []
    return [tensor for tensor in tree_leaves([(layer.keys, layer.values) for layer in layers]) if isinstance(tensor, Tensor)]


class _Watch(Tracer):
    """Notes by a tensor's `id` which module it was made in, beside what the tracer follows."""

    def __init__(self, leaves: Mapping[Tensor, list[Ids]], ties: Ties) -> None:
        super().__init__(leaves, ties)
        self.made: dict[int, str] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        result = super().__torch_dispatch__(func, types, args, kwargs)
        self.made |= {id(item): self._stack[-1] for item in tree_leaves(result) if isinstance(item, Tensor)}
        return result
