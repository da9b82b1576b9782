"""Pairing of features: names, layouts, adapters, resizing and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn.functional import interpolate

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, NODES, Feature, Layout, Output
from stillhouse.losses._pairing import Pairing, PairSettings, predictions

SEQUENCE = Layout(channel=2, positions=(1,), batch=0)


def output(**features):
    named = {name: Feature(value, layout) for name, (value, layout) in features.items()}
    return Output(torch.zeros(()), "values", named)


def pairing(student, teacher, *pairs, **chosen):
    return Pairing(PairSettings(pairs=pairs or ["map"], **chosen), student, teacher)


def refusal(student, teacher, *pairs):
    with pytest.raises(UserError) as caught:
        pairing(student, teacher, *pairs)
    return str(caught.value)


def test_one_name_stands_for_both():
    assert PairSettings(pairs=["a"]) == PairSettings(pairs=[{"student": "a", "teacher": "a"}])


@pytest.mark.parametrize("pairs", [[], [{"student": "a"}], [{"student": "a", "teacher": "b", "weight": 2}], [3]])
def test_malformed_pairs_are_refused(pairs):
    with pytest.raises(ValidationError):
        PairSettings(pairs=pairs)


def test_an_unknown_name_is_answered_with_those_that_exist():
    known = output(neck1=(torch.zeros(2, 3), NODES), neck0=(torch.zeros(2, 3), NODES))
    assert refusal(known, known, "neck2") == "the student has no feature 'neck2'; it has ['neck0', 'neck1'] and its 'prediction'"
    assert "teacher has no feature 'neck3'" in refusal(known, known, {"student": "neck0", "teacher": "neck3"})


@given(axes=st.permutations(range(4)))
def test_any_order_of_axes_gives_the_same_arrangement(axes):
    batch, channel, *positions = axes
    value = torch.rand(2, 3, 4, 5)
    placed = value.permute(tuple(torch.tensor(axes).argsort()))
    student, teacher = output(map=(placed, Layout(channel, tuple(positions), batch))), output(map=(value, IMAGE))
    ((ours, theirs),) = pairing(student, teacher)(student, teacher)
    assert torch.equal(ours, theirs)
    assert torch.equal(ours, value.flatten(2))


@pytest.mark.parametrize("layout", [NODES, Layout(1, (2, 2), 0), Layout(1, (2, 3, 4), 0), Layout(-1, (1, 2), 0)])
def test_a_layout_that_misses_the_axes_is_refused(layout):
    wrong = output(map=(torch.zeros(2, 3, 4, 5), layout))
    assert "(2, 3, 4, 5) must have each axis named once" in refusal(wrong, wrong)


def test_an_adapter_is_drawn_from_the_global_seed():
    student, teacher = output(map=(torch.rand(5, 3), NODES)), output(map=(torch.rand(5, 4), NODES))

    def weight(seed):
        torch.manual_seed(seed)
        (drawn,) = pairing(student, teacher).parameters()
        return drawn

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_an_adapter_lies_where_the_student_lies():
    student, teacher = output(map=(torch.rand(5, 3).cuda(), NODES)), output(map=(torch.rand(5, 4).cuda(), NODES))
    (weight,) = pairing(student, teacher).parameters()
    assert weight.device.type == "cuda"


def test_equal_widths_need_no_adapter():
    same = output(map=(torch.rand(5, 3), NODES))
    assert not list(pairing(same, same).parameters())


@pytest.mark.parametrize("layout", [IMAGE, SEQUENCE, NODES], ids=["image", "sequence", "nodes"])
def test_an_adapter_maps_channels_position_by_position(layout):
    shape = {IMAGE: (2, 3, 4, 5), SEQUENCE: (2, 4, 3), NODES: (6, 3)}[layout]
    wide = tuple(7 if axis == layout.channel else size for axis, size in enumerate(shape))
    student, teacher = output(map=(torch.rand(shape), layout)), output(map=(torch.rand(wide), layout))
    paired = pairing(student, teacher)
    (weight,) = paired.parameters()
    ((ours, theirs),) = paired(student, teacher)
    expected = (student.features["map"].value.movedim(layout.channel, -1) @ weight[:, :, 0].t()).movedim(-1, layout.channel)
    ((arranged, _),) = pairing(output(map=(expected, layout)), teacher)(output(map=(expected, layout)), teacher)
    torch.testing.assert_close(ours, arranged)
    assert ours.shape == theirs.shape


def test_an_adapter_keeps_single_precision_under_autocast():
    student, teacher = output(map=(torch.rand(5, 3).bfloat16(), NODES)), output(map=(torch.rand(5, 4).bfloat16(), NODES))
    paired = pairing(student, teacher)
    ((expected, _),) = paired(student, teacher)
    with torch.autocast("cpu", torch.bfloat16):
        ((ours, theirs),) = paired(student, teacher)
    assert ours.dtype == theirs.dtype == torch.float32
    assert torch.equal(ours, expected)


@pytest.mark.parametrize("resize", ["student", "teacher"])
def test_grids_are_resized_without_aligned_corners(resize):
    student, teacher = torch.rand(2, 3, 4, 6, requires_grad=True), torch.rand(2, 3, 4, 3, requires_grad=True)
    pair = output(map=(student, IMAGE)), output(map=(teacher, IMAGE))
    ((ours, theirs),) = pairing(*pair, resize=resize)(*pair)
    size = (4, 3) if resize == "student" else (4, 6)
    for got, value in ((ours, student), (theirs, teacher)):
        torch.testing.assert_close(got.view(2, 3, *size), interpolate(value, size, mode="bilinear", align_corners=False))
    assert ours.requires_grad
    assert not theirs.requires_grad


def test_sequences_are_resized_along_their_one_axis():
    student, teacher = output(map=(torch.tensor([[[0.0], [1.0]]]), SEQUENCE)), output(map=(torch.zeros(1, 4, 1), SEQUENCE))
    ((ours, _),) = pairing(student, teacher)(student, teacher)
    assert ours.flatten().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_later_batches_may_differ_in_size():
    def batch(images, height):
        return output(map=(torch.rand(images, 3, height, 8), IMAGE))

    paired = pairing(batch(2, 4), batch(2, 8))
    ((ours, theirs),) = paired(batch(5, 6), batch(5, 12))
    assert ours.shape == theirs.shape == (5, 3, 96)
    with pytest.raises(UserError, match=r"\(5, 3, 6, 8\).*\(4, 3, 12, 8\)"):
        paired(batch(5, 6), batch(4, 12))


@pytest.mark.parametrize(
    ("student", "teacher", "reason"),
    [
        (((2, 3, 4, 4), IMAGE), ((3, 3, 4, 4), IMAGE), "batches differ"),
        (((5, 3), NODES), ((6, 3), NODES), "nodes differ"),
        (((1, 3), NODES), ((1, 1, 3), SEQUENCE), "only one of them has a batch axis"),
        (((2, 4, 3), SEQUENCE), ((2, 3, 4, 1), IMAGE), "number of position axes"),
        (((1, 1, 2, 2, 2, 2), Layout(1, (2, 3, 4, 5), 0)), ((1, 1, 2, 2, 2, 3), Layout(1, (2, 3, 4, 5), 0)), "more than three axes"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_both_shapes(student, teacher, reason):
    message = refusal(*(output(map=(torch.zeros(shape), layout)) for shape, layout in (student, teacher)))
    assert reason in message
    assert str(student[0]) in message
    assert str(teacher[0]) in message


def test_predictions_are_precise_and_the_teachers_without_gradient():
    scores = torch.zeros(2, 3, dtype=torch.float16, requires_grad=True)
    ours, theirs = predictions(Output(scores, "classes"), Output(scores, "classes"))
    assert ours.dtype == theirs.dtype == torch.float32
    assert ours.requires_grad
    assert not theirs.requires_grad
