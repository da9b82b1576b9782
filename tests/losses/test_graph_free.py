"""What a student without edges learns of its teacher's graph: values of a path of three nodes, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.shown import Shown
from stillhouse.losses import ff_g2m, structure, vqgraph

TEACHER = Output(torch.tensor([[2, 0.5, -1], [0.3, 1.2, 0.1], [-0.5, 0, 1.5]], dtype=torch.float64), "classes")
STUDENT = Output(torch.tensor([[1, 0.2, -0.3], [0.4, 0.6, 0], [0.1, -0.2, 0.9]], dtype=torch.float64), "classes")
PATH = torch.tensor([[1, 0, 2, 1], [0, 1, 1, 2]])


def neighbours(student: Output, edges: torch.Tensor, **chosen: float) -> float:
    shown = Shown(edges=edges)
    return float(ff_g2m.LOSS.make(ff_g2m.LOSS.settings(**chosen), student, TEACHER, shown)(student, TEACHER, shown))


def test_both_parts_on_a_path():
    assert neighbours(STUDENT, PATH, high=0) == pytest.approx(0.2772751664, abs=1e-10)
    assert neighbours(STUDENT, PATH, low=0) == pytest.approx(0.0118374196, abs=1e-10)
    task = float(cross_entropy(STUDENT.prediction[:2], torch.tensor([0, 1])))
    assert 0.1 * task + 0.9 * neighbours(STUDENT, PATH) == pytest.approx(0.3304642271, abs=1e-10)


def test_a_row_learns_from_those_whose_edges_lead_to_it():
    """One edge from the last row to the first: KL(teacher's last || student's first) and the three rows with themselves."""
    one = neighbours(STUDENT, torch.tensor([[2], [0]]), high=0)
    logs = (TEACHER.prediction[2].log_softmax(0), STUDENT.prediction[0].log_softmax(0))
    wanted = float((logs[0].exp() * (logs[0] - logs[1])).sum()) + 3 * 0.0827112600
    assert one == pytest.approx(wanted / 4, abs=1e-10)


def test_without_neighbours_it_is_the_distillation_of_logits():
    assert neighbours(STUDENT, PATH[:, :0]) == pytest.approx(0.0827112600, abs=1e-10)


def test_an_equal_student_has_no_difference_left_to_learn_but_its_neighbours():
    assert neighbours(TEACHER, PATH, low=0) == pytest.approx(0, abs=1e-12)
    assert neighbours(TEACHER, PATH, high=0) > 0.1
    mean = torch.zeros(3, 3, dtype=torch.float64).index_add(0, PATH[1], TEACHER.prediction.softmax(-1)[PATH[0]])
    degree = torch.tensor([[2.0], [3], [2]])
    best = ((mean + TEACHER.prediction.softmax(-1)) / degree).log().requires_grad_()
    shown = Shown(edges=PATH)
    loss = ff_g2m.LOSS.make(ff_g2m.LOSS.settings(high=0), Output(best, "classes"), TEACHER, shown)
    loss(Output(best, "classes"), TEACHER, shown).backward()
    assert best.grad is not None
    assert best.grad.abs().max() < 1e-12


def test_a_workload_that_shows_no_edges_is_refused():
    with pytest.raises(UserError, match=r"^ff_g2m wants the edges between the rows of a batch - .* distil by `logits` instead$"):
        ff_g2m.LOSS.make(ff_g2m.LOSS.settings(), STUDENT, TEACHER, Shown())


def hidden(rows: list[list[float]]) -> Output:
    value = torch.tensor(rows, dtype=torch.float64)
    return Output(value, "classes", {"hidden": Feature(value, Layout(channel=1, positions=(), batch=0))})


def test_products_of_rows():
    theirs, ours = hidden([[1, 0], [0.5, 1], [0, 2]]), hidden([[0.8, 0.1], [0.4, 0.9], [0.2, 1.5]])

    def value(scaled: bool) -> float:
        settings = structure.LOSS.settings(pairs=["hidden"], scaled=scaled)
        return float(structure.LOSS.make(settings, ours, theirs)(ours, theirs))

    assert value(scaled=False) == pytest.approx(0.4425777778, abs=1e-10)
    products = [output.prediction @ output.prediction.T for output in (theirs, ours)]
    wanted = (products[0] / products[0].norm() - products[1] / products[1].norm()).square().sum()
    assert value(scaled=True) == pytest.approx(float(wanted), abs=1e-12)


def coded(ours: Output, theirs: Output, **chosen: float | bool) -> torch.nn.Module:
    """With three codes, of which the teacher's rows know nothing."""
    loss = vqgraph.LOSS.make(vqgraph.LOSS.settings(pairs=["hidden"], **chosen), ours, theirs)
    codes = torch.tensor([[1, 0], [0, 1], [0.6, 0.6]], dtype=torch.float64)
    loss.codes[0] = torch.nn.Parameter(codes, requires_grad=False)
    return loss


def test_a_row_among_the_codes():
    theirs, ours = hidden([[2, 1.9], [0.2, 0.5], [0.9, 0.1]]), hidden([[0.7, 0.5], [0.1, 0.8], [0.9, 0.3]])
    assert float(coded(ours, theirs, temperature=4, squared=False)(ours, theirs)) == pytest.approx(0.0194555027, abs=1e-10)
    codes = torch.tensor([[1, 0], [0, 1], [0.6, 0.6]], dtype=torch.float64)
    logs = [(-torch.cdist(rows.prediction, codes).square() / 2 / 0.5).log_softmax(-1) for rows in (theirs, ours)]
    wanted = float((logs[0].exp() * (logs[0] - logs[1])).sum(-1).mean()) / 4
    assert float(coded(ours, theirs, temperature=0.5)(ours, theirs)) == pytest.approx(wanted, abs=1e-12)


def test_codes_are_the_centres_of_the_teachers_rows_and_units_do_not_matter():
    rng = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0], [10, 0], [0, 10]])
    rows = [(centres[:, None] + torch.rand(3, 20, 2, generator=rng) - 0.5).flatten(0, 1) for _ in range(2)]
    found, values = [], []
    for unit in (1, 1000):
        theirs, ours = (hidden((unit * each).tolist()) for each in rows)
        loss = vqgraph.LOSS.make(vqgraph.LOSS.settings(pairs=["hidden"], codes=3), ours, theirs)
        found.append(loss.codes[0] / unit)
        values.append(float(loss(ours, theirs)))
        assert not any(weight.requires_grad for weight in loss.parameters())
    assert (torch.cdist(found[0], centres.double()).min(1).values < 0.5).all()
    assert len(set(torch.cdist(found[0], centres.double()).argmin(1).tolist())) == 3
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    assert values[0] > 1e-4


def test_a_teachers_row_has_some_likely_codes():
    rows = torch.rand(400, 3, generator=torch.Generator().manual_seed(0))
    theirs = hidden(rows.tolist())
    loss = vqgraph.LOSS.make(vqgraph.LOSS.settings(pairs=["hidden"]), theirs, theirs)
    scores = -torch.cdist(theirs.prediction, loss.codes[0]).square() / 3 / loss.temperatures[0]
    entropy = -(scores.softmax(-1) * scores.log_softmax(-1)).sum(-1).mean()
    assert float(entropy.exp()) == pytest.approx(5, rel=1e-6)


def test_a_teacher_whose_rows_are_alike_is_refused():
    alike = hidden([[1, 2], [1, 2]])
    with pytest.raises(UserError, match=r"^vqgraph wants a teacher whose rows differ - they are all alike$"):
        vqgraph.LOSS.make(vqgraph.LOSS.settings(pairs=["hidden"]), alike, alike)
