"""Mixed precision gives a result on every processor, with LSTM layers that PyTorch has no bfloat16 kernel for on some."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.training import ranks
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.precision import mixed

CPU = torch.device("cpu")


class Reader(nn.Module):
    """A linear map, which autocast computes in bfloat16, then an LSTM over its values."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.lstm = nn.Linear(3, 4), nn.LSTM(4, 5, batch_first=True)

    def forward(self, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        before = self.linear(value)
        return before, self.lstm(before)[0]


def test_an_lstm_is_float32_under_autocast_and_what_stands_before_it_is_not():
    with mixed(CPU, "bf16-mixed"):
        before, after = Reader()(torch.randn(2, 6, 3))
    assert (before.dtype, after.dtype) == (torch.bfloat16, torch.float32)
    after.sum().backward()


def test_a_packed_sequence_passes_too():
    lstm = nn.LSTM(3, 4)
    packed = nn.utils.rnn.pack_sequence([torch.randn(3, 3), torch.randn(2, 3)])
    with mixed(CPU, "bf16-mixed"):
        output = lstm(packed)[0].data
    assert torch.allclose(output, lstm(packed)[0].data)


def test_full_precision_changes_nothing():
    with mixed(CPU, "32-true"):
        before, after = Reader()(torch.randn(2, 6, 3))
    assert (before.dtype, after.dtype) == (torch.float32, torch.float32)


@pytest.mark.parametrize(("precision", "wanted"), [("32-true", False), ("tf32", True), ("bf16-mixed", False)])
def test_products_are_in_tf32_where_that_is_asked_for_and_nowhere_else(precision, wanted):
    def now():
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = now()
    with mixed(CPU, precision):
        assert now() == (wanted, wanted)
        assert torch.equal(nn.Linear(3, 2)(torch.ones(1, 3)).isfinite(), torch.ones(1, 2, dtype=torch.bool))
    assert now() == before


def test_a_compiled_training_is_one_of_the_compilers_functions(monkeypatch):
    """What the compiler itself makes is looked at by `make bench NAME=precision`: it takes half a minute to write its first program."""
    made = []
    monkeypatch.setattr(torch, "compile", lambda objective: made.append(objective) or (lambda batch: 2 * objective(batch)))
    plain, doubled = (losses(FitSettings(epochs=1, learning_rate=0.1, compile=compile)) for compile in (False, True))
    assert doubled == [2 * plain[0]]
    assert len(made) == 1


def losses(settings):
    torch.manual_seed(0)
    model, batches = nn.Linear(3, 1), Batches(lambda rng: iter([torch.ones(2, 3)]), 1)
    return [epoch.loss for epoch in fit(model, lambda batch: model(batch).square().mean(), batches, settings, torch.Generator())]


def test_what_is_computed_otherwise_is_another_result_and_the_usual_is_the_one_of_before():
    plain = FitSettings(epochs=1, learning_rate=0.1)
    assert "compile" not in plain.model_dump()
    assert plain.model_copy(update={"compile": True}).model_dump()["compile"] is True
    assert plain.model_copy(update={"precision": "tf32"}).model_dump()["precision"] == "tf32"


def test_several_devices_are_not_compiled(monkeypatch):
    monkeypatch.setattr(ranks, "count", lambda: 2)
    with pytest.raises(UserError, match=r"fit\.compile - wanted false where fit\.devices is 2"):
        losses(FitSettings(epochs=1, learning_rate=0.1, compile=True, devices=2))


@pytest.mark.parametrize("instructions", ["AVX2", "SSE41"])
def test_an_older_processor_trains_an_lstm_in_mixed_precision(instructions: str):
    code = (
        "import torch; from torch import nn; from stillhouse.contracts.data import Batches; from stillhouse.training.fit import *\n"
        "torch.manual_seed(0); model = nn.LSTM(3, 4); batches = Batches(lambda rng: iter([torch.randn(5, 2, 3)]), 1)\n"
        "settings = FitSettings(epochs=2, learning_rate=0.1, precision='bf16-mixed')\n"
        "print(len(list(fit(model, lambda batch: model(batch)[0].square().mean(), batches, settings, torch.Generator()))))"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": instructions, "ATEN_CPU_CAPABILITY": "avx2" if instructions == "AVX2" else "default"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "2"), done.stderr
