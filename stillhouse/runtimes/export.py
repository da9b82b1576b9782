"""Export: a student as a folder that runs without this library, written only if it answers as the student does.

    python -m stillhouse.runtimes.export STUDENT --to onnx [--quantise int8 | --cache] [--tolerance 0.001] [--out FOLDER] [--project FOLDER]

The folder holds the file, `program.json` (inputs, outputs, how it was made and checked) and SHA256SUMS.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stillhouse.contracts import sums
from stillhouse.contracts.data import Data
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import sha256_of, write_json
from stillhouse.contracts.hidden import hide
from stillhouse.contracts.parts import Workload
from stillhouse.record import own
from stillhouse.runner import params
from stillhouse.runtimes import difference
from stillhouse.runtimes.program import capture, probes
from stillhouse.runtimes.runtime import telling
from stillhouse.runtimes.table import RUNTIMES, Name
from stillhouse.training import checkpoint, machine, score

FORMATS = ("onnx", "pt2", "safetensors", "transformers")
_CACHE = "-cache"
_CPU = torch.device("cpu")
_NEAR = 1e-5
"""The largest difference, as a share of the largest number, of the same layers in another class."""
_LEFT = (
    *({"program.json", runtime.file} for runtime in RUNTIMES.values()),
    {"model.json", "model.safetensors"},
    {"config.json", "model.safetensors"},
)
"""Of each format the files by which a folder of it is known: of a runtime, of safetensors, of transformers."""


class Student:
    """A trained student of a project with its workload and data, on the CPU."""

    def __init__(self, project: Path, name: str) -> None:
        """Raises UserError if params.yaml has no such student, or it is not trained."""
        block = params.read(project / "params.yaml", "evaluate", name)
        self.folder = project / "data" / name / "student"
        prepared = project / "data" / block.teacher / "prepared"
        for path in (self.folder / "model.json", prepared):
            if not path.exists():
                raise UserError(f"{path} - wanted a trained student with its data - it is not there: stillhouse run {name}")
        sums.check(self.folder)
        machine.use_threads(block.threads)
        self.workload: Workload[Any] = block.parts["workload"]
        self.data: Data[Any] = self.workload.load(block.settings.data, prepared)
        self.network: nn.Module = checkpoint.read_model(self.workload, self.folder)
        self.rng = machine.seed(block.seed)


def export(student: Student, kind: str, folder: Path, tolerance: float | None = None) -> tuple[Path, float]:
    """Writes the folder of a kind (a runtime's name, perhaps with -cache; safetensors, transformers), whole or not at all.

    Returns the file and its largest difference.

    Raises UserError if the runtime cannot run the student, or its answers differ by more than the tolerance.
    """
    with _whole(folder) as fresh:
        if kind == "safetensors":
            shutil.copytree(student.folder, fresh, dirs_exist_ok=True)
            return folder / "model.safetensors", _copied(student, fresh)
        if kind == "transformers":
            return folder / "model.safetensors", _saved(student, fresh, _NEAR if tolerance is None else tolerance)
        if kind.endswith(_CACHE):
            file, gap = _with_cache(student, kind.removesuffix(_CACHE), fresh, tolerance)
            return folder / file, gap
        name: Name = kind  # type: ignore[assignment]
        return folder / RUNTIMES[name].file, _captured(student, name, fresh, tolerance)


def _captured(student: Student, kind: Name, folder: Path, tolerance: float | None) -> float:
    """The largest difference of what a runtime answers, for all of the validation split. Raises UserError above the limit."""
    runtime, written = RUNTIMES[kind], folder / RUNTIMES[kind].file
    with telling(kind):
        program = capture(student.workload, student.network, probes(student.data.train, student.data.valid, student.rng))
        runtime.save(program, written, difference.calibration(program, student.data.train, student.rng))
        gap = difference.largest(program, runtime.load(written, program), student.data.valid)
    limit = runtime.tolerance if tolerance is None else tolerance
    if not gap <= limit:
        raise UserError(f"{difference.told(kind, gap, limit)}: nothing is written; --tolerance sets another limit")
    made = {"runtime": kind, "threads": torch.get_num_threads(), "difference": gap, "tolerance": limit, "torch": torch.__version__}
    write_json(folder / "program.json", {**program.description(), **made, "sha256": sha256_of(written)})
    sums.write(folder)
    return gap


def _place(wanted: Path, project: Path) -> Path:
    """Where to write. Raises UserError at files that no export has written, for all that is there goes, and in the project's data."""
    found = wanted.resolve()
    if found.is_relative_to((project / "data").resolve()):
        raise UserError(
            f"{wanted} - wanted a folder for --out outside of the project's data - got one that stages write: exports/NAME is free"
        )
    if found.exists() and not (_is_empty(found) or _is_export(found)):
        raise UserError(f"{wanted} - wanted a new folder for --out, or one of an export before - got something else, which would be lost")
    return found


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _is_export(folder: Path) -> bool:
    """Whether a folder is as an export has left it: with its files alone, and with their bytes."""
    with suppress(UserError):
        sums.check(folder)
        return any(all(sums.told(folder, name) for name in names) for names in _LEFT)
    return False


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A new folder that takes its place when all went well, and else is gone."""
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    new = [parent for parent in folder.parents if not parent.exists()]
    try:
        fresh.mkdir(parents=True)
        yield fresh
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    except OSError as error:
        raise UserError(f"{folder} - wanted a folder to write to - {error.strerror or error}") from None
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        for parent in new:
            with suppress(OSError):  # which holds what has been written
                parent.rmdir()


def _copied(student: Student, folder: Path) -> float:
    """The largest difference between the answers of a student and of its copy for the first validation batch. Raises UserError at any."""
    batch = score.first_batch(student.data.valid, _CPU)
    with torch.no_grad():
        one, other = (student.workload.apply(model, batch) for model in (student.network, checkpoint.read_model(student.workload, folder)))
    if not torch.equal(one.prediction, other.prediction):
        raise UserError(f"{student.folder} - wanted a copy that answers alike - it does not: nothing is written")
    return 0.0


def _saved(student: Student, folder: Path, limit: float) -> float:
    """The largest difference of what Hugging Face's loader reads, for the first validation batch. Raises UserError above the limit."""
    from stillhouse.runtimes import hugging_face

    read, batch = hugging_face.save(student.network, student.folder / "context", folder), score.first_batch(student.data.valid, _CPU)
    with torch.no_grad():
        own, other = (student.workload.apply(model, batch).prediction for model in (student.network, read))
    gap = float((own - other).abs().amax() / own.abs().amax())
    if not gap <= limit:
        raise UserError(f"{difference.told('transformers', gap, limit)}: nothing is written; --tolerance sets another limit")
    sums.write(folder)
    return gap


def _with_cache(student: Student, kind: str, folder: Path, tolerance: float | None) -> tuple[str, float]:
    """Checked by texts that go on from the first half of a window."""
    from stillhouse.runtimes import with_cache

    token: torch.Tensor | None = getattr(score.first_batch(student.data.valid, _CPU), "token", None)
    if token is None:
        raise UserError("--cache - wanted a language model - got a student that reads no tokens")
    found = with_cache.save(student.network, kind, folder, token[:2, : token.shape[1] // 2], tolerance)
    sums.write(folder)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Exports one student; returns the exit status: 2 for a mistake that the reader can mend, or answers that differ."""
    given = _parse(arguments)
    kind = f"{given.to}-{given.quantise}" if given.quantise else given.to + _CACHE * given.cache
    try:
        if given.quantise and given.to != "onnx":
            raise UserError(f"--quantise {given.quantise} - wanted --to onnx, whose runtime has eight bits - got --to {given.to}")
        if given.cache and (given.quantise or given.to not in ("onnx", "pt2")):
            raise UserError(f"--cache - wanted --to onnx or pt2, without --quantise - got --to {given.to}")
        out = given.out and _place(given.out, given.project)
        folder = out or given.project / "exports" / given.student / kind
        with own.telling():
            file, gap = export(Student(given.project, given.student), kind, folder, given.tolerance)
    except UserError as error:
        print(hide(str(error)), file=sys.stderr)
        return 2
    sha256 = sha256_of(file)
    print(f"{file}: {file.stat().st_size} bytes, sha256 {sha256}, largest difference {gap:.3g}")
    from stillhouse.tracking import exports

    print(exports.tell(given.project, given.student, kind, folder, sha256))
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stillhouse.runtimes.export", description="Write a student for another runtime.")
    parser.add_argument("student", help="the name of a trained student")
    parser.add_argument("--to", choices=FORMATS, required=True)
    parser.add_argument("--quantise", choices=("int8",), help="weights and activations of eight bits")
    parser.add_argument("--cache", action="store_true", help="a language model that is given the keys and values of the tokens before")
    parser.add_argument("--tolerance", type=float, help="the largest difference from PyTorch, as a share of the largest number")
    parser.add_argument("--out", type=Path, help="the folder to write; exports/STUDENT/FORMAT by default")
    parser.add_argument("--project", type=Path, default=Path(), help="the folder of the project")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
