"""Latency by share of the costs: the rows of a network that each runtime knows, and of one that a runtime cannot run."""

from __future__ import annotations

import sys
from functools import partial

import pytest

from benchmarks import _cells, latency
from benchmarks._timed import default


def test_rows(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cells, "WORK", tmp_path)
    monkeypatch.setattr(latency, "SUBJECTS", {"calls": partial(default, "calls")})
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # without which ONNX cannot be written
    small = {"seeds": 1, "turns": 1, "runtimes": ["onnx", "torch"], "networks": 6, "predicted": {"calls": ["torch"]}}
    monkeypatch.setattr(latency, "settings", latency.settings | small)
    found = {(row["method"], row["metric"]): row["mean"] for row in latency.run()}
    assert found["onnx", "runs"] == 0
    assert found["torch", "runs"] == 1
    assert found["torch", "teacher ms"] > found["torch", "empty call ms"] > 0
    assert all(found["torch", f"share at {title}"] > 0 for title in ("1/2", "1/4", "1/2 in 16s", "1/4 in 16s"))
    assert found["torch", "error"] >= 0
    assert found["torch", "error of MACs alone"] >= 0
