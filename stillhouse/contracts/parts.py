"""The four kinds of part (workload, search, loss, evaluation) and what passes between them and the verbs.

A part is a frozen record of functions, filled in at the foot of its own file under the fixed name `WORKLOAD`,
`SEARCH`, `LOSS` or `EVALUATION`. A verb is handed such records as arguments and knows none of them by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batch, Batches, Data, Log, Metrics
from stillhouse.contracts.output import Output
from stillhouse.contracts.settings import Settings
from stillhouse.contracts.shown import Shown
from stillhouse.contracts.split import Split
from stillhouse.space.blueprint import Architecture, Group

if TYPE_CHECKING:
    import pyarrow as pa

Asked = TypeVar("Asked", contravariant=True)


@dataclass(frozen=True)
class Question(Generic[Batch]):
    """A table that was read: the batches that a model is asked, and the columns (of one length) that its output for each becomes."""

    batches: Iterable[Batch]
    columns: Callable[[Output, Batch], Mapping[str, Any]]


@dataclass(frozen=True)
class Table(Generic[Batch]):
    """How a model of a workload predicts for the rows of a table, with nothing at hand but its own folder.

    `context` is a folder within the model's folder, which holds JSON and parquet alone.
    """

    workload: str
    """The name under which the workload is found: a model that is handed on says by this name who reads its tables."""
    keep: Callable[[Path, Path], None]
    """keep(prepared, context): writes what a model must know of the prepared data in order to be asked."""
    example: Callable[[Path], pa.Table]
    """example(context) -> some rows that can be asked; its schema is that of every table, and a nullable column may be missing.

    Raises UserError, saying why, if models of these data cannot be asked by tables.
    """
    ask: Callable[[Path, pa.Table], Question[Batch]]
    """ask(context, table of that schema, without nulls) -> Question. Raises UserError naming the row, counted from 0, at what is wrong."""


class Prepare(Protocol):
    """Turns raw data into prepared data."""

    def __call__(self, settings: Any, raw: Path, prepared: Path, rng: torch.Generator, /) -> Metrics:
        """Fills the folder `prepared` with parquet and JSON, the same bytes for the same raw data, settings and state of `rng`.

        `settings` is of the workload's `prepare_settings`. Returns facts about the data, such as its number of rows. Raises UserError
        naming the file and the row at what is wrong with the raw data.
        """


class Load(Protocol[Batch]):
    """Reads prepared data as the batches that models are trained and scored on."""

    def __call__(self, settings: Any, prepared: Path, /, *, test: bool = False) -> Data[Batch]:
        """The splits of the folder `prepared` as batches; the test split only where `test` asks for it.

        `settings` is of the workload's `data_settings`.
        """


class Task(Protocol[Asked]):
    """What a search and a training must know of a task; a `Workload` says it, and so does a teacher of one's own."""

    @property
    def apply(self) -> Callable[[nn.Module, Asked], Output]:
        """The one place where a model meets a batch."""

    @property
    def loss(self) -> Callable[[Output, Asked], Tensor]:
        """The task's own loss, a scalar."""

    @property
    def score(self) -> Callable[[Iterable[tuple[Output, Asked]]], Metrics]:
        """Metrics over a whole split; the first key is the one to beat."""

    @property
    def higher_is_better(self) -> bool:
        """Whether more is better in the first metric."""

    @property
    def split(self) -> Split | None:
        """How a batch is split, for several devices; None if it cannot be."""

    @property
    def shown(self) -> Callable[[Asked], Shown]:
        """What losses that see more than outputs are shown of a batch."""


@dataclass(frozen=True)
class Floor:
    """What can be had without a model: where `metric` is no better than `value`, `instead` does as well, and reports say so."""

    metric: str
    value: float
    instead: str


@dataclass(frozen=True)
class Workload(Generic[Batch]):
    """A task with everything that the verbs need of it: its data, its model families and how a model is asked, taught and scored.

    `Batch` is the workload's own: nothing else looks into it.
    """

    prepare_settings: type[Settings]
    data_settings: type[Settings]
    model_settings: Any
    """A settings class, or a discriminated union of them (one for each model family)."""
    prepare: Prepare
    load: Load[Batch]
    model: Callable[[Any, Mapping[str, int], Architecture | None], nn.Module]
    """model(settings, sizes, architecture): the full network for None, else the static one of that architecture."""
    apply: Callable[[nn.Module, Batch], Output]
    """The one place where a model meets a batch."""
    loss: Callable[[Output, Batch], Tensor]
    """The task's own loss, a scalar."""
    score: Callable[[Iterable[tuple[Output, Batch]]], Metrics]
    """Metrics over a whole split; the first key is the one to beat."""
    higher_is_better: bool = True
    agreement: Callable[[Output, Output], Tensor] | None = None
    """How alike two models are on one batch, one number per row; None compares predictions (`stillhouse/training/score.py`)."""
    floor: Floor | None = None
    """For its first metric, where a forecast without a model is known."""
    thinned: Callable[[float, Batch, torch.Generator], Batch] | None = None
    """thinned(share, batch, rng): a batch of graphs without that share of its edges, drawn at random."""
    table: Table[Batch] | None = None
    """How its models are asked by tables; without it they are for the verbs alone."""
    split: Split | None = None
    """How a training batch is split, for several devices (`stillhouse/contracts/split.py`); None: what a model says of a row depends on
    the others, or the loss is no mean."""
    shown: Callable[[Batch], Shown] = Shown
    """What losses that see more than outputs are shown of a batch; by default the batch alone."""


