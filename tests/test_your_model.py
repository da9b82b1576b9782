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

from tests.pipelines import REPOSITORY

BLOCKS = dict(re.findall(r"\*\*`([^`]+)`\*\*\n\n```\w+\n(.*?)```\n", (REPOSITORY / "docs/your-model.md").read_text(), re.DOTALL))
ASKING = """
import json, mlflow
model = mlflow.pyfunc.load_model("models:/half/1")
print(json.dumps(len(model.predict(model.input_example))))
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
    """The project of the document, but for the hash."""
    (project / "parts/nets.py").write_text(BLOCKS["parts/nets.py"])
    (project / "params.yaml").write_text(BLOCKS["params.yaml"])
    (project / "data/raw/digits.json").write_text((REPOSITORY / "data/raw/digits.json").read_text())
    save_file(network(project / "parts/nets.py").state_dict(), project / "data/raw/small.safetensors")
    return project


def hashed(project: Path, weights: str = "data/raw/small.safetensors") -> None:
    found = hashlib.sha256((project / weights).read_bytes()).hexdigest()
    text = re.sub(r"sha256: \w+", f"sha256: {found}", (project / "params.yaml").read_text())
    (project / "params.yaml").write_text(text)


def test_a_network_of_ones_own_goes_all_the_way(own: Path) -> None:
    assert "{path: data/raw/small.safetensors, sha256: " in call("-m", "stillhouse.stages", "check", code=2)
    hashed(own)
    call("-m", "dvc", "repro", "prepare@digits")
    told = json.loads(call("-m", "stillhouse", "inspect", "digits", "--json"))
    assert {group["name"]: group["size"] for group in told["groups"]} == {"first": 16, "second": 32}
    call("-m", "dvc", "repro")
    given, kept = load_file("data/raw/small.safetensors"), load_file("data/digits/teacher/model.safetensors")
    assert given.keys() == kept.keys()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in given.items())
    assert json.loads(call("-m", "stillhouse", "inspect", "digits", "--json")) == told
    report = json.loads((own / "data/reports/half/report.json").read_text())
    assert report["student"]["macs"] <= 0.5 * report["teacher"]["macs"]
    call("-m", "stillhouse.tracking", "sync")
    assert json.loads(call("-c", ASKING).splitlines()[-1]) > 0
    save_file({name: tensor + 1 for name, tensor in given.items()}, "data/raw/small.safetensors")
    hashed(own)
    assert "teach@digits" in call("-m", "dvc", "status")


TINY_VIT = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 24, "patch_size": 4}
PACKING = """
from pathlib import Path
from stillhouse.serving import package
package.save(Path("data/digits/teacher"), Path("packed"))
"""


def test_a_local_folder_of_hugging_face_is_a_teacher(own: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(**TINY_VIT, image_size=8, num_channels=1, num_labels=10)
    model = transformers.ViTForImageClassification(config)
    model.save_pretrained("data/raw/vit")
    [block] = re.findall(r"```yaml\n(    teach:\n.*?)```", (REPOSITORY / "docs/your-model.md").read_text(), re.DOTALL)
    text = re.sub(r"    teach:\n.*?(?=students:)", lambda _: block, BLOCKS["params.yaml"], flags=re.DOTALL)
    (own / "params.yaml").write_text(text)
    hashed(own, "data/raw/vit/model.safetensors")
    for verb in ("prepare", "teach"):
        call("-m", "stillhouse.stages", verb, "digits")
    kept = load_file("data/digits/teacher/model.safetensors")  # under other names than those of the folder
    assert all(torch.equal(tensor, kept[name]) for name, tensor in model.state_dict().items())
    shutil.rmtree("data/raw/vit")
    call("-c", PACKING)
    assert f"transformers=={transformers.__version__}" in Path("packed/requirements.txt").read_text().split()
