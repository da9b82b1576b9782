"""All runtimes by their names."""

from __future__ import annotations

from collections.abc import Mapping

from stillhouse.contracts.runtime import Name
from stillhouse.runtimes import onnx, onnx_int8, pt2, torch, torch_compile
from stillhouse.runtimes.runtime import Runtime

RUNTIMES: Mapping[Name, Runtime] = {
    "torch": torch.RUNTIME,
    "torch-compile": torch_compile.RUNTIME,
    "onnx": onnx.RUNTIME,
    "onnx-int8": onnx_int8.RUNTIME,
    "pt2": pt2.RUNTIME,
}
