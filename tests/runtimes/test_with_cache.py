"""A language model outside of this library that keeps keys and values: the same tokens as the student's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.runtimes import export as exporting
from stillhouse.runtimes import with_cache
from tests.runtimes.test_hugging_face import IDS, student

PROMPT = IDS[:, :5]


def given(network: nn.Module, batch: Any) -> Any:
    return SimpleNamespace(network=network, data=SimpleNamespace(valid=batch))


@pytest.fixture(autouse=True)
def _first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting.score, "first_batch", lambda batches, device: batches)


@pytest.mark.parametrize(("name", "kind"), [("llama", "onnx"), ("gpt2", "pt2")])
def test_the_file_writes_as_the_student_does(name: str, kind: str, tmp_path: Path) -> None:
    file, gap = exporting.export(given(student(name), SimpleNamespace(token=IDS)), f"{kind}-cache", tmp_path / "out")
    assert file.exists()
    assert (tmp_path / "out" / "SHA256SUMS").exists()
    assert gap < 1e-5
    said = read_json(tmp_path / "out" / "program.json")
    assert [each["name"] for each in said["inputs"]] == ["token", "key_0", "value_0", "key_1", "value_1"]
    assert said["inputs"][1]["shape"] == [None, 1, None, 8]
    assert [each["shape"] for each in said["outputs"][:2]] == [[None, None, 60], [None, 1, None, 8]]


def test_a_file_that_writes_something_else_is_refused() -> None:
    small = student("llama")
    model: Any = with_cache.converted(small)
    program: Any = SimpleNamespace(body=SimpleNamespace(network=model), values=lambda step: list(step.values()), inputs={"token": 0})

    def asked(shift: float, values: Any) -> tuple[Tensor, ...]:
        with torch.no_grad():
            return (small(input_ids=values[0]).prediction.roll(int(shift), -1),)

    with pytest.raises(UserError, match="writes the same tokens as the student - it writes others"):
        with_cache._difference(program, lambda values: asked(1, values), small, PROMPT)


def test_what_keeps_no_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"wanted a language model - got a student that reads no tokens"):
        exporting.export(given(nn.Linear(1, 1), object()), "pt2-cache", tmp_path / "out")
    with pytest.raises(UserError, match=r"wanted a language model of llama, qwen2 or gpt2 - got Linear"):
        exporting.export(given(nn.Linear(1, 1), SimpleNamespace(token=IDS)), "pt2-cache", tmp_path / "out")
    assert exporting.main(["half", "--to", "safetensors", "--cache"]) == 2
    assert not (tmp_path / "out").exists()
