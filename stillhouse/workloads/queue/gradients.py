"""The derivative of a steady state by the rates, four ways behind one function: infinity-SGD, exact, truncated, DC-BPTT.

With pi P = pi, d pi = pi dP (I + P + P^2 + ...), a sum that converges because dP 1 = 0. For a loss with the gradient g by
pi, centred to g - (pi g) 1, the derivative by P_ij is therefore pi_i y_j with y = g + P g + P^2 g + ... (arXiv 2002.04186).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd.function import once_differentiable

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import Settings
from stillhouse.workloads.queue.elimination import eliminated
from stillhouse.workloads.queue.solve import Solver, followed
from stillhouse.workloads.queue.spectrum import second_modulus
from stillhouse.workloads.queue.walk import Transitions, Walk, require_rates

if TYPE_CHECKING:
    from jaxtyping import Float

_LEAST_STOP = 5e-4
"""Below it a sum of thousands of terms costs more than a solve."""
Pull = Callable[[Tensor], Tensor]
"""From a loss's gradient with respect to the distribution, (loads, states), to that with respect to the rates, (loads, transitions)."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """A distribution over states for each load, (loads, states), and how gradients pass through it."""

    distribution: Tensor
    pull: Pull


class Exact(Settings):
    """One linear solve: the oracle."""

    method: Literal["exact"] = "exact"

    def solve(self, walk: Walk) -> Distribution:
        """The steady state."""
        return _steady(walk, lambda solver, steady, value: solver.future(steady, value))


class Infinity(Settings):
    """The sum over the future stopped at random and reweighted: unbiased, at an expected cost of 1 / stop products.

    `stop` is the probability of stopping at each term. Its variance is finite only below 1 - |lambda_2|^2, with lambda_2
    the walk's second eigenvalue; None measures that and takes half of it, for each load, and solves where that is too small.
    """

    method: Literal["infinity"] = "infinity"
    stop: float | None = Field(None, gt=0, lt=1)
    forward: Literal["solve", "iterate"] = "solve"
    """How the steady state itself is found; a chain of many thousand scattered transitions can only be followed."""

    def solve(self, walk: Walk) -> Distribution:
        """The steady state; the number of terms is drawn from torch's global generator for each load."""

        def future(solver: Solver, steady: Tensor, value: Tensor) -> Tensor:
            stop = stopping_probability(self.stop, second_modulus(walk, steady))
            slow = stop < _LEAST_STOP
            terms = draw_terms(stop.clamp(min=_LEAST_STOP)).masked_fill(slow, 0)
            found = stopped_sum(walk, value, stop, terms)
            return torch.where(slow.unsqueeze(-1), solver.future(steady, value), found) if slow.any() else found

        return _steady(walk, future, iterate=self.forward == "iterate")


class Truncated(Settings):
    """The first `terms` of the sum: biased, the more so the slower the walk forgets."""

    method: Literal["truncated"] = "truncated"
    terms: int = Field(16, gt=0)

    def solve(self, walk: Walk) -> Distribution:
        """The steady state."""
        ones = walk.rates.new_ones(len(walk.rates))
        return _steady(walk, lambda solver, steady, value: stopped_sum(walk, value, 0 * ones, self.terms * ones))


class Unrolled(Settings):
    """DC-BPTT: the mean over all starts of the walk after `ticks`, and ordinary back-propagation through these ticks.

    Where the walk has not mixed by then the distribution itself is wrong, and depends on gamma, which its gradient takes for a
    constant as all others do. (Mean rows of P^ticks are made here by `ticks`
    products with a vector; the published form squares the matrix, with the same result.)
    """

    method: Literal["dc_bptt"] = "dc_bptt"
    ticks: int = Field(16, gt=0)

    def solve(self, walk: Walk) -> Distribution:
        """The distribution after so many ticks from a uniform one."""
        passed = [walk.rates.new_full((walk.rates.shape[0], walk.states), 1 / walk.states)]
        for _ in range(self.ticks):
            passed.append(walk.advance(passed[-1]))

        def pull(gradient: Tensor) -> Tensor:
            total = torch.zeros_like(walk.rates)
            for before in reversed(passed[:-1]):
                total += walk.gradient(before, gradient)
                gradient = walk.expect(gradient)
            return total

        return Distribution(passed[-1], pull)


