"""What every runtime is: how a program is written for it, and how what was written is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from stillhouse.contracts.errors import UserError, shortened
from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program

Ask = Callable[[Sequence[Leaf]], tuple[Tensor, ...]]
"""Takes the inputs of a program in their order and gives its outputs."""


@dataclass(frozen=True)
class Runtime:
    """One way to run a program outside of this library, filled in at the foot of its own file. All run on the CPU."""

    file: str
    """The name of what it writes."""
    save: Callable[[Program, Path, Iterable[Sequence[Leaf]]], None]
    """save(program, file, inputs of training batches): writes the file. Raises UserError, saying why, if it cannot."""
    load: Callable[[Path, Program], Ask]
    """load(file, program): opens what was written, with as many threads as PyTorch has now."""
    tolerance: float
    """The largest difference from PyTorch, as a share of the largest number in its answers, at which the file is taken for right."""


@contextmanager
def telling(name: str) -> Iterator[None]:
    """What a runtime cannot do with a student as a UserError in one sentence: exporters and runtimes have errors of their own."""
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        said = shortened(" ".join(str(error).split()), 300)
        raise UserError(f"{name} - wanted a student that this runtime can run - {type(error).__name__}: {said}") from error


def missing(name: str) -> UserError:
    """The sentence for a package that is not installed."""
    return UserError(f"{name} is not installed, and this runtime needs it: pip install 'stillhouse[export]'")
