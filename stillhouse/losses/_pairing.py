"""Brings the outputs of a student and a teacher to one shape, so that a distillation loss can compare the two.

What a loss gets from here is at least float32, under autocast too, and carries no gradient into the teacher.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.contracts.settings import Settings

if TYPE_CHECKING:
    from jaxtyping import Float, Num

PREDICTION = "prediction"
"""The name under which logits (batch, *positions, classes) serve as a feature, unless the output has a feature of that name."""
Pairs = list[tuple["Float[Tensor, '_ _ _']", "Float[Tensor, '_ _ _']"]]
"""(student, teacher), both (batch, channel, positions)."""
Grids = list[tuple["Float[Tensor, '_ _ *grid']", "Float[Tensor, '_ _ *grid']"]]
"""(student, teacher), both (batch, channel, *positions)."""
_GRIDS = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Pair(Settings):
    """The names of two features to compare; in settings one name may stand for both."""

    student: str
    teacher: str

    @model_validator(mode="before")
    @classmethod
    def _from_one_name(cls, value: Any) -> Any:
        return {"student": value, "teacher": value} if isinstance(value, str) else value


class PairSettings(Settings):
    """Which features are compared and, where grids differ in size, whose is resized to the other's."""

    pairs: tuple[Pair, ...] = Field(min_length=1)
    resize: Literal["student", "teacher"] = "student"


class Pairing(nn.Module):
    """Maps two outputs to tensors of one shape (batch, channel, positions), a (student, teacher) pair for each pair of names.

    A feature without a batch axis is one sample; one without positions has one position. Where the example's channel
    counts differ, the student's side gets a 1x1 map without bias, drawn from torch's global seed and trained with the
    student, unless the loss wants none (`adapted=False`), since it compares what has no channels any more. A grid (the
    positions of a feature with a batch axis) is resized linearly, corners not aligned; nodes (positions without a batch
    axis) never are. Padded positions count like all others.

    Raises UserError, when it is made and at any later batch, if two features cannot be compared.
    """

    def __init__(self, settings: PairSettings, student: Output, teacher: Output, *, adapted: bool = True) -> None:
        super().__init__()
        self.settings = settings
        self.adapters = nn.ModuleList(
            _adapter(pair, *_features(pair, student, teacher)) if adapted else nn.Identity() for pair in settings.pairs
        )
        with torch.no_grad():
            self(student, teacher)

    def forward(self, student: Output, teacher: Output) -> Pairs:
        """In the order of the settings."""
        return [(ours.flatten(2), theirs.flatten(2)) for ours, theirs in self.grids(student, teacher)]

    def grids(self, student: Output, teacher: Output) -> Grids:
        """The same with an axis for each axis of positions, and one of length 1 where there are none."""
        named = zip(self.settings.pairs, self.adapters, strict=True)
        return [self._aligned(adapter, *_features(pair, student, teacher)) for pair, adapter in named]

    def _aligned(
        self, adapter: nn.Module, ours: Feature, theirs: Feature
    ) -> tuple[Float[Tensor, "batch _ *grid"], Float[Tensor, "batch _ *grid"]]:
        known, wanted = _arranged(ours), _arranged(theirs).detach()
        if reason := _obstacle(ours.layout, theirs.layout, known, wanted):
            raise UserError(f"a student's feature {_shape(ours)} cannot be compared with a teacher's {_shape(theirs)}: {reason}")
        known = _adapted(adapter, known)
        if known.shape[2:] != wanted.shape[2:]:
            if self.settings.resize == "student":
                known = _resized(known, wanted)
            else:
                wanted = _resized(wanted, known)
        return known, wanted


def predictions(student: Output, teacher: Output) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """Both predictions, in at least float32 and the teacher's without gradient; UserError if shape or meaning differ."""
    ours, theirs = student.prediction, teacher.prediction
    if (ours.shape, student.meaning) != (theirs.shape, teacher.meaning):
        raise UserError(
            f"the student predicts {student.meaning} {tuple(ours.shape)} and the teacher {teacher.meaning} {tuple(theirs.shape)}; "
            "to compare them, both must be equal in meaning and shape"
        )
    return _upcast(ours), _upcast(theirs).detach()


