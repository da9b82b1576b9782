"""MEAL V2: published values of both terms, and whose side the student is on."""

import math

import pytest
import torch

from stillhouse.contracts.output import Output
from stillhouse.losses import meal


def outputs(student, teacher):
    return Output(student, "classes"), Output(teacher, "classes")


def made(student, teacher, **settings):
    torch.manual_seed(0)
    return meal.LOSS.make(meal.LOSS.settings(**settings), *outputs(student, teacher))


STUDENT = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()
MEAN = torch.tensor([[0.6, 0.25, 0.15]], dtype=torch.float64).log()


def test_the_first_term_is_the_divergence_from_the_mean_of_the_teachers():
    found = made(STUDENT, MEAN, discriminator=0.0)(*outputs(STUDENT, MEAN)).item()
    entropy = -(MEAN.exp() * MEAN).sum().item()
    assert found == pytest.approx(0.0206602340, abs=1e-9)
    assert found + entropy == pytest.approx(0.9582971963, abs=1e-9)


class Fixed(torch.nn.Module):
    """Answers with (1, 0) for the student's row and (0, 2) for the teacher's."""

    def forward(self, rows):
        return torch.tensor([[1.0, 0.0]] if torch.equal(rows, STUDENT) else [[0.0, 2.0]], dtype=torch.float64)


def test_the_second_term_is_a_cross_entropy_of_two_outputs():
    loss = made(STUDENT, MEAN)
    for parameter in loss.network.parameters():
        torch.nn.init.zeros_(parameter)
    imitation = made(STUDENT, MEAN, discriminator=0.0)(*outputs(STUDENT, MEAN)).item()
    assert loss(*outputs(STUDENT, MEAN)).item() - imitation == pytest.approx(math.log(2), abs=1e-12)
    loss.network = Fixed()
    assert loss(*outputs(STUDENT, MEAN)).item() - imitation == pytest.approx(0.4566210149, abs=1e-9)


def test_an_adversary_turns_the_students_gradient_round_and_not_the_networks():
    def gradients(**settings):
        student = torch.randn(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
        teacher = torch.randn(6, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        loss = made(student, teacher, **settings)
        return torch.autograd.grad(loss(*outputs(student, teacher)), [student, *loss.network.parameters()], allow_unused=True)

    imitation = gradients(discriminator=0.0)[0]
    plain, turned = gradients(), gradients(adversary=True)
    assert (plain[0] - imitation).abs().max() > 1e-4
    torch.testing.assert_close(plain[0] - imitation, imitation - turned[0])
    assert all(torch.equal(one, two) for one, two in zip(plain[1:], turned[1:], strict=True))


def test_the_network_is_as_wide_as_published_where_there_are_classes_for_it():
    rows = torch.zeros(1, 2048)
    assert [layer.out_features for layer in made(rows, rows).network[::2]] == [256, 32, 2]
    assert [layer.out_features for layer in made(STUDENT, MEAN).network[::2]] == [16, 16, 2]
