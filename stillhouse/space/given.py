"""What a search and a distillation are given from Python: an argument of a wrong kind is told by its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from stillhouse.contracts.calls import require_takes
from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.settings import LARGEST
from stillhouse.space.built import ordinary


def require_kind(found: object, kind: type, place: str) -> None:
    """Raises UserError, beginning with `place`, unless it is an instance of a public class."""
    if not isinstance(found, kind):
        raise UserError(f"{place} - wanted a stillhouse.{kind.__name__} - got {got(found)}")


def require_function(found: object, arguments: Iterable[str], wanted: str) -> None:
    """Raises UserError, beginning with what was wanted, unless it is a function that takes so many values."""
    try:
        require_takes(found, arguments, {}, wanted)
    except UserError:
        raise
    except ValueError:  # a function in another language may not say what it takes
        return


def require_call(found: object, place: str) -> None:
    """Raises UserError, beginning with `place`, unless it is a function of one record of progress, or None."""
    if isinstance(found, type) or not (found is None or callable(found)):
        raise UserError(f"{place} - wanted a function of a record, such as print, or None - got {got(found)}")


def require_passes(found: object, place: str) -> None:
    """Raises UserError, beginning with `place`, unless it can be gone through, batch by batch."""
    goes = hasattr(found, "__iter__") or hasattr(found, "__getitem__")
    if not goes or isinstance(found, type | str | Mapping):
        raise UserError(f"{place} - wanted a DataLoader or a list of batches - got {got(found)}")


def seed(found: object) -> int:
    """A seed as the settings of a project have it. Raises UserError at anything else."""
    if isinstance(found, bool) or not isinstance(found, Integral) or not 0 <= found <= LARGEST:  # type: ignore[operator]
        raise UserError(f"seed - wanted a whole number from 0 to 2^63 - 1 - got {found!r:.100}")
    return int(found)


def patterns(found: object, place: str) -> tuple[str, ...]:
    """Patterns of names. Raises UserError, beginning with `place`, unless it is a list of text."""
    several = tuple(found) if isinstance(found, Iterable) and not isinstance(found, str) else None
    if several is None or not all(isinstance(pattern, str) for pattern in several):
        remedy = f": write [{found!r:.100}]" if isinstance(found, str) else ""
        raise UserError(f"{place} - wanted a list of patterns of names of groups - got {got(found)}{remedy}")
    return several


def losses(found: object, place: str) -> Sequence[Mapping[str, Any]]:
    """Losses by their names. Raises UserError, beginning with `place`, unless it is a list of dictionaries, each with a name."""
    wanted = f'{place} - wanted a list of dictionaries such as {{"loss": "logits"}}'
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise UserError(f"{wanted} - got {got(found)}: write [] for none, and put a single one in a list")
    for item in found:
        if not isinstance(item, Mapping) or "loss" not in item:
            remedy = f'write {{"loss": "{item:.100}"}}' if isinstance(item, str) else 'name it under "loss"'
            raise UserError(f"{wanted} - got {item!r:.100} in it: {remedy}")
    return found


def got(found: object) -> str:
    """What was got, in words."""
    if isinstance(found, type):
        return f"the class {found.__name__}"
    return f"{found!r:.100}" if found is None or isinstance(found, str | int | float) else f"a {type(found).__name__}"


def batches(loader: Iterable[Any], place: str) -> Batches[Any]:
    """The batches of a loader. Raises UserError, beginning with `place`, unless there are some, every time that it is gone through."""
    if iter(loader) is loader:
        wanted = "wanted a DataLoader or a list, to be gone through many times"
        raise UserError(f"{place} - {wanted} - got a {type(loader).__name__}")
    length = _length(loader)
    if not length:
        raise UserError(f"{place} - wanted a batch at least - there is none")
    return Batches(lambda rng: one_pass(loader, rng, place), length)


def _length(loader: Iterable[Any]) -> int:
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:  # a loader of a stream has the method, but not the number
        return sum(1 for _ in loader)


def one_pass(loader: Iterable[Any], rng: torch.Generator, place: str) -> Iterator[Any]:
    """A loader decides its order, by the global generator, when it is asked for the first batch. Raises UserError at an empty batch."""
    with torch.random.fork_rng([]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        following = iter(loader)
        first = list(islice(following, 1))
    if not first:
        raise UserError(f"{place} - wanted a batch at least in each pass - this one has none")
    for number, batch in enumerate(chain(first, following)):
        _require_rows(batch, f"{place}, batch {number}")
        yield ordinary(batch)


def _require_rows(batch: object, place: str) -> None:
    """Raises UserError, beginning with `place`, at a batch all of whose tensors are empty."""
    tensors = [item for item in tree_leaves(batch) if isinstance(item, Tensor) and item.dim()]
    if tensors and not any(tensor.numel() for tensor in tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise UserError(f"{place} - wanted a row at least - got tensors of shape {shapes}: leave such batches out")
