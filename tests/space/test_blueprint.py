from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.space import blueprint
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, MaskedLayerNorm, fixed
from stillhouse.space.extraction import extract
from tests.space.networks import Mixed, example, settled

GROUPS = blueprint.groups_of(Mixed())


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Any subset of each group that respects its minimum."""
    kept = {}
    for group in GROUPS:
        indices = draw(st.sets(st.integers(0, group.size - 1), min_size=group.minimum))
        kept[group.name] = tuple(sorted(indices))
    return Architecture(kept)


@settings(max_examples=60, deadline=None)
@given(architectures())
def test_hard_masks_and_extraction_are_one_network(architecture: Architecture) -> None:
    """Output and gradient of the input, to 1e-10: the invariant that everything else stands on."""
    model, static = settled(Mixed()), Mixed(architecture).double().eval()
    static.load_state_dict(extract(model, architecture))
    found = []
    for network, masks in ((model, blueprint.hard_masks(GROUPS, architecture, torch.ones(1).double())), (static, {})):
        ids, values = example()
        values.requires_grad_()
        with blueprint.masked(network, masks):
            output = network(ids, values)
        found.append((output.detach(), *torch.autograd.grad(output.square().sum(), values)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-10)


def test_masks_change_the_network_at_all() -> None:
    model = settled(Mixed())
    halves = {group.name: torch.full((group.size,), 0.5) for group in GROUPS}
    with blueprint.masked(model, halves):
        under_masks = model(*example())
    assert (under_masks - model(*example())).abs().max() > 0.1


def test_masks_end_with_their_block_even_after_an_error() -> None:
    model = settled(Mixed())
    before = model(*example())
    with pytest.raises(RuntimeError), blueprint.masked(model, {"trunk": torch.zeros(8)}):
        raise RuntimeError
    assert torch.equal(model(*example()), before)


def test_layer_norm_sees_only_what_is_kept() -> None:
    """Dropped entries enter neither the mean nor the variance, whatever they hold."""
    masks = {"trunk": torch.tensor([1.0, 0.0, 1.0, 1.0])}
    norm = MaskedLayerNorm(masks, Axis((("trunk", 4),)))
    value = torch.tensor([[0.2, 1e6, -1.3, 0.5]])
    expected = nn.functional.layer_norm(value[:, [0, 2, 3]], (3,))
    torch.testing.assert_close(norm(value)[:, [0, 2, 3]], expected)


def test_the_full_architecture_cuts_nothing() -> None:
    model = settled(Mixed())
    cut = extract(model, blueprint.full(GROUPS))
    assert cut.keys() == model.state_dict().keys()
    assert all(torch.equal(cut[name], tensor) for name, tensor in model.state_dict().items())


def test_extracted_weights_are_copies() -> None:
    model = settled(Mixed())
    cut = extract(model, blueprint.full(GROUPS))
    cut["head.bias"].zero_()
    assert model.head.bias.abs().min() > 0
    assert {value.data_ptr() for value in cut.values()}.isdisjoint(value.data_ptr() for value in model.state_dict().values())


@given(architectures())
def test_json_and_back(architecture: Architecture) -> None:
    assert Architecture.from_json(architecture.to_json()) == architecture


def test_groups_carry_what_a_search_needs() -> None:
    named = {group.name: group for group in GROUPS}
    assert (named["blocks"].kind, named["blocks"].sharpness, named["blocks"].minimum) == ("depth", 4, 0)
    assert (named["trunk"].kind, named["trunk"].sharpness, named["trunk"].minimum) == ("width", 1, 1)


def test_a_group_cannot_be_declared_twice() -> None:
    blueprint = Blueprint()
    blueprint.width("trunk", 3)
    with pytest.raises(ValueError, match="group 'trunk' is declared twice"):
        blueprint.width("trunk", 3)


def test_an_architecture_without_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lacks group 'trunk'; it has \['other'\]"):
        Blueprint(Architecture({"other": (0,)})).width("trunk", 3)


def test_a_network_without_a_blueprint_is_refused() -> None:
    with pytest.raises(UserError, match=r"Linear - wanted a network whose attribute `blueprint` is .* - got None"):
        blueprint.groups_of(nn.Linear(1, 1))


def test_a_fixed_axis_needs_no_mask() -> None:
    assert blueprint.axis_mask({"other": torch.zeros(2)}, fixed(3), torch.ones(1)) is None
