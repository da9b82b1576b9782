"""Trainings that one process and several run alike: `python -m tests.training.ranked NUMBER COUNT FOLDER` is one of several.

What comes out lies in FOLDER/NUMBER.pt. The tests run the same functions in their own process, which is alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stillhouse import registry
from stillhouse.contracts.data import Batches, Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import IMAGE, Feature, Output
from stillhouse.contracts.split import WHOLE, Part, Share
from stillhouse.searches import dms
from stillhouse.training import ranks
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.progress import Progress, newest
from stillhouse.training.rows import anywhere, in_order, shuffled
from stillhouse.training.teaching import TeachingSettings, WeightedLoss, train
from tests.searches import toy

ROWS, EPOCHS, UNKNOWN = 37, 3, -100
"""Rows that no number of batches or devices divides."""
Fit = dict[str, Any]


class Net(nn.Module):
    """Pictures (batch, 2, 5, 5) to three classes, with a batch norm and a feature."""

    def __init__(self, width: int, dropout: float = 0.0, *, norm: bool = True) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, width, 3, padding=1, bias=False), nn.BatchNorm2d(width) if norm else nn.Identity()
        self.head, self.drop = nn.Linear(width, 3), nn.Dropout(dropout)

    def forward(self, pictures: Tensor) -> Output:
        """The feature `grid` is (batch, width, 5, 5)."""
        grid = self.norm(self.first(pictures)).relu()
        return Output(self.head(self.drop(grid.mean((2, 3)))), "classes", {"grid": Feature(grid, IMAGE)})


def split(batch: tuple[Tensor, Tensor, Tensor], number: int) -> list[Part[Any]]:
    """By pictures, each of which counts if its class is known."""
    parts = list(zip(*(column.tensor_split(number) for column in batch), strict=True))
    return [Part(part, len(part[0]), int((part[1] != UNKNOWN).sum())) for part in parts]


TASK = SimpleNamespace(
    apply=lambda model, batch: model(batch[0]),
    loss=lambda output, batch: cross_entropy(output.prediction, batch[1], ignore_index=UNKNOWN),
    score=lambda pairs: {
        "entropy": float(sum(cross_entropy(output.prediction, batch[1], ignore_index=UNKNOWN) for output, batch in pairs))
    },
    higher_is_better=False,
    split=split,
)


def data() -> Data[Any]:
    """Of some pictures the class is not known."""
    generator = torch.Generator().manual_seed(3)
    pictures, label = torch.randn(ROWS, 2, 5, 5, generator=generator), torch.randint(3, (ROWS,), generator=generator)
    label[::5] = UNKNOWN
    table = (pictures, label, torch.arange(ROWS))

    def make(rows: Tensor) -> Any:
        return tuple(column[rows] for column in table)

    return Data(shuffled(anywhere(ROWS, 13), make), in_order(ROWS, 40, make))


def fitted(
    fits: Fit,
    *,
    dropout: float = 0.0,
    norm: bool = True,
    folder: Path | None = None,
    stop: int = EPOCHS,
    seen: list[int] | None = None,
    task_split: Any = split,
) -> Any:
    """The losses and the weights of a training on the task alone; ends when `stop` epochs are saved, and one more is done."""
    torch.manual_seed(0)
    model = Net(4, dropout, norm=norm)
    settings = FitSettings(**{"epochs": EPOCHS, "learning_rate": 0.05, "clip_norm": 0.5} | fits)

    def objective(batch: Any, share: Share = WHOLE) -> Tensor:
        if seen is not None:
            seen.extend(batch[2].tolist())
        return share.of(TASK.loss, TASK.apply(model, batch), batch)

    losses = []
    rng, progress = torch.Generator().manual_seed(1), Progress(folder)
    for epoch in fit(model, objective, data().train, settings, rng, progress=progress, split=task_split):
        losses.append(epoch.loss)
        if epoch.index > stop:
            break
    return {"losses": losses, "weights": model.state_dict()}


def taught(fits: Fit, *names: str) -> Any:
    """The curve and the weights of a student that is taught by some losses, after half an epoch of warm-up."""
    torch.manual_seed(0)
    student, teacher, records = Net(3), Net(4).requires_grad_(False).eval(), list[Any]()
    parts = [registry.loss(name) for name in names]
    settings = [{"pairs": ["grid"]} if "pairs" in part.settings.model_fields else {} for part in parts]
    chosen = [
        WeightedLoss(loss=name, weight=2.0, settings=part.settings(**given))
        for name, part, given in zip(names, parts, settings, strict=True)
    ]
    teaching = TeachingSettings(
        losses=tuple(chosen), warmup_epochs=0.5, fit=FitSettings(**{"epochs": EPOCHS, "learning_rate": 0.05} | fits), task_weight=0.5
    )
    train(TASK, data(), student, teacher, teaching, parts, rng=torch.Generator().manual_seed(1), log=records.append)
    return {"losses": [record["loss"] for record in records], "weights": student.state_dict()}


def searched(fits: Fit, folder: Path) -> Any:
    """What a search finds, and its last checkpoint: the weights, the importances and the shares that are pruned."""
    torch.manual_seed(0)

    def halves(batch: Any, number: int) -> list[Part[Any]]:
        return [Part(part, len(part[0]), len(part[0])) for part in zip(*(column.tensor_split(number) for column in batch), strict=True)]

    problem = replace(toy.problem(inherited=False), split=halves, scratch=folder)
    settings = dms.DmsSettings(fit=FitSettings(**{"epochs": 8, "learning_rate": 0.02} | fits), structure_learning_rate=0.02)
    (trial,) = dms.run(problem, settings, torch.Generator().manual_seed(0))
    found = newest(folder)
    assert found is not None
    state = {name: value for name, value in found[0].items() if name.startswith("training/model.")}
    return {"losses": [], "weights": state, "kept": trial.architecture.kept}


def refused(do: Callable[[], Any]) -> str:
    """What is said against it."""
    try:
        do()
    except UserError as error:
        return str(error)
    return ""


def too_few(fits: Fit) -> None:
    """A batch of one row."""
    batch = (torch.zeros(1, 2, 5, 5), torch.zeros(1, dtype=torch.int64), torch.zeros(1))
    batches = Batches(lambda rng: iter([batch]), 1)
    list(fit(Net(2), lambda *_: torch.zeros(()), batches, FitSettings(epochs=1, learning_rate=1, **fits), torch.Generator(), split=split))


def drifted(fits: Fit) -> None:
    """One device's weights change behind the others' back."""
    torch.manual_seed(ranks.number())
    model = Net(4)
    settings = FitSettings(**{"epochs": 1, "learning_rate": 0.05} | fits)
    list(fit(model, lambda batch, share: model(batch[0]).prediction.sum(), data().train, settings, torch.Generator(), split=split))


def everything(fits: Fit, folder: Path, resumed: Path) -> dict[str, Any]:
    """All that is compared; `resumed` holds the checkpoint of an earlier process's first epoch."""
    seen: list[int] = []
    one = {"accumulate": 1} | fits
    return {
        "plain": fitted(one, seen=seen),
        "seen": seen,
        "parts": fitted(fits | {"accumulate": 2}),
        "pools": taught(one, "pearson"),
        "rows": taught(one, "logits", "channel", "squared"),
        "search": searched(one, folder / "search"),
        "resumed": fitted(one, folder=resumed if ranks.first() else None),
    }


def main(number: int, count: int, folder: Path) -> None:
    """One of several processes."""
    torch.set_num_threads(1)
    with ranks.joined(folder / "meeting", number, count, torch.device("cpu")):
        fits = {"devices": count}
        found = everything(fits, folder / str(number), folder / "alone")
        found["dropout"] = fitted(fits, dropout=0.5, norm=False)
        fitted(fits, folder=folder / "two" if ranks.first() else None, stop=1)
        found["too few"] = refused(lambda: too_few(fits))
        found["other number"] = refused(lambda: fitted({"devices": 3}))
        found["drift"] = refused(lambda: drifted(fits))
    torch.save(found, folder / f"{number}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
