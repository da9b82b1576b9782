"""onnx-int8: ONNX Runtime with weights and activations of eight bits, whose ranges are those of training batches."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stillhouse.runtimes import onnx
from stillhouse.runtimes.leaves import Leaf
from stillhouse.runtimes.program import Program
from stillhouse.runtimes.runtime import Runtime, missing


def save(program: Program, file: Path, calibration: Iterable[Sequence[Leaf]]) -> None:
    """The file of `onnx` with pairs that quantise and restore around each multiplication, a scale for each channel of a weight."""
    try:
        from onnxruntime import quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise missing("onnxruntime") from None
    with tempfile.TemporaryDirectory() as place:
        plain, ready = Path(place) / "plain.onnx", Path(place) / "ready.onnx"
        onnx.save(program, plain, ())
        logging.getLogger().setLevel(logging.ERROR)
        quant_pre_process(plain, ready, skip_symbolic_shape=True)
        reader = _reader(quantization.CalibrationDataReader, program, calibration)
        quantization.quantize_static(
            ready,
            file,
            reader,
            per_channel=True,
            activation_type=quantization.QuantType.QInt8,
            weight_type=quantization.QuantType.QInt8,
        )


def _reader(base: Any, program: Program, calibration: Iterable[Sequence[Leaf]]) -> Any:
    """The batches as ONNX Runtime's calibration asks for them; `base` is its class, which may not be installed."""

    class Reader(base):
        def __init__(self) -> None:
            self._left: Iterator[Sequence[Leaf]] = iter(calibration)

        def get_next(self) -> dict[str, Any] | None:
            values = next(self._left, None)
            return None if values is None else {name: onnx.array(value) for name, value in zip(program.inputs, values, strict=True)}

    return Reader()


RUNTIME = Runtime("model.onnx", save, onnx.load, tolerance=0.2)
