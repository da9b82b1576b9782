"""Networks of Hugging Face and of PyTorch Geometric, from small configurations with random weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch_geometric.nn as geometric
import transformers as hf
from torch import Tensor, nn

WORDS = {"input_ids": torch.arange(14).view(2, 7)}
PICTURE = {"pixel_values": torch.zeros(2, 3, 32, 32)}
EDGES = torch.randint(12, (2, 40), generator=torch.Generator().manual_seed(0))
GRAPH = (torch.zeros(12, 9), EDGES)
TEXT = {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
CAUSAL = TEXT | {"num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
VISION = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32, "patch_size": 8}
Case = tuple[Callable[[], nn.Module], Any, int, int]
"""A network, an example, and how many width groups and depth groups it has."""


def _segformer() -> nn.Module:
    sizes = {"depths": [2, 2], "sr_ratios": [2, 1], "hidden_sizes": [16, 32], "patch_sizes": [3, 3], "strides": [2, 2]}
    heads = {"num_attention_heads": [2, 4], "mlp_ratios": [2, 2], "decoder_hidden_size": 24}
    return hf.SegformerForSemanticSegmentation(hf.SegformerConfig(num_encoder_blocks=2, **sizes, **heads))


def _efficientnet() -> nn.Module:
    sizes = {"image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320}
    return hf.EfficientNetForImageClassification(hf.EfficientNetConfig(**sizes))


def _t5() -> nn.Module:
    sizes = {"vocab_size": 97, "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
    return hf.T5ForConditionalGeneration(hf.T5Config(**sizes))


class _GraphTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = geometric.TransformerConv(9, 6, heads=4)
        self.second = geometric.TransformerConv(24, 8, heads=2, concat=False)
        self.last = nn.Linear(8, 3)

    def forward(self, value: Tensor, edges: Tensor) -> Tensor:
        return self.last(self.second(self.first(value, edges).relu(), edges).relu())


def _pna() -> nn.Module:
    degrees = torch.tensor([0, 3, 4, 5])
    return geometric.PNA(9, 16, 3, 5, aggregators=["mean", "max"], scalers=["identity", "amplification"], deg=degrees)


LIBRARIES: dict[str, Case] = {
    "ResNet": (
        lambda: hf.ResNetForImageClassification(hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], layer_type="basic")),
        PICTURE,
        6,
        2,
    ),
    "ConvNeXt": (
        lambda: hf.ConvNextForImageClassification(hf.ConvNextConfig(hidden_sizes=[8, 16], depths=[2, 2], num_stages=2)),
        PICTURE,
        4,
        2,
    ),
    "MobileNetV2": (
        lambda: hf.MobileNetV2ForImageClassification(hf.MobileNetV2Config(image_size=32, depth_multiplier=0.35)),
        PICTURE,
        25,
        1,
    ),
    "EfficientNet": (_efficientnet, PICTURE, 24, 1),
    "RegNet": (
        lambda: hf.RegNetForImageClassification(
            hf.RegNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[2, 2], groups_width=8, layer_type="y")
        ),
        PICTURE,
        15,
        2,
    ),
    "ViT": (lambda: hf.ViTForImageClassification(hf.ViTConfig(**VISION)), PICTURE, 4, 1),
    "DeiT": (lambda: hf.DeiTForImageClassification(hf.DeiTConfig(**VISION)), PICTURE, 4, 1),
    "Swin": (
        lambda: hf.SwinForImageClassification(
            hf.SwinConfig(image_size=32, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
        ),
        PICTURE,
        8,
        2,
    ),
    "SegFormer": (_segformer, PICTURE, 11, 2),
    "BERT": (lambda: hf.BertForSequenceClassification(hf.BertConfig(**TEXT)), WORDS, 5, 1),
    "DistilBERT": (
        lambda: hf.DistilBertForSequenceClassification(hf.DistilBertConfig(vocab_size=97, dim=32, n_layers=2, n_heads=4, hidden_dim=48)),
        WORDS,
        5,
        1,
    ),
    "RoBERTa": (lambda: hf.RobertaForTokenClassification(hf.RobertaConfig(**TEXT)), WORDS, 4, 1),
    "GPT-2": (
        lambda: hf.GPT2LMHeadModel(
            hf.GPT2Config(vocab_size=97, n_embd=32, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2)
        ),
        WORDS,
        4,
        1,
    ),
    "Llama": (lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**CAUSAL)), WORDS, 4, 1),
    "Qwen2": (lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**CAUSAL)), WORDS, 4, 1),
    "Mistral": (lambda: hf.MistralForCausalLM(hf.MistralConfig(**CAUSAL)), WORDS, 4, 1),
    "T5": (_t5, WORDS | {"decoder_input_ids": torch.arange(10).view(2, 5)}, 6, 4),
    "GCN": (lambda: geometric.GCN(9, 16, 3, 5), GRAPH, 2, 0),
    "SAGE": (lambda: geometric.GraphSAGE(9, 16, 3, 5), GRAPH, 2, 0),
    "GIN": (lambda: geometric.GIN(9, 16, 3, 5), GRAPH, 5, 0),
    "GAT": (lambda: geometric.GAT(9, 16, 3, 5, heads=4), GRAPH, 2, 0),
    "GATv2": (lambda: geometric.GAT(9, 16, 3, 5, heads=4, v2=True), GRAPH, 2, 0),
    "PNA": (_pna, GRAPH, 6, 0),
    "GraphTransformer": (_GraphTransformer, GRAPH, 1, 0),
}
