from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.split import Share
from stillhouse.space.blueprint import Group, full
from stillhouse.space.extraction import extract
from stillhouse.stages.teach import TeachSettings
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.nested import Nested, NestedSettings, distance, prefix
from stillhouse.training.progress import Progress
from stillhouse.training.statistics import take
from tests.searches.toy import Selection
from tests.space.networks import Mixed, example, settled

WEIGHTS = (1.0, 2.0, 3.0)
TASK: Any = SimpleNamespace(
    apply=lambda model, batch: Output(model(*batch), "values"),
    loss=lambda output, batch: 0.5 * (output.prediction - 2).square().mean(),
)
ROWS = (torch.ones(4, 3),)


def network() -> nn.Module:
    """y = 1 x1 + 2 x2 + 3 x3, for x of ones; wanted is 2, so that the losses of its prefixes are 0.5, 0.5 and 8."""
    model = Selection({"inputs": WEIGHTS})
    model.linear.weight.data.copy_(torch.tensor([WEIGHTS]))
    return model


def lesson(model: nn.Module, task: Any = TASK, **settings: Any) -> Nested:
    return Nested(NestedSettings(**settings), task, model, seed=5)


def learned(**settings: Any) -> tuple[float, list[float]]:
    """The loss of a step, and its gradient in the three weights."""
    model = network()
    loss = lesson(model, **settings)(model, ROWS)
    loss.backward()
    return loss.item(), model.linear.weight.grad[0].tolist()


def test_the_smallest_and_the_whole_learn_the_task_together() -> None:
    """Gradients [-1, 0, 0] and [4, 4, 4]."""
    loss, gradient = learned(least=0.34, drawn=0, task_weight=1, answer_weight=0)
    assert loss == pytest.approx(8.5)
    assert gradient == pytest.approx([3, 4, 4])


def test_the_smallest_learns_the_answer_of_the_whole_and_does_not_teach_it() -> None:
    """It answers 1 where the whole answers 6: a squared difference of 25, whose gradient of -10 is for the first weight alone."""
    loss, gradient = learned(least=0.34, drawn=0, task_weight=0, answer_weight=1)
    assert loss == pytest.approx(8 + 25)
    assert gradient == pytest.approx([4 - 10, 4, 4])


def test_all_prefixes_of_a_step_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """-1, 0, 0 and 1, 1, 0 and, of the whole itself, 4, 4, 4."""
    model = network()
    nested = lesson(model, task_weight=1, answer_weight=0)
    several = [nested._prefixes([share]) for share in (0.34, 0.67)]
    monkeypatch.setattr(nested, "smaller", lambda: several)
    nested(model, ROWS).backward()
    assert model.linear.weight.grad[0].tolist() == pytest.approx([4, 5, 4])


def test_choices_follow_by_their_softmax() -> None:
    whole = torch.tensor([[0.6, 0.3, 0.1]], dtype=torch.float64).log().requires_grad_()
    smaller = torch.tensor([[0.5, 0.2, 0.3]], dtype=torch.float64).log().requires_grad_()
    found = distance(Output(smaller, "classes"), Output(whole, "classes"))
    found.backward()
    assert found.item() == pytest.approx(0.1211712376)
    assert smaller.grad is not None
    assert smaller.grad[0].tolist() == pytest.approx([-0.1, -0.1, 0.2])
    assert whole.grad is None
    assert distance(Output(whole + 3, "candidates"), Output(whole, "candidates")).item() == pytest.approx(0)


def test_prefixes_lie_in_each_other_down_to_the_fewest() -> None:
    group = Group("hidden", 8, minimum=2)
    kept = [prefix(group, share) for share in (0.01, 0.25, 0.3, 0.5, 0.8, 1.0)]
    assert [len(each) for each in kept] == [2, 2, 2, 4, 6, 8]
    assert all(more[: len(less)] == less for less, more in pairwise(kept))
    assert prefix(Group("blocks", 3, "depth", minimum=0), 0.1) == ()


def test_a_step_draws_by_its_number_what_lies_between_the_smallest_and_the_whole() -> None:
    model = Mixed()
    nested, again = lesson(model, drawn=3), lesson(model, drawn=3)
    drawn = list(steps(nested))
    assert list(steps(again)) == drawn
    assert len({str(each) for each in drawn}) == 4
    smallest = {"left": 1, "right": 2, "trunk": 2, "hidden0": 2, "hidden1": 2, "hidden2": 2, "blocks": 1}
    for first, *others in drawn:
        assert first == smallest
        assert all(smallest[name] <= count <= size for each in others for name, count in each.items() for size in [sizes()[name]])
    (_, alike), *_ = steps(lesson(model, drawn=1, draw="alike"))
    share = alike["trunk"] / 8
    assert all(abs(count - share * sizes()[name]) <= 1 for name, count in alike.items())


def steps(nested: Nested) -> Iterator[list[dict[str, int]]]:
    for step in range(4):
        nested.steps.fill_(step)
        yield [architecture.counts() for architecture in nested.smaller()]


def sizes() -> dict[str, int]:
    return full(lesson(Mixed()).groups).counts()


