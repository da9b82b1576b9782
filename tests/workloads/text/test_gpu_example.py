"""The example for a real Llama on one GPU, with a tiny folder in the place of the real one, and short windows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from stillhouse import registry
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.runner import params
from stillhouse.runtimes import hugging_face
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.workloads.text._shared import tokenizer
from stillhouse.workloads.text._shared.tokenizer import TokenizerSettings
from tests.workloads.text import models
from tests.workloads.verbs import Verbs

PRINTED = Path(__file__).parents[3] / "docs/examples/gpu/llama.yaml"
END = "<|end_of_text|>"
TEXTS = [f"A {one} fox came to the {two}. " * 40 for one in ("red", "big") for two in ("sea", "hill")]


@pytest.fixture
def verbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verbs:
    """A project with the file, once its hashes are filled in as it asks."""
    raw, llama = tmp_path / "data/raw/books", tmp_path / "data/raw/llama"
    raw.mkdir(parents=True)
    for index, text in enumerate(TEXTS):
        (raw / f"{index}.txt").write_text(text)
    config = models.LANGUAGE["llama-tied"] | {"head_dim": 8}
    hugging_face.converted(models.build(config, vocabulary=280, context=1024)).save_pretrained(llama)
    tokenizer.prepared(TokenizerSettings(vocabulary=280), TEXTS, (tokenizer.END, END), llama)
    monkeypatch.chdir(tmp_path)
    text = (
        PRINTED.read_text()
        .replace("context: 1024, stride: 512", "context: 16, stride: 16")
        .replace("train_limit: 10000", "train_limit: 32")
    )
    Path("params.yaml").write_text(text)
    with pytest.raises(UserError) as asked:
        params.check(Path("params.yaml"))
    hashes = re.findall(r"\{path: data/raw/llama, sha256: (\w{64})\}", str(asked.value))
    assert len(hashes) == 2
    for found in hashes:
        text = text.replace("sha256: ask", f"sha256: {found}", 1)
    Path("params.yaml").write_text(text)
    return Verbs(registry.workload("language"), tmp_path / "params.yaml", Path("data/raw/books"))


def test_the_example_runs_as_printed(verbs: Verbs) -> None:
    verbs.run(prepare, "llama", "raw", "prepared")
    verbs.run(teach, "llama", "prepared", "teacher")
    block = params.read(verbs.file, "search", "llama-four-fifths")
    paths = {name: verbs.folder / name for name in ("prepared", "teacher", "found")}
    given = {"rng": torch.Generator().manual_seed(0), "log": lambda record: None}
    facts = search(block.settings, verbs.workload, block.parts["method"], losses=block.parts["losses"], **paths, **given)
    assert facts["cost"] <= facts["budget"]
    assert read_json(verbs.folder / "found" / "search.json")["losses"] == ["logits"]
