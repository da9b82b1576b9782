"""Llama, Qwen2 and GPT-2 whose layers have sizes of their own, in Hugging Face's own form: what a search makes of them.

    import stillhouse.runtimes.scaled  # makes the three kinds known to the library
    model = AutoModelForCausalLM.from_pretrained(folder)

The sizes stand in config.json, `layer_sizes: [[query heads, key/value heads, hidden units], ...]`, the weights in model.safetensors; no
code lies in the folder. What the library reads of a whole configuration (its heads, its hidden units) stays the teacher's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Model,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)
from transformers.models.gpt2.modeling_gpt2 import GPT2Block
from transformers.models.llama.modeling_llama import LlamaDecoderLayer
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer
from transformers.pytorch_utils import Conv1D

Sizes = list[list[int]]
"""Query heads, key/value heads (of a GPT-2 as many) and hidden units of each layer."""


class ScaledLlamaConfig(LlamaConfig):
    """A Llama's configuration with the sizes of each layer; None leaves all layers as the configuration says."""

    model_type = "stillhouse_llama"
    layer_sizes: Sizes | None = None


class ScaledQwen2Config(Qwen2Config):
    """A Qwen2's configuration with the sizes of each layer; None leaves all layers as the configuration says."""

    model_type = "stillhouse_qwen2"
    layer_sizes: Sizes | None = None


class ScaledGPT2Config(GPT2Config):
    """A GPT-2's configuration with the sizes of each layer; None leaves all layers as the configuration says."""

    model_type = "stillhouse_gpt2"
    layer_sizes: Sizes | None = None


Make = Callable[[Any, int, int, int, int], nn.Module]
"""make(configuration, index, query heads, key/value heads, hidden units) -> a layer."""


def layers(config: Any, make: Make) -> nn.ModuleList:
    """The layers of a model, each of its own sizes. Raises ValueError if there are not as many sizes as layers."""
    number = len(config.layer_sizes)
    if number != config.num_hidden_layers:
        raise ValueError(f"layer_sizes should be of {config.num_hidden_layers} layers, as num_hidden_layers says: got {number}")
    return nn.ModuleList(make(config, index, *sizes) for index, sizes in enumerate(config.layer_sizes))


def _of_kind(kind: type[nn.Module], config: Any, index: int, queries: int, keys: int, hidden: int) -> nn.Module:
    own = copy.copy(config)
    own.head_dim = head_dim(config)
    own.num_attention_heads, own.num_key_value_heads, own.intermediate_size = queries, keys, hidden
    layer: Any = kind(own, index)
    layer.self_attn.config = config  # or another choice of attention, made later, would not reach it
    return layer


def _gpt2_block(config: Any, index: int, queries: int, keys: int, hidden: int) -> nn.Module:
    """Its class cannot be told a number of heads that does not part the width, so the maps of its attention are exchanged."""
    own = copy.copy(config)
    own.n_inner = hidden
    block: Any = GPT2Block(own, index)
    attention, width = block.attn, queries * head_dim(config)
    attention.config, attention.num_heads, attention.split_size = config, queries, width
    attention.c_attn, attention.c_proj = Conv1D(3 * width, config.hidden_size), Conv1D(config.hidden_size, width)
    return cast(nn.Module, block)


def head_dim(config: Any) -> int:
    """The size of each head, which stays in every layer."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


class ScaledLlamaModel(LlamaModel):
    """Llama's trunk with such layers."""

    config_class = ScaledLlamaConfig

    def __init__(self, config: ScaledLlamaConfig) -> None:
        super().__init__(config)
        if config.layer_sizes is not None:
            self.layers = layers(config, partial(_of_kind, LlamaDecoderLayer))
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
            self.layers = layers(config, partial(_of_kind, Qwen2DecoderLayer))
            self.post_init()


class ScaledQwen2ForCausalLM(Qwen2ForCausalLM):
    """Qwen2 for text with such layers."""

    config_class = ScaledQwen2Config

    def __init__(self, config: ScaledQwen2Config) -> None:
        super().__init__(config)
        self.model = ScaledQwen2Model(config)
        self.post_init()


class ScaledGPT2Model(GPT2Model):
    """GPT-2's trunk with such layers."""

    config_class = ScaledGPT2Config

    def __init__(self, config: ScaledGPT2Config) -> None:
        super().__init__(config)
        if config.layer_sizes is not None:
            self.h = layers(config, _gpt2_block)
            self.post_init()


class ScaledGPT2LMHeadModel(GPT2LMHeadModel):
    """GPT-2 for text with such layers."""

    config_class = ScaledGPT2Config

    def __init__(self, config: ScaledGPT2Config) -> None:
        super().__init__(config)
        self.transformer = ScaledGPT2Model(config)
        self.post_init()


AutoConfig.register(ScaledLlamaConfig.model_type, ScaledLlamaConfig, exist_ok=True)
AutoConfig.register(ScaledQwen2Config.model_type, ScaledQwen2Config, exist_ok=True)
AutoModelForCausalLM.register(ScaledLlamaConfig, ScaledLlamaForCausalLM, exist_ok=True)
AutoModelForCausalLM.register(ScaledQwen2Config, ScaledQwen2ForCausalLM, exist_ok=True)
AutoConfig.register(ScaledGPT2Config.model_type, ScaledGPT2Config, exist_ok=True)
AutoModelForCausalLM.register(ScaledGPT2Config, ScaledGPT2LMHeadModel, exist_ok=True)