GradientSettings = Annotated[Infinity | Exact | Truncated | Unrolled, Field(discriminator="method")]


def steady_state(
    rates: Float[Tensor, "loads transitions"], transitions: Transitions, settings: Any, *, dense: bool | None = None
) -> Float[Tensor, "loads {transitions.states}"]:
    """Rates (loads, transitions) to a distribution over states (loads, states), differentiable once, in double precision.

    Where no gradient is wanted states are eliminated if that can be done, so that answers do not depend on the method and are right
    for states of any rarity. With a gradient a factorisation, which it needs too, is right up to 1e-15.
    """
    rates = rates.double()
    require_rates(rates.detach())
    if torch.compiler.is_exporting() or not torch.is_grad_enabled():
        answer = None if isinstance(settings, Unrolled) else eliminated(Walk(transitions, rates, dense))
        if answer is not None:
            return answer
    found: Tensor = _SteadyState.apply(rates, transitions, settings, dense)
    return found


class _SteadyState(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rates: Tensor, transitions: Transitions, settings: Any, dense: bool | None) -> Tensor:
        solved = settings.solve(Walk(transitions, rates.detach(), dense))
        context.pull = solved.pull
        distribution: Tensor = solved.distribution
        return distribution

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return context.pull(gradient), None, None, None


def _steady(walk: Walk, future: Callable[[Solver, Tensor, Tensor], Tensor], *, iterate: bool = False) -> Distribution:
    """The steady state, with gradients through a sum over the future that `future` makes of a centred gradient."""
    solver = Solver(walk)
    steady = followed(walk) if iterate else solver.stationary()

    def pull(gradient: Tensor) -> Tensor:
        # Without centring the terms do not decay, and the growing weights amplify rounding.
        centred = gradient - (steady * gradient).sum(-1, keepdim=True)
        return walk.gradient(steady, future(solver, steady, centred))

    return Distribution(steady, pull)


def stopping_probability(wanted: float | None, modulus: Tensor) -> Tensor:
    """(loads,), given the second modulus of each load. Raises UserError if the variance at the one wanted would be infinite."""
    limit = 1 - modulus.square()
    if wanted is not None and wanted >= limit.min():
        raise UserError(
            f"infinity wants a stopping probability below 1 - |lambda_2|^2 = {limit.min().item():.4g}, got {wanted:.4g}, "
            "at which its gradient has infinite variance: lower `stop`, leave it out, or use exact"
        )
    return limit / 2 if wanted is None else torch.full_like(limit, wanted)


def draw_terms(stop: Tensor) -> Tensor:
    """S, geometric on 1, 2, ..., for each of `stop`; drawn on the CPU, so that a device draws alike."""
    uniform = 1 - torch.rand(len(stop), dtype=stop.dtype).to(stop.device)
    return (uniform.log() / torch.log1p(-stop)).ceil().clamp(min=1)


def stopped_sum(walk: Walk, value: Tensor, stop: Tensor, terms: Tensor) -> Tensor:
    """The sum over s < terms of (1 - stop)^-s P^s v for each load: with P(S > s) = (1 - stop)^s its mean is the endless sum."""
    total, weight = torch.zeros_like(value), 1 / (1 - stop).unsqueeze(-1)
    reached = (torch.arange(int(terms.max()), device=terms.device)[:, None, None] < terms[:, None]).to(value)
    for part in reached:
        total.addcmul_(value, part)
        value = walk.expect(value) * weight
    return total
