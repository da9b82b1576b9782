"""Students leave, with the real runtimes: whole, right and told to MLflow, or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Pair
from stillhouse.record import hashes
from stillhouse.record.run_record import Item
from stillhouse.runtimes import export as exporting
from stillhouse.runtimes import onnx, onnx_int8
from stillhouse.runtimes.export import main
from stillhouse.runtimes.program import capture
from stillhouse.training import checkpoint
from stillhouse.training.score import first_batch
from tests.projects import tell
from tests.tiny.parts.workloads.toy import WORKLOAD
from tests.tracking.test_tracking import PREPARED, record
from tests.workloads.untrained import teacher

CPU = torch.device("cpu")


@pytest.fixture
def student(project: Path) -> Path:
    """The toy student as `distill` leaves it, but untrained, with its teacher's data."""
    workload = registry.workload("toy")
    workload.prepare(
        workload.prepare_settings(), project / "data/raw/toy.json", project / "data/rings/prepared", torch.Generator().manual_seed(0)
    )
    torch.manual_seed(0)
    settings, sizes = workload.model_settings(), {"inputs": 2, "classes": 3}
    described = {"model": settings.model_dump(mode="json"), "sizes": sizes, "architecture": None}
    folder = project / "data/half/student"
    checkpoint.write_model(folder, workload.model(settings, sizes, None).state_dict(), described)
    return folder


def session(file: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])


def test_a_student_leaves_as_onnx_and_mlflow_is_told(project: Path, student: Path, capsys: pytest.CaptureFixture[str]):
    from mlflow import MlflowClient

    item = Item.at("data/half/student", hashes.outputs("distill@half", Path())["data/half/student"])
    tell(project, record("distill@half", inputs=[PREPARED], output=item, tags={"dvc.stage": "distill@half", "dvc.fingerprint": "f" * 64}))
    capsys.readouterr()
    assert main(["half", "--to", "onnx"]) == 0
    file = project / "exports/half/onnx/model.onnx"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    printed = capsys.readouterr().out.splitlines()
    assert f"sha256 {sha256}, largest difference" in printed[0]
    assert printed[1].startswith("MLflow: exports/onnx of ")
    assert sorted(path.name for path in file.parent.iterdir()) == ["SHA256SUMS", "model.onnx", "program.json"]
    described = json.loads((file.parent / "program.json").read_text())
    assert (described["sha256"], described["inputs"]) == (sha256, [{"name": "input0", "shape": [None, 2], "type": "float32"}])

    workload = registry.workload("toy")
    rows = torch.randn(7, 2)
    found = session(file).run(["prediction"], {"input0": rows.numpy()})[0]
    network = checkpoint.read_model(workload, student)
    with torch.no_grad():
        wanted = workload.apply(network, (rows, torch.zeros(7)))
    numpy.testing.assert_allclose(found, wanted.prediction.numpy(), atol=1e-5)

    client = MlflowClient()
    [version] = client.search_model_versions("name = 'half'")
    assert version.tags["export.onnx"] == sha256
    model = version.source.removeprefix("models:/")
    assert client.get_logged_model(model).tags["export.onnx"] == sha256
    names = [found.path for found in client.list_logged_model_artifacts(model, "exports/onnx")]
    assert "exports/onnx/model.onnx" in names


def test_other_formats(project: Path, student: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stillhouse.tracking.exports.tell", lambda *given: "")
    assert main(["half", "--to", "pt2", "--out", "away/pt2"]) == 0
    [answer] = torch.export.load(project / "away/pt2/model.pt2").module()(torch.randn(3, 2))
    assert answer.shape == (3, 3)
    assert main(["half", "--to", "safetensors"]) == 0
    copied = project / "exports/half/safetensors"
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == {path.name: path.read_bytes() for path in student.iterdir()}


def test_wrong_answers_leave_nothing(project: Path, student: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The old file stays as it is, and no folder is there that was not."""
    (project / "exports/half/onnx").mkdir(parents=True)
    (project / "exports/half/onnx/model.onnx").write_text("old")
    plain = onnx.load

    def load(file: Path, program: Any) -> Any:
        ask = plain(file, program)
        return lambda values: tuple(value * 1.01 for value in ask(values))

    runtime = exporting.RUNTIMES["onnx"]
    monkeypatch.setattr(exporting, "RUNTIMES", {"onnx": type(runtime)(runtime.file, runtime.save, load, runtime.tolerance)})
    assert main(["half", "--to", "onnx"]) == 2
    assert "onnx - wanted answers within 0.001 of PyTorch's on the validation split" in capsys.readouterr().err
    assert [path.name for path in (project / "exports/half").iterdir()] == ["onnx"]
    assert (project / "exports/half/onnx/model.onnx").read_text() == "old"
    assert main(["half", "--to", "onnx", "--out", "away/from/here"]) == 2
    assert not (project / "away").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["third", "--to", "pt2"], "params.yaml: students has no 'third'; there are half"),
        (
            ["half", "--to", "pt2"],
            "data/half/student/model.json - wanted a trained student with its data - it is not there: stillhouse run half",
        ),
        (["half", "--to", "pt2", "--quantise", "int8"], "--quantise int8 - wanted --to onnx"),
        (["half", "--to", "pt2", "--out", "."], ". - wanted a new folder for --out, or one of an export before - got something else"),
    ],
)
def test_a_mistake_is_one_sentence(project: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert len(said.splitlines()) == 1


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """An untrained classifier with its data."""
    found = teacher("classify", tmp_path_factory.mktemp("digits"))
    data = found.workload.load(found.data, found.prepared, test=True)
    return SimpleNamespace(workload=found.workload, data=data, network=checkpoint.read_model(found.workload, found.teacher))


class Boxes(nn.Module):
    """A detector's two ends: what one of them says is large, what the other one says is small, and both leave side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.small, self.large = nn.Linear(4, 32), nn.Linear(32, 2), nn.Linear(32, 2)
        with torch.no_grad():
            self.large.weight *= 30

    def forward(self, value: Tensor) -> Tensor:
        value = self.first(value).relu()
        return torch.cat([self.small(value), self.large(value)], 1)


@pytest.mark.parametrize("network", [Boxes(), nn.Linear(4, 2), nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))])
def test_the_last_layers_are_not_of_eight_bits_unless_there_are_no_others(network: nn.Module, tmp_path: Path):
    import onnx as files

    torch.manual_seed(0)
    batches = [torch.randn(8, 4), torch.randn(5, 4)]
    program = capture(replace(WORKLOAD, apply=lambda model, rows: Output(model(rows), "values")), network, batches)
    onnx_int8.save(program, tmp_path / "q.onnx", [(batch,) for batch in batches])
    graph = files.load(tmp_path / "q.onnx").graph
    restored = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    products = [node for node in graph.node if node.op_type in ("Gemm", "MatMul")]
    assert sum(restored.issuperset(node.input[:2]) for node in products) == 1
    assert (graph.output[0].name in restored) == (len(products) == 1)


