"""A small Llama trained on books, and students of it at two budgets, by each search: bits per byte on unseen books and on WikiText-2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from benchmarks import _cells, _students
from benchmarks._cells import Cell, Row, measure, row
from benchmarks.prune_rivals import half_width
from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json
from stillhouse.stages.prepare import prepare
from stillhouse.training import checkpoint, machine
from stillhouse.training.score import first_batch, score
from stillhouse.workloads.text.language import WORKLOAD

name = "language"
expected_seconds = 2400
needs_data = True
OURS = "dms, teacher"
_LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 176,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "tie_word_embeddings": True,
}
_FIT = {"optimizer": "adamw", "weight_decay": 0.01, "clip_norm": 1.0}
settings: dict[str, Any] = {
    "seeds": 3,
    "rounds": 5,
    "removed": [0.5, 0.2],
    "methods": [OURS, "dms", "taylor", "flap", "short", "minitron", "magnitude", "uniform", "random"],
    "prepare": {
        "read": {"document": "book", "splits": {"valid_within": "valid", "valid": "none"}},
        "tokenizer": {"vocabulary": 1024},
    },
    "model": {"family": "transformers", "config": _LLAMA},
    "data": {"context": 128, "stride": 128, "batch_size": 8, "evaluation_batch_size": 64},
    "teacher_windows": 4096,
    "teacher_epochs": 2,
    "teacher_rate": 3e-3,
    "windows": 256,
    "search_epochs": 2,
    "student_epochs": 2,
    "rate": 1e-3,
    "structure_learning_rate": 2e-2,
}


def teach() -> _students.Block:
    """The teacher's block."""
    fit = {"epochs": settings["teacher_epochs"], "learning_rate": settings["teacher_rate"], "schedule": "cosine", **_FIT}
    return {"model": settings["model"], "data": settings["data"] | {"train_limit": settings["teacher_windows"]}, "fit": fit}


def parameters(config: dict[str, Any], vocabulary: int) -> tuple[int, int]:
    """Of a Llama with tied embeddings: all of them, and those of the embedding."""
    width, inside, layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
    heads = config["head_dim"] * 2 * (config["num_attention_heads"] + config["num_key_value_heads"])
    embedding = vocabulary * width
    return embedding + width + layers * (width * heads + 3 * width * inside + 2 * width), embedding


def searches() -> dict[str, _students.Block]:
    """Each method's block `search` without its budget; those with `fit` train, and their students are trained so much less."""
    fit = {"epochs": settings["search_epochs"], "learning_rate": settings["rate"], **_FIT}
    dms = {"method": "dms", "settings": {"fit": fit, "structure_learning_rate": settings["structure_learning_rate"]}}
    return {
        OURS: dms | {"losses": [{"loss": "logits"}], "task_weight": 0.0},
        "dms": dms,
        "taylor": {"method": "taylor", "settings": {"batches": 32}},
        "flap": {"method": "flap", "settings": {"batches": 32}},
        "short": {"method": "short", "settings": {"batches": 32}},
        "minitron": {"method": "minitron", "settings": {"batches": 32, "blocks": [0, 1]}},
        "magnitude": {"method": "magnitude"},
        "uniform": {"method": "uniform"},
        "random": {"method": "random", "settings": {"draws": 2, "band": 0.05, "fit": fit}},
    }


def students(removed: float) -> dict[str, _students.Block]:
    """Method -> its student's blocks, at a share of the non-embedding parameters removed."""
    vocabulary = settings["prepare"]["tokenizer"]["vocabulary"]
    whole, embedding = parameters(settings["model"]["config"], vocabulary)
    budget = {"unit": "parameters", "value": whole - removed * (whole - embedding)}
    blocks = {}
    known = searches()
    for method in settings["methods"]:
        search = known[method]
        trains = "fit" in search.get("settings", {})
        epochs = settings["student_epochs"] + (0 if trains else settings["search_epochs"])
        fit = {"epochs": epochs, "learning_rate": settings["rate"], "schedule": "cosine", **_FIT}
        short = {"train_limit": settings["windows"]}
        distill = {"losses": [{"loss": "logits", "weight": 1.0}], "task_weight": 1.0, "fit": fit, "data": short}
        blocks[method] = {"search": search | {"budget": budget, "data": short}, "distill": distill}
    return blocks


