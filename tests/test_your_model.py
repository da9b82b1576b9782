"""docs/your-model.md as it is printed: a network of one's own with its weights, from a given teacher to a model that MLflow loads."""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from stillhouse.runtimes.export import main as export
from tests.pipelines import REPOSITORY

BLOCKS = dict(re.findall(r"\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)```\n", (REPOSITORY / "docs/your-model.md").read_text(), re.DOTALL))
ASKING = """
import json, mlflow
models = [mlflow.pyfunc.load_model(f"models:/{name}/1") for name in ("half", "vit-half")]
print(json.dumps([len(model.predict(model.input_example)) for model in models]))
"""
TINY_VIT = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 24, "patch_size": 4}
VIT_STUDENT = """
  vit-half:
    teacher: vit
    workload: classify
    search:
      method: dms
      settings: {fit: {epochs: 1, learning_rate: 1.0e-2}}
      budget: {unit: macs, share: 0.5}
      data: {batch_size: 64}
    distill:
      losses: [{loss: logits}]
      data: {batch_size: 64}
      fit: {epochs: 1, learning_rate: 1.0e-2}
    evaluate:
      evaluations:
        - {evaluation: latency, settings: {rounds: 2, seconds: 0}}
        - {evaluation: runtimes, settings: {runtimes: [torch, onnx, onnx-int8, pt2], rounds: 2, seconds: 0}}
"""
RUNTIMES = ("torch", "onnx", "onnx_int8", "pt2")
PACKING = """
from pathlib import Path
from stillhouse.serving import package
package.save(Path("data/vit/teacher"), Path("packed"))
"""


def call(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def network(file: Path) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = runpy.run_path(str(file))["build"]()
    return model


@pytest.fixture
def own(project: Path) -> Path:
    """The project of the document, but for the hashes of the weights: both teachers, and a student for each."""
    transformers = pytest.importorskip("transformers")
    (project / "parts/nets.py").write_text(BLOCKS["parts/nets.py"])
    [block] = re.findall(r"```yaml\n(    teach:\n.*?)```", (REPOSITORY / "docs/your-model.md").read_text(), re.DOTALL)
    text = re.sub(
        r"    teach:\n.*?(?=students:)", lambda own: f"{own[0]}  vit:\n{_of_teacher()}{block}", BLOCKS["params.yaml"], flags=re.DOTALL
    )
    (project / "params.yaml").write_text(text + VIT_STUDENT)
    (project / "data/raw/digits.json").write_text((REPOSITORY / "data/raw/digits.json").read_text())
    save_file(network(project / "parts/nets.py").state_dict(), project / "data/raw/small.safetensors")
    config = transformers.ViTConfig(**TINY_VIT, image_size=8, num_channels=1, num_labels=10)
    transformers.ViTForImageClassification(config).save_pretrained("data/raw/vit")
    return project


def _of_teacher() -> str:
    """The lines of the document's teacher before `teach`, which are those of another one of the same data."""
    return re.search(r"  digits:\n(.*?)    teach:", BLOCKS["params.yaml"], re.DOTALL)[1]  # type: ignore[index]


def hashed(project: Path) -> None:
    """Writes the hashes of the weights that lie there into params.yaml."""
    text = (project / "params.yaml").read_text()
    for path, file in (("small.safetensors", "small.safetensors"), ("vit", "vit/model.safetensors")):
        found = hashlib.sha256((project / "data/raw" / file).read_bytes()).hexdigest()
        text = re.sub(rf"(path: data/raw/{path}, sha256: )\w+", rf"\g<1>{found}", text)
    (project / "params.yaml").write_text(text)


def commit(*paths: str) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "add", *paths], check=True)
    subprocess.run([*git, "commit", "-qm", "my own models"], check=True)


