"""Models of Hugging Face under the workloads: what is masked is what is cut out, in double precision; masks hide padding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.losses import logits
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.cache import cache, cache_bytes
from stillhouse.space.extraction import extract
from stillhouse.training import budget
from stillhouse.workloads.text import language, text_classes
from stillhouse.workloads.text.language.sample import UNSCORED
from tests.space.cutting import random_architecture
from tests.workloads.text.models import BERT, LANGUAGE, build

MODELS: dict[str, dict[str, Any]] = {**LANGUAGE, "bert": BERT}
TOKEN = torch.randint(2, 60, (3, 16), generator=torch.Generator().manual_seed(0))
COVERED = torch.tensor([48, 0, 0])
WINDOWS = language.sample.Batch(TOKEN, TOKEN.roll(-1, 1), COVERED)
MASK = (torch.arange(16) < torch.tensor([[16], [9], [1]])).long()
TEXTS = text_classes.Batch(TOKEN.where(MASK == 1, 1), MASK, torch.tensor([0, 2, 1]))


def output(name: str, model: torch.nn.Module) -> Output:
    with torch.no_grad():
        return text_classes.apply(model, TEXTS) if name == "bert" else language.apply(model, WINDOWS)


def held(model: Any) -> int:
    """Bytes that the library's own cache holds of a token."""
    returned = model.float().forward(input_ids=TOKEN[:1, :1], use_cache=True)
    layers = (returned.get("cache") or returned.get("past_key_values")).layers
    return sum(tensor.nbytes for layer in layers for tensor in (layer.keys, layer.values) if tensor is not None)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_cut_out_is_what_is_masked(name: str) -> None:
    model = build(MODELS[name]).double().eval()
    groups = groups_of(model)
    kinds = {group.name.rsplit(".", 1)[-1] for group in groups}
    assert {"heads", "blocks"} < kinds
    assert len(groups) == (8 if name == "bert" else 7)
    for seed in range(3):
        architecture = random_architecture(groups, torch.Generator().manual_seed(seed))
        static = build(MODELS[name], architecture).double().eval()
        static.load_state_dict(extract(model, architecture))
        with masked(model, hard_masks(groups, architecture, torch.ones(1, dtype=torch.float64))):
            wanted = output(name, model).prediction
        torch.testing.assert_close(output(name, static).prediction, wanted, rtol=0, atol=1e-10)
        measures: list[Callable[[torch.nn.Module], Any]] = [cost.parameters, lambda net: cost.macs(net, lambda: output(name, net))]
        for measure in (*measures, *([] if name == "bert" else [cache])):
            assert float(cost.evaluate(measure(model), cost.counts_of(groups, architecture))) == cost.total(measure(static))
        assert cost.total(cost.parameters(static)) == sum(weight.numel() for weight in static.parameters())
        assert cache_bytes(static) == (None if name == "bert" else held(static))


def test_a_head_of_grouped_attention_goes_with_its_queries() -> None:
    """Two key/value heads serve four query heads of eight channels each."""
    model = build(LANGUAGE["llama"])
    groups = {group.name: group for group in groups_of(model)}
    heads = [name for name in groups if name.endswith("heads")]
    assert [groups[name].size for name in heads] == [2, 2, 2]
    kept = {name: tuple(range(group.size)) for name, group in groups.items()} | {heads[0]: (1,)}
    static = build(LANGUAGE["llama"], Architecture(kept))
    first: Any = static.get_submodule("model.layers.0.self_attn")
    assert (first.q_proj.out_features, first.k_proj.out_features, first.o_proj.in_features) == (16, 8, 16)
    assert (cache_bytes(model), cache_bytes(static)) == (3 * 2 * 16 * 4, (2 * 16 + 8) * 2 * 4)
    shallow = Architecture(kept | {"model.layers.blocks": (1, 2)})
    assert cache_bytes(build(LANGUAGE["llama"], shallow)) == 2 * 2 * 16 * 4
    weights = extract(model, Architecture(kept))["model.layers.0.self_attn.q_proj.weight"]
    assert torch.equal(weights, model.state_dict()["model.layers.0.self_attn.q_proj.weight"][16:])


