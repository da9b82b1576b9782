"""A student as a program: tensors of a batch in, tensors of the answer out, with no object of this library at either end."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Task
from stillhouse.runtimes import any_length, leaves
from stillhouse.runtimes.asking import asking, makes_ready
from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.portable import portable


class Body(nn.Module):
    """A network that is asked by the leaves of a batch, in the order of `names`; all else of the batch is that of an example."""

    def __init__(self, apply: Callable[[nn.Module, Any], Output], network: nn.Module, example: Any, names: Sequence[str]) -> None:
        super().__init__()
        self.network = network
        self._ask, self._example, self._names = apply, example, tuple(names)

    def forward(self, *values: Leaf) -> tuple[Tensor, ...]:
        """The tensors of the answer, the prediction first."""
        batch = leaves.put(self._example, dict(zip(self._names, values, strict=True)))
        return tuple(answers(self._ask(self.network, batch)).values())


@dataclass(frozen=True, eq=False)
class Program:
    """What is exported: the body, an example of its inputs by name, and which of their axes may have any length."""

    body: Body
    workload: Task[Any]
    inputs: Mapping[str, Leaf]
    outputs: Mapping[str, Tensor]
    free: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, Leaf]
    """What the body reads of a batch and is not asked for, because it is a fact of the data, by name."""
    captured: torch.export.ExportedProgram | UserError
    """What PyTorch's exporter made of the body, or why it could not."""

    @property
    def exported(self) -> torch.export.ExportedProgram:
        """The captured program. Raises UserError, saying why, if what the network does depends on the values of a batch."""
        if isinstance(self.captured, UserError):
            raise self.captured
        return self.captured

    def values(self, batch: Any) -> tuple[Leaf, ...]:
        """The inputs for a batch. Raises UserError if the batch has another value where the program has a constant."""
        found = dict(leaves.of(asking(self.body.network, batch)))
        for name, value in self.constants.items():
            if not _same(found.get(name), value):
                raise UserError(f"the batch's {name!r} is a constant of the exported program - wanted the same - it has another value")
        return tuple(found[name] for name in self.inputs)

    def answer(self, batch: Any, values: Sequence[Tensor]) -> Output:
        """An Output with the given tensors; what else an answer holds (a detector's cells) follows from the batch."""
        with torch.no_grad():
            like = self.workload.apply(self.body.network, batch)
        changes: dict[str, Any] = dict(zip(self.outputs, values, strict=True))
        return dataclasses.replace(like, features={}, **changes)

    def description(self) -> dict[str, Any]:
        """Names, shapes and types of inputs and outputs; a length is null where any will do."""
        return {"inputs": [self._input(name) for name in self.inputs], "outputs": self._outputs()}

    def _input(self, name: str) -> dict[str, Any]:
        value = self.inputs[name]
        if not isinstance(value, Tensor):
            return {"name": name, "shape": [], "type": "int64"}
        axes = self.free.get(name, ())
        return {"name": name, "shape": [None if axis in axes else size for axis, size in enumerate(value.shape)], "type": _type(value)}

    def _outputs(self) -> list[dict[str, Any]]:
        found = []
        node = next(node for node in self.exported.graph.nodes if node.op == "output")
        for (name, value), meta in zip(self.outputs.items(), node.args[0], strict=True):
            shape = [size if isinstance(size, int) else None for size in meta.meta["val"].shape]
            found.append({"name": name, "shape": shape, "type": _type(value)})
        return found


def capture(workload: Task[Any], network: nn.Module, batches: Sequence[Any]) -> Program:
    """The program of a network on the CPU, captured on the largest of some batches; axes in which the batches differ are left free.

    A batch of lengths that PyTorch's exporter takes for constants is only captured on where all are such.

    Raises UserError if the network reads no tensor of a batch.
    """
    network.eval()
    batches = [asking(network, batch) for batch in batches]
    example = max(batches, key=lambda batch: (any_length.whole(batch), _size(batch)))
    read = tensors_read(workload, network, example)
    constants = {name: value for name, value in read.items() if _is_fact(name, value, batches)}
    if makes_ready(network):  # no fact of the data: a next question may have another graph; and some say a length alone
        read, constants = dict(leaves.of(example)), {}
    inputs = {name: value for name, value in read.items() if name not in constants} | _varying(example, batches)
    with torch.no_grad():
        outputs = answers(workload.apply(network, example))
    axes = {name: _free(name, value, batches, outputs) for name, value in inputs.items()}
    captured: torch.export.ExportedProgram | UserError
    try:
        inputs, captured = _exported_of_used(workload, portable(network), example, inputs, axes)
    except UserError as error:
        captured = error
    free = {} if isinstance(captured, UserError) else _free_after(captured, inputs)
    body = Body(workload.apply, network, example, list(inputs))
    return Program(body, workload, inputs, outputs, free, constants, captured)


