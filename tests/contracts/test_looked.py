"""What is told of a workload whose functions give, or take, something else than they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.looked import looked_at
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.parts import Workload
from stillhouse.contracts.settings import Settings

ROWS = Batches(lambda rng: iter([torch.zeros(2, 3)]), 1)
STATE = Feature(torch.zeros(2, 3), Layout(1, (), 0))
GOOD: Workload[Tensor] = Workload(
    prepare_settings=Settings,
    data_settings=Settings,
    model_settings=Settings,
    prepare=lambda settings, raw, prepared, rng: {"rows": torch.tensor(2)},
    load=lambda settings, prepared, *, test=False: Data(ROWS, ROWS, ROWS if test else None, {"classes": 2}),
    model=lambda settings, sizes, architecture: nn.Linear(3, sizes["classes"]),
    apply=lambda network, batch: Output(network(batch), "classes", {"state": STATE}),
    loss=lambda output, batch: output.prediction.mean(),
    score=lambda pairs: {"height": sum(output.prediction.detach().mean() for output, _ in pairs)},
)


class Own(nn.Linear):
    """A network that is not this library's."""


def use(workload: Workload[Any]) -> dict[str, float]:
    """Each function once; what its score says."""
    looked = looked_at(workload, "parts/mine.py")
    looked.prepare(Settings(), Path(), Path(), torch.Generator())
    data = looked.load(Settings(), Path(), test=True)
    network, batch = looked.model(Settings(), data.sizes, None), next(data.valid.draw(torch.Generator()))
    output = looked.apply(network, batch)
    looked.loss(output, batch)
    looked.shown(batch)
    if looked.agreement:
        looked.agreement(output, output)
    return looked.score([(output, batch)])


def test_what_is_right_goes_through_with_numbers_of_python_s_own() -> None:
    [(name, value)] = use(GOOD).items()
    assert (name, type(value)) == ("height", float)


def output(prediction: Any = STATE.value, meaning: Any = "classes", **features: Any) -> Any:
    """An `apply` that answers so: past the constructor, whose types the tests check."""
    found = object.__new__(Output)
    for name, value in {"prediction": prediction, "meaning": meaning, "features": features}.items():
        object.__setattr__(found, name, value)
    return lambda network, batch: found


def loaded(train: Any = ROWS, sizes: Any = None) -> Any:
    return lambda settings, prepared, test: Data(train, ROWS, None, {"classes": 2} if sizes is None else sizes)


@pytest.mark.parametrize(
    ("name", "function", "told"),
    [
        ("prepare", lambda *_: None, "mine.py, prepare - wanted numbers by name - got a NoneType"),
        ("prepare", lambda *_: {"rows": "many"}, "mine.py, prepare, 'rows' - wanted a number - got 'many'"),
        ("prepare", lambda *_: {3: 4}, "mine.py, prepare - wanted names of metrics that are text - got 3"),
        ("prepare", lambda *_: {" ": 4}, "mine.py, prepare - wanted names of metrics that are text - got ' '"),
        ("prepare", lambda settings, raw: {}, "mine.py - wanted prepare(settings, raw, prepared, rng) - too many positional arguments"),
        ("prepare", None, "mine.py - wanted prepare(settings, raw, prepared, rng) - got None"),
        ("model_settings", dict, "a union of classes, of stillhouse.contracts.settings.Settings - got <"),
        ("model_settings", "x", "mine.py - wanted model_settings = a class, or a union of classes"),
        ("floor", 0.5, "mine.py - wanted floor = a Floor - got 0.5"),
        ("higher_is_better", "yes", "mine.py - wanted higher_is_better = a bool - got 'yes'"),
        ("shown", lambda batch: None, "mine.py, shown - wanted a stillhouse.contracts.shown.Shown of a batch - got a NoneType"),
        ("agreement", lambda one, other: 1.0, "mine.py, agreement - wanted a tensor with a number for each row - got a float"),
        ("prepare_settings", dict, "mine.py - wanted prepare_settings = a class of stillhouse.contracts.settings.Settings - got <class"),
        ("load", lambda settings, prepared: None, "mine.py - wanted load(settings, prepared, test=True) - got an unexpected keyword"),
        ("load", lambda *_, test: (ROWS, ROWS), "mine.py, load - wanted a stillhouse.contracts.data.Data - got a tuple"),
        ("load", loaded(), "mine.py, load - wanted Data with a test split where test=True asks for it - got None"),
        ("load", loaded([torch.zeros(2, 3)]), "load, train - wanted Batches(draw, length), where draw(rng) begins a pass - got a list"),
        ("load", loaded(Batches(ROWS.draw, 0)), "mine.py, load, train - wanted Batches(draw, length) of one batch at least - got"),
        ("load", loaded(Batches(lambda: iter([]), 1)), "wanted Batches whose draw is called as draw(rng) - too many"),
        ("load", loaded(sizes={"classes": torch.tensor(2)}), "mine.py, load - wanted sizes as JSON holds them"),
        ("model", lambda *_: print, "mine.py, model - wanted a torch.nn.Module - got a builtin_function_or_method"),
        ("model", lambda *_: nn.Identity(), "mine.py, model - wanted a network with weights - it has none"),
        ("apply", lambda network, batch: network(batch), "mine.py, apply of Linear - wanted a stillhouse.contracts.output.Output of"),
        ("apply", output(torch.zeros(2, dtype=torch.long)), "is a tensor of numbers with a fraction - got torch.int64 of shape (2,)"),
        ("apply", output(meaning="logits"), "whose meaning is one of classes, candidates, values - got 'logits'"),
        ("apply", output(state=STATE.value), "wanted the feature 'state' as a Feature(tensor, Layout(...)) - got torch.float32"),
        ("apply", output(state=Feature(torch.zeros(2), Layout(1, (), 0))), "axes are those of the feature 'state' of 1 axes - got Layout("),
        ("apply", output(state=Feature(torch.zeros(2, 3), Layout(1, (1,), 0))), "whose axes are those of the feature 'state' of 2 axes"),
        ("loss", lambda output, batch: output.prediction, "loss - wanted a scalar tensor, such as a mean over rows - got torch.float32 of"),
        ("loss", lambda output, batch: 0.5, "mine.py, loss - wanted a scalar tensor, such as a mean over rows - got a float"),
        ("score", lambda pairs: 0.5, "mine.py, score - wanted numbers by name - got a float"),
        ("score", lambda pairs: {}, "mine.py, score - wanted a metric at least, of which the first is the one to beat"),
        ("score", lambda pairs: {"accuracy": torch.zeros(2)}, "mine.py, score, 'accuracy' - wanted a number - got tensor"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(name: str, function: Any, told: str) -> None:
    with pytest.raises(UserError) as error:
        use(replace(GOOD, **{name: function}))
    assert told in str(error.value)
    assert str(error.value).startswith("parts/mine.py")


def test_of_a_network_of_one_s_own_its_file_is_named() -> None:
    def apply(network: nn.Module, batch: Tensor) -> Any:
        return network(batch)

    wrong = replace(GOOD, model=lambda *_: Own(3, 2), apply=apply)
    with pytest.raises(UserError, match=r"^parts/mine\.py, apply of Own - wanted a stillhouse\.contracts\.output\.Output"):
        use(wrong)
    apply.__module__ = "stillhouse.workloads.some"
    with pytest.raises(UserError, match=r"^tests/contracts/test_looked\.py, Own - wanted a stillhouse\.contracts\.output\.Output"):
        use(wrong)
