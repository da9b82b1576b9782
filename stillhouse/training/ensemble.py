"""Trained networks taken together as one teacher; of a single one, such as a student that shall teach in turn, that network itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field, SerializationInfo, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.settings import Settings
from stillhouse.space import cost
from stillhouse.space.blueprint import Architecture, Axis, Blueprint, axes_of, block_of, declare, fixed
from stillhouse.space.cost import Cost, Term
from stillhouse.training import checkpoint
from stillhouse.training.given import digest

if TYPE_CHECKING:
    from jaxtyping import Float

Build = Callable[[Any, Mapping[str, int], Architecture | None], nn.Module]
"""build(plain settings of a model, sizes, architecture): a network of the workload."""
_KEPT = ("model", "sizes", "architecture")
_HASH = re.compile(r"[0-9a-f]{64}")


class Member(Settings):
    """A trained network by the `path` of its folder, data/NAME/teacher or data/NAME/student, and the hash of the weights that are meant."""

    path: str | None = Field(None, exclude=True)
    sha256: str = ""
    record: dict[str, Any] | None = None
    """What builds the network, read from its folder; with it and without a path, weights come from elsewhere."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Nothing is read of a folder that is not there yet, or has other weights now, until they are made again: who builds it says so."""
        value = {"path": value} if isinstance(value, str) else value
        if not isinstance(value, dict) or not isinstance(value.get("path"), str):
            return value
        folder = Path(value["path"])
        if not (folder / "model.json").is_file():
            return value
        if (found := digest(folder / "model.safetensors")) == value.get("sha256"):
            return value | {"record": _record(folder)}
        if not _HASH.fullmatch(str(value.get("sha256"))):
            raise ValueError(f"should name the hash of the weights that are meant: {{path: {folder}, sha256: {found}}}")
        return value

    @model_serializer(mode="wrap")
    def _told(self, plain: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """To a fingerprint the hash says all, so that a result is known where the folder is not there (any more, or yet)."""
        values: dict[str, Any] = plain(self)
        return {"sha256": self.sha256} if self.path is not None and (info.context or {}).get("fingerprint") else values

    @model_validator(mode="after")
    def _some(self) -> Member:
        if self.path is None and self.record is None:
            raise ValueError("should name the path of a trained network, such as data/NAME/teacher or data/NAME/student")
        return self


def _record(folder: Path) -> dict[str, Any]:
    """What builds the network of a folder. Raises ValueError if its model.json does not say."""
    record = read_json(folder / "model.json")
    if not isinstance(record, dict) or not record.keys() >= set(_KEPT):
        raise ValueError(f"should be the folder of a trained network: {folder / 'model.json'} has no {', '.join(_KEPT)}")
    return {name: record[name] for name in _KEPT}


class EnsembleSettings(Settings):
    """The members, and how their answers become one."""

    family: Literal["ensemble"] = "ensemble"
    members: tuple[Member, ...]
    weights: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Of the members' probabilities in the mean, in any unit; without any, all are alike."""
    choose: Literal["mean", "confidence"] = "mean"
    """The mean of all, or for each row the member that is surest: the one with the highest probability."""

    @model_validator(mode="after")
    def _weighted(self) -> EnsembleSettings:
        if not self.members:
            raise ValueError("members should be one trained network at least")
        if self.weights and (len(self.weights) != len(self.members) or self.choose != "mean"):
            raise ValueError(f"weights should be {len(self.members)}, one a member, of a mean: got {len(self.weights)} of a {self.choose}")
        return self

    @property
    def trained(self) -> bool:
        """Its weights come with it."""
        return True

    def require_context(self, context: Path) -> None:
        """Raises UserError where a member was trained on data of which something else was kept: names, scales of pixels."""
        for member in self.members:
            for file in sorted(context.iterdir()) if member.path else ():
                theirs = Path(str(member.path)) / context.name / file.name
                if theirs.parent.exists() and not (theirs.is_file() and theirs.read_bytes() == file.read_bytes()):
                    told = f"it was trained on others, as {theirs} says: give both the same raw, prepare and seed"
                    raise UserError(f"{member.path} - wanted a network trained on these data - {told}")


class _Whole(Blueprint):
    """Members cost what each of them says."""

    def macs(self, model: nn.Module, run: Callable[[], object]) -> Cost:
        asked: list[tuple[Any, ...]] = []
        members = model.get_submodule("members")
        handle = members.get_submodule("0").register_forward_pre_hook(lambda module, inputs: asked.append(inputs))
        try:
            run()
        finally:
            handle.remove()
        own = {name: cost.macs(member, lambda member=member: member(*asked[0])) for name, member in members.named_children()}  # type: ignore[misc]
        return Cost(tuple(Term(cost.total(each), (), (), f"members.{name}") for name, each in own.items()))


class Ensemble(nn.Module):
    """Nothing of it can be searched. Its features are those of the members, as `0.stage1` and `1.stage1`; of one member under its names."""

    def __init__(self, settings: EnsembleSettings, members: Sequence[nn.Module], architecture: Architecture | None) -> None:
        super().__init__()
        self.settings, self.blueprint = settings, _Whole(architecture)
        self.members = nn.ModuleList(members)

    def forward(self, *inputs: Any) -> Output:
        """Log probabilities of classes, of what the members are asked."""
        found: list[Output] = [member(*inputs) for member in self.members]
        if len(found) == 1:
            return found[0]
        features = {f"{place}.{name}": feature for place, each in enumerate(found) for name, feature in each.features.items()}
        return Output(self._together([each.prediction for each in found]), found[0].meaning, features)

    def _together(self, predictions: list[Tensor]) -> Tensor:
        rows = torch.stack(predictions).log_softmax(-1)
        return mean(rows, self.settings.weights) if self.settings.choose == "mean" else surest(rows)


def mean(rows: Float[Tensor, "members *rows classes"], weights: Sequence[float]) -> Float[Tensor, "*rows classes"]:
    """Log probabilities, averaged as probabilities."""
    share = rows.new_tensor(weights or [1.0] * len(rows))
    share = (share / share.sum()).log().view(-1, *[1] * (rows.dim() - 1))
    return (rows + share).logsumexp(0)


def surest(rows: Float[Tensor, "members *rows classes"]) -> Float[Tensor, "*rows classes"]:
    """Of each row the log probabilities of the member whose highest one is the highest, the first of equals."""
    best = rows.amax(-1, keepdim=True).argmax(0, keepdim=True)
    return rows.gather(0, best.expand_as(rows[:1])).squeeze(0)


def ensemble(settings: EnsembleSettings, sizes: Mapping[str, int], architecture: Architecture | None, build: Build) -> Ensemble:
    """With the weights of members that have a path. Raises UserError at a folder that is not there, or of other data."""
    return Ensemble(settings, [_member(member, sizes, build) for member in settings.members], architecture)


def _member(member: Member, sizes: Mapping[str, int], build: Build) -> nn.Module:
    record = member.record
    if record is None:
        raise _absent(Path(str(member.path)), member.sha256)
    if dict(sizes) != record["sizes"]:
        raise UserError(f"{member.path} - wanted a network for data of {dict(sizes)} - it is for {record['sizes']}")
    kept = record["architecture"]
    try:
        network = build(record["model"], sizes, None if kept is None else Architecture.from_kept(kept))
    except ValidationError:
        found = record["model"].get("family") if isinstance(record["model"], dict) else None
        raise UserError(f"{member.path} - wanted a network of this workload - got one of the family {found!r}") from None
    if member.path is not None:
        network.load_state_dict(checkpoint.read_state(Path(member.path)))
    return _settled(network)


def _absent(folder: Path, sha256: str) -> UserError:
    name = folder.parent.name
    if not (folder / "model.json").is_file():
        remedy = f": `stillhouse run {name}` trains it, and then says its hash"
        return UserError(f"{folder} - wanted the folder of a trained network, with model.json - there is none yet{remedy}")
    found = digest(folder / "model.safetensors")
    return UserError(
        f"{folder} - wanted the weights {sha256} - got {found}: name this hash, or make the others again (`stillhouse run {name}`)"
    )


def _settled(network: nn.Module) -> nn.Module:
    """Without what a search could change in it."""
    for module in network.modules():
        if axes := axes_of(module):
            declare(
                module,
                {name: tuple(map(_fixed, each)) for name, each in axes.items()},
                tuple(map(_fixed, getattr(module, "cost_axes", ()))),
            )
        if block_of(module):
            del module.depth
    return network


def _fixed(axis: Axis) -> Axis:
    return fixed(axis.count)