def _exported_of_used(
    workload: Task[Any], network: nn.Module, example: Any, inputs: dict[str, Leaf], axes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, Leaf], torch.export.ExportedProgram]:
    """The program with those of the inputs that it really reads."""
    body = Body(workload.apply, network, example, list(inputs))
    exported = _exported(body, inputs, axes)
    if other := getattr(example, "other", None):
        any_length.require(exported, body, inputs, other)
    used = {name: inputs[name] for name in _used(exported, inputs)}
    if len(used) < len(inputs):
        exported = _exported(Body(workload.apply, network, example, list(used)), used, axes)
    return used, exported


def answers(output: Output) -> dict[str, Tensor]:
    """The tensors of an answer by name: the prediction, and what else a workload has for each question; a scalar is for training."""
    values = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    return {name: value for name, value in values.items() if isinstance(value, Tensor) and value.ndim}


class _Reading(TorchDispatchMode):
    """Notes which tensors any operation is given."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen |= {id(leaf) for leaf in tree_leaves((args, kwargs or {})) if isinstance(leaf, Tensor)}
        return func(*args, **(kwargs or {}))


def tensors_read(workload: Task[Any], network: nn.Module, batch: Any) -> dict[str, Leaf]:
    """The tensors of a batch that a network reads, by name; both on one device. Raises UserError if it reads none."""
    tensors = {name: value for name, value in leaves.of(batch) if isinstance(value, Tensor)}
    with torch.no_grad(), _Reading() as reading:
        workload.apply(network, batch)
    read: dict[str, Leaf] = {name: value for name, value in tensors.items() if id(value) in reading.seen}
    if not read:
        raise UserError(
            f"wanted a network that reads tensors of a {type(batch).__name__} - it reads none of {', '.join(tensors) or 'none'}"
        )
    return read


def _is_fact(name: str, value: Leaf, batches: Sequence[Any]) -> bool:
    """Whether all batches hold one and the same tensor, such as the mean of the training pictures or an observed graph."""
    found = [dict(leaves.of(batch)).get(name) for batch in batches]
    return len(found) > 1 and all(other is value for other in found)


def _varying(example: Any, batches: Sequence[Any]) -> dict[str, Leaf]:
    """The whole numbers in which batches differ, and those that their class names in `any_length`."""
    others, free = [dict(leaves.of(batch)) for batch in batches], getattr(example, "any_length", {})
    numbers = {name: value for name, value in leaves.of(example) if isinstance(value, int)}
    return {name: value for name, value in numbers.items() if name in free or any(other.get(name, value) != value for other in others)}


def _free(name: str, value: Leaf, batches: Sequence[Any], outputs: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The axes in which batches differ, those that their class names in `any_length`, else the first one where it is that of the answer."""
    if not isinstance(value, Tensor):
        return ()
    found = [dict(leaves.of(batch))[name] for batch in batches]
    same = [other for other in found if isinstance(other, Tensor) and other.ndim == value.ndim]
    axes = {axis for other in same for axis, size in enumerate(other.shape) if size != value.shape[axis]}
    named = getattr(batches[0], "any_length", {})
    axes |= set(named.get(name, ()))
    if value.ndim and name not in named and any(output.ndim and len(output) == len(value) for output in outputs.values()):
        axes.add(0)
    return tuple(sorted(axes))


def _exported(body: Body, inputs: Mapping[str, Leaf], axes: Mapping[str, tuple[int, ...]]) -> torch.export.ExportedProgram:
    auto = torch.export.Dim.AUTO
    shapes = [dict.fromkeys(axes[name], auto) if isinstance(value, Tensor) else auto for name, value in inputs.items()]
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of PyTorch's exporter about its own modules
            return torch.export.export(body.eval(), tuple(inputs.values()), dynamic_shapes=(tuple(shapes),))
    except Exception as error:  # the exporter has no class of its own for what it cannot follow
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        wanted = "wanted a network whose steps do not depend on the values of a batch, as torch.export does"
        raise UserError(f"{wanted} - {type(error).__name__}: {reason[:300]}") from error


def _used(exported: torch.export.ExportedProgram, inputs: Mapping[str, Leaf]) -> list[str]:
    places = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    given = [spec.arg.name for spec in exported.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    return [name for name, place in zip(inputs, given, strict=True) if places[place].users]


def _free_after(exported: torch.export.ExportedProgram, inputs: Mapping[str, Leaf]) -> dict[str, tuple[int, ...]]:
    """The axes that are still free in the captured program."""
    places = {node.name: node for node in exported.graph.nodes if node.op == "placeholder"}
    given = [spec.arg.name for spec in exported.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    found = {}
    for name, place in zip(inputs, given, strict=True):
        value = places[place].meta["val"]
        shape = value.shape if isinstance(value, Tensor) else ()
        found[name] = tuple(axis for axis, size in enumerate(shape) if not isinstance(size, int))
    return found


def _size(batch: Any) -> int:
    return sum(value.numel() for _, value in leaves.of(batch) if isinstance(value, Tensor))


def _same(one: Any, other: Leaf) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) and isinstance(other, Tensor) else bool(one == other)


def _type(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def probes(train: Any, valid: Any, rng: torch.Generator) -> list[Any]:
    """Batches that show which axes vary: the first one of training, the first and the last of validation."""
    held = list(valid.draw(torch.Generator().manual_seed(0)))
    return [*itertools.islice(train.draw(rng), 1), held[0], *held[1:][-1:]]
