"""A network becomes a program of tensors: which it reads, which axes are free, which are facts of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Feature, Layout, Output
from stillhouse.runtimes import leaves
from stillhouse.runtimes.portable import GridMeans, portable
from stillhouse.runtimes.program import Program, capture
from tests.tiny.parts.workloads.toy import WORKLOAD


@dataclass(frozen=True)
class Batch:
    """Rows that are read, a fact of the data, a number that changes with the rows, and answers that no network sees."""

    rows: Tensor
    unit: Tensor
    number: int
    label: Tensor


UNIT = torch.tensor([1.0, 2.0])


def batch(rows: int, unit: Tensor = UNIT) -> Batch:
    return Batch(torch.randn(rows, 2), unit, rows, torch.zeros(rows))


class Scaled(nn.Module):
    """Reads `rows`, `unit` and perhaps `number`."""

    def __init__(self, numbered: bool = False) -> None:
        super().__init__()
        self.linear, self.numbered = nn.Linear(2, 3), numbered

    def forward(self, asked: Batch) -> Output:
        value = self.linear(asked.rows * asked.unit)
        return Output(value / asked.number if self.numbered else value, "values", {"rows": Feature(value, Layout(1, (0,)))})


def captured(network: nn.Module, batches: list[Any]) -> Program:
    return capture(replace(WORKLOAD, apply=lambda model, asked: model(asked)), network, batches)


class Counted(Batch):
    """Its number may be any, though it is the same in all batches that are at hand."""

    any_length: ClassVar[dict[str, tuple[int, ...]]] = {"number": ()}


def test_a_whole_number_that_its_class_leaves_free_is_an_input():
    one, other = (Counted(torch.randn(rows, 2), torch.ones(2), 4, torch.zeros(rows)) for rows in (5, 7))
    program = captured(Scaled(numbered=True), [one, other])
    assert set(program.inputs) == {"rows", "number", "unit"}
    asked = replace(one, number=8)
    found = program.exported.module()(*program.values(asked))[0]
    torch.testing.assert_close(2 * found, program.exported.module()(*program.values(one))[0])


def test_the_inputs_are_what_is_read_and_changes():
    torch.manual_seed(0)
    program = captured(Scaled(), [batch(5), batch(7), batch(2)])
    assert (list(program.inputs), list(program.constants), list(program.outputs)) == (["rows"], ["unit"], ["prediction"])
    assert program.description() == {
        "inputs": [{"name": "rows", "shape": [None, 2], "type": "float32"}],
        "outputs": [{"name": "prediction", "shape": [None, 3], "type": "float32"}],
    }
    one = batch(1)
    torch.testing.assert_close(program.exported.module()(*program.values(one))[0], program.body.network(one).prediction)


def test_a_whole_number_that_changes_and_is_read_is_an_input():
    torch.manual_seed(0)
    program = captured(Scaled(numbered=True), [batch(5), batch(7)])
    assert list(program.inputs) == ["rows", "number"]
    other = batch(3)
    torch.testing.assert_close(program.exported.module()(*program.values(other))[0], program.body.network(other).prediction)


def test_other_facts_than_those_of_the_program_are_refused():
    program = captured(Scaled(), [batch(5), batch(7)])
    with pytest.raises(UserError, match="'unit' is a constant of the exported program"):
        program.values(batch(3, UNIT + 1))


def test_an_answer_is_scored_with_the_tensors_of_the_runtime():
    program = captured(Scaled(), [batch(5), batch(7)])
    answer = program.answer(batch(2), (torch.ones(2, 3),))
    assert (answer.prediction.sum().item(), answer.meaning, answer.features) == (6, "values", {})


def test_a_network_that_looks_at_values_is_refused_in_a_sentence():
    class Looking(Scaled):
        def forward(self, asked: Batch) -> Output:
            return super().forward(asked) if asked.rows.sum() > 0 else Output(asked.rows, "values")

    with pytest.raises(UserError, match="steps do not depend on the values of a batch"):
        _ = captured(Looking(), [batch(5), batch(7)]).exported


def test_a_batch_keeps_its_own_parts_where_nothing_changes():
    """What a network derives from a graph is kept by the graph's identity."""
    whole = ({"graph": (UNIT, 3)}, [torch.ones(2)])
    changed = leaves.put(whole, {"input1_input0": torch.zeros(2)})
    assert changed[0] is whole[0]
    assert changed[1][0].sum() == 0
    assert [name for name, _ in leaves.of(whole)] == ["input0_graph_input0", "input0_graph_input1", "input1_input0"]


@pytest.mark.parametrize("size", [(6, 8), (5, 7), (9, 12), (2, 3)])
def test_means_over_a_grid_are_those_of_torch(size: tuple[int, int]):
    value = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(GridMeans(3)(value), nn.AdaptiveAvgPool2d(3)(value))


def test_the_network_itself_stays_as_it_is():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.AdaptiveAvgPool2d(1))
    assert [type(layer) for layer in portable(network)] == [GridMeans, nn.AdaptiveAvgPool2d]
    assert type(network[0]) is nn.AdaptiveAvgPool2d


def test_an_output_passes_through_the_exporter():
    """With its features, and back as the same kind of record."""
    network, rows = nn.Linear(2, 3), torch.randn(4, 2)

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network

        def forward(self, value: Tensor) -> Output:
            found = self.inner(value)
            return Output(found, "classes", {"rows": Feature(value, Layout(1, (0,)))})

    answer = torch.export.export(Wrapped(), (rows,)).module()(rows)
    assert isinstance(answer, Output)
    assert (answer.meaning, answer.features["rows"].layout) == ("classes", Layout(1, (0,)))
    torch.testing.assert_close(answer.prediction, network(rows))
