"""Llama and Qwen2 whose layers have sizes of their own, in Hugging Face's own form: what a search makes of them.

    import stillhouse.runtimes.scaled  # makes the two kinds known to the library
    model = AutoModelForCausalLM.from_pretrained(folder)

The sizes stand in config.json, `layer_sizes: [[query heads, key/value heads, hidden units], ...]`, the weights in model.safetensors; no
code lies in the folder. What the library reads of a whole configuration (its heads, its hidden units) stays the teacher's.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

Sizes = list[list[int]]
"""Query heads, key/value heads and hidden units of each layer."""


class ScaledLlamaConfig(LlamaConfig):
    """A Llama's configuration with the sizes of each layer; None leaves all layers as the configuration says."""

    model_type = "stillhouse_llama"
    layer_sizes: Sizes | None = None


class ScaledQwen2Config(Qwen2Config):
    """A Qwen2's configuration with the sizes of each layer; None leaves all layers as the configuration says."""

    model_type = "stillhouse_qwen2"
    layer_sizes: Sizes | None = None


def layers(config: Any, kind: type[nn.Module]) -> nn.ModuleList:
    """The layers of a model, each of its own sizes. Raises ValueError if there are not as many sizes as layers."""
    number = len(config.layer_sizes)
    if number != config.num_hidden_layers:
        raise ValueError(f"layer_sizes should be of {config.num_hidden_layers} layers, as num_hidden_layers says: got {number}")
    return nn.ModuleList(_layer(config, kind, index, *sizes) for index, sizes in enumerate(config.layer_sizes))


def _layer(config: Any, kind: type[nn.Module], index: int, queries: int, keys: int, hidden: int) -> nn.Module:
    own = copy.copy(config)
    own.head_dim = head_dim(config)
    own.num_attention_heads, own.num_key_value_heads, own.intermediate_size = queries, keys, hidden
    layer: Any = kind(own, index)
    layer.self_attn.config = config  # or another choice of attention, made later, would not reach it
    return layer


def head_dim(config: Any) -> int:
    """The size of each head, which stays in every layer."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


class ScaledLlamaModel(LlamaModel):
    """Llama's trunk with such layers."""

    config_class = ScaledLlamaConfig

    def __init__(self, config: ScaledLlamaConfig) -> None:
        super().__init__(config)
        if config.layer_sizes is not None:
            self.layers = layers(config, LlamaDecoderLayer)
            self.post_init()


class ScaledLlamaForCausalLM(LlamaForCausalLM):
    """Llama for text with such layers."""

    config_class = ScaledLlamaConfig

    def __init__(self, config: ScaledLlamaConfig) -> None:
        super().__init__(config)
        self.model = ScaledLlamaModel(config)
        self.post_init()


class ScaledQwen2Model(Qwen2Model):
    """Qwen2's trunk with such layers."""

    config_class = ScaledQwen2Config

    def __init__(self, config: ScaledQwen2Config) -> None:
        super().__init__(config)
        if config.layer_sizes is not None:
            self.layers = layers(config, Qwen2DecoderLayer)
            self.post_init()


class ScaledQwen2ForCausalLM(Qwen2ForCausalLM):
    """Qwen2 for text with such layers."""

    config_class = ScaledQwen2Config

    def __init__(self, config: ScaledQwen2Config) -> None:
        super().__init__(config)
        self.model = ScaledQwen2Model(config)
        self.post_init()


AutoConfig.register(ScaledLlamaConfig.model_type, ScaledLlamaConfig, exist_ok=True)
AutoConfig.register(ScaledQwen2Config.model_type, ScaledQwen2Config, exist_ok=True)
AutoModelForCausalLM.register(ScaledLlamaConfig, ScaledLlamaForCausalLM, exist_ok=True)
AutoModelForCausalLM.register(ScaledQwen2Config, ScaledQwen2ForCausalLM, exist_ok=True)
