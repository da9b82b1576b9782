"""A teacher or student as a folder that MLflow loads and serves: the model's own files, the code that reads them, a signature.

Nothing in it is pickled: MLflow pickles what is given as an object, so it is given a module's name (`stillhouse.serving.pyfunc`) and files.
"""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stillhouse import registry
from stillhouse.contracts.discovery import PARTS, Found
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.record import code
from stillhouse.serving import shown

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array, Object

LOADER = "stillhouse.serving.pyfunc"
_LOADERS = (LOADER, "stages.flavour")
"""The second one is that of packages which were saved before the library had one name."""
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "pandas",
    "pillow",
    "pyarrow",
    "pycocotools",
    "pydantic",
    "safetensors",
    "scipy",
    "torch",
)
"""What the code in a package imports; given to MLflow, which would otherwise load the model in another process to find out."""
_OF_SOME = ("tokenizers", "torch_geometric")
"""What the code of some workloads alone imports."""
_OF_COLUMNS = {"smiles": "rdkit"}
"""What the code imports that reads a column, where a model is asked by one."""
_DATA = ("data/teacher", "data/student")
_TYPES = {
    pa.int64(): "long",
    pa.float64(): "double",
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
}


def save(folder: Path, destination: Path, model_id: str | None = None) -> None:
    """Writes the package of a teacher's or student's folder, once it has predicted for its own example; `model_id` is MLflow's for it.

    Raises UserError if it cannot, because its workload reads no tables or the folder is not whole.
    """
    model = shown.of(folder)
    example = model.example
    parts = _parts(model.workload, folder)
    with _code(parts) as folders, _trusted(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of MLflow's own modules; nobody here can act on them
        import mlflow

        mlflow.pyfunc.save_model(
            destination,
            mlflow_model=mlflow.models.Model(model_id=model_id),
            loader_module=LOADER,
            data_path=str(folder),
            code_paths=[str(folder) for folder in folders],
            signature=_signature(example.schema, model.predicted),
            input_example=example.to_pandas(),
            pip_requirements=_requirements(parts, example.column_names),
        )


def unpack(package: Path) -> Path:
    """The model's own folder within a package. Raises UserError if the package is loaded in any other way than ours."""
    path = package / "MLmodel"
    try:
        flavor = YAML(typ="safe", pure=True).load(path)["flavors"]["python_function"]
        loader, data = flavor["loader_module"], flavor["data"]
    except (OSError, YAMLError, KeyError, TypeError):
        raise UserError(f"{path} - wanted a model with the flavor python_function - it has none") from None
    if loader not in _LOADERS or data not in _DATA:
        wanted = f"wanted a model that {LOADER} loads from {' or '.join(_DATA)}"
        raise UserError(f"{path} - {wanted} - got {loader} and {data}, and that may run code that came with the model: refused")
    return package / str(data)


def _parts(workload: str, folder: Path) -> list[Found]:
    """The workload of a model and its families; of those in installed packages only the one that the model is of."""
    settings = read_json(folder / "model.json")["model"]
    family, factory = settings.get("family"), registry.factory(settings)
    own = [_needing(name, part, family) for name, part in registry.families(workload).items() if name == family or not part.requirement]
    return [registry.found("workloads", workload), *own, *([_factory(factory)] if factory else [])]


def _needing(name: str, part: Found, family: str | None) -> Found:
    """A family of the library that is named as the package that it builds its networks with needs it."""
    return replace(part, requirement=_version(name)) if name == family == "transformers" else part


def _factory(module: str) -> Found:
    """Where a network of one's own comes from: it is packed if the project's parts have it, else the package that brings it is required.

    Raises UserError if neither is so.
    """
    top = module.partition(".")[0]
    packages = importlib.metadata.packages_distributions().get(top, [])
    if top != PARTS and not packages:
        raise UserError(f"{module} - wanted the factory in the project's {PARTS}/ or in an installed package - it is in neither")
    return Found(module, module, "" if top == PARTS else _version(packages[0]))


def _version(package: str) -> str:
    return f"{package}=={importlib.metadata.version(package)}"


def _requirements(parts: Iterable[Found], columns: Iterable[str]) -> list[str]:
    parts = list(parts)
    reached = code.reach([part.module for part in parts])
    imported = {name.partition(".")[0] for module, file in reached.items() for name in code.imports(file, module)}
    own = (_version(name) for name in _OF_SOME if name in imported)
    reading = (_version(_OF_COLUMNS[name]) for name in columns if name in _OF_COLUMNS)
    return [*map(_version, REQUIREMENTS), *own, *reading, *sorted({part.requirement for part in parts if part.requirement})]


@contextmanager
def _code(parts: Iterable[Found]) -> Iterator[list[Path]]:
    """The packages `stillhouse` and `parts` with no more than a model of these parts needs, in a temporary folder.

    What is installed is not packed but required, with its version.
    """
    reached = code.reach([LOADER, *(part.module for part in parts)])
    files = {name: file for name, file in reached.items() if name.partition(".")[0] in (code.PACKAGE, PARTS)}
    with tempfile.TemporaryDirectory() as place:
        for name, file in files.items():
            steps = name.split(".")
            target = Path(place, *steps, file.name) if file.name == "__init__.py" else Path(place, *steps[:-1], file.name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        for path, file in code.data(reached, PARTS).items():
            target = Path(place, PARTS, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        (Path(place) / code.PACKAGE / "__init__.py").touch()  # the library's own holds names of what is not packed
        yield sorted(Path(place).iterdir())


@contextmanager
def _trusted() -> Iterator[None]:
    """Has MLflow take the requirements as they are, each the version that is installed: to compare them with what is installed, it would
    read the lists of files of all packages, for most of a second."""
    from mlflow.utils import environment

    comparing = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda model_requirements: None
    try:
        yield
    finally:
        environment.warn_dependency_requirement_mismatches = comparing


def _signature(inputs: pa.Schema, outputs: pa.Schema) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema

    return ModelSignature(Schema([_column(field) for field in inputs]), Schema([_column(field, required=True) for field in outputs]))


def _column(field: pa.Field, required: bool | None = None) -> ColSpec:
    from mlflow.types import ColSpec

    return ColSpec(_type(field.type), field.name, required=not field.nullable if required is None else required)


def _type(kind: pa.DataType) -> DataType | Array | Object:
    """MLflow's word for a type of a column, or of what is in it."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array, Object, Property

    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return Array(_type(kind.value_type))
    if pa.types.is_struct(kind):
        return Object([Property(field.name, _type(field.type)) for field in kind])
    return DataType[_TYPES[kind]]
