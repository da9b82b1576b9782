"""Losses on rows of choices, beside `logits`: published values, what changes nothing, formulas read aloud."""

import math

import pytest
import torch
from torch.nn.functional import kl_div

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.shown import Shown
from stillhouse.losses import decoupled, dist, ssld, standardised


def rows(*values):
    return torch.tensor(values, dtype=torch.float64)


def value(part, student, teacher, meaning="classes", shown=None, **settings):
    pair = Output(student, meaning), Output(teacher, meaning), *([shown or Shown()] if part.LOSS.sees else [])
    return part.LOSS.make(part.LOSS.settings(**settings), *pair)(*pair)


def slope(part, student, teacher, **settings):
    student = student.clone().requires_grad_()
    return torch.autograd.grad(value(part, student, teacher, **settings), student)[0]


def draw(seed, *shape):
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=rng, dtype=torch.float64) for _ in range(2))


def near(expected, tolerance=1e-9):
    return pytest.approx(expected, abs=tolerance)


# --- standardised ---

ONE, OTHER = rows([1, 0, 2]), rows([3, 1, 2])


@pytest.mark.parametrize(("temperature", "expected"), [(1, 0.4205124847), (2, 0.3985690107)])
def test_standardised_by_hand(temperature, expected):
    power = math.exp(1 / temperature)
    assert value(standardised, ONE, OTHER, temperature=temperature).item() == near(expected)
    assert expected == near(temperature * (power - 1) / (power + 1 + 1 / power))


def test_standardised_wants_the_unbiased_deviation():
    assert slope(standardised, ONE, OTHER)[0].tolist() == near([-0.3985690107, 0.1992845053, 0.1992845053])
    assert value(standardised, -ONE, OTHER).item() == near(0.8820576606)


def test_ranges_and_offsets_of_rows_are_nothing_to_standardised():
    student, teacher = draw(0, 4, 6)
    scale, shift = draw(1, 4, 1)
    expected = near(value(standardised, student, teacher).item(), 1e-12)
    assert value(standardised, scale.exp() * student + shift, teacher).item() == expected
    assert value(standardised, student, scale.exp() * teacher + shift).item() == expected
    assert value(standardised, scale.exp() * teacher + shift, teacher).item() == near(0, 1e-12)


def test_the_gradient_of_standardised_is_the_derived_one():
    """T / (B sigma) (q - Z (q . Z) / (C - 1)) for the difference q of the softmaxes."""
    student, teacher = draw(0, 4, 6)
    ours, theirs = ((rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True) for rows in (student, teacher))
    q = (ours / 2).softmax(1) - (theirs / 2).softmax(1)
    expected = 2 / (4 * student.std(1, keepdim=True)) * (q - ours * (q * ours).sum(1, keepdim=True) / 5)
    torch.testing.assert_close(slope(standardised, student, teacher), expected, rtol=1e-10, atol=1e-14)


def test_logits_that_start_at_zero_have_a_bounded_gradient():
    assert slope(standardised, torch.zeros(1, 3, dtype=torch.float64), OTHER).abs().max() < 1e4


def test_two_choices_are_no_order_for_standardised():
    with pytest.raises(UserError, match=r"three choices.*\(4, 2\)"):
        value(standardised, *draw(0, 4, 2))


# --- dist ---

OURS, THEIRS = rows([0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]).log(), rows([0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]).log()


@pytest.mark.parametrize(("temperature", "in_rows", "in_columns"), [(1, 0.0832733730, 0.0595971899), (4, 3.1237632060, 2.6028676935)])
def test_dist_of_three_rows(temperature, in_rows, in_columns):
    found = [value(dist, OURS, THEIRS, temperature=temperature, rows=r, columns=c).item() for r, c in ((1, 0), (0, 1), (2, 3))]
    assert found == near([in_rows, in_columns, 2 * in_rows + 3 * in_columns])


