"""What every distillation loss owes, whatever it compares: the folder is read, so a new loss is held to it unasked."""

import pytest
import torch

from benchmarks import losses as benchmark
from stillhouse import registry
from stillhouse.contracts.output import IMAGE, Feature, Output
from stillhouse.contracts.parts import Loss
from stillhouse.contracts.shown import Shown
from tests.losses.heads import headed

FOUND: dict[str, Loss] = {name: registry.loss(name) for name in registry.known("losses")}
SETTINGS = {name: {"pairs": ["map"]} for name, loss in FOUND.items() if "pairs" in loss.settings.model_fields}
"""All other settings have their defaults."""
NAIVE = {case.method: case.naive for case in benchmark.CASES}
"""A loss that is timed has a double loop too."""
PAINTS = {"mgd", "nd", "meal"}
"""Losses in which the student is not done when it equals the teacher: of a network of their own, or of what is known of classes."""
FORMS = {"crosskd": headed}
"""What makes an output of the kind that a loss is for out of a plain one."""
MEANS = {"class_means.map": torch.eye(3, 4)}
ALONE = torch.zeros(2, 0, dtype=torch.int64)
PATH = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
"""Edges between three rows."""


def output(seed, rows=3, dtype=torch.float64):
    """Scores of 5 candidates and a feature map: something for every kind of loss."""
    rng = torch.Generator().manual_seed(seed)
    scores, maps = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((rows, 5), (rows, 4, 2, 3)))
    return Output(scores.to(dtype).requires_grad_(), "candidates", {"map": Feature(maps.to(dtype).requires_grad_(), IMAGE)})


def tensors(output):
    return [output.prediction, *(feature.value for feature in output.features.values())]


def gradients(value, output):
    return [gradient for gradient in torch.autograd.grad(value, tensors(output), allow_unused=True) if gradient is not None]


@pytest.fixture(params=sorted(FOUND))
def name(request):
    return request.param


def maker(name, edges=PATH):
    """make(student, teacher) -> a function of two outputs; what is drawn at random is the same at each call.

    A loss that sees the batch is shown three rows, two of a known class.
    """
    loss, form, chosen = FOUND[name], FORMS.get(name, lambda plain: plain), FOUND[name].settings(**SETTINGS.get(name, {}))
    shown = [Shown(None, torch.arange(3), torch.tensor([True, True, False]), edges, MEANS)] if loss.sees else []

    def make(student, teacher):
        torch.manual_seed(0)
        module = loss.make(chosen, form(student), form(teacher), *shown)

        def value(ours, theirs):
            torch.manual_seed(0)
            return module(form(ours), form(theirs), *shown)

        return value

    return make


@pytest.fixture
def make(name):
    return maker(name)


def test_zero_and_stationary_when_the_student_equals_the_teacher(name):
    """Without neighbours, from whom a row may learn something else."""
    if name in PAINTS:
        pytest.skip("it is smallest elsewhere")
    student, teacher = output(1), output(1)
    value = maker(name, ALONE)(student, teacher)(student, teacher)
    assert value.item() == pytest.approx(0, abs=1e-14)
    assert all(gradient.abs().max() < 1e-14 for gradient in gradients(value, student))


@pytest.mark.parametrize("seed", range(2, 12))
def test_positive_when_the_student_differs(make, seed):
    student, teacher = output(seed), output(1)
    assert make(student, teacher)(student, teacher).item() > 1e-3


def test_finite_gradient_into_the_student_and_none_into_the_teacher(make):
    student, teacher = output(1), output(2)
    value = make(student, teacher)(student, teacher)
    value.backward()
    received = [tensor.grad for tensor in tensors(student) if tensor.grad is not None]
    assert received
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in received)
    assert all(tensor.grad is None for tensor in tensors(teacher))


def test_gradient_follows_finite_differences(make):
    student, teacher = output(1), output(2)
    loss = make(student, teacher)

    def value(scores, maps):
        return loss(Output(scores, "candidates", {"map": Feature(maps, IMAGE)}), teacher)

    assert torch.autograd.gradcheck(value, tuple(tensors(student)))


def test_mismatched_outputs_are_refused_with_both_shapes(make):
    student, teacher = output(1, rows=3), output(2, rows=4)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        make(student, teacher)
    assert any(
        str(tuple(ours.shape)) in str(caught.value) and str(tuple(theirs.shape)) in str(caught.value)
        for ours, theirs in zip(tensors(student), tensors(teacher), strict=True)
    )


@pytest.mark.parametrize("name", sorted(NAIVE))
@pytest.mark.parametrize("seed", range(3))
def test_equals_its_double_loop(name, make, seed):
    student, teacher = output(seed), output(seed + 10)
    read = (lambda output: output.features["map"].value.flatten(2)) if name in SETTINGS else (lambda output: output.prediction)
    expected = NAIVE[name](read(student), read(teacher))
    value = make(student, teacher)(student, teacher)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(gradients(value, student), gradients(expected, student), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_reckoned_in_single(make, dtype):
    student, teacher = output(1, dtype=dtype), output(2, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        value = make(student, teacher)(student, teacher)
    assert value.dtype == torch.float32
    assert all(gradient.isfinite().all() for gradient in gradients(value, student))

    def widened(output):
        return Output(output.prediction.double(), output.meaning, {"map": Feature(output.features["map"].value.double(), IMAGE)})

    exact = make(widened(student), widened(teacher))(widened(student), widened(teacher))
    assert value.item() == pytest.approx(exact.item(), rel=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_gives_the_same_value(name, make):
    if name in PAINTS:
        pytest.skip("a device draws its own masks")
    student, teacher = output(1), output(2)
    ours, theirs = (
        Output(output.prediction.cuda(), output.meaning, {"map": Feature(output.features["map"].value.cuda(), IMAGE)})
        for output in (student, teacher)
    )
    assert make(ours, theirs)(ours, theirs).item() == pytest.approx(make(student, teacher)(student, teacher).item(), rel=1e-12)
