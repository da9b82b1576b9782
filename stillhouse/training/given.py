"""Weights that somebody else has trained: read without running anything that lies in their file, and held to their hash."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import sha256_of
from stillhouse.contracts.settings import Settings
from stillhouse.training import shards, tensors

_PICKLED = (".pt", ".pth", ".bin")
_NESTED = ("state_dict", "model", "model_state_dict")
"""Under which keys training scripts keep the weights in what they save."""
_SHOWN = 3


class Given(Settings):
    """A file of weights, or a folder with `model.safetensors`, or with several such files and their index; and the hash of their bytes.

    Other weights are another teacher.
    """

    path: str
    sha256: str = ""
    part: str = ""
    """The module of the network whose weights these are, by its name, such as `backbone`; the rest begins afresh. By default all of it."""

    @model_validator(mode="before")
    @classmethod
    def _path_alone(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _held(self) -> Given:
        path = Path(os.path.normpath(self.path))
        if path.is_relative_to("data") and not path.is_relative_to("data/raw"):
            raise ValueError(
                f"should lie under data/raw: {self.path} is made by a stage, and made anew it would not be seen, so copy it there"
            )
        if Path(self.path).name == shards.INDEX:
            raise ValueError(f"should be the folder, {Path(self.path).parent}, and not the index in it")
        found = digest(self.file)
        if found != self.sha256:
            said = f"it has {self.sha256}" if self.sha256 else "it has none"
            raise ValueError(f"should name the hash of the weights that are meant: {{path: {self.path}, sha256: {found}}}; {said}")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what says nothing: results of before the part keep their fingerprint."""
        values: dict[str, Any] = plain(self)
        return {name: value for name, value in values.items() if (name, value) != ("part", "")}

    @property
    def file(self) -> Path:
        """The file with the weights, or the index of several."""
        path = Path(self.path)
        whole, index = path / "model.safetensors", path / shards.INDEX
        return path if not path.is_dir() else index if index.is_file() and not whole.is_file() else whole


def digest(file: Path) -> str:
    """The SHA-256 of a file; of an index that of what `sha256sum` prints for it and its files, in the order of their names.

    Raises ValueError if there is no such file.
    """
    if not file.is_file():
        others = sorted(path.name for path in file.parent.glob("*") if path.suffix in _PICKLED)
        name_it = "name this file, or " if len(others) == 1 else ""
        remedy = f"; it holds {others[0]}: {name_it}let `save_pretrained` write the other form" if others else ""
        raise ValueError(f"should be a file of weights, or a folder with model.safetensors: there is no {file}{remedy}")
    if file.name != shards.INDEX:
        return sha256_of(file)
    lines = [f"{sha256_of(file.with_name(name))}  {name}\n" for name in sorted([file.name, *shards.files(file)])]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def load(model: nn.Module, file: Path, part: str = "") -> None:
    """Gives a network, or the part of it with that name, the weights of a file.

    Raises UserError if the file holds none, or others than the network has, naming the first of them, or such as are no finite numbers.
    """
    state = read(file)
    if part:
        model = _module(model, part)
        state = _of_part(model, state, part, file)
    if hasattr(model, "from_pretrained") and not state.keys() <= model.state_dict().keys():
        state = _renamed(model, state)
    _require_fit(model, state, file)
    _require_one_value(model, state, file)
    _require_numbers(model, state, file)
    model.load_state_dict(state, strict=False)


def _module(model: nn.Module, name: str) -> nn.Module:
    found = dict(model.named_modules())
    if name not in found:
        known = [each for each, _ in model.named_children()]
        raise UserError(f"teach.given.part - wanted the name of a module, such as {', '.join(known)} - got {name}")
    return found[name]


