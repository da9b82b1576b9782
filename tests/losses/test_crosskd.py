"""CrossKD by hand, and between real detectors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, Feature, Output
from stillhouse.losses import crosskd
from tests.losses.heads import headed
from tests.workloads.pictures.detect.families import FAMILIES, builder
from tests.workloads.pictures.detect.families import IMAGE as PICTURES


def term(logit: float, wanted: float) -> tuple[float, float]:
    """The value, and its slope in the logit."""
    value = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    found = crosskd.quality(value, torch.tensor([wanted], dtype=torch.float64), 1.0)
    found.backward()
    assert value.grad is not None
    return found.item(), value.grad.item()


def test_a_logit_by_hand() -> None:
    assert term(0, 0.75) == pytest.approx((0.25 * math.log(2), -0.2357867951))
    assert term(1, 0.5) == pytest.approx((0.1879110896, 0.2132850194))


def level(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, 1, 1, -1)


def test_levels_are_brought_to_the_teachers_mean_and_deviation() -> None:
    wanted = level(10, 20, 30)
    found = crosskd.aligned(level(0, 0, 3), wanted)
    assert found.flatten().tolist() == pytest.approx([14.2264973081, 14.2264973081, 31.5470053838])
    torch.testing.assert_close(crosskd.aligned(level(1, 2, 3), wanted), wanted, rtol=1e-12, atol=0)
    constant = level(2, 2, 2).requires_grad_()
    found = crosskd.aligned(constant, wanted)
    assert found.flatten().tolist() == [20, 20, 20]
    assert torch.autograd.grad(found[0, 0, 0, 0], constant)[0].isfinite().all()


def test_scale_and_offset_of_a_channel_do_not_count() -> None:
    value = torch.randn(3, 4, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    other = torch.randn(3, 4, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    scale = torch.tensor([0.5, 2.0, 3.0, 1.0]).view(1, 4, 1, 1)
    plain = [Output(torch.zeros(3, 5), "candidates", {"map": Feature(each, IMAGE)}) for each in (value, scale * value - 2, other)]
    first, scaled, teacher = map(headed, plain)
    loss = crosskd.LOSS.make(crosskd.LOSS.settings(), first, teacher)
    assert loss(scaled, teacher).item() == pytest.approx(loss(first, teacher).item(), rel=1e-9)
    assert loss(headed(replace(plain[0], features={"map": Feature(3 * other + 1, IMAGE)})), teacher).item() == pytest.approx(0, abs=1e-12)


def test_weights_add_up() -> None:
    outputs = [
        headed(Output(torch.zeros(3, 5), "candidates", {"map": Feature(torch.randn(3, 4, 2, 3, dtype=torch.float64), IMAGE)}))
        for _ in range(2)
    ]

    def value(**settings: float) -> float:
        return float(crosskd.LOSS.make(crosskd.LOSS.settings(**settings), *outputs)(*outputs))

    parts = value(class_weight=1, box_weight=0), value(class_weight=0, box_weight=1)
    assert value(class_weight=2, box_weight=3) == pytest.approx(2 * parts[0] + 3 * parts[1])


def detector(family: str, seed: int, **changes: object) -> nn.Module:
    torch.manual_seed(seed)
    return builder(FAMILIES[family] | changes)(None).double()


@pytest.mark.parametrize(("ours", "theirs"), [("fcos", "fcos"), ("fcos", "retinanet"), ("retinanet", "retinanet-giou")])
def test_the_student_learns_below_its_head_and_the_teacher_nothing(ours: str, theirs: str) -> None:
    """Also by a pyramid of another width, through the map that this wants, and from another family's head."""
    student = detector(ours, 1, pyramid={"width": 3, "lowest": 1, "highest": 4}).train()
    teacher = detector(theirs, 2).eval()
    wanted = teacher(PICTURES)
    loss = crosskd.LOSS.make(crosskd.LOSS.settings(), student(PICTURES), wanted).double()
    value = loss(student(PICTURES), wanted)
    value.backward()
    assert value.item() > 0
    assert all(weight.grad is None for weight in teacher.parameters())
    assert all(weight.grad is None for weight in student.head.parameters())
    reached = [*student.backbone.parameters(), *student.pyramid.parameters(), *loss.parameters()]
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in reached)
    assert any(weight.grad.any() for weight in student.backbone.parameters() if weight.grad is not None)


def test_a_head_that_is_asked_again_says_the_same() -> None:
    for family in FAMILIES:
        teacher = detector(family, 3).eval()
        output = teacher(PICTURES)
        again = output.again({name: feature.value for name, feature in output.features.items()})
        torch.testing.assert_close(again.prediction, output.prediction)
        torch.testing.assert_close(again.box, output.box)
        assert again.extent == output.extent
        torch.testing.assert_close(again.apart(output), torch.zeros_like(output.box[..., 0]), rtol=0, atol=1e-12)


def test_who_has_no_head_to_ask_is_refused() -> None:
    plain = Output(torch.zeros(3, 5), "candidates", {"map": Feature(torch.randn(3, 4, 2, 3), IMAGE)})
    with pytest.raises(UserError, match=r"^crosskd wants a teacher with a pyramid and a head.* - got a prediction \(3, 5\)"):
        crosskd.LOSS.make(crosskd.LOSS.settings(), plain, plain)
    output = detector("fcos", 1)(PICTURES)
    with pytest.raises(UserError, match="wanted a detector whose head can be asked about other levels"):
        crosskd.LOSS.make(crosskd.LOSS.settings(), output, replace(output, head=None))
