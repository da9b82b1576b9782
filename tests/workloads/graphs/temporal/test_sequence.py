"""Encoders against their formulas, row by row and step by step, and what each of them can tell apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from stillhouse.space.blueprint import Blueprint
from stillhouse.space.cost import macs, total
from stillhouse.workloads.graphs.temporal.batch import ABSENT
from stillhouse.workloads.graphs.temporal.sequence import ENCODERS, Encoder
from tests.workloads.graphs.temporal.networks import KINDS, WIDTH, naive_encoder, randomised
from tests.workloads.graphs.temporal.peers import difference

pytestmark = pytest.mark.parametrize("kind", KINDS)


def encoder_of(kind: str, channels: int = 2, steps: int = 5) -> Encoder:
    """In double precision."""
    return randomised(ENCODERS[kind](Blueprint(), "rows", channels, WIDTH, steps).double())


def histories(rows: int = 6, steps: int = 5, channels: int = 2) -> Tensor:
    """Some values are `ABSENT`."""
    rng = torch.Generator().manual_seed(1)
    values = torch.randn(rows, steps, channels, generator=rng, dtype=torch.float64)
    return torch.where(torch.rand(rows, steps, channels, generator=rng) < 0.3, ABSENT, values)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_it_equals_the_formula(kind: str, channels: int, steps: int) -> None:
    encoder, history = encoder_of(kind, channels, steps), histories(6, steps, channels)
    assert difference(encoder(history), naive_encoder(encoder, history)) < 1e-12


def test_it_sees_the_order_of_the_steps_and_every_step(kind: str) -> None:
    encoder, history = encoder_of(kind), histories(1)
    encoded = encoder(history)
    assert difference(encoder(history.flip(1)), encoded) > 1e-3
    for step in range(5):
        other = history.clone()
        other[:, step] += 0.5
        assert difference(encoder(other), encoded) > 1e-6


def test_rows_do_not_meet(kind: str) -> None:
    encoder, history = encoder_of(kind), histories()
    assert difference(encoder(history), torch.cat([encoder(row[None]) for row in history])) < 1e-12


def test_it_tells_an_absent_edge_from_one_without_weight_and_negative_values_apart(kind: str) -> None:
    encoder = encoder_of(kind, 1, 3)
    values = torch.tensor([[0.5, value, 0.5] for value in (ABSENT, 0.0, -0.5, -2.0)], dtype=torch.float64)
    states = encoder(values[..., None])
    assert torch.pdist(states).min() > 1e-3


def test_no_rows(kind: str) -> None:
    assert encoder_of(kind)(histories(0)).shape == (0, WIDTH)


def test_its_multiply_adds(kind: str) -> None:
    rows, steps, channels = 6, 5, 2
    encoder, history = encoder_of(kind), histories(rows)
    expected = {
        "gru": rows * steps * 3 * (channels * WIDTH + WIDTH**2),
        "lstm": rows * steps * 4 * (channels * WIDTH + WIDTH**2),
        "attention": rows * (steps * channels * WIDTH + (1 + 2 * steps) * WIDTH**2 + 2 * steps * WIDTH),
        "series": rows * steps * channels * WIDTH,
    }
    assert total(macs(encoder, lambda: encoder(history))) == expected[kind]
