"""A series as a table: to every window of it the values of all nodes some steps later.

A row is a node at a step, with the values of its channels. Where edges hold at all steps, the graph is the one of training
and nodes have its numbers; where they change, a row names the nodes that its edges lead to.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as compute
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.contracts.parts import Question, Table
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.missing import carried, interpolated
from stillhouse.workloads.graphs.temporal.prepare import EdgeScale
from stillhouse.workloads.graphs.temporal.sample import DataSettings, Tables
from stillhouse.workloads.graphs.temporal.split import TRAIN, Split

WINDOWS = 32
"""Asked at once."""
Facts = Mapping[str, Any]


def keep(prepared: Path, context: Path) -> None:
    """The scales, the window, the names of the channels and, if they hold at all steps, the edges."""
    shutil.copy(prepared / "facts.json", context)
    if read_json(context / "facts.json")["static"]:
        shutil.copy(prepared / "events.parquet", context / "edges.parquet")


def example(context: Path) -> pa.Table:
    """A window in which nothing happens; of a graph whose edges change, two nodes and an edge that stays."""
    facts = read_json(context / "facts.json")
    if facts["classes"]:
        raise UserError("models that tell the classes of whole graphs read no tables")
    nodes = facts["nodes"] if facts["static"] else 2
    step, node = torch.arange(facts["window"]).repeat_interleave(nodes), torch.arange(nodes).repeat(facts["window"])
    columns: dict[str, Any] = {"step": step.numpy(), "node": node.numpy()}
    fields = [pa.field(name, pa.int64(), nullable=False) for name in columns]
    for name, offset in zip(facts["channels"], facts["offset"], strict=True):
        columns[name] = [float(torch.tensor(offset).expm1()) if facts["log"] else offset] * len(step)
        fields.append(pa.field(name, pa.float64(), nullable=False))
    if not facts["static"]:
        columns |= {"targets": [[1], []] * facts["window"], "weights": [[1.0], []] * facts["window"]}
        fields += [pa.field("targets", pa.list_(pa.int64()), nullable=False), pa.field("weights", pa.list_(pa.float64()), nullable=True)]
    return pa.table(columns, schema=pa.schema(fields))


def ask(context: Path, table: pa.Table) -> Question[Batch]:
    """Every node once at every step, the steps without a gap, in any order."""
    facts = read_json(context / "facts.json")
    grid = _Grid(facts, table)
    tables = _tables(facts, grid, _kept_edges(context) if facts["static"] else _given_edges(facts, grid, table))
    parts = torch.arange(len(tables.split.start)).split(WINDOWS)
    last = (tables.split.start + facts["window"] - 1 + facts["horizon"] + grid.first).split(WINDOWS)
    steps = iter(last)

    def columns(output: Output, batch: Batch) -> Mapping[str, Any]:
        step = next(steps)
        values = batch.raw(output.prediction).double()
        named = {name: values[:, place] for place, name in enumerate(facts["channels"][: facts["targets"]])}
        return {"step": step.repeat_interleave(len(grid.nodes)), "node": grid.nodes.repeat(len(step)), **named}

    return Question((tables.batch(part, TRAIN) for part in parts), columns)


class _Grid:
    """The rows in the order of (node, step): `nodes` are their sorted numbers, `first` is the first step."""

    def __init__(self, facts: Facts, table: pa.Table) -> None:
        step, node = (torch.from_numpy(table.column(name).to_numpy().copy()) for name in ("step", "node"))
        self.nodes, self.node = torch.unique(node, return_inverse=True)
        self.first = int(step.min())
        self.step = step - self.first
        self.steps = int(self.step.max()) + 1
        self._check(facts, node)
        self.order = torch.argsort(self.node * self.steps + self.step)
        given = torch.stack([torch.from_numpy(table.column(name).to_numpy().copy()) for name in facts["channels"]], -1)
        lowest = -1.0 if facts["log"] else -torch.inf
        wrong = ~((given.isfinite() & (given > lowest)) | _missing(facts, given)).all(-1)
        if wrong.any():
            wanted = "values above -1, of which log(1 + x) exists" if facts["log"] else "finite values"
            raise UserError(f"row {int(wrong.nonzero()[0])} - wanted {wanted} - got {given[wrong][0].tolist()}")
        given = given.masked_fill(_missing(facts, given), torch.nan)
        self.values = given[self.order].view(len(self.nodes), self.steps, -1)

    def _check(self, facts: Facts, node: Tensor) -> None:
        wanted = facts["nodes"]
        if facts["static"] and self.nodes.tolist() != list(range(wanted)):
            strange = (node < 0) | (node >= wanted)
            got = f"node {int(node[strange][0])}" if strange.any() else f"only {len(self.nodes)} of them"
            raise UserError(f"wanted the {wanted} nodes of the training graph, 0 to {wanted - 1}, at every step - got {got}")
        if self.steps < facts["window"]:
            raise UserError(f"wanted the {facts['window']} steps of a window at least - got {self.steps}")
        # Compared before a grid of this size is made: steps such as 0 and 10**12 are no reason to count to it.
        whole = len(self.step) == len(self.nodes) * self.steps
        key = self.node * self.steps + self.step
        if not whole or len(torch.unique(key)) < len(key):
            rows = f"{len(self.step)} rows of {len(self.nodes)} nodes and the steps {self.first} to {self.first + self.steps - 1}"
            raise UserError(f"wanted one row for each node and step - got {rows}")


def _missing(facts: Facts, given: Tensor) -> Tensor:
    """Which values say that they are none, to a model that was trained on such a series."""
    if "missing" not in facts:
        return torch.zeros_like(given, dtype=torch.bool)
    value = facts["missing"]["value"]
    return given.isnan() if value is None else given.isnan() | (given == value)


def _tables(facts: Facts, grid: _Grid, edges: Mapping[str, Tensor]) -> Tables:
    """As if the series had been prepared, with steps to come that nobody sees."""
    steps, start = grid.steps + facts["horizon"], torch.arange(grid.steps - facts["window"] + 1)
    none = torch.zeros_like(start)
    order = torch.argsort(edges["step"], stable=True)
    return Tables(
        settings=DataSettings.model_validate({}),
        facts={**facts, "steps": steps},
        features=torch.nn.functional.pad(_scaled(facts, grid).float(), (0, 0, 0, facts["horizon"])),
        source=edges["source"][order],
        target=edges["target"][order],
        weight=edges["weight"][order],
        key=edges["step"][order],
        first_node=torch.tensor([0, len(grid.nodes)]),
        split=Split(none, start, none),
        labels=None,
    )


def _scaled(facts: Facts, grid: _Grid) -> Tensor:
    """(nodes, steps, channels), as the model learned them, also where values are missing."""
    missing = facts.get("missing", {})
    given = grid.values
    if missing.get("how") == "interpolate":
        given = interpolated(given, torch.zeros(len(grid.nodes), dtype=torch.int64), [grid.steps])
    values = given.log1p() if facts["log"] else given
    scaled = (values - torch.tensor(facts["offset"]).double()) / torch.tensor(facts["span"]).double()
    return carried(scaled, torch.tensor(missing["start"]).double()) if missing.get("how") == "mask" else scaled


def _kept_edges(context: Path) -> dict[str, Tensor]:
    columns: dict[str, Any] = read_parquet(context / "edges.parquet")
    return columns


def _given_edges(facts: Facts, grid: _Grid, table: pa.Table) -> dict[str, Tensor]:
    """Events with the positions of their nodes, their weights scaled as in training."""
    targets = table.column("targets").combine_chunks()
    row = torch.from_numpy(compute.list_parent_indices(targets).to_numpy().copy())
    target, known = _positions(_flat(targets), grid.nodes)
    if not known.all():
        raise UserError(f"row {int(row[~known][0])} - wanted targets that are nodes of the table - one is not")
    code = (row * len(grid.nodes) + target).sort().values
    if (code[1:] == code[:-1]).any():
        again = int(code[1:][code[1:] == code[:-1]][0]) // len(grid.nodes)
        raise UserError(f"row {again} - wanted each target once - one is there twice")
    return {"step": grid.step[row], "source": grid.node[row], "target": target, "weight": _weights(facts, table, row)}


def _weights(facts: Facts, table: pa.Table, row: Tensor) -> Tensor:
    weight = torch.ones(len(row), dtype=torch.float64)
    if "weights" in table.column_names:
        given = table.column("weights").combine_chunks()
        if compute.list_parent_indices(given).to_pylist() != row.tolist():
            raise UserError("wanted as many weights as targets in every row - got others")
        weight = _flat(given)
    wrong = ~(weight.isfinite() & (weight >= 0))
    if wrong.any():
        raise UserError(f"row {int(row[wrong][0])} - wanted weights that are finite and at least 0 - got {weight[wrong][0].item():g}")
    return EdgeScale(**facts["edge_scale"]).apply(weight).float()


def _flat(lists: pa.ListArray) -> Tensor:
    values = compute.list_flatten(lists)
    if values.null_count:
        raise UserError("wanted lists without gaps in columns 'targets' and 'weights' - got a missing value in one")
    return torch.from_numpy(values.to_numpy().copy())


def _positions(values: Tensor, among: Tensor) -> tuple[Tensor, Tensor]:
    place = torch.searchsorted(among, values).clamp(max=len(among) - 1)
    return place, among[place] == values


TABLE = Table("temporal_graph", keep, example, ask)
