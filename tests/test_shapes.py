"""Shapes in annotations are checked: what does not fit them is refused wherever the tests call it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from jaxtyping import TypeCheckError

from stillhouse import registry
from stillhouse.contracts.output import IMAGE, NODES, Feature, Output
from stillhouse.contracts.shown import Shown
from stillhouse.losses import _pairing, logits, margin, pearson, regression
from stillhouse.searches import zico
from stillhouse.space import blueprint, structure
from stillhouse.space.blueprint import Group
from stillhouse.workloads.graphs.temporal.network import _seen
from stillhouse.workloads.pictures.classify.families.resnet import FAMILY
from stillhouse.workloads.queue.batch import QueueOutput
from tests.losses.test_family import FORMS, MEANS, PATH, SETTINGS, output
from tests.shapes import CHECKED

LOSSES = sorted(name for name, found in registry.known("losses").items() if found.module.startswith("stillhouse."))
MODEL = FAMILY.settings.model_validate({"family": "resnet"})


def unreduced() -> None:
    loss = regression.LOSS.make(regression.RegressionSettings(), output(1), output(2))
    loss.distance = lambda student, teacher: (student - teacher).square()
    loss(output(1), output(2))


WRONG: dict[str, Callable[[], object]] = {
    "a loss that is no scalar": unreduced,
    "a teacher that is no output": lambda: logits.Logits(logits.LOSS.settings(), output(1), output(2))(output(1), torch.ones(3, 5)),
    "a channel without positions": lambda: pearson.Pearson._standard(None, torch.ones(2, 3)),
    "scores without queries": lambda: margin._in_batch(torch.ones(3)),
    "grids of two batches": lambda: _pairing._resized(torch.ones(2, 3, 4), torch.ones(1, 3, 5)),
    "a feature of whole numbers": lambda: Feature(torch.ones(3, 2, dtype=torch.int64), NODES),
    "an output of whole numbers": lambda: Output(torch.ones(3, 2, dtype=torch.int64), "classes"),
    "ranks of other elements": lambda: structure.half_integer_ranks(torch.ones(3), torch.zeros(2, dtype=torch.int64), torch.ones(3)),
    "a mask of two axes": lambda: blueprint.axis_mask({"a": torch.ones(2, 2)}, blueprint.Axis((("a", 2),)), torch.ones(2)),
    "a ratio of other groups": lambda: _structure()._balanced(torch.ones(2, 2)),
    "costs that are no scalar": lambda: structure.resource_loss(torch.ones(2), torch.ones(())),
    "gradients without batches": lambda: zico.steadiness(torch.ones(())),
    "an anchor of other nodes": lambda: _seen(torch.ones(3, 4, 2), torch.ones(2, 1), None),
    "one picture without its batch": lambda: _network()(torch.ones(1, 8, 8)),
    "a penalty of each sample": lambda: QueueOutput(torch.ones(2, 5), "classes", {}, torch.ones(2)),
}


def _structure() -> structure.Structure:
    return structure.Structure((Group("a", 2),))


def _network() -> torch.nn.Module:
    return FAMILY.build(MODEL, {"channels": 1, "classes": 2, "height": 8, "width": 8}, None)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_shape_is_refused(case: str):
    with pytest.raises(TypeCheckError):
        WRONG[case]()


def test_right_ones_are_not():
    output = Output(torch.ones(2, 5), "classes", {"map": Feature(torch.ones(2, 3, 4, 4), IMAGE)})
    assert structure.resource_loss(torch.tensor(2.0), torch.tensor(2.0)) == 0
    assert _network()(torch.ones(2, 1, 8, 8)).prediction.shape == output.prediction[:, :2].shape


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_says_that_it_is_a_scalar_and_is_held_to_it(name: str):
    part = registry.loss(name)
    shown = [Shown(None, torch.arange(3), torch.ones(3, dtype=torch.bool), PATH, MEANS)] if part.sees else []
    pair = map(FORMS.get(name, lambda plain: plain), (output(1), output(2)))
    forward = type(part.make(part.settings(**SETTINGS.get(name, {})), *pair, *shown)).forward
    assert inspect.get_annotations(forward)["return"] == "Float[Tensor, '']"
    assert hasattr(forward, "__wrapped__"), "no checker is around it"


def test_the_library_runs_without_the_checker():
    modules = (*CHECKED, "stillhouse.losses.channel", "stillhouse.searches.dms")
    code = f"import sys, importlib; [importlib.import_module(name) for name in {modules!r}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"jaxtyping", "beartype"}.isdisjoint(done.stdout.split())
