"""onnx: ONNX Runtime with a file that PyTorch's exporter wrote."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.onnx_words import WORDS
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Ask, Runtime, missing


def save(program: Program, file: Path, calibration: Iterable[Sequence[Leaf]]) -> None:
    """One file with the weights in it. Raises UserError naming the first operation that ONNX has no word for."""
    try:
        import onnxscript  # noqa: F401
    except ImportError:
        raise missing("onnxscript") from None
    with _quietly():
        _made(program).save(str(file), external_data=False)


def load(file: Path, program: Program) -> Ask:
    """A session on the CPU with as many threads within an operation as PyTorch has, and one operation at a time."""
    try:
        import onnxruntime
    except ImportError:
        raise missing("onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]

    def ask(values: Sequence[Leaf]) -> tuple[Tensor, ...]:
        named = zip(program.inputs, values, strict=True)
        return tuple(torch.from_numpy(value) for value in session.run(None, {name: array(value) for name, value in named if name in names}))

    return ask


def array(value: Leaf) -> numpy.ndarray:
    """An input as ONNX Runtime takes it."""
    return value.numpy() if isinstance(value, Tensor) else numpy.array(value, dtype=numpy.int64)


@lru_cache(maxsize=1)
def _made(program: Program) -> torch.onnx.ONNXProgram:
    """The last one is kept, because eight bits begin with it too."""
    inputs, outputs = list(program.inputs), list(program.outputs)
    try:
        made = torch.onnx.export(
            program.exported.run_decompositions(WORDS), dynamo=True, verbose=False, input_names=inputs, output_names=outputs
        )
    except torch.onnx.OnnxExporterError as error:
        raise UserError(f"onnx - wanted a network of operations that ONNX knows - {_reason(error)}") from error
    assert made is not None
    return made


def _reason(error: Exception) -> str:
    """What the innermost cause says, in one line."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return " ".join(str(cause).split())[:300]


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's words about its own modules and progress."""
    known = logging.getLogger("torch.onnx")
    level = known.level
    known.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        known.setLevel(level)


RUNTIME = Runtime("model.onnx", save, load, tolerance=1e-3)