def run(data: Path) -> list[Row]:
    """`data` holds text-books and text-wikitext2, a folder each.

    `behind` is by how many bits per byte a method is behind dms with its teacher on the unseen books, paired over the seeds, and its
    `sd` half the 95 % interval. Training is on one thread.
    """
    torch.set_num_threads(1)
    cells = list(_planned())
    rows = measure(cells, lambda cell: {cell.set: _measured(data, cell)})
    return rows + list(_behind([cell for cell in cells if cell.done]))


def _planned() -> Iterator[Cell]:
    """Seed by seed, so that what is interrupted has all methods of the first ones."""
    for seed in range(int(settings["seeds"])):
        yield _cell("books", "teacher", seed, {})
        for removed in settings["removed"]:
            for method, block in students(removed).items():
                yield _cell(f"{100 * removed:.0f} % removed", method, seed, block)


def _cell(title: str, method: str, seed: int, block: _students.Block) -> Cell:
    return Cell(title, method, seed, {"prepare": settings["prepare"], "teach": teach(), "student": block})


def _measured(data: Path, cell: Cell) -> Metrics:
    entry = _students.Set("books", data / "text-books" / "text-books.parquet", settings["prepare"], teach())
    whole = Cell(entry.name, cell.method, cell.seed, cell.settings)  # one teacher for both budgets
    found = _students.measured(WORKLOAD, whole, entry)
    home = _students.home(whole)
    model, teacher = (checkpoint.read_model(WORKLOAD, path).to(machine.device()).eval() for path in (_folder(whole), home / "teacher"))
    wiki = WORKLOAD.load(WORKLOAD.data_settings(**settings["data"]), _wikitext(data, home / "prepared"), test=True)
    assert wiki.test is not None
    own = {"wikitext_bits_per_byte": score(WORKLOAD, model, wiki.test)["bits_per_byte"]}
    return found | own | _speed(model, teacher, first_batch(wiki.valid, machine.device()))


def _folder(cell: Cell) -> Path:
    return _students.home(cell) / "teacher" if cell.method == "teacher" else cell.folder / "student"


@torch.no_grad()
def _speed(model: nn.Module, teacher: nn.Module, batch: Any) -> Metrics:
    """Tokens per second of one batch that is scored, and how many times the teacher's, in turns."""
    times: dict[nn.Module, list[float]] = {model: [], teacher: []}
    for _ in range(int(settings["rounds"]) + 1):
        for network, seconds in times.items():
            started = time.process_time()
            WORKLOAD.apply(network, batch)
            seconds.append(time.process_time() - started)
    own, whole = (median(seconds[1:]) for seconds in (times[model], times[teacher]))
    return {"tokens_per_second": batch.token.numel() / own, "speed": whole / own}


@cache
def _wikitext(data: Path, books: Path) -> Path:
    """The validation part of WikiText-2 as a test split, in the tokens of the books; `prepare` wants some training text too."""
    table = pq.read_table(data / "text-wikitext2" / "wikitext2.parquet", columns=["split", "text"])
    train, valid = (table.filter(pa.compute.equal(table["split"], split)) for split in ("train", "valid"))
    digest = read_json(books / "facts.json")["tokenizer"]
    folder = _cells.WORK / f"wikitext-{digest[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.concat_tables([train.slice(0, 2), valid]), folder / "raw.parquet")
    tokenizer = {"path": str(books), "sha256": digest}
    chosen = WORKLOAD.prepare_settings.model_validate({"read": {"splits": {"valid": "test"}}, "tokenizer": tokenizer})
    given: dict[str, Any] = {"raw": folder / "raw.parquet", "prepared": folder / "prepared"}
    prepare(chosen, WORKLOAD, **given, rng=machine.seed(0), log=lambda record: None)
    return folder / "prepared"


def _behind(cells: list[Cell]) -> Iterator[Row]:
    found = {(cell.set, cell.method, cell.seed): read_json(cell.folder / "metrics.json")[cell.set]["bits_per_byte"] for cell in cells}
    differences: dict[tuple[str, str], list[float]] = {}
    for (group, method, seed), bits in found.items():
        if method != OURS and (group, OURS, seed) in found:
            differences.setdefault((group, method), []).append(bits - found[group, OURS, seed])
    for (group, method), values in differences.items():
        yield row(group, method, "behind", values) | {"sd": half_width(values)}