def test_what_a_prefix_learns_is_what_it_would_learn_cut_out() -> None:
    """Batch norms and all: the gradients of kept weights are those of the static network, and none goes to the others."""
    model = settled(Mixed()).train()
    nested = lesson(model, least=0.5, drawn=0, task_weight=1, answer_weight=0)
    (architecture,) = nested.smaller()
    cut = Mixed(architecture).double().train()
    cut.load_state_dict(extract(model, architecture))
    TASK.loss(TASK.apply(cut, example()), None).backward()
    whole = settled(Mixed()).train()
    TASK.loss(TASK.apply(whole, example()), None).backward()
    nested(model, example()).backward()
    both = Mixed()
    both.double().load_state_dict(gradients(model))
    ours = extract(both, architecture)
    both.load_state_dict(gradients(whole))
    alone = extract(both, architecture)
    for name, weight in cut.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(ours[name] - alone[name], weight.grad, rtol=1e-10, atol=1e-12)
    dropped = (model.merge.weight.grad - whole.merge.weight.grad)[len(architecture.kept["trunk"]) :]
    assert not dropped.any()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """The state of a network whose weights are another's gradients."""
    given = {name: weight.grad for name, weight in model.named_parameters()}
    return {name: value if given.get(name) is None else given[name] for name, value in model.state_dict().items()}


def test_statistics_are_those_of_the_whole_network_alone() -> None:
    model, plain = settled(Mixed()).train(), settled(Mixed()).train()
    lesson(model)(model, example())
    TASK.apply(plain, example())
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value)


def test_an_epoch_is_chosen_by_the_whole_and_the_smallest_with_statistics_of_its_own() -> None:
    """The smallest is scored as it would be cut out, and the whole network is left as it was."""
    model, batch = settled(Mixed()), example()
    split = Batches(lambda rng: iter([batch]), 1)
    task = SimpleNamespace(**vars(TASK), score=lambda pairs: {"error": sum(TASK.loss(*pair).item() for pair in pairs), "other": 1.0})
    nested, before = lesson(model, task), {name: value.clone() for name, value in model.state_dict().items()}
    found = nested.validate(model, Data(split, split))
    cut = Mixed(nested.smaller()[0]).double()
    cut.load_state_dict(extract(model, nested.smaller()[0]))
    take(cut, TASK.apply, [batch])
    least, whole = (TASK.loss(TASK.apply(network.eval(), batch), batch).item() for network in (cut, model))
    assert found == pytest.approx({"mean_error": (least + whole) / 2, "error": whole, "other": 1.0, "least_error": least})
    assert next(iter(found)) == "mean_error"
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_parts_of_a_batch_add_up_and_learn_the_same_networks() -> None:
    whole, parted = network(), network()
    rows = torch.arange(12.0).view(4, 3)
    lesson(whole, answer_weight=1)(whole, (rows,)).backward()
    nested = lesson(parted, answer_weight=1)
    for part, last in ((rows[:3], False), (rows[3:], True)):
        share = len(part) / 4
        nested(parted, (part,), Share(share, share, first=not last, last=last)).backward()
    torch.testing.assert_close(parted.linear.weight.grad, whole.linear.weight.grad)
    assert nested.steps == 1


def test_an_interrupted_training_goes_on_with_the_networks_that_come_next(tmp_path: Path) -> None:
    whole, parted = list(trained(None)), trained(tmp_path)
    next(parted), next(parted)  # the second epoch is asked for when the first one is kept
    goes_on = list(trained(tmp_path))
    assert len(goes_on) == 2
    assert torch.equal(goes_on[-1], whole[-1])


def trained(folder: Path | None) -> Iterator[Tensor]:
    """The weights after each of three epochs of four steps."""
    model = network()
    parts = nn.ModuleDict({"network": model, "nested": lesson(model, least=0.34, drawn=1)})
    batches = Batches(lambda rng: iter([(torch.rand(4, 3, generator=rng),) for _ in range(4)]), 4)
    settings = FitSettings(epochs=3, learning_rate=0.01)
    for _ in fit(parts, partial(parts["nested"], model), batches, settings, torch.Generator().manual_seed(0), progress=Progress(folder)):
        yield model.linear.weight.detach().clone()


def test_what_cannot_be_nested_is_refused() -> None:
    with pytest.raises(UserError, match=r"^teach\.nested - wanted a network of which something may become smaller"):
        lesson(Selection({"inputs": (1.0,)}))
    with pytest.raises(ValidationError, match="task_weight or answer_weight should be more than 0"):
        NestedSettings(task_weight=0, answer_weight=0)
    fit = {"epochs": 1, "learning_rate": 0.1}
    with pytest.raises(ValidationError, match=r"fit\.compile should be false where nested is given"):
        TeachSettings(model=None, data=None, fit=fit | {"compile": True}, nested={})
    with pytest.raises(ValidationError, match="nested should be left out where nothing is trained"):
        TeachSettings(model=SimpleNamespace(trained=True), data=None, fit=None, nested={})


def test_without_it_a_teacher_keeps_its_fingerprint() -> None:
    settings = TeachSettings(model=None, data=None, fit={"epochs": 1, "learning_rate": 0.1})
    assert "nested" not in settings.model_dump()
    assert settings.model_copy(update={"nested": NestedSettings()}).model_dump()["nested"]["drawn"] == 2