def _of_part(model: nn.Module, state: Mapping[str, Tensor], name: str, file: Path) -> dict[str, Tensor]:
    """Weights by their names in the part, whether the file holds a network with such a part or one that is built as the part is.

    What the part has no place for is left out, such as the head of a network that tells classes of pictures apart, and said.
    """
    inside = {key.removeprefix(f"{name}."): key for key in state if key.startswith(f"{name}.")}
    named = inside or {key: key for key in state if key in model.state_dict()}
    if others := sorted(state.keys() - named.values()):
        print(f"{file}: {len(others)} of its {len(state)} weights are of no {name}, and left out: {_some(others)}")
    return {key: state[there] for key, there in named.items()}


def read(file: Path) -> Mapping[str, Tensor]:
    """The tensors of a file by name. Raises UserError if it is of no known form."""
    if file.suffix == ".safetensors" or file.name == shards.INDEX:
        return shards.read(file) if file.name == shards.INDEX else tensors.read(file)
    if file.suffix not in _PICKLED:
        raise UserError(f"{file} - wanted weights in a file that ends in .safetensors, {', '.join(_PICKLED)} - got {file.suffix or 'none'}")
    state = _unpickled(file)
    print(f"{file}: its tensors are read alone and kept as safetensors, because a {file.suffix} file can hold code that runs on loading")
    return state


def _unpickled(file: Path) -> Mapping[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch has an error of another kind for each way in which bytes are no tensors
        said = " ".join(str(error).split())[:200]
        raise UserError(f"{file} - wanted a file of tensors alone (torch.save(model.state_dict(), ...)) - {said}") from None
    found = next((found[key] for key in _NESTED if isinstance(found, Mapping) and isinstance(found.get(key), Mapping)), found)
    if not (isinstance(found, Mapping) and found and all(isinstance(item, Tensor) for item in found.values())):
        raise UserError(f"{file} - wanted tensors by name - got {type(found).__name__}")
    return found


def _renamed(model: Any, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Files of Hugging Face keep the names that weights had in older versions of its library, which knows what they are called now."""
    reading = {"config": model.config, "state_dict": dict(state), "output_loading_info": True, "ignore_mismatched_sizes": True}
    read_in, told = type(model).from_pretrained(None, **reading)
    wrong = {*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])}
    found = {name: tensor for name, tensor in read_in.state_dict().items() if name not in wrong}
    return found | {name: state[name] for name in told["unexpected_keys"] if name in state}


def _require_fit(model: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    own = model.state_dict(keep_vars=True)
    there = {id(own[name]) for name in state if name in own}  # of weights that are shared a file may have one name alone
    wrong = {
        "missing": [name for name, tensor in own.items() if name not in state and id(tensor) not in there],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {tuple(tensor.shape)}"
            for name, tensor in own.items()
            if name in state and state[name].shape != tensor.shape
        ],
    }
    if told := "; ".join(f"{kind}: {_some(names)}" for kind, names in wrong.items() if names):
        raise UserError(f"{file} - wanted the weights of {type(model).__name__} - {told}")


def _require_one_value(model: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Of weights that the network shares, PyTorch would take the last of two values in a file."""
    first: dict[int, str] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        kept = first.setdefault(id(tensor), name) if name in state else name
        if kept != name and not torch.equal(state[kept], state[name]):
            remedy = "of a folder of Hugging Face, `tie_word_embeddings: false` in config.json keeps them apart"
            raise UserError(f"{file} - wanted one value of {kept} and {name}, which the network shares - got two: {remedy}")


def _require_numbers(model: nn.Module, state: Mapping[str, Tensor], file: Path) -> None:
    """Whole numbers are of a network that was quantised, whose scales lie elsewhere: PyTorch would take them for weights."""
    for name, weight in model.named_parameters(remove_duplicate=False):
        given = state.get(name, weight)
        if weight.is_floating_point() and not given.is_floating_point():
            raise UserError(f"{file} - wanted weights with a fraction, such as before they were quantised - {name} is {given.dtype}")
        if not given.float().isfinite().all():
            raise UserError(f"{file} - wanted weights that are finite numbers - {name} has others")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