def test_dist_reads_aloud():
    """One correlation at a time."""
    student, teacher = draw(0, 5, 4)
    ours, theirs = student.softmax(1), teacher.softmax(1)
    over_rows = sum(1 - torch.corrcoef(torch.stack([ours[row], theirs[row]]))[0, 1] for row in range(5)) / 5
    over_classes = sum(1 - torch.corrcoef(torch.stack([ours[:, one], theirs[:, one]]))[0, 1] for one in range(4)) / 4
    assert value(dist, student, teacher).item() == near((over_rows + over_classes).item(), 1e-12)


def test_what_changes_nothing_in_dist():
    student, teacher = draw(0, 6, 4)
    expected = near(value(dist, student, teacher).item(), 1e-12)
    samples, classes = torch.randperm(6), torch.randperm(4)
    assert value(dist, student[samples][:, classes], teacher[samples][:, classes]).item() == expected
    assert value(dist, student + draw(1, 6, 1)[0], teacher).item() == expected
    assert value(dist, teacher, student).item() == expected
    assert value(dist, student.view(2, 3, 4), teacher.view(2, 3, 4)).item() == expected
    assert slope(dist, student, teacher).sum(1).abs().max() < 1e-14


def test_columns_of_dist_pool_over_the_batch_and_are_none_of_candidates():
    student, teacher = draw(0, 8, 4)
    halves = sum(value(dist, student[part], teacher[part]).item() for part in (slice(4), slice(4, 8))) / 2
    assert abs(value(dist, student, teacher).item() - halves) > 1e-3
    in_rows = value(dist, student, teacher, columns=0).item()
    assert value(dist, student, teacher, "candidates").item() == near(in_rows, 1e-14)
    assert [dist.LOSS.pools(dist.LOSS.settings(columns=weight)) for weight in (0, 1)] == [False, True]


def test_two_rows_are_too_few_to_correlate_and_one_last_row_is_no_number_gone_wrong():
    with pytest.raises(UserError, match=r"three rows.*\(2, 4\)"):
        value(dist, *draw(0, 2, 4))
    student, teacher = (Output(rows, "classes") for rows in draw(0, 6, 4))
    loss = dist.LOSS.make(dist.LOSS.settings(), student, teacher)
    last = draw(1, 1, 4)[0].requires_grad_()
    assert torch.autograd.grad(loss(Output(last, "classes"), Output(draw(2, 1, 4)[0], "classes")), last)[0].isfinite().all()


# --- ssld ---

P, Q = rows([0.7, 0.2, 0.1]).log(), rows([0.3, 0.3, 0.4]).log()


@pytest.mark.parametrize(
    ("form", "expected", "gradient"),
    [
        ("jeffreys", 0.3976769817, [0.3658691355, -0.1278851153, -0.2379840203]),
        ("jensen_shannon", 0.0943615069, [0.0830198091, -0.0322416333, -0.0507781757]),
    ],
)
def test_ssld_of_one_row(form, expected, gradient):
    assert value(ssld, P, Q, form=form).item() == near(expected)
    assert value(ssld, Q, P, form=form).item() == near(expected)
    assert slope(ssld, P, Q, form=form)[0].tolist() == near(gradient)


def test_jensen_shannon_ends_at_ln_2():
    sure, otherwise = rows([100.0, 0, 0]), rows([0.0, 100, 0])
    assert value(ssld, sure, otherwise, form="jensen_shannon").item() == near(math.log(2))
    assert value(ssld, sure, otherwise).item() == near(100)


