"""Architectures of Hugging Face, each built small with random weights: a configuration, a class, and an example."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import transformers as hf
from torch import nn

WORDS = {"input_ids": torch.arange(2, 34).view(2, 16)}
PICTURES = {"pixel_values": torch.zeros(2, 3, 32, 32)}
LARGER = {"pixel_values": torch.zeros(2, 3, 64, 64)}
BOTH = WORDS | {"decoder_input_ids": torch.arange(2, 12).view(2, 5)}
WAVE = {"input_values": torch.zeros(2, 800)}
SIZES: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TEXT = SIZES | {"vocab_size": 97, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
CAUSAL = TEXT | {"max_position_embeddings": 64}
GROUPED = CAUSAL | {"num_key_value_heads": 2}
VISION = SIZES | {"image_size": 32, "patch_size": 8}
SPEECH = SIZES | {"vocab_size": 32, "conv_dim": [16, 16], "conv_stride": [5, 2], "conv_kernel": [10, 3], "num_feat_extract_layers": 2}
SPEECH |= {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "classifier_proj_size": 16}
N_NAMES = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 97, "bos_token_id": 1, "eos_token_id": 2}
BART = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
BART |= {"encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "vocab_size": 97, "max_position_embeddings": 64}
PYRAMID = {"image_size": 32, "num_encoder_blocks": 2, "depths": [2, 2], "sr_ratios": [2, 1], "hidden_sizes": [16, 32]}
_FOUR = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [16, 32, 32, 64],
    "num_attention_heads": [1, 2, 2, 4],
    "sequence_reduction_ratios": [8, 4, 2, 1],
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}
DOUBLE = {"experts_implementation": "eager"}
"""Its product of all experts at once knows single precision alone."""


@dataclass(frozen=True)
class Architecture:
    """`prefix` names the configuration's class and, with `suffix`, the network's."""

    prefix: str
    suffix: str
    config: dict[str, Any]
    example: dict[str, torch.Tensor] = field(default_factory=lambda: WORDS)

    def build(self) -> nn.Module:
        """A new network."""
        found: nn.Module = getattr(hf, self.prefix + self.suffix)(getattr(hf, f"{self.prefix}Config")(**self.config))
        return found


SEQUENCE, IMAGE, LANGUAGE, WHOLE = "ForSequenceClassification", "ForImageClassification", "ForCausalLM", "ForConditionalGeneration"


def _of(suffix: str, config: dict[str, Any], example: dict[str, torch.Tensor], *prefixes: str) -> dict[str, Architecture]:
    return {prefix: Architecture(prefix, suffix, config, example) for prefix in prefixes}


ARCHITECTURES: dict[str, Architecture] = {
    **_of(IMAGE, VISION, PICTURES, "Dinov2", "Beit", "Data2VecVision", "Dinov2WithRegisters", "ViTMSN", "IJepa"),
    **_of("ForObjectDetection", VISION | {"image_size": [32, 32], "num_detection_tokens": 4}, PICTURES, "Yolos"),
    **_of(IMAGE, {"vision_config": VISION}, PICTURES, "CLIP", "Siglip"),
    "AST": Architecture(
        "AST", "ForAudioClassification", SIZES | {"max_length": 32, "num_mel_bins": 32}, {"input_values": torch.zeros(2, 32, 32)}
    ),
    "Whisper": Architecture(
        "Whisper",
        "ForAudioClassification",
        BART | {"max_source_positions": 16, "num_mel_bins": 8},
        {"input_features": torch.zeros(2, 8, 32)},
    ),
    **_of(SEQUENCE, SPEECH, WAVE, "Wav2Vec2", "Hubert"),
    "PatchTST": Architecture(
        "PatchTST",
        "ForClassification",
        {"num_input_channels": 2, "context_length": 32, "patch_length": 8, "patch_stride": 8, "num_targets": 3, "d_model": 32}
        | {"num_hidden_layers": 2, "num_attention_heads": 4, "ffn_dim": 48},
        {"past_values": torch.zeros(2, 32, 2)},
    ),
    **_of(SEQUENCE, TEXT, WORDS, "Electra", "Deberta", "DebertaV2", "MPNet", "XLMRoberta", "Camembert", "RoFormer", "Ernie"),
    **_of(SEQUENCE, TEXT | {"embedding_size": 16}, WORDS, "Albert"),
    **_of(SEQUENCE, {"vocab_size": 97, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}, WORDS, "XLNet"),
    **_of(SEQUENCE, TEXT | {"attention_type": "original_full"}, WORDS, "BigBird"),
    **_of(SEQUENCE, TEXT | {"cls_token_id": 1, "sep_token_id": 2}, WORDS, "ModernBert"),
    **_of(WHOLE, BART, BOTH, "Bart", "Pegasus", "MBart"),
    **_of(LANGUAGE, CAUSAL | {"ffn_dim": 48, "word_embed_proj_dim": 32}, WORDS, "OPT"),
    **_of(LANGUAGE, CAUSAL, WORDS, "GPTNeoX", "Phi"),
    **_of(LANGUAGE, {**TEXT, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]}, WORDS, "GPTNeo"),
    **_of(LANGUAGE, N_NAMES | {"rotary_dim": 4}, WORDS, "GPTJ"),
    **_of(LANGUAGE, N_NAMES, WORDS, "GPTBigCode"),
    **_of(LANGUAGE, GROUPED | {"head_dim": 8}, WORDS, "Gemma", "Gemma2", "Qwen3", "Glm", "Helium"),
    **_of(LANGUAGE, GROUPED, WORDS, "Olmo", "Starcoder2", "Cohere", "Granite", "Phi3", "StableLm", "Olmo2", "Nemotron"),
    **_of(LANGUAGE, GROUPED | {"num_local_experts": 4} | DOUBLE, WORDS, "Mixtral"),
    **_of(LANGUAGE, GROUPED | EXPERTS | DOUBLE, WORDS, "Qwen2Moe", "Qwen3Moe", "Olmoe"),
    **_of(LANGUAGE, TEXT, WORDS, "Falcon"),
    **_of(LANGUAGE, {"vocab_size": 97, "hidden_size": 32, "n_layer": 2, "n_head": 4}, WORDS, "Bloom"),
    **_of(SEQUENCE, {"vocab_size": 97, "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 48, "block_sizes": [1, 1]}, WORDS, "Funnel"),
    **_of(SEQUENCE, TEXT | {"attention_window": 4}, WORDS, "Longformer"),
    **_of(SEQUENCE, TEXT | {"embedding_size": 32}, WORDS, "SqueezeBert"),
    **_of(SEQUENCE, TEXT, WORDS, "FNet"),
    **_of(LANGUAGE, {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "context_length": 64}, WORDS, "Rwkv"),
    **_of(LANGUAGE, {"vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}, WORDS, "Mamba"),
    **_of(
        IMAGE,
        {"image_size": 32, "patch_size": 4, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
        PICTURES,
        *("Swinv2", "DonutSwin"),
    ),
    **_of(IMAGE, {"embed_dim": [16, 32, 48], "num_heads": [1, 2, 3], "depth": [1, 2, 3]}, LARGER, "Cvt"),
    **_of(IMAGE, PYRAMID | {"num_encoder_blocks": 4, **_FOUR, "image_size": 64}, LARGER, "Pvt"),
    **_of(
        IMAGE,
        PYRAMID | {"strides": [4, 2], "patch_sizes": [4, 2], "num_attention_heads": [2, 4], "mlp_ratios": [2, 2]},
        PICTURES,
        "PvtV2",
    ),
    **_of(IMAGE, {"image_size": 64, "hidden_sizes": [24, 32, 40], "neck_hidden_sizes": [8, 16, 24, 32, 40, 48, 64]}, LARGER, "MobileViT"),
    **_of(
        IMAGE,
        {"image_size": 64, "hidden_sizes": [16, 24, 32], "num_attention_heads": [2, 2, 2], "depths": [1, 1, 1], "key_dim": [8, 8, 8]},
        LARGER,
        "Levit",
    ),
    **_of(
        IMAGE, {"image_size": 32, "embed_dim": 16, "depths": [2, 2], "focal_levels": [2, 2], "focal_windows": [3, 3]}, PICTURES, "FocalNet"
    ),
    **_of(
        IMAGE,
        {"num_encoder_blocks": 2, "depths": [2, 2], "hidden_sizes": [16, 32], "patch_sizes": [7, 3], "strides": [4, 2], "padding": [2, 1]},
        PICTURES,
        "PoolFormer",
    ),
    **_of(
        IMAGE, {"embedding_size": 8, "hidden_sizes": [16, 32], "depths": [2, 2], "groups_width": 8, "layer_type": "x"}, PICTURES, "RegNet"
    ),
    **_of(IMAGE, {"image_size": 32, "depth_multiplier": 0.25}, PICTURES, "MobileNetV1"),
    **_of(IMAGE, {"hidden_sizes": [8, 16], "depths": [2, 2], "num_stages": 2}, PICTURES, "ConvNextV2"),
    **_of(IMAGE, {"embedding_size": 8, "hidden_sizes": [32, 64], "depths": [1, 1], "num_groups": 4}, PICTURES, "Bit"),
}
"""By the library's own prefix."""
