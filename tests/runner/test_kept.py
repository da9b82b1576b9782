"""What runs again after an edit and what is kept, each row of the table in docs/rerun.md on a real DVC repository."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stillhouse.record import hashes
from stillhouse.runner import fingerprint, results, run
from stillhouse.stages.door import main
from tests.projects import locked

LOSS = "from stillhouse.losses.logits import LOSS  # one of the project's own\n"


def repro(*stages: str) -> dict[str, str]:
    """Runs stages with all that they need by plain DVC; which of them computed ("ran") and which were put in place ("kept")."""
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", *stages], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found, stage = {}, ""
    for line in done.stdout.splitlines():
        if line.startswith("Running stage '"):
            stage = line.split("'")[1]
            found[stage] = "ran"
        if line.startswith("kept: "):
            found[stage] = "kept"
    return found


def planned() -> dict[str, str]:
    """Stage -> state, of what is not unchanged."""
    done = subprocess.run(
        [sys.executable, "-m", "stillhouse", "plan", "--json", "evaluate@half"], capture_output=True, text=True, check=False
    )
    return {node["name"]: node["state"] for node in json.loads(done.stdout) if node["state"] != "unchanged"}


def edit(path: str, old: str, new: str) -> None:
    file = Path(path)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def settings(change: Callable[[dict], None]) -> None:  # type: ignore[type-arg]
    yaml = YAML()
    values = yaml.load(Path("params.yaml"))
    change(values)
    yaml.dump(values, Path("params.yaml"))


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {}


@pytest.fixture
def made(project: Path, _made: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy project with everything up to the evaluation of `half` made once, and copied."""
    if not _made:
        place = tmp_path_factory.mktemp("made") / "project"
        (project / "parts/losses").mkdir()
        (project / "parts/losses/mine.py").write_text(LOSS)
        edit("params.yaml", "{loss: logits, weight: 1.0}", "{loss: mine, weight: 1.0}")
        assert set(repro("evaluate@half").values()) == {"ran"}
        shutil.copytree(project, place, symlinks=True)
        _made["folder"] = place
    shutil.rmtree(project)
    shutil.copytree(_made["folder"], project, symlinks=True)
    monkeypatch.chdir(project)
    return project


ALL = {"prepare@rings", "teach@rings", "search@half", "distill@half", "evaluate@half"}


def test_words_in_reached_code_keep_every_result(made: Path):
    before = locked(made)
    edit("stillhouse/training/fit.py", '"""The training loop', '"""The one training loop')
    edit("stillhouse/contracts/files.py", "import json\n", "import json  # the format\n")
    assert planned() == dict.fromkeys(ALL, "kept")
    assert repro("evaluate@half") == dict.fromkeys(ALL, "kept")
    for stage, entry in locked(made).items():
        assert [out["md5"] for out in entry["outs"] if not out["path"].endswith((".json", ".csv"))] == [
            out["md5"] for out in before[stage]["outs"] if not out["path"].endswith((".json", ".csv"))
        ]
    assert repro("evaluate@half") == {}


def test_a_stage_that_is_to_begin_afresh_computes_what_is_known(made: Path, monkeypatch: pytest.MonkeyPatch):
    command = [sys.executable, "-m", "stillhouse.stages", "prepare", "rings"]
    assert "kept: " in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    monkeypatch.setenv("STILLHOUSE_AFRESH", "1")
    assert "kept: " not in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_code_that_is_not_reached_keeps_every_result(made: Path):
    edit("stillhouse/workloads/queue/walk.py", "import torch\n", "import torch\n\nUNUSED = 1\n")
    assert set(repro("evaluate@half").values()) == {"kept"}


def test_a_new_loss_beside_the_one_in_use_keeps_every_result(made: Path):
    (made / "parts/losses/other.py").write_text(LOSS)
    assert set(repro("evaluate@half").values()) == {"kept"}


def test_a_losss_own_code_makes_its_students_again(made: Path):
    edit("parts/losses/mine.py", "import LOSS", "import LOSS as OTHER\n\nLOSS = OTHER")
    kept = dict.fromkeys(("prepare@rings", "teach@rings", "search@half"), "kept")
    assert planned() == kept | {"distill@half": "due", "evaluate@half": "due"}
    found = repro("evaluate@half")
    assert found["distill@half"] == "ran"
    assert {found[stage] for stage in ("prepare@rings", "teach@rings", "search@half")} == {"kept"}


