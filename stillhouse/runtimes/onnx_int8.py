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
    """The file of `onnx` with pairs that quantise and restore around each multiplication, a scale for each channel of a weight.

    The layers that give the answers, and what follows them, stay in single precision: one scale for all numbers of an output, such as
    boxes of all sizes, loses more than all layers before it.
    """
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
            nodes_to_exclude=_last(ready),
        )


_PRODUCTS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def _last(file: Path) -> list[str]:
    """The operations that no product with weights follows, the last products among them; none if there would be no others."""
    from onnx import load

    wanted: set[str] = set()
    last: dict[str, str] = {}
    nodes = load(file).graph.node
    for node in reversed(nodes):
        follows = wanted.intersection(node.output)
        if not follows:
            last[node.name] = node.op_type
        if follows or node.op_type in _PRODUCTS:
            wanted.update(node.input)
    before = any(node.op_type in _PRODUCTS for node in nodes if node.name not in last)
    return list(last) if before else []


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