def _features(pair: Pair, student: Output, teacher: Output) -> tuple[Feature, Feature]:
    return _feature("student", student, pair.student), _feature("teacher", teacher, pair.teacher)


def _feature(owner: str, output: Output, name: str) -> Feature:
    if name in output.features:
        return output.features[name]
    if name != PREDICTION:
        raise UserError(f"the {owner} has no feature {name!r}; it has {sorted(output.features)} and its {PREDICTION!r}")
    if output.meaning != "classes":
        raise UserError(
            f"the {owner}'s prediction {tuple(output.prediction.shape)} of {output.meaning} does not say which axes are channels and "
            f"positions, only one of classes does; it has the features {sorted(output.features)}"
        )
    last = output.prediction.dim() - 1
    return Feature(output.prediction, Layout(channel=last, positions=tuple(range(1, last)), batch=0))


def _adapter(pair: Pair, ours: Feature, theirs: Feature) -> nn.Module:
    known, wanted = _arranged(ours), _arranged(theirs)
    if known.shape[1] == wanted.shape[1]:
        return nn.Identity()
    if PREDICTION in (pair.student, pair.teacher):
        raise UserError(
            f"the student's {pair.student!r} {_shape(ours)} and the teacher's {pair.teacher!r} {_shape(theirs)} differ in their number of "
            "classes, and no adapter can tell which class is which"
        )
    return nn.Conv1d(known.shape[1], wanted.shape[1], 1, bias=False).to(known)


def _arranged(feature: Feature) -> Float[Tensor, "batch channel *positions"]:
    """(batch, channel, *positions), at least one of each."""
    value, layout = feature.value, feature.layout
    axes = [axis for axis in (layout.batch, layout.channel, *layout.positions) if axis is not None]
    if sorted(axes) != list(range(value.dim())):
        raise UserError(f"a feature {_shape(feature)} must have each axis named once in its layout, and that is {layout}")
    value = _upcast(value).permute(axes)
    value = value if layout.batch is not None else value.unsqueeze(0)
    return value if layout.positions else value.unsqueeze(-1)


def _upcast(value: Num[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    return value.to(torch.promote_types(value.dtype, torch.float32))


def _shape(feature: Feature) -> tuple[int, ...]:
    return tuple(feature.value.shape)


def _obstacle(ours: Layout, theirs: Layout, known: Float[Tensor, "_ _ *grid"], wanted: Float[Tensor, "_ _ *other"]) -> str | None:
    """Why two arranged features cannot be compared, if so."""
    if (ours.batch is None, len(ours.positions)) != (theirs.batch is None, len(theirs.positions)):
        return "only one of them has a batch axis, or they differ in their number of position axes"
    if known.shape[0] != wanted.shape[0]:
        return "their batches differ in size"
    if known.shape[2:] == wanted.shape[2:]:
        return None
    if ours.batch is None:
        return "their numbers of nodes differ (positions without a batch axis are nodes, and nodes are not resized)"
    if len(ours.positions) not in _GRIDS:
        return "they differ in size along more than three axes of positions"
    return None


def _adapted(adapter: nn.Module, value: Float[Tensor, "batch _ *grid"]) -> Float[Tensor, "batch _ *grid"]:
    with torch.autocast(value.device.type, enabled=False):
        return adapter(value.flatten(2)).unflatten(2, value.shape[2:])


def _resized(value: Float[Tensor, "batch channel *_"], like: Float[Tensor, "batch channel *grid"]) -> Float[Tensor, "batch channel *grid"]:
    sizes = like.shape[2:]
    return interpolate(value, size=sizes, mode=_GRIDS[len(sizes)], align_corners=False)
