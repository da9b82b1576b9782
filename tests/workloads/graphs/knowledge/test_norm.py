"""Normalisation of rows that stand for several states, against PyTorch's of all the states."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from stillhouse.space.blueprint import fixed
from stillhouse.workloads.graphs.knowledge.norm import shared_batch_norm


@pytest.mark.parametrize("training", [True, False])
def test_it_equals_batch_norm_of_all_states(training: bool) -> None:
    rng = torch.Generator().manual_seed(0)
    share = torch.tensor([1.0, 1, 1, 5, 0, 2, 3], dtype=torch.float64)
    state = torch.repeat_interleave(torch.arange(7), share.long())
    value = torch.randn(7, 3, dtype=torch.float64, generator=rng).requires_grad_()
    fast, plain = shared_batch_norm(fixed(3)).double().train(training), nn.BatchNorm1d(3).double().train(training)
    with torch.no_grad():
        fast.weight.uniform_(0.5, 2, generator=rng)
        fast.running_var.uniform_(0.5, 2, generator=rng)
    plain.load_state_dict(fast.state_dict())
    gradient = torch.randn(len(state), 3, dtype=torch.float64, generator=rng)
    expected, result = plain(value[state]), fast(value, share)
    assert torch.allclose(result[state], expected, atol=1e-12)
    of_rows = torch.zeros(7, 3, dtype=torch.float64).index_add(0, state, gradient)
    ours = torch.autograd.grad(result, (value, fast.weight, fast.bias), of_rows)
    theirs = torch.autograd.grad(expected, (value, plain.weight, plain.bias), gradient)
    assert all(torch.allclose(one, other, atol=1e-12) for one, other in zip(ours, theirs, strict=True))
    assert all(torch.allclose(fast.state_dict()[name], kept) for name, kept in plain.state_dict().items())
