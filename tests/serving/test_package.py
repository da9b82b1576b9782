"""A model that MLflow loads: without a pickle, with all that it needs, and by our own loader alone."""

from __future__ import annotations

import importlib.metadata
import pickle
import pickletools
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from ruamel.yaml import YAML

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.record import code
from stillhouse.serving import package
from stillhouse.serving.model import Model
from tests.serving.test_model import Trap, teacher

__all__ = ["teacher"]


@pytest.fixture
def packed(teacher: Path, tmp_path: Path) -> Path:
    package.save(teacher, tmp_path / "packed")
    return tmp_path / "packed"


def is_pickle(content: bytes) -> bool:
    try:
        return len(list(pickletools.genops(content))) > 0
    except Exception:
        return False


def test_nothing_in_a_package_is_a_pickle(packed: Path):
    files = [path for path in packed.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".safetensors", ".yaml", ".txt", ".py"}
    assert [path for path in files if is_pickle(path.read_bytes())] == []
    assert is_pickle(pickle.dumps({})), "one would be noticed"


def test_a_package_predicts_where_there_is_no_project(packed: Path, tmp_path: Path):
    """In another process, elsewhere, with the code that came with it."""
    asking = (
        "import mlflow, sys; model = mlflow.pyfunc.load_model(sys.argv[1]); import stillhouse;"
        "print(stillhouse.__file__); print(model.predict(model.input_example).to_json(orient='split'))"
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "gone").mkdir()
    shutil.move(packed, tmp_path / "gone/packed")
    command = [sys.executable, "-c", asking, str(tmp_path / "gone/packed")]
    done = subprocess.run(command, cwd=tmp_path / "elsewhere", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    origin, predicted = done.stdout.splitlines()
    assert Path(origin).is_relative_to(tmp_path / "gone/packed/code")
    assert '"columns":["ring","probabilities"]' in predicted


def test_signature_example_and_requirements_are_those_of_the_model(packed: Path, teacher: Path):
    import mlflow

    loaded = mlflow.pyfunc.load_model(str(packed))
    signature = loaded.metadata.signature
    assert [(column.name, column.type.name, column.required) for column in signature.inputs] == [
        ("x", "double", True),
        ("y", "double", True),
    ]
    assert [column.name for column in signature.outputs] == ["ring", "probabilities"]
    wanted = pa.concat_tables(Model(teacher).predict(Model(teacher).example()))
    assert loaded.predict(loaded.input_example).to_dict("list") == wanted.to_pydict()
    lines = (packed / "requirements.txt").read_text().split()
    assert lines == [f"{name}=={importlib.metadata.version(name)}" for name in package.REQUIREMENTS]


def test_lists_of_structs_have_a_signature():
    kind = pa.list_(pa.struct([("xmin", pa.float64()), ("class", pa.string()), ("sides", pa.list_(pa.int64()))]))
    signature = package._signature(pa.schema([pa.field("image", pa.binary(), nullable=False)]), pa.schema([("boxes", kind)]))
    assert [(str(column.type), column.required) for column in signature.inputs] == [("DataType.binary", True)]
    [boxes] = signature.outputs.to_dict()
    properties = {name: (entry["type"], entry.get("items", {}).get("type")) for name, entry in boxes["items"]["properties"].items()}
    assert (boxes["type"], boxes["items"]["type"]) == ("array", "object")
    assert properties == {"xmin": ("double", None), "class": ("string", None), "sides": ("array", "long")}


def test_the_requirements_name_every_package_that_the_code_imports():
    asked = [name for name in registry.known("workloads") if registry.workload(name).table]
    families = [module for name in asked for module in registry.family_modules(name).values()]
    files = code.reach([package.LOADER, *families, *(registry.module("workloads", name) for name in asked)])
    found = {name.partition(".")[0] for module, file in files.items() for name in code.imports(file, module)}
    found -= {*sys.stdlib_module_names, "stillhouse"}
    found -= {"transformers"}  # a model of that family alone needs it, and says so
    named = {"pillow" if name == "PIL" else name for name in found} | {"mlflow"}
    assert named == {*package.REQUIREMENTS, *package._OF_SOME, *package._OF_COLUMNS.values()}
    own = {
        "language": {"tokenizers"},
        "text_classes": {"tokenizers"},
        "static_nodes": {"torch_geometric"},
        "static_edges": {"torch_geometric"},
        "static_graphs": {"torch_geometric"},
    }
    for workload in asked:
        parts = [registry.found("workloads", workload), *registry.families(workload).values()]
        names = {line.partition("==")[0] for line in package._requirements(parts, ["text"])}
        assert names == set(package.REQUIREMENTS) | own.get(workload, set())
    assert package._requirements([], ["smiles"])[-1] == f"rdkit=={importlib.metadata.version('rdkit')}"


def test_a_package_is_unpacked_by_its_own_flavour_alone(packed: Path, tmp_path: Path):
    assert package.unpack(packed) == packed / "data/teacher"
    with pytest.raises(UserError, match=r"MLmodel - wanted a model with the flavor python_function - it has none$"):
        package.unpack(tmp_path)
    described = (packed / "MLmodel").read_text()
    (packed / "MLmodel").write_text(described.replace(package.LOADER, "somebody.elses"))
    with pytest.raises(
        UserError, match=rf"wanted a model that {package.LOADER} loads .* - got somebody.elses and data/teacher, .*refused$"
    ):
        package.unpack(packed)


def crafted(packed: Path, trap: Path, **flavour: str | None) -> None:
    """Makes a package one whose model is a pickle."""
    yaml = YAML(typ="safe")
    described = yaml.load(packed / "MLmodel")
    merged = described["flavors"]["python_function"] | flavour
    described["flavors"]["python_function"] = {key: value for key, value in merged.items() if value is not None}
    yaml.dump(described, packed / "MLmodel")
    for name in ("python_model.pkl", "data/teacher/python_model.pkl"):
        (packed / name).write_bytes(pickle.dumps(Trap(trap)))


@pytest.mark.parametrize(
    "flavour",
    [
        {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"},
        {"loader_module": "mlflow.sklearn", "data": "python_model.pkl"},
        {"data": "../elsewhere"},
        {},
    ],
)
def test_a_crafted_package_with_a_pickle_is_refused(packed: Path, tmp_path: Path, flavour: dict[str, str]):
    crafted(packed, tmp_path / "sprung", **flavour)
    with pytest.raises(UserError, match=r"refused$"):
        Model(package.unpack(packed))
    assert not (tmp_path / "sprung").exists()


def test_mlflow_refuses_it_too(packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    crafted(packed, tmp_path / "sprung")
    with pytest.raises(UserError, match=r"refused$"):
        mlflow.pyfunc.load_model(str(packed))
    crafted(packed, tmp_path / "sprung", loader_module="mlflow.pyfunc.model", python_model="python_model.pkl", data=None)
    with pytest.raises(mlflow.exceptions.MlflowException, match="Deserializing model using pickle is disallowed"):
        mlflow.pyfunc.load_model(str(packed))
    assert not (tmp_path / "sprung").exists()
