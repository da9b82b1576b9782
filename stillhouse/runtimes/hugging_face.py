"""A student as a folder of Hugging Face's library, whose own loader reads it."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.foreign import AsOutput

_LAYER = re.compile(r"(model\.layers|transformer\.h)\.(\d+)\.(.+)")
_KINDS = ("llama", "qwen2", "gpt2")
_HIDDEN = {"gpt2": "n_inner"}
"""How a configuration calls the hidden units, where not `intermediate_size`."""


def save(network: nn.Module, context: Path, folder: Path) -> nn.Module:
    """Writes a student, with the tokenizer of its `context`, as the library does; gives it back as the library's own loader reads it.

    It answers with an `Output`. Raises UserError if the student is no Llama, Qwen2 or GPT-2 of the library.
    """
    try:
        model: Any = converted(network)
    except UserError as error:
        raise UserError(f"--to transformers - {error}") from None
    from transformers.utils import logging

    from stillhouse.runtimes import scaled

    logging.disable_progress_bar()
    model.save_pretrained(folder)
    if (tokenizer := context / "tokenizer.json").exists():
        _save_tokenizer(tokenizer, read_json(context / "facts.json")["end"], folder)
    found: nn.Module = scaled.AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    found.register_forward_hook(AsOutput("classes", "logits"))
    return found.eval()


def _save_tokenizer(file: Path, end: int, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(file))
    token = tokenizer.convert_ids_to_tokens(end)
    tokenizer.add_special_tokens({"bos_token": token, "eos_token": token})
    tokenizer.save_pretrained(folder)
    shutil.copy(file, folder)


def converted(network: nn.Module) -> nn.Module:
    """A network of the library's own with a student's weights: a plain one where all layers have the same sizes.

    Raises UserError if the student is no Llama, Qwen2 or GPT-2 of the library, or its layers compute by their numbers.
    """
    from stillhouse.runtimes import scaled

    config: Any = getattr(network, "config", None)
    if getattr(config, "model_type", None) not in _KINDS:
        got = getattr(config, "model_type", None) or type(network).__name__
        raise UserError(f"wanted a language model of {', '.join(_KINDS[:-1])} or {_KINDS[-1]} - got {got}")
    state, kept = _renumbered(network.state_dict())
    if getattr(config, "scale_attn_by_inverse_layer_idx", False) and kept != list(range(len(kept))):
        raise UserError("wanted all layers, or none that computes by its number - got scale_attn_by_inverse_layer_idx and layers dropped")
    sizes = [_sizes(state, index, scaled.head_dim(config)) for index in range(len(kept))]
    model = _made(config, sizes, kept)
    model.load_state_dict(state, strict=True)
    return model.to(next(network.parameters()).dtype).eval()


def cache_argument(network: nn.Module) -> str:
    """What a network of the library calls its cache, which its releases do not agree on."""
    return "cache" if "cache" in inspect.signature(network.forward).parameters else "past_key_values"


def _renumbered(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[int]]:
    """The weights with layers counted from 0 without gaps, as the cache of keys and values wants them, and which layers there were."""
    kept = sorted({int(found[2]) for name in state if (found := _LAYER.fullmatch(name))})
    places = {str(index): place for place, index in enumerate(kept)}

    def named(found: re.Match[str]) -> str:
        return f"{found[1]}.{places[found[2]]}.{found[3]}"

    return {_LAYER.sub(named, name): value for name, value in state.items()}, kept


def _sizes(state: Mapping[str, Tensor], index: int, head: int) -> list[int]:
    """Query heads, key/value heads and hidden units of a layer."""
    if (fused := f"transformer.h.{index}.attn.c_proj.weight") in state:
        heads = len(state[fused]) // head
        return [heads, heads, len(state[f"transformer.h.{index}.mlp.c_proj.weight"])]
    queries, keys, hidden = (
        len(state[f"model.layers.{index}.{name}.weight"]) for name in ("self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj")
    )
    return [queries // head, keys // head, hidden]


def _made(config: Any, sizes: list[list[int]], kept: list[int]) -> nn.Module:
    from stillhouse.runtimes import scaled

    names = {**config.attribute_map, "intermediate_size": _HIDDEN.get(config.model_type, "intermediate_size")}
    values = config.to_dict() | {"use_cache": True, names.get("num_hidden_layers", "num_hidden_layers"): len(kept)}
    if values.get("layer_types"):
        values["layer_types"] = [values["layer_types"][index] for index in kept]
    if _is_plain(config, sizes):
        own = zip(("num_attention_heads", "num_key_value_heads", "intermediate_size"), sizes[0] if sizes else (), strict=False)
        values |= {key: size for name, size in own if (key := names.get(name, name)) in values}
    else:
        values |= {"layer_sizes": sizes, "model_type": f"stillhouse_{config.model_type}"}
    values.pop("architectures", None)
    return scaled.AutoModelForCausalLM.from_config(scaled.AutoConfig.for_model(**values), dtype=torch.float32)


def _is_plain(config: Any, sizes: list[list[int]]) -> bool:
    """Whether a configuration of the library says it all: layers are alike, and the size of heads still follows from their number."""
    queries = sizes[0][0] if sizes else config.num_attention_heads
    whole = config.model_type == "llama" or queries == config.num_attention_heads
    return all(each == sizes[0] for each in sizes) and not config.hidden_size % queries and whole
