"""Given weights: what is read, and what is refused in one sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import nn

from stillhouse.contracts.errors import UserError
from stillhouse.training import given
from stillhouse.training.given import Given


def network(seed: int = 0, width: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, width), nn.Linear(width, 2))


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "nested.pth"])
def test_the_weights_are_those_of_the_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state, file, ours = network(1).state_dict(), tmp_path / name, network(2)
    if name == "w.safetensors":
        save_file(state, file)
    else:
        torch.save({"state_dict": state, "epoch": 3} if "nested" in name else state, file)
    given.load(ours, file)
    assert all(torch.equal(tensor, state[key]) for key, tensor in ours.state_dict().items())
    assert ("can hold code" in capsys.readouterr().out) == (name != "w.safetensors")


class Running:
    """A pickle that runs something."""

    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Running()}, "w.pt")
    with pytest.raises(UserError, match="wanted a file of tensors alone"):
        given.read(Path("w.pt"))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state: {"0.weight": state["0.weight"]}, "missing: 0.bias, 1.weight, 1.bias"),
        (lambda state: state | {"2.bias": torch.zeros(1)}, "unexpected: 2.bias"),
        (lambda state: state | {"0.bias": torch.zeros(5)}, r"of another shape: 0.bias \(5,\) for \(3,\)"),
    ],
)
def test_weights_that_do_not_fit_are_named(change, told: str, tmp_path: Path) -> None:
    save_file(change(network().state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=told):
        given.load(network(), tmp_path / "w.safetensors")


def test_a_name_is_enough_for_weights_that_layers_share(tmp_path: Path) -> None:
    shared = network(width=2)
    shared[1].weight = shared[0].weight
    state = {name: tensor.clone() for name, tensor in network(3, width=2).state_dict().items() if name != "1.weight"}
    save_file(state, tmp_path / "w.safetensors")
    given.load(shared, tmp_path / "w.safetensors")
    assert torch.equal(shared[1].weight, state["0.weight"])


def test_weights_are_held_to_their_hash(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "model.safetensors")
    found = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert Given.model_validate({"path": str(tmp_path), "sha256": found}).file == tmp_path / "model.safetensors"
    for value, told in ((str(tmp_path), f"sha256: {found}"), ({"path": str(tmp_path), "sha256": "0"}, found), ("gone.pt", "there is no")):
        with pytest.raises(ValidationError, match=told):
            Given.model_validate(value)
