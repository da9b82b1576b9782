"""Foreign networks: what is found in them, and that masks, smaller networks and costs agree."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.contracts.errors import UserError
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, full, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.space.trace import cut, traced
from stillhouse.space.trace.found import call
from tests.space.trace.handmade import HANDMADE, HardCoded, Perceptron
from tests.space.trace.layers import LAYERS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tests.space.trace.libraries import LIBRARIES

pytestmark = pytest.mark.filterwarnings("ignore")
CASES = {name: (make, example) for name, (make, example, *_) in (HANDMADE | LAYERS | LIBRARIES).items()}


def network(name: str) -> tuple[nn.Module, Any]:
    """In double precision, with random weights and a random example."""
    torch.manual_seed(0)
    make, example = CASES[name]
    model = make().double().eval()
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point() and (tensor == tensor.flatten()[0]).all() if tensor.numel() else False:
            tensor.data = tensor.data + 0.1 * torch.rand(tensor.shape, dtype=torch.double)  # a norm's ones and zeros would hide mistakes
    return model, tree_map_only(
        Tensor, lambda value: torch.randn_like(value, dtype=torch.double) if value.is_floating_point() else value, example
    )


def outputs(model: nn.Module, example: Any) -> list[Tensor]:
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        return tensors(call(model, example))


def tensors(output: Any) -> list[Tensor]:
    return [item for item in tree_leaves(output) if isinstance(item, Tensor) and item.is_floating_point()]


def some(model: nn.Module, seed: int) -> Architecture:
    """A random architecture."""
    rng, kept = torch.Generator().manual_seed(seed), {}
    for group in groups_of(model):
        number = max(group.minimum, int(torch.randint(group.size + 1, (), generator=rng)))
        kept[group.name] = tuple(sorted(torch.randperm(group.size, generator=rng)[:number].tolist()))
    return Architecture(kept)


def counted(model: nn.Module, example: Any) -> float:
    """Multiply-accumulates as PyTorch's own counter has them."""
    torch.backends.mha.set_fastpath_enabled(False)  # the counter knows nothing of an attention in one operation
    try:
        with FlopCounterMode(display=False) as counter:
            outputs(model, example)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("name", CASES)
def test_masks_smaller_networks_and_costs_agree(name: str) -> None:
    model, example = network(name)
    before = outputs(model, example)
    traced(model, example)
    close(outputs(model, example), before)
    groups, like = groups_of(model), next(model.parameters())
    with masked(model, hard_masks(groups, full(groups), like)):
        close(outputs(model, example), before)
    with sdpa_kernel(SDPBackend.MATH):
        macs, parameters = cost.macs(model, lambda: call(model, example)), cost.parameters(model)
    for seed in range(2):
        architecture = some(model, seed)
        with masked(model, hard_masks(groups, architecture, like)):
            wanted = outputs(model, example)
        smaller = cut(model, architecture)
        smaller.load_state_dict(extract(model, architecture))
        close(outputs(smaller, example), wanted)
        assert type(smaller) is type(model)
        assert set(smaller.state_dict()) <= set(model.state_dict())
        counts = cost.counts_of(groups, architecture)
        assert float(cost.evaluate(macs, counts)) == pytest.approx(counted(smaller, example), rel=1e-9)
        assert float(cost.evaluate(parameters, counts)) == sum(weight.numel() for weight in smaller.parameters())
        assert cost.total(cost.parameters(smaller)) == sum(weight.numel() for weight in smaller.parameters())
    close(outputs(model, example), before)


def close(found: list[Tensor], wanted: list[Tensor]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10 * max(1.0, float(other.abs().max())))


@pytest.mark.parametrize("name", [*HANDMADE, "Llama", "Swin", "GAT"])
def test_they_agree_in_single_precision_with_the_kernels_that_it_has(name: str) -> None:
    model, example = network(name)
    model, example = model.float(), tree_map_only(Tensor, lambda value: value.float() if value.is_floating_point() else value, example)
    traced(model, example)
    architecture = some(model, 3)
    with torch.no_grad():
        with masked(model, hard_masks(groups_of(model), architecture, next(model.parameters()))):
            wanted = tensors(call(model, example))
        found = tensors(call(cut(model, architecture), example))
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max())


@pytest.mark.parametrize("name", HANDMADE | LAYERS)
def test_the_groups_of_networks_that_people_write(name: str) -> None:
    model, example = network(name)
    traced(model, example)
    assert {group.name: group.size for group in groups_of(model)} == (HANDMADE | LAYERS)[name][2]


@pytest.mark.parametrize("name", LIBRARIES)
def test_the_numbers_of_groups_in_networks_of_libraries(name: str) -> None:
    model, example = network(name)
    traced(model, example)
    kinds = [group.kind for group in groups_of(model)]
    assert (kinds.count("width"), kinds.count("depth")) == LIBRARIES[name][2:]


