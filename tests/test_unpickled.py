"""Nothing that is read can run code: no source of ours unpickles, and every reader refuses a pickle in place of its file."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from stillhouse.contracts.errors import UserError
from stillhouse.runner.entries import Entries
from stillhouse.serving.package import unpack
from stillhouse.serving.predict import read as rows
from stillhouse.training.progress import newest
from stillhouse.workloads.graphs.knowledge.read import read as knowledge
from stillhouse.workloads.graphs.temporal.read import ReadSettings
from stillhouse.workloads.graphs.temporal.read import read as temporal
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import read as classify
from stillhouse.workloads.pictures.detect.item import Form as Frame
from stillhouse.workloads.pictures.detect.item import gather
from stillhouse.workloads.pictures.detect.read import read as detect
from stillhouse.workloads.pictures.segment.decode import Form as PairForm
from stillhouse.workloads.pictures.segment.read import read as segment
from stillhouse.workloads.queue.read import read as queue
from tests.serving.test_model import Trap
from tests.workloads.pictures.detect.raws import folder
from tests.workloads.pictures.detect.raws import voc as boxes_of

ROOT = Path(__file__).parents[1]
SOURCES = [file for place in ("stillhouse", "stages", "flows", "parts") for file in sorted((ROOT / place).rglob("*.py"))]
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "jsonpickle", "marshal", "shelve", "xmlrpc"}
CALLS = {"read_pickle", "unsafe_load", "unsafe_load_all", "full_load", "eval", "exec"}
"""Names of functions that run what they read, whatever they are called on."""


def unsafe(source: str) -> Iterator[str]:
    """What in a source would load code with data."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in PICKLERS)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PICKLERS:
            yield str(node.module)
        elif isinstance(node, ast.Call) and not _is_safe(node):
            yield ast.unparse(node)


def _is_safe(call: ast.Call) -> bool:
    name, given = ast.unparse(call.func), {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    owner, _, last = name.rpartition(".")
    if last in CALLS:
        return last in ("eval", "exec") and owner != ""  # model.eval() is another thing
    if name in ("torch.load", "torch.jit.load", "torch.package.PackageImporter"):
        return name == "torch.load" and given.get("weights_only") == "True"
    if owner == "yaml" and last in ("load", "load_all") and "Loader" in given:
        return "Safe" in given["Loader"]
    if last == "YAML":
        return given.get("typ", "'rt'") in ("'rt'", "'safe'")
    return given.get("allow_pickle", "False") == "False"


def test_no_source_loads_code_with_data() -> None:
    assert {str(file): found for file in SOURCES if (found := list(unsafe(file.read_text())))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from cloudpickle import load",
        "import joblib.numpy_pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
        "pandas.read_pickle(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "YAML(typ='unsafe')",
        "eval(text)",
    ],
)
def test_it_would_be_seen(line: str) -> None:
    assert list(unsafe(line))


def _temporal(**names: Any) -> Callable[[Path], object]:
    return lambda raw: temporal(raw, ReadSettings(**names))


READERS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "classify": (lambda raw: classify(raw, Form()), ("raw.parquet", "raw.json", "raw.pkl", "train/a/0.png")),
    "segment": (lambda raw: segment(raw, PairForm()), ("raw.parquet", "raw.json", "raw.pkl", "images/0.png", "masks/0.png")),
    "detect": (detect, ("raw.parquet", "raw.json", "raw.pkl", "boxes.json", "Annotations/0.xml")),
    "knowledge": (lambda raw: knowledge(raw, "", ""), ("raw.parquet", "raw.json", "raw.pkl", "raw.zip", "train.txt")),
    "temporal": (_temporal(), ("raw.json", "raw.json.gz", "raw.pkl", "series.parquet", "edges.parquet")),
    "temporal tables": (_temporal(series="s.csv", edges="e.csv"), ("s.csv", "e.csv", "s.csv.gz")),
    "temporal gal": (_temporal(series="s.csv", edges="e.gal"), ("e.gal",)),
    "queue": (lambda raw: queue(raw, None), ("raw.csv", "raw.parquet", "raw.json", "raw.pkl")),
    "predict": (rows, ("raw.csv", "raw.parquet", "raw.pkl")),
    "params": (Entries.read, ("raw.yaml",)),
}
"""A reader -> the files that it takes, each given as a pickle; of a folder the others are what they should be."""
BESIDE = {
    "segment": {"images/0.png": b"?", "masks/0.png": b"?"},
    "temporal tables": {"s.csv": "a,b\n1,2\n", "e.csv": "from,to\na,b\n"},
    "temporal gal": {"s.csv": "a,b\n1,2\n"},
    "knowledge": {"train.txt": "a r b\n", "valid.txt": "a r b\n", "test.txt": "a r b\n"},
}
CASES = [(name, file) for name, (_, files) in READERS.items() for file in files]


@pytest.mark.parametrize(("reader", "file"), CASES)
def test_a_pickle_in_place_of_a_file_is_refused_and_not_run(tmp_path: Path, reader: str, file: str) -> None:
    content, trap = pickle.dumps(Trap(tmp_path / "sprung")), tmp_path / "raw"
    if file.startswith("raw."):
        trap = tmp_path / file
        trap.write_bytes(content)
    else:
        folder(trap, BESIDE.get(reader, {}) | {file: content})
        if file == "s.csv.gz":
            (trap / "s.csv").unlink()
    with pytest.raises(UserError):
        READERS[reader][0](trap)
    assert not (tmp_path / "sprung").exists()


def test_the_picture_of_boxes_is_no_pickle(tmp_path: Path) -> None:
    files = {"Annotations/0.xml": boxes_of([("cat", 1, 1, 2, 2, 0)]), "JPEGImages/0.png": pickle.dumps(Trap(tmp_path / "sprung"))}
    with pytest.raises(UserError, match="wanted a picture"):
        gather(detect(folder(tmp_path / "raw", files)).splits["train"], Frame())
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("reader", ["classify", "segment", "detect", "knowledge", "queue", "predict"])
def test_a_table_with_pickles_in_it_is_not_run(tmp_path: Path, reader: str) -> None:
    """As the cells of its columns, and as the type of one: Arrow once unpickled the metadata of a type defined in Python."""
    content = pickle.dumps(Trap(tmp_path / "sprung"))
    names = ("image", "mask", "boxes", "label", "head", "relation", "tail", "split", "load", "state", "count")
    kind = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": content}
    schema = pa.schema([pa.field(name, pa.binary(), metadata=kind) for name in names])
    parquet.write_table(pa.table([pa.array([content])] * len(names), schema=schema), tmp_path / "raw.parquet")
    if reader == "predict":
        assert rows(tmp_path / "raw.parquet").column("image").to_pylist() == [content], "bytes stay bytes"
    else:
        with pytest.raises(UserError):
            READERS[reader][0](tmp_path / "raw.parquet")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir"])
def test_yaml_makes_no_objects(tmp_path: Path, tag: str) -> None:
    text = f"{tag} [{tmp_path / 'sprung'}]\n"
    (tmp_path / "params.yaml").write_text(f"seed: {text}")
    (tmp_path / "MLmodel").write_text(f"flavors: {text}")
    with pytest.raises(UserError, match="is not valid YAML"):
        Entries.read(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="wanted a model with the flavor python_function"):
        unpack(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_a_checkpoint_is_no_pickle(tmp_path: Path) -> None:
    content = pickle.dumps(Trap(tmp_path / "sprung"))
    (tmp_path / f"000001-{'0' * 64}.safetensors").write_bytes(content)
    assert newest(tmp_path) is None
    assert not (tmp_path / "sprung").exists()
