"""This repository's own pipeline, whole, through a head and two nodes with an SSH remote: the bytes are those of a run at home.

Its trainings are cut to `STILLHOUSE_TEST_EPOCHS` epochs, two by default; with a large number they are as `params.yaml` says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from tests import machines, sshd
from tests.processes import free_port, until
from tests.projects import REPOSITORY, locked

pytestmark = [
    pytest.mark.skipif("STILLHOUSE_TEST_NODES" not in os.environ, reason="takes minutes: make test-nodes"),
    pytest.mark.timeout(7200),  # the story is told in the set-up of the first test
]
MOST = int(os.environ.get("STILLHOUSE_TEST_EPOCHS", "2"))
NAMES = ("first", "second")


def cut(value: Any) -> Any:
    """The same settings with fewer epochs."""
    if isinstance(value, dict):
        return {name: min(inner, MOST) if name == "epochs" else cut(inner) for name, inner in value.items()}
    return [cut(inner) for inner in value] if isinstance(value, list) else value


def project(folder: Path, remote: Mapping[str, str]) -> Path:
    """What a clone of this repository has that its pipeline reads, committed, with a remote that all share."""
    for name in ("stillhouse", "stages", "flows", "parts", "data/raw"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=True)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, folder)
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(cut(yaml.safe_load((REPOSITORY / "params.yaml").read_text())), file)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    dvc = [sys.executable, "-m", "dvc"]
    for command in ([*git, "init", "-q"], [*dvc, "init", "-q"], [*dvc, "remote", "add", "-q", "-d", "store", remote["url"]]):
        subprocess.run(command, cwd=folder, check=True)
    for name in ("port", "user"):
        subprocess.run([*dvc, "remote", "modify", "-q", "store", name, remote[name]], cwd=folder, check=True)
    for command in ([*git, "add", "-A"], [*git, "commit", "-qm", "the default pipeline"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Both runs, and what each said."""
    place = tmp_path_factory.mktemp("nodes")
    address = f"http://127.0.0.1:{free_port()}/api"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        machines.surround(patch, place)
        patch.setenv("STILLHOUSE_BEAT_SECONDS", "10")  # nobody is killed here, and a busy machine is late
        remote = stack.enter_context(sshd.served(place / "remote"))
        (place / "user/.ssh").mkdir(parents=True)
        shutil.copy(remote["keyfile"], place / "user/.ssh/id_ed25519")
        patch.setenv("HOME", str(place / "user"))
        alone = project(place / "alone", remote)
        folder = place / "project"
        shutil.copytree(alone, folder, symlinks=True)
        told: dict[str, Any] = {"place": place, "alone": alone, "folder": folder, "home": machines.tried(alone, "run")}
        stack.enter_context(machines.server(place, address))
        for name in NAMES:
            stack.enter_context(machines.node(place, name, address))
        patch.setenv("PREFECT_API_URL", address)
        until(lambda: all(machines.lives(said, name) for said in [machines.said(folder, "nodes")] for name in NAMES), 120)
        yield told | {"away": machines.tried(folder, "run", "--on", "nodes"), "left": machines.open_runs(address)}


def test_both_runs_end_well_and_leave_nothing_open(story):
    assert story["home"][0] == 0, story["home"][1]
    assert story["away"][0] == 0, story["away"][1]
    assert story["left"] == 0
    for name in NAMES:
        assert list((story["place"] / name).glob("projects/*/stages/*")), f"{name} ran nothing of it"


def test_every_output_has_the_same_bytes(story):
    """But for what is measured in time: reports, and the table of them."""
    here, alone = locked(story["folder"]), locked(story["alone"])
    assert here.keys() == alone.keys()
    made = [name for name in alone if name.partition("@")[0] in ("prepare", "teach", "search", "distill")]
    assert len(made) == 2 * 4 + 2 * 6
    for stage in made:
        assert {out["path"]: out["md5"] for out in here[stage]["outs"]} == {out["path"]: out["md5"] for out in alone[stage]["outs"]}, stage
