"""Given weights: what is read, and what is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import re
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
        (
            lambda state: state | {"1.weight": state["1.weight"].to(torch.int8)},
            "wanted weights with a fraction, .* - 1.weight is torch.int8",
        ),
        (lambda state: state | {"0.bias": torch.tensor([0, torch.nan, 0])}, "wanted weights that are finite numbers - 0.bias has others"),
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


def test_two_values_of_weights_that_layers_share_are_told(tmp_path: Path) -> None:
    shared = network(width=2)
    shared[1].weight = shared[0].weight
    save_file(network(3, width=2).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"wanted one value of 0\.weight and 1\.weight, which the network shares - got two"):
        given.load(shared, tmp_path / "w.safetensors")


def test_a_folder_without_safetensors_names_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ValidationError, match=r"there is no .*model\.safetensors; it holds pytorch_model\.bin: name this file, or"):
        Given.model_validate(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"version https://git-lfs.github.com/spec/v1", "got a pointer of Git LFS: git"), (b"", "header too")],
)
def test_of_several_files_the_broken_one_is_named(tmp_path: Path, content: bytes, told: str) -> None:
    index = sharded(tmp_path, network().state_dict())
    (tmp_path / "model-1.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=rf"/model-1\.safetensors - wanted weights as safetensors - .*{told}"):
        given.read(index)


def test_weights_are_held_to_their_hash(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "model.safetensors")
    found = hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert Given.model_validate({"path": str(tmp_path), "sha256": found}).file == tmp_path / "model.safetensors"
    for value, told in ((str(tmp_path), f"sha256: {found}"), ({"path": str(tmp_path), "sha256": "0"}, found), ("gone.pt", "there is no")):
        with pytest.raises(ValidationError, match=told):
            Given.model_validate(value)


def test_what_a_stage_makes_is_no_raw_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing would be due when it is made anew."""
    monkeypatch.chdir(tmp_path)
    for place in ("data/digits/teacher", "data/raw"):
        Path(place).mkdir(parents=True)
        save_file(network().state_dict(), Path(place, "model.safetensors"))
    hashed = {"sha256": given.digest(Path("data/raw/model.safetensors"))}
    assert Given.model_validate({"path": "data/raw", **hashed}).file == Path("data/raw/model.safetensors")
    for path in ("data/digits/teacher", "./data/raw/../digits/teacher/model.safetensors"):
        with pytest.raises(ValidationError, match=r"should lie under data/raw: .*teacher.* is made by a stage, .* so copy it there"):
            Given.model_validate({"path": path, **hashed})


def sharded(folder: Path, state: dict[str, torch.Tensor], **places: str) -> Path:
    """Two files and their index, in which some tensors may be said to lie elsewhere."""
    names = sorted(state)
    for part in (0, 1):
        save_file({name: state[name] for name in names[part::2]}, folder / f"model-{part}.safetensors")
    where = {name: f"model-{index % 2}.safetensors" for index, name in enumerate(names)} | places
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder / "model.safetensors.index.json"


def test_weights_may_lie_in_several_files(tmp_path: Path) -> None:
    state, ours = network(1).state_dict(), network(2)
    index = sharded(tmp_path, state)
    listed = "".join(f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(os.listdir(tmp_path)))
    told = Given(path=str(tmp_path), sha256=hashlib.sha256(listed.encode()).hexdigest())
    assert told.file == index
    given.load(ours, told.file)
    assert all(torch.equal(tensor, state[key]) for key, tensor in ours.state_dict().items())
    save_file({name: tensor + 1 for name, tensor in given.read(tmp_path / "model-1.safetensors").items()}, tmp_path / "model-1.safetensors")
    with pytest.raises(ValidationError, match=r"should name the hash of the weights"):
        Given.model_validate({"path": str(tmp_path), "sha256": told.sha256})
    with pytest.raises(ValidationError, match="should be the folder"):
        Given(path=str(index))


@pytest.mark.parametrize("place", ["../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..", "", "a\0.safetensors", "model.pt"])
def test_an_index_that_leads_elsewhere_is_refused(place: str, tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "x.safetensors")
    (tmp_path / "in").mkdir()
    index = sharded(tmp_path / "in", network().state_dict(), **{"0.bias": place})
    with pytest.raises(UserError, match="wanted names of safetensors files that lie beside it"):
        given.read(index)


