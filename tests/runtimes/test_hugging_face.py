"""A found language model in Hugging Face's own form: saved, read by its own loader, and asked with its cache."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel, LlamaForCausalLM

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.runtimes import export as exporting
from stillhouse.runtimes import hugging_face, scaled
from stillhouse.space.blueprint import Architecture, full, groups_of
from stillhouse.space.extraction import extract
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text._shared.tokenizer import END, TokenizerSettings
from stillhouse.workloads.text.language.generate import Prompt, apply
from stillhouse.workloads.text.language.sample import Batch
from tests.workloads.text import models

IDS = torch.randint(60, (2, 9), generator=torch.Generator().manual_seed(0))


def student(name: str, *, uneven: bool = True) -> nn.Module:
    """Of three layers the middle one is dropped; of the others one has lost a head or more, and hidden units."""
    whole = models.build(models.LANGUAGE[name])
    kept = dict(full(groups_of(whole)).kept)
    heads, hidden = ([group for group in kept if group.endswith(ends)] for ends in ((".heads",), ("gate_proj", "c_fc")))
    kept[next(group for group in kept if group.endswith(".blocks"))] = (0, 2)
    for index in (0,) if uneven else (0, 2):
        kept[heads[index]], kept[hidden[index]] = (1,), tuple(range(2, 20))
    architecture = Architecture(kept)
    small = models.build(models.LANGUAGE[name], architecture)
    small.load_state_dict(extract(whole, architecture))
    return small.eval()


def shallow(name: str) -> Architecture:
    """Without the middle layer."""
    kept = dict(full(groups_of(models.build(models.LANGUAGE[name]))).kept)
    return Architecture(kept | {next(group for group in kept if group.endswith(".blocks")): (0, 2)})


def generated(model: Any, **options: Any) -> Tensor:
    asked = {"attention_mask": torch.ones_like(IDS), "max_new_tokens": 6, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    tokens: Tensor = model.generate(IDS, **asked, **options)
    return tokens[:, IDS.shape[1] :]


@pytest.mark.parametrize("name", ["llama", "llama-tied", "qwen2", "gpt2"])
def test_a_found_model_is_read_by_the_librarys_own_loader_and_generates_the_same_tokens(name: str, tmp_path: Path) -> None:
    small = student(name)
    hugging_face.converted(small).save_pretrained(tmp_path)
    found = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    config = read_json(tmp_path / "config.json")
    sizes = [[1, 1, 18], [4, 4, 24]] if name == "gpt2" else [[2, 1, 18], [4, 2, 24]]
    assert (config["layer_sizes"], config["n_layer" if name == "gpt2" else "num_hidden_layers"]) == (sizes, 2)
    with torch.no_grad():
        torch.testing.assert_close(found(input_ids=IDS).logits, small(input_ids=IDS).prediction, rtol=0, atol=1e-6)
        wanted = torch.cat([apply(small, Prompt(row[None], 6)).prediction.argmax(-1) for row in IDS])
    assert found.config.use_cache
    for options in ({}, {"use_cache": False}, {"cache_implementation": "static"}):
        assert torch.equal(generated(found, **options), wanted)
    assert (found.lm_head.weight is found.get_input_embeddings().weight) == (name in ("llama-tied", "gpt2"))


def test_the_cache_holds_the_heads_that_each_layer_has() -> None:
    found: Any = hugging_face.converted(student("llama"))
    cache = found(input_ids=IDS, use_cache=True).cache
    assert [layer.keys.shape[1] for layer in cache.layers] == [1, 2]


def test_another_kind_of_attention_reaches_every_layer() -> None:
    found: Any = hugging_face.converted(student("llama"))
    found.set_attn_implementation("eager")
    assert {layer.self_attn.config._attn_implementation for layer in found.model.layers} == {"eager"}


def test_layers_of_one_size_are_a_plain_llama(tmp_path: Path) -> None:
    small = student("llama", uneven=False)
    hugging_face.converted(small).save_pretrained(tmp_path)
    found = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    assert read_json(tmp_path / "config.json")["model_type"] == "llama"
    with torch.no_grad():
        torch.testing.assert_close(found(input_ids=IDS).logits, small(input_ids=IDS).prediction, rtol=0, atol=1e-6)


def test_a_gpt2_without_a_layer_is_a_plain_one(tmp_path: Path) -> None:
    whole = models.build(models.LANGUAGE["gpt2"])
    small = models.build(models.LANGUAGE["gpt2"], shallow("gpt2")).eval()
    small.load_state_dict(extract(whole, shallow("gpt2")))
    hugging_face.converted(small).save_pretrained(tmp_path)
    found = GPT2LMHeadModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(found(input_ids=IDS).logits, small(input_ids=IDS).prediction, rtol=0, atol=1e-6)


def test_the_plain_class_refuses_the_folder(tmp_path: Path) -> None:
    hugging_face.converted(student("llama")).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="mismatch"):
        LlamaForCausalLM.from_pretrained(tmp_path)


def test_other_networks_are_refused_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^wanted a language model of llama, qwen2 or gpt2 - got bert"):
        hugging_face.converted(models.build(models.BERT))
    numbered = models.build(models.LANGUAGE["gpt2"] | {"scale_attn_by_inverse_layer_idx": True}, shallow("gpt2"))
    with pytest.raises(UserError, match=r"none that computes by its number - got scale_attn_by_inverse_layer_idx and layers dropped"):
        hugging_face.converted(numbered)
    with pytest.raises(UserError, match="got Linear"):
        hugging_face.converted(nn.Linear(1, 1))


def test_sizes_of_other_layers_are_refused() -> None:
    config = scaled.ScaledLlamaConfig(vocab_size=9, hidden_size=8, num_attention_heads=2, num_hidden_layers=2, layer_sizes=[[2, 2, 4]])
    with pytest.raises(ValueError, match="layer_sizes should be of 2 layers, as num_hidden_layers says: got 1"):
        scaled.ScaledLlamaForCausalLM(config)


def test_an_export_is_checked_and_carries_the_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "student" / "context"
    context.mkdir(parents=True)
    tokenizer.prepared(TokenizerSettings(vocabulary=260), ["a b c"], (END,), context)
    (context / "facts.json").write_text('{"end": 0}')
    batch, small = Batch(IDS, IDS, torch.zeros(3, dtype=torch.int64)), student("llama")
    part, data = SimpleNamespace(apply=apply), SimpleNamespace(valid=None)
    given: Any = SimpleNamespace(network=small, folder=context.parent, data=data, workload=part)
    monkeypatch.setattr(exporting.score, "first_batch", lambda batches, device: batch)
    file, gap = exporting.export(given, "transformers", tmp_path / "out")
    assert file.exists()
    assert gap < 1e-6
    assert (tmp_path / "out" / "SHA256SUMS").exists()
    read = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert read.decode(read("b c a").input_ids) == f"{END}b c a"
    assert read.eos_token == END
    with pytest.raises(UserError, match="nothing is written"):
        exporting.export(given, "transformers", tmp_path / "none", tolerance=-1.0)
    assert not (tmp_path / "none").exists()
