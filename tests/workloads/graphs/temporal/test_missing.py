"""Cells that are missing are told all at once, filled as said, or neither trained on nor scored."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.contracts.output import Output
from stillhouse.training.files import read_parquet
from stillhouse.workloads.graphs.temporal import table
from stillhouse.workloads.graphs.temporal.batch import Batch
from stillhouse.workloads.graphs.temporal.missing import carried, interpolated, is_missing
from stillhouse.workloads.graphs.temporal.prepare import PrepareSettings, prepare
from stillhouse.workloads.graphs.temporal.read import ReadSettings, read
from stillhouse.workloads.graphs.temporal.sample import DataSettings, load
from stillhouse.workloads.graphs.temporal.scoring import loss, score
from tests.workloads.graphs.temporal.raws import one_graph, several_graphs

NAN = math.nan
NODES, STEPS, WINDOW, HORIZON = 6, 40, 4, 2
TRAINED, VALIDATED = 29, 33
"""Of 35 windows 24 train and 4 validate: these many steps are seen or asked about in training, and so many in validation too."""
CSV = "a,b\n1,\n,nan\n3,NA\n"


def written(folder: Path, series: str, name: str = "s.csv", edges: str = "from,to\n0,1\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(series)
    (folder / "e.csv").write_text(edges)
    return folder


def settings(**others: Any) -> ReadSettings:
    return ReadSettings.model_validate({"series": "s.csv", "edges": "e.csv", **others})


def equal(first: Tensor, second: list[Any]) -> bool:
    return torch.equal(first.nan_to_num(-7), torch.tensor(second, dtype=first.dtype).nan_to_num(-7))


def test_all_missing_cells_are_told_at_once_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError) as told:
        read(written(tmp_path, CSV), settings())
    lines = str(told.value).splitlines()
    assert [line.partition(" - ")[0].rpartition("/")[2] for line in lines[:4]] == [
        "s.csv:2, column 'b'", "s.csv:3, column 'a'", "s.csv:3, column 'b'", "s.csv:4, column 'b'"
    ]  # fmt: skip
    assert all("`prepare: {read: {missing: interpolate}}` fills it, `missing: mask` leaves it out" in line for line in lines[:4])
    assert lines[4] == "4 faults in all"


def test_nought_is_a_value() -> None:
    assert [is_missing(cell) for cell in (0, 0.0, "0", None, " NaN ", NAN)] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("how", ["interpolate", "mask"])
def test_missing_cells_are_none_and_nonsense_stays_refused(tmp_path: Path, how: str) -> None:
    assert equal(read(written(tmp_path, CSV), settings(missing=how)).features[..., 0], [[1, NAN, 3], [NAN, NAN, NAN]])
    for word in ("x", "inf", "1,5"):
        with pytest.raises(UserError, match=r"s\.csv:3"):
            read(written(tmp_path, f"a,b\n1,\n2,{word}\n"), settings(missing=how))


def test_json_says_null_or_nan(tmp_path: Path) -> None:
    path = tmp_path / "g.json"
    path.write_text('{"edges": [[0, 1]], "FX": [[1, null], [NaN, 4]]}')
    with pytest.raises(UserError, match=r"(?s)FX\[0\], number 2.*FX\[1\], number 1.*2 faults in all"):
        read(path, ReadSettings())
    assert equal(read(path, ReadSettings(missing="mask")).features[..., 0], [[1, NAN], [NAN, 4]])


def test_parquet_has_nulls_nan_and_rows_that_are_not_there(tmp_path: Path) -> None:
    rows = {"node": [0, 0, 0, 1, 1], "step": [0, 1, 2, 0, 2], "x": [1.0, NAN, 3.0, None, 6.0]}
    pa.parquet.write_table(pa.table(rows), tmp_path / "series.parquet")
    pa.parquet.write_table(pa.table({"source": [0], "target": [1]}), tmp_path / "edges.parquet")
    with pytest.raises(UserError, match=r"series\.parquet, row 3 - wanted a value of 'x' - there is none; .*missing: mask"):
        read(tmp_path, ReadSettings())
    assert equal(read(tmp_path, ReadSettings(missing="mask")).features[..., 0], [[1, NAN, 3], [NAN, NAN, 6]])


def test_a_number_that_says_missing(tmp_path: Path) -> None:
    raw = written(tmp_path, "a,b\n0,1\n2,0\n")
    assert read(raw, settings()).features[..., 0].tolist() == [[0, 2], [1, 0]]
    assert equal(read(raw, settings(missing="mask", missing_value=0)).features[..., 0], [[NAN, 2], [1, NAN]])
    with pytest.raises(
        UserError, match=r"(?s)node 0 at step 0 in .* 0, which read\.missing_value says .*node 1 at step 1 .*2 faults in all"
    ):
        read(raw, settings(missing_value=0))


def test_steps_before_a_graph_begins_are_not_missing(tmp_path: Path) -> None:
    raw = several_graphs(0, [(2, 5), (2, 3)])
    raw.series["x"][raw.series["step"] == 3] = 0
    block = ReadSettings(labels="labels.parquet", missing="interpolate", missing_value=0)
    panel = read(raw.write(tmp_path), block)
    assert panel.features.isnan().sum() == 2  # the first graph's two nodes at their step 3; the second one has the steps 0 to 2
    assert interpolated(panel.features, panel.begin, [5]).isfinite().all()


def test_between_known_values_a_line_and_at_the_ends_what_is_nearest() -> None:
    series = torch.tensor([[NAN, 1, NAN, NAN, 4, NAN], [9, 9, NAN, 5, NAN, 6]], dtype=torch.float64)[..., None]
    begin = torch.tensor([0, 2])
    assert interpolated(series, begin, [6])[..., 0].tolist() == [[1, 1, 2, 3, 4, 4], [0, 0, 5, 5, 5.5, 6]]
    assert interpolated(series, begin, [4, 6])[..., 0].tolist() == [[1, 1, 1, 1, 4, 4], [0, 0, 5, 5, 5.5, 6]]
    with pytest.raises(UserError, match=r"(?s)node 0, channel 0 - wanted a known value .*node 1, channel 0 .*2 faults in all"):
        interpolated(series, begin, [1, 6])


def test_the_last_value_is_carried_on() -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(5, 9, 2, generator=rng, dtype=torch.float64)
    values[torch.rand(values.shape, generator=rng) < 0.5] = NAN
    expected = values.clone()
    for node in range(5):
        for channel in range(2):
            last = [10.0, 20.0][channel]
            for step in range(9):
                last = last if math.isnan(values[node, step, channel]) else float(values[node, step, channel])
                expected[node, step, channel] = last
    assert torch.equal(carried(values, torch.tensor([10.0, 20.0], dtype=torch.float64)), expected)


def holed(folder: Path, seed: int = 0, share: float = 0.3, later: float = 1.0, nodes: int = NODES) -> tuple[Path, Tensor]:
    """A graph with holes in both channels, and its values (nodes, steps, channels); those after training are multiplied by `later`."""
    raw = one_graph(seed, nodes, STEPS, static=True)
    rng = torch.Generator().manual_seed(seed)
    for name in ("x", "y"):
        values = raw.series[name].clone()
        values[raw.series["step"] >= TRAINED] *= later
        values[torch.rand(len(values), generator=rng) < share] = NAN
        raw.series[name] = values
    return raw.write(folder), torch.stack([raw.series[name].view(nodes, STEPS) for name in ("x", "y")], -1)


def prepared(raw: Path, folder: Path, how: str, **others: Any) -> Path:
    block = {"read": {"missing": how}, "window": WINDOW, "horizon": HORIZON, "targets": 2, **others}
    prepare(PrepareSettings.model_validate(block), raw, folder, torch.Generator())
    return folder


def features(folder: Path) -> Tensor:
    values: Any = read_parquet(folder / "features.parquet")["values"]
    return values.view(NODES, STEPS, 2)


@pytest.mark.parametrize("how", ["interpolate", "mask"])
def test_what_training_sees_does_not_depend_on_later_values(tmp_path: Path, how: str) -> None:
    first, second = (prepared(holed(tmp_path / f"r{later}", later=later)[0], tmp_path / f"o{later}", how) for later in (1.0, 50.0))
    assert torch.equal(features(first)[:, :TRAINED], features(second)[:, :TRAINED])
    assert not torch.equal(features(first)[:, TRAINED:], features(second)[:, TRAINED:])
    assert features(first).isfinite().all()


def test_validation_is_filled_without_what_only_the_test_sees(tmp_path: Path) -> None:
    raw, values = holed(tmp_path / "raw")
    filled = features(prepared(raw, tmp_path / "out", "interpolate")).double()
    facts = read_json(tmp_path / "out/facts.json")
    whole = interpolated(values, torch.zeros(NODES, dtype=torch.int64), [TRAINED, VALIDATED, STEPS])
    scaled = (whole - torch.tensor(facts["offset"])) / torch.tensor(facts["span"])
    assert torch.allclose(filled, scaled, atol=1e-6)
    assert not (tmp_path / "out/known.parquet").exists()


@pytest.mark.parametrize("scale", ["minmax", "standard"])
def test_scales_are_of_known_values(tmp_path: Path, scale: str) -> None:
    raw, values = holed(tmp_path / "raw")
    folder = prepared(raw, tmp_path / "out", "mask", scale=scale)
    facts, known = read_json(folder / "facts.json"), values[:, :TRAINED]
    for channel in range(2):
        column = [float(value) for value in known[..., channel].flatten() if not math.isnan(value)]
        mean = sum(column) / len(column)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in column) / (len(column) - 1))
        offset, span = (min(column), max(column) - min(column)) if scale == "minmax" else (mean, deviation)
        assert (facts["offset"][channel], facts["span"][channel]) == pytest.approx((offset, span))
        assert facts["missing"]["start"][channel] == pytest.approx((mean - offset) / span, abs=1e-12)
    scaled = (values - torch.tensor(facts["offset"], dtype=torch.float64)) / torch.tensor(facts["span"], dtype=torch.float64)
    assert values[:, 0].isnan().any()
    assert torch.allclose(features(folder).double(), carried(scaled, torch.tensor(facts["missing"]["start"]).double()), atol=1e-6)
    assert torch.equal(torch.as_tensor(read_parquet(folder / "known.parquet")["known"]).view(NODES, STEPS, 2).bool(), ~values.isnan())


def batches(folder: Path, **others: Any) -> dict[str, list[Batch]]:
    data = load(DataSettings.model_validate({"batch_size": 3, **others}), folder, test=True)
    assert data.test
    return {name: list(part.draw(torch.Generator())) for name, part in (("train", data.train), ("valid", data.valid), ("test", data.test))}


@pytest.mark.parametrize("split", ["chronological", "transductive"])
def test_masked_cells_are_neither_trained_on_nor_scored(tmp_path: Path, split: str) -> None:
    raw, _ = holed(tmp_path / "raw", nodes=12)
    folder = prepared(raw, tmp_path / "out", "mask", split=split)
    rng = torch.Generator().manual_seed(3)
    for part in batches(folder).values():
        outputs = [(Output(torch.randn(batch.target.shape, generator=rng), "values", {}), batch) for batch in part]
        cells = [
            (
                float(output.prediction[node, column]),
                float(batch.target[node, column]),
                float(batch.last[node, column]),
                batch.unit[:, column],
            )
            for output, batch in outputs
            for node in range(len(batch.target))
            for column in range(2)
            if batch.asked[node] and batch.known is not None and batch.known[node, column]
        ]
        assert cells
        error = [abs(predicted - target) * float(unit[1]) for predicted, target, _, unit in cells]
        last = [abs(last - target) * float(unit[1]) for _, target, last, unit in cells]
        expected = {"mae": sum(error) / len(error), "rmse": math.sqrt(sum(value**2 for value in error) / len(error))}
        expected |= {"skill": 1 - sum(error) / sum(last)}
        expected["mape_scaled"] = 100 * sum(abs(p - t) / (abs(t) + 1) for p, t, *_ in cells) / len(cells)
        assert score(outputs) == pytest.approx(expected, rel=1e-5)
        for output, batch in outputs:
            _check_loss(output, batch)


def _check_loss(output: Output, batch: Batch) -> None:
    output.prediction.requires_grad_(True)
    value = loss(output, batch)
    assert batch.known is not None
    counts = batch.asked[:, None] & batch.known
    squares = [float((output.prediction.detach()[place] - batch.target[place]).square()) for place in map(tuple, counts.nonzero().tolist())]
    assert value.item() == pytest.approx(sum(squares) / max(len(squares), 1), rel=1e-5)
    value.backward()
    assert output.prediction.grad is not None
    assert torch.equal(output.prediction.grad != 0, counts)


def test_known_targets_are_those_of_the_raw_series(tmp_path: Path) -> None:
    raw, values = holed(tmp_path / "raw")
    for batch in batches(prepared(raw, tmp_path / "out", "mask"))["test"]:
        assert batch.known is not None
        assert batch.target.shape == batch.known.shape
    [batch, *_] = batches(tmp_path / "out", evaluation_batch_size=1)["test"]
    assert batch.known is not None
    assert torch.equal(batch.known, ~values[:, 28 + WINDOW - 1 + HORIZON].isnan())


def test_a_batch_without_any_known_target_has_a_loss_of_zero(tmp_path: Path) -> None:
    raw, _ = holed(tmp_path / "raw")
    [batch, *_] = batches(prepared(raw, tmp_path / "out", "mask"))["valid"]
    batch = Batch(**{**vars(batch), "known": torch.zeros_like(batch.target, dtype=torch.bool)})
    prediction = torch.randn(batch.target.shape, requires_grad=True)
    value = loss(Output(prediction, "values", {}), batch)
    value.backward()
    assert value.item() == 0
    assert prediction.grad is not None
    assert not prediction.grad.any()


def test_a_split_without_a_known_target_is_refused(tmp_path: Path) -> None:
    raw = one_graph(0, NODES, STEPS, static=True)
    raw.series["x"][raw.series["step"] >= TRAINED] = NAN
    with pytest.raises(UserError, match="wanted a target that is known in the windows of valid - all are missing"):
        prepared(raw.write(tmp_path / "raw"), tmp_path / "out", "mask", targets=1)
    raw.series["x"][:] = NAN
    with pytest.raises(UserError, match="channel 'x' - wanted a value that training sees"):
        prepared(raw.write(tmp_path / "raw"), tmp_path / "out", "mask", targets=1)


def test_graphs_with_classes_are_not_masked(tmp_path: Path) -> None:
    raw = several_graphs(0, [(3, 5)] * 12)
    block = {"read": {"labels": "labels.parquet", "missing": "mask"}}
    with pytest.raises(UserError, match=r"prepare\.read\.missing - wanted refuse or interpolate for graphs with classes"):
        prepare(PrepareSettings.model_validate(block), raw.write(tmp_path / "raw"), tmp_path / "out", torch.Generator())


@pytest.mark.parametrize("how", ["interpolate", "mask"])
def test_a_table_is_filled_as_training_was(tmp_path: Path, how: str) -> None:
    raw, _ = holed(tmp_path / "raw")
    folder, context = prepared(raw, tmp_path / "out", how, read={"missing": how, "missing_value": -999}), tmp_path / "context"
    context.mkdir()
    table.keep(folder, context)
    rows = table.example(context).to_pydict()
    facts = json.loads((context / "facts.json").read_text())
    rows["x"] = [float(step * 10) for step in rows["step"]]
    places = {step: row for row, (step, node) in enumerate(zip(rows["step"], rows["node"], strict=True)) if node == 2}
    rows["x"][places[0]], rows["x"][places[2]] = -999.0, NAN
    [batch] = list(table.ask(context, pa.table(rows)).batches)
    seen = batch.history[2, :, 0].double() * facts["span"][0] + facts["offset"][0]
    mean = facts["missing"]["start"][0] * facts["span"][0] + facts["offset"][0]
    assert seen.tolist() == pytest.approx([10, 10, 20, 30] if how == "interpolate" else [mean, 10, 10, 30], rel=1e-4)
    assert "missing" not in read_json(_default(tmp_path) / "facts.json")


def _default(folder: Path) -> Path:
    return prepared(one_graph(0, NODES, STEPS, static=True).write(folder / "full"), folder / "default", "refuse")
