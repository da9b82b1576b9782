"""The loss is conditional on what is watched, and a perfect prediction scores best."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from stillhouse.workloads.queue.batch import Batch, QueueOutput, agreement, loss, score

NAN = float("nan")


def batch_of(counts: list[list[float]], watched: list[bool], full: list[float] | None = None) -> Batch:
    values = torch.tensor(counts, dtype=torch.float64)
    mask = torch.tensor(watched).expand(values.shape)
    share = torch.tensor(full if full else [NAN] * len(values), dtype=torch.float64)
    return Batch(torch.ones(len(values), dtype=torch.float64), values * mask, mask, share)


def output(distribution: Tensor, penalty: float = 0.0) -> QueueOutput:
    return QueueOutput(distribution.log(), "classes", penalty=penalty)


def test_the_loss_is_that_of_the_conditional_distribution() -> None:
    batch = batch_of([[3, 1, 9], [2, 2, 0]], [True, True, False])
    distribution = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], dtype=torch.float64)
    by_hand = 3 * torch.tensor(5 / 7).log() + torch.tensor(2 / 7).log() + 4 * torch.tensor(0.5).log()
    assert loss(output(distribution), batch).item() == pytest.approx(-by_hand.item() / 8)
    assert loss(output(distribution, 0.25), batch).item() == pytest.approx(0.25 - by_hand.item() / 8)


@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.lists(st.integers(0, 50), min_size=4, max_size=4), st.floats(0.1, 10))
def test_the_loss_does_not_see_the_scale_of_what_is_watched(shares: list[float], counts: list[int], factor: float) -> None:
    batch = batch_of([[float(count) for count in counts]], [True, True, True, False])
    distribution = torch.tensor([shares], dtype=torch.float64, requires_grad=True)
    value = loss(output(distribution), batch)
    (gradient,) = torch.autograd.grad(value, distribution)
    assert abs((gradient * distribution)[0, :3].sum().item()) < 1e-12
    assert gradient[0, 3] == 0
    scaled = distribution.detach() * torch.tensor([factor, factor, factor, 1.0], dtype=torch.float64)
    assert loss(output(scaled), batch).item() == pytest.approx(value.item(), abs=1e-12)


def test_a_load_without_counts_does_not_matter() -> None:
    batch = batch_of([[3, 1, 0], [0, 0, 0]], [True, True, False])
    distribution = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]], dtype=torch.float64, requires_grad=True)
    value = loss(output(distribution), batch)
    value.backward()
    assert distribution.grad is not None
    assert (distribution.grad[1] == 0).all()
    alone = batch_of([[3, 1, 0]], [True, True, False])
    assert value.item() == pytest.approx(loss(output(distribution[:1]), alone).item())
    nothing = batch_of([[0, 0, 0]], [False, False, False])
    assert loss(output(distribution[1:]), nothing).item() == 0


def test_a_perfect_prediction_scores_best() -> None:
    truth = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], dtype=torch.float64)
    batch = batch_of((100 * truth).tolist(), [True, True, True], truth[:, 2].tolist())
    best = score([(output(truth), batch)])
    assert list(best) == ["mape", "mse", "log_loss"]
    assert (best["mape"], best["mse"]) == (0, 0)
    other = score([(output(truth.flip(1)), batch)])
    assert all(other[name] > best[name] for name in best)
    assert other["mape"] == pytest.approx((0.3 / 0.2 + 0.6 / 0.7) / 2)
    assert other["mse"] == pytest.approx((0.09 + 0.36) / 2)


def test_without_a_known_share_only_the_likelihood_is_scored() -> None:
    truth = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64)
    assert list(score([(output(truth), batch_of([[5, 3, 2]], [True, True, False]))])) == ["log_loss"]


def test_a_share_of_0_counts_in_the_square_alone() -> None:
    truth = torch.tensor([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], dtype=torch.float64)
    metrics = score([(output(truth), batch_of([[1, 1, 1], [1, 1, 1]], [True] * 3, [0.0, 0.4]))])
    assert metrics["mape"] == pytest.approx(0.5)
    assert metrics["mse"] == pytest.approx(0.04)


def test_a_batch_moves_whole() -> None:
    moved = batch_of([[1, 2, 3]], [True, True, False]).to("meta")
    assert {part.device.type for part in (moved.load, moved.counts, moved.watched, moved.full)} == {"meta"}


def test_two_chains_agree_by_the_share_of_time_that_they_have_in_common() -> None:
    first, second = (QueueOutput(torch.tensor([share]).log(), "classes") for share in ([0.5, 0.3, 0.2], [0.1, 0.3, 0.6]))

    assert torch.allclose(agreement(first, second), torch.tensor([0.6]))
    assert torch.allclose(agreement(first, first), torch.ones(1))
