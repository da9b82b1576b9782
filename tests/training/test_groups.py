"""Tables read row group by row group: the bytes that were written, in little memory, by one process or by several."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

from stillhouse.contracts.data import Batches
from stillhouse.training.groups import GROUP, LANES, Groups, write_rows
from stillhouse.training.loader import Loader
from stillhouse.training.rows import by_groups, shuffled

ROOT = Path(__file__).parents[2]
SHAPES = {"image": (3, 64, 64), "mask": (64, 64)}
ROWS = 4096
"""64 MiB."""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, draw = tmp_path_factory.mktemp("groups") / "table.parquet", np.random.default_rng(0).integers
    content = {name: draw(0, 256, (ROWS, *shape), dtype=np.uint8) for name, shape in SHAPES.items()}
    write_rows(path, content, {"label": np.arange(ROWS)})
    return path


def batches(path: Path, most: int) -> Batches[torch.Tensor]:
    groups = Groups(path, SHAPES, most)
    order = by_groups(groups.starts, 32, most // (2 * LANES * groups.largest), LANES)
    return shuffled(order, lambda rows: groups.take(rows)["image"])


def test_what_is_taken_is_what_was_written(path: Path) -> None:
    groups = Groups(path, SHAPES, 5 * GROUP)
    whole, rows = groups.whole(), torch.randperm(ROWS)[:200]
    taken = groups.take(rows)
    assert {name: tuple(value.shape) for name, value in taken.items()} == {name: (200, *shape) for name, shape in SHAPES.items()}
    assert all(torch.equal(taken[name], whole[name][rows]) for name in SHAPES)
    assert parquet.read_table(path, columns=["label"]).column("label").to_pylist() == list(range(ROWS))
    with parquet.ParquetFile(path) as file:
        assert whole["image"][7].numpy().tobytes() == file.read_row_group(0).column("image")[7].as_py()


def test_a_pass_reads_each_group_little_more_than_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    monkeypatch.setattr(Groups, "_read", lambda self, group, old=Groups._read: read.append(group) or old(self, group))
    assert len(list(batches(path, 16 * GROUP).draw(torch.Generator().manual_seed(0)))) == ROWS // 32
    assert len(set(read)) == 32
    assert len(read) <= 32 + 2 * LANES


def test_memory_is_that_of_the_limit_whatever_the_size_of_the_table(path: Path) -> None:
    """Beside the limit 24 MiB, for what Arrow reads and malloc keeps; the larger limit shows that what is held is what is measured."""
    script = "import sys, pathlib; from tests.training.test_groups import told; told(pathlib.Path(sys.argv[1]))"
    found = subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    small, large = map(int, found.split())
    assert small < 8 * GROUP + 24 * 2**20
    assert large > small + 12 * GROUP


def told(path: Path) -> None:
    """Prints by how many bytes this process has grown after a pass with eight row groups, and after one with all 32."""
    Groups(path, SHAPES, 0).take(torch.arange(3))  # what code needs is loaded
    before = resident("VmRSS")
    for most in (8, 32):
        for _ in batches(path, most * GROUP).draw(torch.Generator().manual_seed(0)):
            pass
        print(resident("VmHWM") - before)


def resident(field: str) -> int:
    return 1024 * int(re.findall(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


def test_processes_that_share_the_lanes_give_the_same_batches(path: Path) -> None:
    loader, given = Loader(2), batches(path, 8 * GROUP)
    assert given.jobs is not None
    alone = given.draw(torch.Generator().manual_seed(1))
    others = loader.built(given.jobs.plan(torch.Generator().manual_seed(1)), given.jobs.build)
    assert all(torch.equal(one, other) for one, other in zip(alone, others, strict=True))
