from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from stillhouse.space import blueprint, cost, declared
from stillhouse.space.blueprint import Architecture, Axis, declare, fixed
from stillhouse.space.cost import Cost, Term
from tests.space.networks import Mixed, example, settled
from tests.space.test_blueprint import GROUPS, architectures


def counted_macs(model: nn.Module) -> float:
    """By torch's own counter, which counts a multiplication and an addition as two."""
    with FlopCounterMode(display=False) as counter:
        model(*example())
    return counter.get_total_flops() / 2


@settings(max_examples=30, deadline=None)
@given(architectures())
def test_cost_of_counts_is_the_cost_of_the_extracted_network(architecture: Architecture) -> None:
    model, static = settled(Mixed()), Mixed(architecture).double().eval()
    counts = cost.counts_of(GROUPS, architecture)
    macs, parameters = cost.macs(model, lambda: model(*example())), cost.parameters(model)
    assert float(cost.evaluate(macs, counts)) == counted_macs(static)
    assert float(cost.evaluate(parameters, counts)) == sum(parameter.numel() for parameter in static.parameters())
    assert cost.total(cost.macs(static, lambda: static(*example()))) == counted_macs(static)


def test_cost_of_the_full_network() -> None:
    model = settled(Mixed())
    macs = cost.macs(model, lambda: model(*example()))
    assert cost.total(macs) == counted_macs(model) == float(cost.evaluate(macs, cost.counts_of(GROUPS, blueprint.full(GROUPS))))


def test_counting_leaves_no_hooks() -> None:
    model = settled(Mixed())
    cost.macs(model, lambda: model(*example()))
    assert not any(module._forward_hooks for module in model.modules())


def test_gradient_is_that_of_finite_differences() -> None:
    model = settled(Mixed())
    macs = cost.macs(model, lambda: model(*example()))
    names = [group.name for group in GROUPS]
    soft = [torch.rand((), dtype=torch.float64) * 5 if group.kind == "width" else torch.rand(group.size).double() for group in GROUPS]
    inputs = tuple(value.requires_grad_() for value in soft)
    assert torch.autograd.gradcheck(lambda *counts: cost.evaluate(macs, dict(zip(names, counts, strict=True))), inputs, rtol=1e-6)


def test_value_of_one_term() -> None:
    """3 * (a + a + 2) * b * block: a concatenation may name a group twice, as the gates of a recurrent cell do."""
    axes = (Axis((("a", 4), ("a", 4), (None, 2))), Axis((("b", 5),)))
    one = Cost((Term(3.0, axes, (("blocks", 1),)), Term(7.0, ())))
    counts = {"a": torch.tensor(2.0), "b": torch.tensor(5.0), "blocks": torch.tensor([0.0, 0.5, 1.0])}
    assert float(cost.evaluate(one, counts)) == 3 * (2 + 2 + 2) * 5 * 0.5 + 7


def test_a_layer_may_say_its_own_rows() -> None:
    class Sparse(nn.Module):
        def rows(self, value: torch.Tensor) -> float:
            return 11.0

        def forward(self, value: torch.Tensor) -> torch.Tensor:
            return value

    model = declare(Sparse(), {}, cost=(fixed(5),))
    assert cost.total(cost.macs(model, lambda: model(torch.ones(2, 5)))) == 55


def test_a_layer_called_twice_costs_twice() -> None:
    layer = declare(nn.Linear(2, 3), {}, cost=(fixed(2), fixed(3)))
    assert cost.total(cost.macs(layer, lambda: (layer(torch.ones(4, 2)), layer(torch.ones(1, 2))))) == 5 * 6


def test_a_shared_parameter_counts_once() -> None:
    first, second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    assert cost.total(cost.parameters(nn.Sequential(first, second))) == 9


def test_counts_of_an_unknown_architecture() -> None:
    with pytest.raises(KeyError, match="trunk"):
        cost.counts_of(GROUPS, Architecture({"left": (0,), "right": (0,)}))


def test_a_module_that_is_given_a_part_of_a_weight_is_counted() -> None:
    """PyTorch's counter looks for the gradient of such a part, which there is none of."""
    model = nn.Sequential(nn.Linear(3, 4))
    declared.require_declared(model, lambda: model(model[0].weight[:2, :3]), Cost((Term(24.0, (), (), "0"),)))
    assert model[0].weight.requires_grad