def test_a_part_that_is_a_link_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "x.safetensors")
    (tmp_path / "in").mkdir()
    index = sharded(tmp_path / "in", network().state_dict())
    (tmp_path / "in/model-0.safetensors").unlink()
    (tmp_path / "in/model-0.safetensors").symlink_to(tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="got a link that leads out of it"):
        given.read(index)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "wanted weight_map"),
        ('{"weight_map": {"a": 1}}', "wanted weight_map"),
        ("{", "wanted JSON"),
        ('{"weight_map": {"0.bias": "gone.safetensors"}}', "wanted a file that can be read"),
        ('{"weight_map": {"other": "model-0.safetensors"}}', "wanted the tensor 'other'"),
    ],
)
def test_an_index_that_is_none_is_refused(text: str, told: str, tmp_path: Path) -> None:
    index = sharded(tmp_path, network().state_dict())
    index.write_text(text)
    with pytest.raises(UserError, match=told):
        given.read(index)


def test_several_files_take_no_more_memory_than_the_network(tmp_path: Path) -> None:
    """Sixteen tensors of four megabytes are read and nothing of them is copied."""
    index = sharded(tmp_path, {f"w{number:02}": torch.zeros(2**20) for number in range(16)})
    before = _own_memory()
    state = given.read(index)
    assert sum(float(tensor[0]) for tensor in state.values()) == 0
    assert _own_memory() - before < 2**23


def _own_memory() -> int:
    """Bytes of this process that are no file's."""
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


class Headed(nn.Module):
    """A body as `network` makes it, under a head."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.body, self.head = network(seed), nn.Linear(2, 1)


@pytest.mark.parametrize("form", ["of a network with such a part", "of a network that is one"])
def test_weights_may_be_those_of_a_part(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours, others = Headed(1), network(2).state_dict()
    head = {name: tensor.clone() for name, tensor in ours.head.state_dict().items()}
    named = {f"body.{name}": tensor for name, tensor in others.items()} if "with such" in form else others
    save_file(named | {"last.bias": torch.zeros(3)}, tmp_path / "w.safetensors")
    given.load(ours, tmp_path / "w.safetensors", "body")
    assert all(torch.equal(tensor, others[name]) for name, tensor in ours.body.state_dict().items())
    assert all(torch.equal(tensor, head[name]) for name, tensor in ours.head.state_dict().items())
    assert "1 of its 5 weights are of no body, and left out: last.bias" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        ("bodies", lambda state: state, r"teach\.given\.part - wanted the name of a module, such as body, head - got bodies"),
        ("body", lambda state: {"0.weight": state["0.weight"]}, r"wanted the weights of Sequential - missing: 0\.bias, 1\.weight, 1\.bias"),
        ("body", lambda state: {"other": state["0.weight"]}, "wanted the weights of Sequential - missing: 0.weight, 0.bias, 1.weight"),
        ("body", lambda state: state | {"0.bias": torch.zeros(5)}, r"of another shape: 0\.bias \(5,\) for \(3,\)"),
        (
            "body",
            lambda state: {f"body.{name}": value for name, value in state.items()} | {"body.2.bias": torch.zeros(1)},
            "unexpected: 2.bias",
        ),
    ],
)
def test_weights_that_do_not_fit_a_part_are_named(part: str, change, told: str, tmp_path: Path) -> None:
    save_file(change(network().state_dict()), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=told):
        given.load(Headed(), tmp_path / "w.safetensors", part)


def test_without_a_part_nothing_is_said_of_one(tmp_path: Path) -> None:
    """Teachers of before the setting are not due."""
    save_file(network().state_dict(), tmp_path / "w.safetensors")
    named = {"path": str(tmp_path / "w.safetensors"), "sha256": given.digest(tmp_path / "w.safetensors")}
    assert Given.model_validate(named).model_dump() == named
    assert Given.model_validate(named | {"part": "body"}).model_dump() == named | {"part": "body"}
