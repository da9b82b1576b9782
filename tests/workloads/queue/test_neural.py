"""The neural chain: where it starts, what a search may cut out of it, what it costs, and its size."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.cost import counts_of, evaluate, macs, parameters, total
from stillhouse.space.extraction import extract
from stillhouse.training.precision import mixed
from stillhouse.workloads.queue.families.black_box import BlackBox, BlackBoxSettings
from stillhouse.workloads.queue.families.neural import NeuralSettings, neural
from stillhouse.workloads.queue.families.structured import StructuredSettings, structured
from stillhouse.workloads.queue.gradients import Exact, Infinity

SETTINGS = NeuralSettings(width=6, hidden=5, depth=3, reach=3, gradient=Exact(), penalty=1.0)
LOADS = torch.tensor([0.7, 1.0, 2.5], dtype=torch.float64)


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """With weights of which none is 0."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return model.double()


def random_architecture(model: nn.Module, rng: torch.Generator) -> Architecture:
    kept = {}
    for group in groups_of(model):
        count = int(torch.randint(group.minimum, group.size + 1, (), generator=rng))
        kept[group.name] = tuple(sorted(torch.randperm(group.size, generator=rng)[:count].tolist()))
    return Architecture(kept)


def test_it_begins_as_one_server_with_rare_jumps() -> None:
    chain = neural(SETTINGS.model_copy(update={"decay": 40.0}), 20, None).eval()
    plain = structured(StructuredSettings(), 20).eval()
    assert (chain(LOADS).prediction.exp() - plain(LOADS).prediction.exp()).abs().max() < 1e-6
    rates, penalty, _ = neural(SETTINGS, 20, None).rates(LOADS)
    jumps = (chain.source - chain.target)[19:]
    assert (rates[:, 19:] - torch.exp(-3.0 * (jumps - 1.0))).abs().max() < 1e-6
    assert penalty.item() == pytest.approx(rates[:, 19:][:, jumps > 1].norm().item())


def test_rates_are_positive_and_depend_on_the_load_only_if_they_may() -> None:
    for load_input in (True, False):
        rates = shaken(neural(SETTINGS.model_copy(update={"load_input": load_input}), 20, None)).rates(LOADS)[0]
        assert (rates > 0).all()
        assert (rates[0, 19:] == rates[1, 19:]).all() == (not load_input)


def test_a_masked_network_equals_the_cut_one() -> None:
    model, rng = shaken(neural(SETTINGS, 12, None)).eval(), torch.Generator().manual_seed(1)
    depths = set()
    for _ in range(25):
        architecture = random_architecture(model, rng)
        depths.add(len(architecture.kept["blocks"]))
        static = neural(SETTINGS, 12, architecture).double().eval()
        static.load_state_dict(extract(model, architecture))
        with masked(model, hard_masks(groups_of(model), architecture, torch.ones((), dtype=torch.float64))):
            expected = model(LOADS)
        # Rates and probabilities; logarithms of probabilities near 0 amplify the rounding of the solve.
        assert (static(LOADS).prediction.exp() - expected.prediction.exp()).abs().max() < 1e-10
        assert abs(static(LOADS).penalty - expected.penalty) < 1e-10
        counts = counts_of(groups_of(model), architecture)
        own = macs(static, lambda static=static: static(LOADS))
        assert evaluate(macs(model, lambda: model(LOADS)), counts) == total(own) == counted(architecture, 12)
        assert evaluate(parameters(model), counts) == sum(value.numel() for value in static.parameters())
    assert depths >= {0, 1, 3}


def counted(architecture: Architecture, states: int) -> int:
    """Multiply-adds by hand: for each load and each of the transitions over 1, 2 and 3 states."""
    trunk = len(architecture.kept["trunk"])
    inside = sum(len(architecture.kept[f"block{index}.hidden"]) for index in architecture.kept["blocks"])
    return 3 * (3 * states - 6) * (4 * trunk + 2 * trunk * inside + trunk)


def test_the_black_box_is_cut_alike() -> None:
    model, rng = shaken(BlackBox(BlackBoxSettings(width=6), 9, None)).eval(), torch.Generator().manual_seed(2)
    for _ in range(5):
        architecture = random_architecture(model, rng)
        static = BlackBox(BlackBoxSettings(width=6), 9, architecture).double().eval()
        static.load_state_dict(extract(model, architecture))
        with masked(model, hard_masks(groups_of(model), architecture, torch.ones((), dtype=torch.float64))):
            assert (static(LOADS).prediction - model(LOADS).prediction).abs().max() < 1e-10


def test_gradients_reach_every_weight_and_masks() -> None:
    torch.manual_seed(0)
    model = shaken(neural(SETTINGS.model_copy(update={"gradient": Infinity()}), 12, None)).float()
    masks = {group.name: torch.ones(group.size, requires_grad=True) for group in groups_of(model)}
    with masked(model, masks):
        model(LOADS).prediction[:, 0].sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in model.parameters())
    assert all(mask.grad is not None and mask.grad.abs().max() > 0 for mask in masks.values())


def test_two_thousand_states_take_seconds() -> None:
    started = time.process_time()
    model = neural(SETTINGS.model_copy(update={"gradient": Infinity()}), 2000, None)
    model(torch.tensor([0.5])).prediction[:, 0].sum().backward()
    assert time.process_time() - started < 5


def test_mixed_precision_changes_little() -> None:
    model = shaken(neural(SETTINGS, 12, None)).float().eval()
    with mixed(torch.device("cpu"), "bf16-mixed"):
        rough = model(LOADS).prediction
    assert (rough.exp() - model(LOADS).prediction.exp()).abs().max() < 0.02