def test_a_budget_in_bytes_of_the_cache() -> None:
    """Half of the heads of one of three layers, and another layer less, are half of the cache."""
    model = build(LANGUAGE["llama"])
    found = budget.limit(budget.Budget(unit="cache", share=0.5), model, model, lambda network: None)
    assert (found.teacher, found.most) == (3 * 2 * 16 * 4, 3 * 16 * 4)
    groups = groups_of(model)
    kept = {group.name: tuple(range(group.size)) for group in groups} | {"model.layers.blocks": (0, 2)}
    kept["model.layers.0.self_attn.q_proj.heads"] = (1,)
    counts = cost.counts_of(groups, Architecture(kept))
    assert float(found.price(counts)) == found.most == cache_bytes(build(LANGUAGE["llama"], Architecture(kept)))
    with pytest.raises(UserError, match=r"which keeps keys and values, for the unit cache - got BertForSequenceClassification"):
        budget.measured("cache", build(BERT), lambda network: None)


@pytest.mark.parametrize(
    ("vocabulary", "width", "layers", "heads", "pairs", "hidden", "parameters"), [(2048, 128, 4, 4, 2, 352, 1_000_576)]
)
def test_a_llama_has_the_parameters_of_the_formula(
    vocabulary: int, width: int, layers: int, heads: int, pairs: int, hidden: int, parameters: int
) -> None:
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": pairs, "head_dim": 32}
    tied = {"model_type": "llama", "intermediate_size": hidden, "tie_word_embeddings": True, **sizes}
    model = build(tied, vocabulary=vocabulary, context=256).eval()
    assert cost.total(cost.parameters(model)) == parameters
    token = torch.zeros(1, 256, dtype=torch.int64)
    counted = cost.total(cost.macs(model, lambda: model(input_ids=token))) / 256
    linear = layers * (width * 32 * (2 * heads + 2 * pairs) + 3 * width * hidden) + width * vocabulary
    assert counted == pytest.approx(linear + layers * 2 * heads * 32 * 256, rel=0.02)


def test_tokens_that_fill_a_text_up_change_nothing() -> None:
    model = build(BERT).double().eval()
    alone = text_classes.Batch(TEXTS.token[1:2, :9], TEXTS.mask[1:2, :9], TEXTS.label[1:2])
    with torch.no_grad():
        padded, bare = text_classes.apply(model, TEXTS).prediction[1:2], text_classes.apply(model, alone).prediction
        seen = text_classes.apply(model, text_classes.Batch(TEXTS.token, torch.ones_like(MASK), TEXTS.label)).prediction[1:2]
    torch.testing.assert_close(padded, bare, rtol=0, atol=1e-12)
    assert not torch.allclose(seen, bare)


def test_losses_take_predictions_token_by_token() -> None:
    student = torch.tensor([[[1.0, 1, 0.5, 0], [0.2, 0, -0.5, 1]]])
    teacher = torch.tensor([[[2.0, 1, 0, -1], [0, 0.5, -1, 1.5]]])

    def found(temperature: float) -> Tensor:
        pair = Output(student, "classes"), Output(teacher, "classes")
        return logits.LOSS.make(logits.LOSS.settings(temperature=temperature), *pair)(*pair)

    assert float(found(1)) == pytest.approx(0.1370819620, abs=1e-7)
    assert float(found(2)) == pytest.approx(0.1738663093, abs=1e-7)


def test_targets_that_do_not_count_have_no_gradient() -> None:
    prediction = torch.randn(1, 4, 5, requires_grad=True)
    batch = language.sample.Batch(torch.zeros(1, 4, dtype=torch.int64), torch.tensor([[UNSCORED, 2, UNSCORED, 1]]), COVERED)
    language.loss(Output(prediction, "classes"), batch).backward()
    assert prediction.grad is not None
    assert (prediction.grad[0].abs().sum(-1) > 0).tolist() == [False, True, False, True]


def test_a_configuration_that_does_not_fit_the_data_is_told() -> None:
    with pytest.raises(UserError, match="wanted a vocab_size of 60 at least, as the data have it - got 59"):
        build(LANGUAGE["gpt2"] | {"vocab_size": 59})
    with pytest.raises(UserError, match="wanted a configuration of a causal language model"):
        build({"model_type": "vit"})
    for wrong in ({"hidden_size": "wide"}, {"num_attention_heads": 5}, {"num_key_value_heads": [1]}):
        with pytest.raises(UserError, match=r"wanted a configuration of a causal language model - StrictDataclass"):
            build(LANGUAGE["llama"] | wrong)
    assert (cache_bytes(build(LANGUAGE["gpt2"])), cache_bytes(build(BERT))) == (3 * 2 * 32 * 4, None)
    assert build(LANGUAGE["gpt2"] | {"vocab_size": 64}).get_submodule("lm_head").out_features == 64
