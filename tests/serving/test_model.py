"""A model's folder is read without trust."""

from __future__ import annotations

import json
import os
import pickle
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.serving.model import Model
from stillhouse.training import checkpoint, table


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.place),)


@pytest.fixture
def teacher(project: Path) -> Path:
    """The toy teacher as `teach` leaves it, but untrained."""
    workload = registry.workload("toy")
    prepared, folder = project / "data/rings/prepared", project / "data/rings/teacher"
    workload.prepare(workload.prepare_settings(), project / "data/raw/toy.json", prepared, torch.Generator().manual_seed(0))
    settings, sizes = workload.model_settings(), {"inputs": 2, "classes": 3}
    record = {"model": settings.model_dump(mode="json"), "sizes": sizes, "architecture": None}
    checkpoint.write_model(folder, workload.model(settings, sizes, None).state_dict(), record)
    table.keep(workload, prepared, folder)
    return folder


def test_a_folder_without_a_model_is_told_so(tmp_path: Path):
    with pytest.raises(
        UserError, match=r"nothing - wanted a model's folder, with model\.json and model\.safetensors - there is no such folder$"
    ):
        Model(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"there is no model\.json$"):
        Model(tmp_path)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.json", "python_model.pkl", "context/names.pkl", "context/model.pt", "weights.json"]
)
def test_a_pickle_is_refused_and_not_run(teacher: Path, tmp_path: Path, name: str):
    (teacher / name).write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(UserError, match=r"refused$|wanted weights as safetensors(, and the settings that fit them)? - "):
        Model(teacher)
    assert not (tmp_path / "sprung").exists()
    pickle.loads((teacher / name).read_bytes())  # the trap works
    assert (tmp_path / "sprung").exists()


def test_weights_that_do_not_fit_their_settings_are_refused(teacher: Path):
    record = json.loads((teacher / "model.json").read_text())
    record["model"]["width"] += 1
    (teacher / "model.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match=r"wanted weights as safetensors, and the settings that fit them - .*size mismatch"):
        Model(teacher)


def test_the_settings_of_an_enormous_network_are_refused_before_its_memory_is_used(teacher: Path):
    record = json.loads((teacher / "model.json").read_text())
    record["model"]["width"] = 30_000
    (teacher / "model.json").write_text(json.dumps(record))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"wanted parameters of at most 2147483648 bytes - got \w+ of \[30000, 30000\] in a Linear$"):
        Model(teacher)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**19, "it counts in KiB"


def test_a_model_that_does_not_say_how_it_reads_tables_is_told_so(teacher: Path):
    (teacher / "context/workload.json").unlink()
    with pytest.raises(UserError, match="wanted a model that can be asked by a table - its workload reads no tables, or did not yet"):
        Model(teacher)


def test_a_workload_is_looked_up_by_its_name_alone(teacher: Path):
    (teacher / "context/workload.json").write_text(json.dumps({"workload": "../../evil"}))
    with pytest.raises(UserError, match=r"unknown workload '../../evil'; there are "):
        Model(teacher)


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "context/more.json")


def _link(folder: Path) -> None:
    (folder / "context/more.json").symlink_to("/etc/passwd")


def _device(folder: Path) -> None:
    (folder / "SHA256SUMS").symlink_to("/dev/zero")


def _name(folder: Path) -> None:
    (folder / "context/workload.json").write_text('["toy"]')


def _deep(folder: Path) -> None:
    (folder / "model.json").write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [_pipe, _link, _device, _name, _deep])
def test_a_folder_that_no_stage_has_written_is_refused_in_one_sentence(teacher: Path, damage: Callable[[Path], None]):
    damage(teacher)
    with pytest.raises(UserError, match=r"^\S+teacher\S* - wanted [^\n]+$") as told:
        Model(teacher)
    assert len(str(told.value)) < 1000