def test_heads_that_share_keys_and_values_are_dropped_together() -> None:
    model, example = network("Llama")
    traced(model, example)
    heads = next(group for group in groups_of(model) if "heads" in group.name)
    assert (heads.size, heads.sharpness) == (2, 4)
    kept = full(groups_of(model)).kept | {heads.name: (1,)}
    attention = cut(model, Architecture(kept)).get_submodule(heads.name.rpartition(".")[0].rpartition(".")[0])
    assert [tuple(attention.get_parameter(f"{part}_proj.weight").shape) for part in "qkvo"] == [(16, 32), (8, 32), (8, 32), (32, 16)]


def test_what_stays_whole_is_named_with_what_stopped_it() -> None:
    model, example = network("hard-coded")
    traced(model, example)
    whole = model.blueprint.left_whole
    assert set(whole) == {"first", "last"}
    assert "RuntimeError" in whole["first"]
    assert whole["last"] == "the output"


def test_a_network_without_anything_to_search_is_refused_with_the_reason() -> None:
    with pytest.raises(UserError, match="wanted a network in which something may be searched - all of it is left whole: 0, by the output"):
        traced(nn.Sequential(nn.Linear(3, 2)), (torch.zeros(1, 3),))


def test_groups_of_one_size_are_proved_with_different_ones() -> None:
    class Halves(nn.Module):
        """Each layer has as many channels as the other, and the code counts on it."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.safe, self.last = nn.Linear(5, 8), nn.Linear(5, 8), nn.Linear(5, 6), nn.Linear(22, 3)

        def forward(self, value: Tensor) -> Tensor:
            one, two = torch.cat([self.one(value), self.two(value)], -1).chunk(2, -1)
            return self.last(torch.cat([one.square(), two.abs(), self.safe(value)], -1))

    model = traced(Halves(), (torch.randn(4, 5),))
    assert {group.name for group in groups_of(model)} == {"safe"}


def test_what_experts_multiply_in_one_operation_is_in_the_cost() -> None:
    class Experts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.experts, self.last = nn.Linear(5, 8), nn.Parameter(torch.randn(2, 8, 4)), nn.Linear(4, 6)
            self.end = nn.Linear(6, 3)

        def forward(self, value: Tensor) -> Tensor:
            ends = torch.tensor([1, 4], dtype=torch.int32)
            return self.end(self.last(nn.functional.grouped_mm(self.first(value), self.experts, offs=ends)).relu())

    model, example = Experts(), (torch.zeros(4, 5),)
    traced(model, example)
    assert [group.name for group in groups_of(model)] == ["last"]
    assert cost.total(cost.macs(model, lambda: call(model, example))) == 4 * (5 * 8 + 8 * 4 + 4 * 6 + 6 * 3)


def test_masks_get_the_gradient_of_the_loss() -> None:
    model, example = network("perceptron")
    traced(model, example)
    masks = {group.name: torch.ones(group.size, dtype=torch.double, requires_grad=True) for group in groups_of(model)}
    with masked(model, masks):
        call(model, example).square().sum().backward()
    for mask in masks.values():
        assert mask.grad is not None
        assert mask.grad.abs().sum() > 0
    assert all(isinstance(weight, nn.Parameter) for weight in (model.first.weight, model.second.weight))


def test_weights_are_back_after_an_error_under_masks() -> None:
    model, example = network("perceptron")
    traced(model, example)
    before = {name: id(weight) for name, weight in model.named_parameters()}
    with pytest.raises(RuntimeError), masked(model, hard_masks(groups_of(model), full(groups_of(model)), model.first.weight)):
        call(model, (torch.zeros(1, 99, dtype=torch.double),))
    assert {name: id(weight) for name, weight in model.named_parameters()} == before


def test_a_traced_network_is_traced_once() -> None:
    model = traced(Perceptron().eval(), (torch.zeros(2, 5),))
    blueprint = model.blueprint
    assert traced(model, (torch.zeros(2, 5),)).blueprint is blueprint


def test_sizes_that_are_written_into_the_code_work_again_where_they_fit() -> None:
    model: Callable[..., Tensor] = traced(HardCoded().eval(), (torch.zeros(3, 6),))
    assert model(torch.zeros(3, 6)).shape == (3, 2)


def test_twenty_times_the_width_takes_no_hundred_times_as_long() -> None:
    def seconds(width: int) -> float:
        model = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, 2))
        began = time.process_time()
        traced(model, (torch.zeros(1, 2),))
        assert [group.size for group in groups_of(model)] == [width]
        return time.process_time() - began

    seconds(2)  # what is imported
    assert seconds(16_000) < 100 * seconds(800)  # in the square of the width it is some three hundred times
