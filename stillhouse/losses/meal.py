"""MEAL V2: a student that is trained already follows the mean of its teachers, beside a network that tells its answers from theirs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, kl_div

from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Loss
from stillhouse.losses._choices import TemperatureSettings, log_probabilities, require_choices

if TYPE_CHECKING:
    from jaxtyping import Float

_LEAST = 16
"""The published widths, an eighth and a sixty-fourth of the classes, are none at few classes."""


class MealSettings(TemperatureSettings):
    """`discriminator` is the weight of what the network costs; in the published code the student lowers that cost as the network does.

    With `adversary` the student raises it, so that it comes to answer as its teachers.
    """

    discriminator: float = Field(1.0, ge=0)
    adversary: bool = False


class Meal(nn.Module):
    """T^2 KL(p || softmax(student / T)) + discriminator x BCE of a network that is told the student's rows from the teacher's.

    p is the teacher's softmax: for several it is that of the family `ensemble`, whose prediction is the mean of their probabilities
    (arXiv 2009.08453, where the first term is the cross-entropy, which has the same gradient). The network, C -> max(16, C / 8) ->
    max(16, C / 64) -> 2 with a ReLU after each, sees log probabilities (published: logits, of the teachers their mean), is drawn from
    torch's global seed and trained along. The published recipe has no loss of the task and no augmentation that mixes labels
    (`task_weight: 0`), and begins with a trained student. Raises UserError, when it is made, unless both predict choices.
    """

    def __init__(self, settings: MealSettings, student: Output, teacher: Output) -> None:
        super().__init__()
        self.settings = settings
        require_choices("meal", student, teacher)
        ours, _ = log_probabilities(settings.temperature, student, teacher)
        self.network = _discriminator(ours.shape[-1]).to(ours)

    def forward(self, student: Output, teacher: Output) -> Float[Tensor, ""]:
        """The loss in nats; it is not 0 where the student equals the teacher."""
        temperature = self.settings.temperature
        ours, theirs = log_probabilities(temperature, student, teacher)
        imitation = temperature**2 * kl_div(ours, theirs, reduction="none", log_target=True).sum(-1).mean()
        seen = _Turned.apply(ours) if self.settings.adversary else ours
        return imitation + self.settings.discriminator * self._told_apart(seen, theirs)

    def _told_apart(self, ours: Float[Tensor, "*rows choices"], theirs: Float[Tensor, "*rows choices"]) -> Float[Tensor, ""]:
        """The mean over all rows of both and the two outputs: (1, 0) is wanted of the student's rows, (0, 1) of the teacher's."""
        with torch.autocast(ours.device.type, enabled=False):
            costs = [
                binary_cross_entropy_with_logits(found, found.new_tensor(wanted).expand_as(found))
                for found, wanted in ((self.network(ours), [1.0, 0.0]), (self.network(theirs), [0.0, 1.0]))
            ]
        return torch.stack(costs).mean()


class _Turned(torch.autograd.Function):
    """The value as it is, and its gradient turned round."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(context: Any, *gradient: Tensor) -> Tensor:
        return -gradient[0]


def _discriminator(choices: int) -> nn.Module:
    widths = (choices, max(_LEAST, choices // 8), max(_LEAST, choices // 64), 2)
    return nn.Sequential(*(layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())))


LOSS = Loss(settings=MealSettings, make=Meal)