@dataclass(frozen=True)
class Fitted:
    """Where a price in milliseconds comes from: `clock` measures a network as the price was measured, `facts` say on what.

    `coefficients` are milliseconds of the whole network by what takes them, `error` is the median share by which the price is wrong for
    networks that it was not fitted to.
    """

    clock: Callable[[nn.Module], float]
    facts: Mapping[str, Any]
    coefficients: Mapping[str, float]
    error: float


@dataclass(frozen=True)
class Limit:
    """A budget in numbers: the `price` of a network by its counts, what the `teacher` costs, and how much is allowed (`most`)."""

    unit: str
    price: Callable[[Mapping[str, Tensor]], Tensor]
    teacher: float
    most: float
    multiple: int = 1
    """Widths should be multiples of it."""
    fitted: Fitted | None = None
    """For a latency, which cannot be counted."""


@dataclass(frozen=True)
class Trial:
    """One architecture that a search proposes, with its `cost` in the first budget's unit and validation `metrics`.

    `weights` are a state of its static network, which the student may inherit; None leaves it fresh. Of the metrics the first
    decides, and higher is better.
    """

    architecture: Architecture
    cost: float
    metrics: Metrics
    weights: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Problem(Generic[Batch]):
    """The task that a search is given: networks, data and a budget. Costs are in the unit of the first (MACs, parameters, bytes, ms)."""

    groups: tuple[Group, ...]
    supernet: Callable[[], nn.Module]
    """A new full network on the device, with the teacher's weights if the verb's settings say so."""
    static: Callable[[Architecture], nn.Module]
    """A new network of an architecture on the device, freshly initialised."""
    cost: Callable[[Mapping[str, Tensor]], Tensor]
    """Cost from kept shares: for a width group a scalar count, for a depth group a vector with one value per block."""
    budget: float
    data: Data[Batch]
    apply: Callable[[nn.Module, Batch], Output]
    loss: Callable[[Output, Batch], Tensor]
    validate: Callable[[nn.Module], Metrics]
    """Scores a model on the validation split; the first key is the one to beat, higher is better."""
    log: Log
    scratch: Path | None = None
    limits: tuple[Limit, ...] = ()
    """The budgets one by one, of which `cost` and `budget` are all at once."""
    split: Split | None = None
    """The task's own."""
    lesson: Callable[[nn.Module], nn.Module] | None = None
    """What a network of this problem is trained on, where the teacher is asked; None is the task's loss alone.

    lesson(network) -> a module that maps (its Output, the batch, the batch's `Share`) to a scalar, and whose parameters are trained too.
    """

    @property
    def multiple(self) -> int:
        """What the budgets want widths to be multiples of."""
        return math.lcm(*(limit.multiple for limit in self.limits))


@dataclass(frozen=True)
class Search:
    """A search method: `run(problem, settings, rng)` yields trials; the verb keeps the best one inside the budget.

    Raises UserError if no architecture that it can make is inside the budget.
    """

    settings: type[Settings]
    run: Callable[[Problem[Any], Any, torch.Generator], Iterator[Trial]]
    spreads: bool = False
    """Whether it may run on several devices: all that it decides follows from what `fit` makes the same on each."""
    shares: bool = False
    """Whether several processes may have its candidates: each is judged for itself, by `stillhouse/training/workers.py`."""


def never(settings: Any) -> bool:
    """Whatever the settings are."""
    return False


@dataclass(frozen=True)
class Loss:
    """A distillation loss: `make(settings, student Output, teacher Output)` builds an adapter, or refuses, before any epoch.

    It raises UserError, saying why, if the two outputs cannot be compared. The module that it makes maps (student Output, teacher
    Output) to a scalar; its parameters are trained with the student and are no part of the student's checkpoint. One that `sees` the
    batch is given a `Shown` after the two outputs, by `make` as by its module.
    """

    settings: type[Settings]
    make: Callable[..., nn.Module]
    pools: Callable[[Any], bool] = never
    """Whether, with such settings, it takes statistics over the rows of a batch, and so wants the whole of it on several devices; else
    it is a mean over rows."""
    sees: bool = False
    """Whether it compares the outputs in the light of the batch, such as its labels or edges."""


@dataclass(frozen=True)
class Pair(Generic[Batch]):
    """What an evaluation is given: a teacher and its student on one device, and the batches to compare them on."""

    workload: Workload[Batch]
    teacher: nn.Module
    student: nn.Module
    test: Batches[Batch]
    example: Batch
    """The validation batch on which the budget was set, on the device."""
    device: torch.device
    train: Batches[Batch]
    valid: Batches[Batch]
    remarks: dict[str, str] = field(default_factory=dict)
    """An evaluation adds sentences to it for the reader, such as why something could not be measured: they stand in report.json."""

    @property
    def models(self) -> dict[str, nn.Module]:
        """Both by their names, which are the prefixes of their metrics."""
        return {"teacher": self.teacher, "student": self.student}


@dataclass(frozen=True)
class Evaluation:
    """Something that is measured of a teacher and its student: `run(pair, settings, rng)` gives finite numbers by name.

    A metric of one model is named `teacher_NAME` or `student_NAME`, and stands in that model's row of the report. The models'
    weights are left as they are.
    """

    settings: type[Settings]
    run: Callable[[Pair[Any], Any, torch.Generator], Metrics]