def measured(digits: SimpleNamespace, *names: str, **settings: Any) -> tuple[dict[str, float], dict[str, str]]:
    """The metrics and the remarks of the evaluation."""
    data = digits.data
    pair = Pair(digits.workload, digits.network, digits.network, data.test, first_batch(data.valid, CPU), CPU, data.train, data.valid)
    part = registry.evaluation("runtimes")
    chosen = part.settings(runtimes=names, rounds=2, seconds=0, **settings)
    return part.run(pair, chosen, torch.Generator().manual_seed(0)), pair.remarks


def test_each_runtime_is_measured(digits: SimpleNamespace):
    """All that need no compiler, on a network of convolutions."""
    names = ["torch", "onnx", "onnx-int8", "pt2"]
    found, remarks = measured(digits, *names)
    assert remarks == {}
    assert {name: found[f"student_{name}_refused"] for name in ("torch", "onnx", "pt2")} == {"torch": 0, "onnx": 0, "pt2": 0}
    assert found["student_torch_difference"] == 0
    assert 0 < found["student_onnx_difference"] < 1e-5 < found["student_onnx_int8_difference"]
    assert found["student_onnx_accuracy"] == found["student_torch_accuracy"]
    assert found["student_onnx_int8_bytes"] < 0.6 * found["student_onnx_bytes"]
    assert all(found[f"student_{name.replace('-', '_')}_latency_ms"] > 0 for name in names)


class Looking(nn.Module):
    """What it does depends on the values of a batch, which no exporter can follow."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Any:
        return self.network(image if image.sum() > 0 else image + 1)


def test_a_runtime_that_is_refused_leaves_the_others_measured(digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    found, remarks = measured(digits, "onnx", "torch", "pt2")
    assert remarks == {"onnx": "onnxscript is not installed, and this runtime needs it: pip install 'stillhouse[export]'"}
    assert {name for name in found if name.startswith("student_onnx_")} == {"student_onnx_refused"}
    assert [found[f"student_{name}_refused"] for name in ("onnx", "torch", "pt2")] == [1, 0, 0]
    assert found["student_pt2_latency_ms"] > 0


def test_a_difference_above_the_tolerance_is_a_sentence(digits: SimpleNamespace):
    found, remarks = measured(digits, "onnx-int8", "torch", tolerance=1e-6)
    assert re.fullmatch(
        r"onnx-int8 - wanted answers within 1e-06 of PyTorch's on the validation split.* - got [\d.e-]+", remarks["onnx-int8"]
    )
    assert [name for name in found if "int8" in name] == ["student_onnx_int8_refused"]


def test_what_no_exporter_can_follow_is_measured_in_pytorch(digits: SimpleNamespace):
    looking = SimpleNamespace(workload=digits.workload, data=digits.data, network=Looking(digits.network))
    found, remarks = measured(looking, "torch", "pt2")
    assert found["student_torch_accuracy"] >= 0
    assert "wanted a network whose steps do not depend on the values of a batch" in remarks["pt2"]


def test_a_runtime_that_is_not_installed_is_told(digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"onnxscript is not installed, and this runtime needs it: pip install 'stillhouse\[export\]'"):
        onnx.save(None, tmp_path / "file", ())  # type: ignore[arg-type]


def test_the_command_hands_on_what_it_is_given(project: Path):
    """From a folder below the project's."""
    command = [
        sys.executable,
        "-m",
        "stillhouse",
        "export",
        "half",
        "--to",
        "onnx",
        "--quantise",
        "int8",
        "--tolerance",
        "0.1",
        "--out",
        "x",
    ]
    done = subprocess.run(command, cwd=project / "parts", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "data/half/student/model.json - wanted a trained student with its data - it is not there: stillhouse run half" in done.stderr
