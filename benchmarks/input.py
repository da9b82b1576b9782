"""Pictures per second from a Parquet table to a batch, and the memory it takes, where the table has four times the limit.

Each way is a process of its own: one pass in which its memory is looked at, with that of all it has started, then one that is timed, and
one with a step after each batch, for which the processor waits as for a GPU. The plain loop reads the table as a list of values, puts them
together and keeps them; `datasets` is the library of Hugging Face, under PyTorch's DataLoader, and left out where it is not installed. All
do the same to the pictures.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks._cells import Row, row
from stillhouse.contracts.files import write_json
from stillhouse.training.files import read_parquet
from stillhouse.training.groups import write_rows
from stillhouse.training.loader import Loader
from stillhouse.workloads.pictures.classify.sample import Batch, DataSettings, augmented, chance, load

name = "input"
expected_seconds = 120
settings: dict[str, Any] = {"rounds": 2, "pictures": 2048, "side": 128, "limit": 24 * 2**20, "workers": 2, "batch_size": 64, "step": 0.02}
_AUGMENTED = {"flip": True, "shift": 4, "cutout": 16}
_FACTS = {"channels": 3, "classes": 10, "mean": [0.5] * 3, "deviation": [0.2] * 3, "names": [str(number) for number in range(10)]}
Pass = Callable[[torch.Generator], Iterator[Batch]]


def run(data: Path | None = None) -> Iterator[Row]:
    """Rows per way: pictures `per_second` of a pass, and `per_processor_second`, and `beside_a_step` of so many seconds; `first`, the
    seconds from the file to the first batch; `mib` at the most."""
    ways = [way for way in WAYS if not way.startswith("datasets") or importlib.util.find_spec("datasets")]
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder))
        rounds = [{way: _measured(way, Path(folder)) for way in ways} for _ in range(int(settings["rounds"]))]
    for way in ways:
        for metric in rounds[0][way]:
            yield row("a table of four times the limit", way, metric, [found[way][metric] for found in rounds])


def _write(folder: Path) -> None:
    """Pictures of 32 shades, which zstd makes smaller by a third, as it does photographs."""
    rng, side = np.random.default_rng(0), int(settings["side"])
    for split, count in {"train": int(settings["pictures"]), "valid": 10}.items():
        image = rng.integers(0, 32, (count, 3, side, side), dtype=np.uint8)
        write_rows(folder / f"{split}.parquet", {"image": image}, {"label": rng.integers(0, 10, count, dtype=np.int32)})
    write_json(folder / "facts.json", _FACTS | {"height": side, "width": side})


def _measured(way: str, folder: Path) -> dict[str, float]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_one, way, folder, settings).result()


def _one(way: str, folder: Path, given: dict[str, Any]) -> dict[str, float]:
    settings.update(given)
    torch.set_num_threads(1)
    read_parquet(folder / "valid.parquet")  # Arrow's code is loaded
    before, started = _memory(), time.perf_counter()
    draw = WAYS[way](folder)
    batches = draw(torch.Generator().manual_seed(0))
    next(batches)
    first = time.perf_counter() - started
    most = max(_memory() for _ in batches)
    seconds, processor = _pass(draw, 0.0)
    beside, _ = _pass(draw, settings["step"])
    count = int(settings["pictures"])
    speeds = {"per_second": count / seconds, "per_processor_second": count / processor, "beside_a_step": count / beside}
    return speeds | {"first": first, "mib": (most - before) / 2**20}


def _pass(draw: Pass, step: float) -> tuple[float, float]:
    """Seconds of the clock, and of the processor with all that is started and ends within it."""
    started, before = time.perf_counter(), _processor_seconds()
    for _ in draw(torch.Generator().manual_seed(1)):
        time.sleep(step)
    return time.perf_counter() - started, _processor_seconds() - before


def _processor_seconds() -> float:
    return sum(os.times()[:4])


def _memory() -> int:
    """The bytes of this process and of those that it has started, what several share counted once."""
    return sum(1024 * int(re.findall(r"Pss:\s+(\d+) kB", text)[0]) for text in map(_rollup, [os.getpid(), *_children()]) if text)


def _children() -> list[int]:
    return [int(number) for path in Path("/proc/self/task").glob("*/children") for number in path.read_text().split()]


def _rollup(process: int) -> str:
    try:
        return Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:  # it has ended
        return ""


def _settings(most: int) -> DataSettings:
    return DataSettings(batch_size=settings["batch_size"], most_bytes=most, **_AUGMENTED)


def _ours(most: int | None, workers: int) -> Callable[[Path], Pass]:
    def opened(folder: Path) -> Pass:
        batches = load(_settings(most or 2**40), folder).train
        loader = Loader(workers)
        jobs = loader.jobs(batches)
        return lambda rng: loader.built(jobs.plan(rng), jobs.build)

    return opened


def _plain(folder: Path) -> Pass:
    columns, chosen = read_parquet(folder / "train.parquet"), _settings(1)
    image = torch.frombuffer(bytearray(b"".join(columns["image"])), dtype=torch.uint8).view(-1, 3, *2 * [settings["side"]])
    label = torch.as_tensor(columns["label"]).long()

    def draw(rng: torch.Generator) -> Iterator[Batch]:
        for rows in torch.randperm(len(label), generator=rng).split(int(settings["batch_size"])):
            yield _changed(chosen, image[rows], label[rows], rng)

    return draw


def _changed(chosen: DataSettings, image: Tensor, label: Tensor, rng: torch.Generator) -> Batch:
    unit = torch.tensor([_FACTS["mean"], _FACTS["deviation"]])
    return augmented(chosen, Batch(image, label, unit), chance(chosen, len(label), rng))


def _library(folder: Path) -> Pass:
    """A stream of the library, mixed in a buffer of as many pictures as the limit has; one file is read by one process."""
    import datasets

    kept = int(settings["limit"]) // (3 * int(settings["side"]) ** 2)
    stream = datasets.load_dataset("parquet", data_files=str(folder / "train.parquet"), split="train", streaming=True)

    def draw(rng: torch.Generator) -> Iterator[Batch]:
        mixed = stream.shuffle(seed=rng.initial_seed(), buffer_size=kept)
        return iter(DataLoader(mixed, batch_size=settings["batch_size"], collate_fn=_collated))

    return draw


def _collated(rows: list[dict[str, Any]]) -> Batch:
    image = torch.frombuffer(bytearray(b"".join(item["image"] for item in rows)), dtype=torch.uint8)
    rng, label = torch.Generator().manual_seed(0), torch.tensor([item["label"] for item in rows])
    return _changed(_settings(1), image.view(len(rows), 3, *2 * [int(settings["side"])]), label, rng)


_WORKERS, _LIMIT = int(settings["workers"]), int(settings["limit"])
WAYS: dict[str, Callable[[Path], Pass]] = {
    "the plain loop": _plain,
    "in memory": _ours(None, 0),
    f"in memory, {_WORKERS} workers": _ours(None, _WORKERS),
    "streamed": _ours(_LIMIT, 0),
    f"streamed, {_WORKERS} workers": _ours(_LIMIT, _WORKERS),
    "datasets, streamed": _library,
}
