"""A project elsewhere: its files, what it refuses, and how it goes on with another version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stillhouse.cli import sources
from stillhouse.cli.init import init
from stillhouse.contracts.errors import UserError
from stillhouse.flows import graph
from stillhouse.project import create, example, pipeline, upgrade, version

pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")

ROOT = Path(__file__).parents[2]


def plain(text: str):
    return YAML(typ="safe", pure=True).load(text)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    create.create(tmp_path / "mine", "queue")
    return tmp_path / "mine"


def test_dvc_yaml_elsewhere_differs_in_the_code_and_the_version_alone():
    ours, theirs = plain((ROOT / "dvc.yaml").read_text()), plain(pipeline.text())
    for entry in ours["stages"].values():
        stage = entry.get("do", entry)
        stage["deps"] = [path for path in stage["deps"] if not path.startswith(("stillhouse/", "stages/"))]
        stage["params"].append({"stillhouse.yaml": ["version"]})
    assert theirs == ours
    assert "stillhouse/" not in pipeline.text()


@pytest.mark.parametrize("name", example.EXAMPLES)
def test_an_example_is_a_teacher_with_its_students_as_they_stand_here(name):
    chosen = example.EXAMPLES[name]
    ours = plain((ROOT / {"params.yaml": "params.yaml"}.get(chosen.file, f"docs/examples/{chosen.file}")).read_text())
    written = example.files(name)
    theirs = plain(written["params.yaml"])
    students = {key: block for key, block in ours["students"].items() if block["teacher"] == chosen.teacher}
    assert students
    assert theirs == ours | {"teachers": {chosen.teacher: ours["teachers"][chosen.teacher]}, "students": students}
    assert theirs["teachers"][chosen.teacher]["raw"] in written


def test_dvc_and_git_take_the_folder_for_a_project(made):
    assert {node.name for node in graph.read(made)} >= {"prepare@calls", "distill@calls-dms", "compare"}
    assert (made / ".git").is_dir()
    assert version.recorded(made) == version.Recorded(version.installed(), pipeline.digest((made / "dvc.yaml").read_text()))


def test_own_data_are_added_with_dvc_and_their_pointer_is_for_git(made):
    (made / "data/raw/sub/pictures").mkdir(parents=True)
    (made / "data/raw/sub/pictures/a.txt").write_text("a")
    subprocess.run([sys.executable, "-m", "dvc", "add", "-q", "data/raw/sub/pictures"], cwd=made, check=True)
    shown = subprocess.run(["git", "status", "--porcelain", "-uall"], cwd=made, check=True, capture_output=True, text=True).stdout.split()
    assert "data/raw/sub/pictures.dvc" in shown
    assert "data/raw/sub/pictures/a.txt" not in shown


@pytest.mark.parametrize("path", ["dvc.yaml", "params.yaml", ".dvc/config", "parts/README.md", "dvc.lock"])
def test_a_folder_that_has_a_file_is_left_as_it_is(tmp_path, path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_text("mine")
    before = files(tmp_path)
    with pytest.raises(UserError, match=f"has {path} already"):
        create.create(tmp_path, "queue")
    assert files(tmp_path) == before


def test_a_gitignore_keeps_its_lines_and_has_those_of_a_project(tmp_path):
    """As in the clone of a repository that was made on a server."""
    own = create.create(tmp_path / "fresh", "queue")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/.gitignore").write_bytes("*.csv\n.work/\n/gr\u00fcn".encode("latin-1"))
    assert create.create(tmp_path / "mine", "queue") == own
    lines = (tmp_path / "mine/.gitignore").read_bytes().splitlines()
    assert lines[:3] == [b"*.csv", b".work/", b"/gr\xfcn"]
    assert sorted(lines[3:]) == sorted({*(tmp_path / "fresh/.gitignore").read_bytes().splitlines()} - {b".work/"})


def test_what_was_begun_is_taken_back(tmp_path):
    (tmp_path / "data").write_text("a file where a folder should be")
    (tmp_path / ".gitignore").write_text("*.csv")
    with pytest.raises(UserError, match="cannot be written"):
        create.create(tmp_path, "queue")
    assert files(tmp_path) == [tmp_path / ".gitignore", tmp_path / "data"]
    assert (tmp_path / ".gitignore").read_text() == "*.csv"


def test_the_next_command_can_be_pasted(tmp_path, capsys):
    init(tmp_path / "my project", "queue")
    assert f"next: cd '{tmp_path}/my project' && git add ." in capsys.readouterr().out


def test_an_unknown_example_is_told_with_those_that_exist(tmp_path):
    with pytest.raises(UserError, match="no example is named 'flowers'; there are queue, digits"):
        create.create(tmp_path / "mine", "flowers")
    assert not (tmp_path / "mine").exists()


def test_another_version_is_refused_until_the_upgrade(made):
    path = made / "stillhouse.yaml"
    path.write_text(path.read_text().replace(version.installed(), "0.0.1"))
    with pytest.raises(UserError, match=r"got 0\.0\.1 - `stillhouse upgrade`"):
        version.check(made)
    assert upgrade.upgrade(made) == "0.0.1"
    version.check(made)


def test_a_version_that_cannot_be_read_is_told(made):
    (made / "stillhouse.yaml").write_text("version: [")
    with pytest.raises(UserError, match=r"got something else: `git restore stillhouse.yaml` brings it back"):
        version.check(made)


def test_what_git_knows_comes_back_from_there(made, monkeypatch):
    monkeypatch.chdir(made)
    subprocess.run(["git", "add", "."], check=True)
    (made / "stillhouse.yaml").unlink()
    with pytest.raises(UserError, match=r"stillhouse.yaml - wanted by .* - there is none - `git restore stillhouse.yaml` brings it back"):
        sources.require(graph.read(made))


def test_a_dvc_yaml_that_was_edited_is_not_replaced_unasked(made):
    edited = (made / "dvc.yaml").read_text().replace("{gpu: 1}", "{gpu: 2}")
    (made / "dvc.yaml").write_text(edited)
    with pytest.raises(UserError, match=r"\{gpu: 2\}[\s\S]*--pipeline keep"):
        upgrade.upgrade(made)
    upgrade.upgrade(made, "keep")
    assert (made / "dvc.yaml").read_text() == edited
    upgrade.upgrade(made, "replace")
    assert (made / "dvc.yaml").read_text() == pipeline.text()


def test_dvc_sees_one_pipeline_in_this_repository():
    found = {path.name for path in (ROOT / "stillhouse").rglob("*") if path.name == "dvc.yaml" or path.suffix == ".dvc"}
    assert found == set()