@pytest.mark.parametrize("form", ["jeffreys", "jensen_shannon"])
def test_ssld_reads_aloud(form):
    student, teacher = draw(0, 5, 4)
    ours, theirs = (student / 2).softmax(1), (teacher / 2).softmax(1)
    total = 0.0
    for p, q in zip(ours, theirs, strict=True):
        first, second = (q, p) if form == "jeffreys" else ((p + q) / 2, (p + q) / 2)
        total += ((p * (p / first).log()).sum() + (q * (q / second).log()).sum()) / 2
    assert value(ssld, student, teacher, form=form, temperature=2).item() == near(4 * total.item() / 5, 1e-12)
    assert value(ssld, student + 3, teacher - 2, form=form, temperature=2).item() == near(4 * total.item() / 5, 1e-12)


# --- decoupled ---

KNOWN, WANTED = rows([0.5, 0.2, 0.3]).log(), rows([0.6, 0.3, 0.1]).log()


@pytest.mark.parametrize(
    ("temperature", "target", "others", "both"),
    [(1, 0.0201355136, 0.2525893102, 2.0408499954), (4, 0.0293982306, 0.2806667510, 2.2747322383)],
)
def test_decoupled_of_one_query(temperature, target, others, both):
    found = [
        value(decoupled, KNOWN, WANTED, "candidates", temperature=temperature, target=a, others=b).item()
        for a, b in ((1, 0), (0, 1), (1, 8))
    ]
    assert found == near([target, others, both])


def test_the_two_parts_of_decoupled_are_the_divergence_of_all():
    """KL = target + (1 - p) others for each query."""
    student, teacher = draw(0, 1, 6)
    target, others = (value(decoupled, student, teacher, "candidates", temperature=1, target=a, others=1 - a).item() for a in (1, 0))
    whole = kl_div(student.log_softmax(1), teacher.log_softmax(1), reduction="sum", log_target=True).item()
    assert whole == near(target + (1 - teacher.softmax(1)[0, 0].item()) * others, 1e-12)


def test_the_order_of_the_others_is_nothing_and_a_sure_student_is_finite():
    student, teacher = draw(0, 4, 6)
    expected = near(value(decoupled, student, teacher, "candidates").item(), 1e-12)
    order = torch.tensor([0, 3, 5, 1, 4, 2])
    assert value(decoupled, student[:, order] + 7, teacher[:, order], "candidates").item() == expected
    assert value(decoupled, rows([5000.0, 0, 1]), WANTED, "candidates").isfinite()


def labelled(*label):
    """What is shown of rows with such labels, None for one that is not known."""
    return Shown(None, torch.tensor([-1 if each is None else each for each in label]), torch.tensor([each is not None for each in label]))


def test_of_classes_the_true_one_is_the_label():
    """As of candidates whose first column it would be."""
    student, teacher = draw(0, 3, 5)
    order = torch.tensor([[2, 0, 1, 3, 4], [0, 1, 2, 3, 4], [4, 0, 1, 2, 3]])
    expected = value(decoupled, student.gather(1, order), teacher.gather(1, order), "candidates").item()
    assert value(decoupled, student, teacher, shown=labelled(2, 0, 4)).item() == near(expected, 1e-12)
    assert value(decoupled, student, teacher, shown=labelled(2, 0, 3)).item() != near(expected, 1e-3)


def test_a_row_without_a_label_counts_nought():
    student, teacher = draw(0, 4, 5)
    two = value(decoupled, student[[0, 2]], teacher[[0, 2]], shown=labelled(1, 3)).item()
    shown = labelled(1, None, 3, None)
    assert value(decoupled, student, teacher, shown=shown).item() == near(two / 2, 1e-12)
    rows = student.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(value(decoupled, rows, teacher, shown=shown), rows)
    assert gradient.isfinite().all()
    assert gradient.any(1).tolist() == [True, False, True, False]


def test_classes_without_labels_are_refused():
    with pytest.raises(UserError, match=r"the true class of each row of \(4, 6\) - this workload shows none"):
        value(decoupled, *draw(0, 4, 6))
    with pytest.raises(UserError, match=r"labels \(2,\) of predictions \(4,\)"):
        value(decoupled, *draw(0, 4, 6), shown=labelled(0, 1))