def test_networks_of_ones_own_go_all_the_way(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "{path: data/raw/small.safetensors, sha256: " in call("-m", "stillhouse.stages", "check", code=2)
    hashed(own)
    with (own / ".gitignore").open("a") as file:
        file.write("/data/raw/vit\n/data/raw/*.safetensors\n")  # weights are seldom in git
    commit("params.yaml", "parts", "data/raw/digits.json", ".gitignore")
    call("-m", "dvc", "repro", "prepare@digits")
    told = json.loads(call("-m", "stillhouse", "inspect", "digits", "--json"))
    assert {group["name"]: group["size"] for group in told["groups"]} == {"first": 16, "second": 32}
    call("-m", "dvc", "repro")
    assert json.loads(call("-m", "stillhouse", "inspect", "digits", "--json")) == told
    the_given_weights_are_the_teachers()
    for student in ("half", "vit-half"):
        report = json.loads((own / "data/reports" / student / "report.json").read_text())
        assert report["student"]["macs"] <= 0.5 * report["teacher"]["macs"]
        assert [report["student"][f"{name}_refused"] for name in RUNTIMES] == [0, 0, 0, 0]
        assert report["student"]["onnx_accuracy"] == report["student"]["accuracy"]
    call("-m", "stillhouse.tracking", "sync")
    assert all(rows > 0 for rows in json.loads(call("-c", ASKING).splitlines()[-1]))
    students_leave(capsys)
    the_given_files_are_in_the_lineage(own)
    save_file({name: tensor + 1 for name, tensor in load_file("data/raw/small.safetensors").items()}, "data/raw/small.safetensors")
    hashed(own)
    assert "teach@digits" in call("-m", "dvc", "status")
    packed_without_what_it_was_made_of()


@pytest.mark.parametrize("names", [("parts/nets.py", "params.yaml"), ("graphs.py",)])
def test_an_example_is_short(names: tuple[str, ...]) -> None:
    assert sum(len(BLOCKS[name].splitlines()) for name in names) < 60


def test_a_network_of_pytorch_geometric_is_searched_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch_geometric")
    monkeypatch.chdir(tmp_path)
    rows = [line.split() for line in call("-W", "ignore", "-c", BLOCKS["graphs.py"]).splitlines()]
    accuracies = {row[0]: float(row[1]) for row in rows if len(row) == 3}
    assert accuracies.keys() == {"teacher", "student", "student.pt2"}
    assert accuracies["student"] == accuracies["student.pt2"] > 0.65
    assert (tmp_path / "student.pt2").stat().st_size > 0


def the_given_weights_are_the_teachers() -> None:
    given, kept = load_file("data/raw/small.safetensors"), load_file("data/digits/teacher/model.safetensors")
    assert given.keys() == kept.keys()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in given.items())
    import transformers

    model = transformers.ViTForImageClassification.from_pretrained("data/raw/vit")
    kept = load_file("data/vit/teacher/model.safetensors")  # under other names than those of the folder
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.state_dict().items())


def students_leave(capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, which has PyTorch loaded."""
    for student in ("half", "vit-half"):
        for kind in (["onnx"], ["pt2"], ["safetensors"], ["onnx", "--quantise", "int8"]):
            assert export([student, "--to", *kind]) == 0, capsys.readouterr()
            assert "MLflow: exports/" in capsys.readouterr().out


def the_given_files_are_in_the_lineage(project: Path) -> None:
    weights = "data/raw/vit/model.safetensors"
    found = hashlib.md5((project / weights).read_bytes()).hexdigest()
    tree = json.loads(call("-m", "stillhouse", "lineage", "vit-half", "--json"))
    [teacher] = [each for each in tree["inputs"][0]["inputs"] if each["path"] == "data/vit/teacher"]
    assert teacher["reads"][weights] == found
    assert {each["path"]: each["hash"] for each in teacher["inputs"]}[weights] == found
    told = json.loads(call("-m", "stillhouse", "lineage", weights, "--forward", "--json"))
    assert {model["path"] for model in told["models"]} == {"data/vit/teacher", "data/vit-half/student"}
    for model, given in (("vit", weights), ("half", "data/raw/small.safetensors")):
        assert f"{given}  " in call("-m", "stillhouse", "reproduce", model)  # which fails where a byte is another one


def packed_without_what_it_was_made_of() -> None:
    import transformers

    shutil.rmtree("data/raw/vit")
    call("-c", PACKING)
    assert f"transformers=={transformers.__version__}" in Path("packed/requirements.txt").read_text().split()