def test_a_reverted_edit_is_kept(made: Path):
    text = Path("stages/teach.py").read_text()
    edit("stages/teach.py", "SETTINGS = TeachSettings", "SETTINGS = TeachSettings\nSTEPS = 1")
    assert repro("teach@rings")["teach@rings"] == "ran"
    Path("stages/teach.py").write_text(text)
    assert set(repro("teach@rings").values()) <= {"kept"}


def test_another_number_of_threads_runs(made: Path):
    settings(lambda values: values.update(threads=2))
    assert repro("teach@rings") == {"prepare@rings": "ran", "teach@rings": "ran"}


def test_a_default_that_is_written_out_keeps_the_result(made: Path):
    settings(lambda values: values["teachers"]["rings"]["teach"]["fit"].update(weight_decay=0.0))
    assert repro("teach@rings") == {"teach@rings": "kept"}


def test_a_renamed_student_is_kept(made: Path):
    settings(lambda values: values["students"].update(renamed=values["students"].pop("half")))
    assert set(repro("evaluate@renamed").values()) == {"kept"}
    assert json.loads(Path("data/renamed/student.json").read_text()) == json.loads((Path("data/half/student.json")).read_text())


def test_a_second_student_with_the_same_search_finds_it_made(made: Path):
    def add(values: dict) -> None:  # type: ignore[type-arg]
        values["students"]["second"] = json.loads(json.dumps(values["students"]["half"]))
        values["students"]["second"]["distill"]["task_weight"] = 0.5

    settings(add)
    assert repro("distill@second") == {"search@second": "kept", "distill@second": "ran"}


def test_a_result_of_another_version_is_kept_and_named_unless_params_ask_for_it(made: Path):
    for path in results.FOLDER.glob("*.json"):
        path.write_text(path.read_text().replace('"device":"cpu"', '"device":"tpu"'))
    edit("stages/teach.py", '"""teach:', '"""Teach:')
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", "teach@rings"], capture_output=True, text=True, check=False)
    assert "kept: " in done.stdout
    assert "device tpu then, cpu now" in done.stdout
    settings(lambda values: values.update(environment="due"))
    edit("data/rings/prepared.json", "device cpu", "device tpu")
    assert planned()["prepare@rings"] == "due"
    edit("stages/teach.py", '"""Teach:', '"""teach :')
    assert repro("teach@rings")["teach@rings"] == "ran"


def test_deterministic_algorithms_are_another_result_and_the_one_without_stays_known(made: Path):
    settings(lambda values: values.update(deterministic=True))
    assert planned().keys() == ALL
    assert repro("-f", "-s", "prepare@rings") == {"prepare@rings": "ran"}
    assert "prepare@rings" not in planned()
    assert results.told(made / "data/rings/prepared.json")["deterministic"] == "yes"
    settings(lambda values: values.pop("deterministic"))
    assert planned()["prepare@rings"] == "due"
    assert repro("-f", "-s", "prepare@rings") == {"prepare@rings": "kept"}
    assert "prepare@rings" not in planned()


def test_a_failed_stage_leaves_what_was_there_before(made: Path):
    """DVC has removed it by then."""
    before = {path.name: path.read_bytes() for path in sorted((made / "data/rings/teacher").rglob("*")) if path.is_file()}
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "results"], check=True)
    settings(lambda values: values["teachers"]["rings"]["teach"]["fit"].update(learning_rate=1e30))
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", "teach@rings"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert {path.name: path.read_bytes() for path in sorted((made / "data/rings/teacher").rglob("*")) if path.is_file()} == before
    assert (made / "data/rings/teacher.json").exists()


def test_a_clone_adopts_what_it_has_pulled(made: Path):
    assert main(["check"]) == 0
    shutil.rmtree(results.FOLDER)
    call = run.Call("teach", "rings", "teach@rings", made, None, None)  # type: ignore[arg-type]
    mark = run.identify(call, hashes.take("teach@rings", made))
    edit("stages/teach.py", '"""teach:', '"""Teach:')
    assert planned()["teach@rings"] == "kept"
    found = results.adopt(mark, "teach@rings", call.destination)
    assert found is not None
    assert fingerprint.differences(found.environment, mark.environment) == []
    edit("data/rings/teacher.json", "fingerprint ", "fingerprint 0")
    shutil.rmtree(results.FOLDER)
    assert results.adopt(mark, "teach@rings", call.destination) is None
