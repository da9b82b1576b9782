"""What a checkpoint and `deterministic` promise, on every device there is: on the CPU always, with a CUDA device there too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from stillhouse.contracts.data import Batches
from stillhouse.training.fit import FitSettings, fit
from stillhouse.training.place import Place
from stillhouse.training.progress import Progress, newest

CUDA = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
DEVICES = ["cpu", pytest.param("cuda", marks=CUDA)]
SETTINGS = FitSettings(epochs=3, learning_rate=0.05)


class Killed(BaseException):
    """Stands for the death of the process."""


def trained(device: str, folder: Path | None, seed: int, killed_after: int | None = None) -> dict[str, torch.Tensor]:
    """Weights after a training that draws from the device's own generator: by dropout, and by noise in the loss."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.5), nn.Linear(16, 1)).to(device)
    torch.manual_seed(seed)
    taken = 0

    def objective(batch: torch.Tensor) -> torch.Tensor:
        return (model(batch) - torch.randn(len(batch), 1, device=device)).square().mean()

    def count() -> None:
        nonlocal taken
        taken += 1
        if taken == killed_after:
            raise Killed

    batches = Batches(lambda rng: (torch.randn(8, 3, generator=rng) for _ in range(4)), 4)
    rng = torch.Generator().manual_seed(1)
    for _ in fit(model, objective, batches, SETTINGS, rng, progress=Progress(folder), after_step=count):
        pass
    return {name: value.cpu() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("steps", [2, 5, 9, 11])
def test_the_devices_random_numbers_go_on_where_a_training_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, steps: int
) -> None:
    monkeypatch.setenv("STILLHOUSE_CHECKPOINT_SECONDS", "0")
    whole = trained(device, None, 3)
    with pytest.raises(Killed):
        trained(device, tmp_path, 3, steps)
    resumed = trained(device, tmp_path, 99)  # a new process has its own state
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert not all(torch.equal(value, trained(device, None, 99)[name]) for name, value in whole.items()), "else the seed does nothing"


@pytest.mark.parametrize("device", DEVICES)
def test_the_checkpoint_has_the_devices_generator(tmp_path: Path, device: str) -> None:
    trained(device, tmp_path, 3)
    tensors, _ = newest(tmp_path) or pytest.fail("there is none")
    assert {name for name in tensors if name.startswith("training/rng.")} == {
        "training/rng.batches",
        "training/rng.global",
        *(["training/rng.cuda"] if device == "cuda" else []),
    }
    assert all(value.device.type == "cpu" for value in tensors.values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_checkpoint_of_a_gpu_goes_on_on_the_cpu() -> None:
    """With other random numbers, as two devices have; nothing is refused."""
    place, other = (
        Place(model, torch.optim.Adam(model.parameters()), torch.Generator()) for model in (nn.Linear(2, 2).cuda(), nn.Linear(2, 2))
    )
    place.model(torch.ones(1, 2, device="cuda")).sum().backward()
    place.optimizer.step()
    other.restore({name: value.cpu() for name, value in place.tensors().items()}, place.facts())
    assert torch.equal(other.model.state_dict()["weight"], place.model.state_dict()["weight"].cpu())


SCRIPT = """
import hashlib, sys
import torch
from torch import nn
from stillhouse.contracts.errors import UserError
from stillhouse.training import machine

device = sys.argv[1]
machine.use_deterministic(True)
machine.seed(1)
model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 32)).to(device)
optimizer = torch.optim.SGD(model.parameters(), 0.01)
for _ in range(5):
    batch, place = torch.randn(64, 3, 16, 16).to(device), torch.randint(4, (64,)).to(device)
    sums = torch.zeros(4, 32, device=device).index_add(0, place, model(batch))  # with atomic additions, if it may
    optimizer.zero_grad()
    sums.square().mean().backward()
    optimizer.step()
state = b"".join(value.cpu().numpy().tobytes() for value in model.state_dict().values())
print(hashlib.sha256(state).hexdigest())
try:
    with machine.telling_deterministic():
        torch.zeros(3, device=device).put_(torch.tensor([0, 0], device=device), torch.ones(2, device=device), accumulate=False)
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("device", [pytest.param("cuda", marks=CUDA)])
def test_deterministic_trainings_give_the_same_bits(device: str) -> None:
    """In processes of their own: cuBLAS reads its setting when CUDA is first used. Of the CPU `test_machine` tells."""
    environment = {**os.environ, "STILLHOUSE_DEVICE": device}
    environment.pop("CUBLAS_WORKSPACE_CONFIG", None)
    command = [sys.executable, "-c", SCRIPT, device]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines() for _ in range(2)]
    assert runs[0] == runs[1]
    assert f"put_ has no deterministic algorithm on {device}" in runs[0][1]
