"""A panel into scaled tables and windows with roles, the same bytes every time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.contracts.settings import Settings
from stillhouse.training.files import write_parquet
from stillhouse.workloads.graphs.temporal.missing import carried, interpolated
from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.read import ReadSettings, read
from stillhouse.workloads.graphs.temporal.split import TEST, TRAIN, VALID, Protocol, Split, cut, forecasts, seen


class PrepareSettings(Settings):
    """What is forecast from what.

    Graphs with classes are whole windows, split 7:1:2 in their order (so mix the classes), and their features are taken as they
    are: of the settings only `read`, `window`, `log` and `edge_scale` count.
    """

    read: ReadSettings = ReadSettings()
    window: int | None = Field(None, gt=1)
    """Steps that a model sees; for graphs with classes the last so many, or all."""
    horizon: int = Field(1, gt=0)
    """Steps from the last one seen to the target."""
    targets: int = Field(1, gt=0)
    """So many of the first channels are forecast."""
    split: Protocol = "chronological"
    scale: Literal["minmax", "standard"] = "minmax"
    """How a channel is scaled; what for is measured on what training may see."""
    log: bool = False
    """Whether channels are replaced by log(1 + x) first."""
    edge_scale: Literal["minmax", "log", "none"] = "minmax"
    """How weights of edges are brought to [0, 1]; `log` takes log(1 + weight) first, `none` leaves them as they are."""


@dataclass(frozen=True, eq=False)
class _Scaled:
    values: Tensor
    offset: Tensor
    span: Tensor
    start: Tensor
    """(channels,): the mean of what training knows, for masked cells before which nothing is known."""


@dataclass(frozen=True)
class EdgeScale:
    """How weights of edges were brought to [0, 1]; where training saw one weight alone, all count as 1."""

    log: bool = False
    offset: float | None = None
    span: float | None = None

    def apply(self, weight: Tensor) -> Tensor:
        """Scaled weights; raw ones if nothing was measured."""
        if self.offset is None or self.span is None:
            return weight
        value = weight.log1p() if self.log else weight
        return ((value - self.offset) / self.span).clamp_min(0) if self.span > 0 else torch.ones_like(weight)


def prepare(settings: PrepareSettings, raw: Path, prepared: Path, rng: torch.Generator) -> Metrics:
    """Fills `prepared`; returns the numbers of nodes, steps, edges and windows."""
    panel = read(raw, settings.read)
    split, window = _windows(settings, panel)
    if settings.read.missing == "interpolate":
        panel = replace(panel, features=interpolated(panel.features, panel.begin, _ends(settings, panel, split, window)))
    features = _scaled_features(settings, panel, split, window)
    scale = _edge_scale(settings, panel, split, window)
    write_parquet(prepared / "features.parquet", {"values": features.values.float().flatten(1)})
    _write_graphs(prepared, panel, split, scale)
    if settings.read.missing == "mask":
        known = _known_targets(settings, panel, split, window)
        write_parquet(prepared / "known.parquet", {"known": known.to(torch.uint8).flatten(1)})
    facts = {"nodes": len(panel.graph), "steps": panel.features.shape[1], "events": len(panel.step), "windows": len(split.start)}
    description = _description(settings, panel, split, features) | {"window": window, "edge_scale": asdict(scale)}
    write_json(prepared / "facts.json", description | facts)
    return {name: float(value) for name, value in facts.items()}


def _write_graphs(prepared: Path, panel: Panel, split: Split, scale: EdgeScale) -> None:
    """Edges, nodes, windows, and of graphs with classes these."""
    events = {"step": panel.step, "source": panel.source, "target": panel.target, "weight": scale.apply(panel.weight).float()}
    write_parquet(prepared / "events.parquet", events)
    node_role = torch.zeros_like(panel.graph) if split.node_role is None else split.node_role
    write_parquet(prepared / "nodes.parquet", {"graph": panel.graph, "role": node_role})
    write_parquet(prepared / "windows.parquet", {"graph": split.graph, "start": split.start, "role": split.role})
    if panel.labels is not None:
        write_parquet(prepared / "labels.parquet", {"label": panel.labels})


def _windows(settings: PrepareSettings, panel: Panel) -> tuple[Split, int]:
    steps, lowest = panel.features.shape[1], float(panel.features.nan_to_num(nan=torch.inf).min())
    if settings.log and lowest <= -1:
        raise UserError(f"prepare.log - wanted values above -1, of which log(1 + x) exists - got {lowest:g}")
    if settings.read.missing == "mask" and panel.labels is not None:
        raise UserError(
            "prepare.read.missing - wanted refuse or interpolate for graphs with classes, whose targets are no cells - got mask"
        )
    if panel.labels is None:
        if settings.window is None:
            raise UserError("prepare.window - wanted the number of steps that a model sees - got none")
        if len(panel.length) > 1:
            raise UserError(f"a forecast is made for one graph - got {len(panel.length)} graphs without classes")
        _check_targets(settings, panel)
        return forecasts(panel, settings.window, settings.horizon, settings.split), settings.window
    if len(panel.length) < 10:
        raise UserError(f"wanted at least 10 graphs with classes, to be split 7:1:2 - got {len(panel.length)}")
    if len(panel.labels.unique()) < 2:
        raise UserError("wanted graphs of two classes at least - all are of one: there is nothing to tell apart")
    window = min(settings.window or steps, steps)
    graphs = torch.arange(len(panel.length))
    return Split(graphs, torch.full_like(graphs, steps - window), cut(len(graphs))), window


def _check_targets(settings: PrepareSettings, panel: Panel) -> None:
    if settings.targets > len(panel.channels):
        raise UserError(
            f"prepare.targets - wanted at most the {len(panel.channels)} channels {list(panel.channels)} - got {settings.targets}"
        )


def _scaled_features(settings: PrepareSettings, panel: Panel, split: Split, window: int) -> _Scaled:
    values = panel.features.log1p() if settings.log else panel.features
    known = values[_training_nodes(panel, split)][:, _training_steps(settings, panel, split, window)].flatten(0, 1)
    if panel.labels is not None:  # a constant, or a mark: there is nothing to scale
        return _Scaled(values, torch.zeros(values.shape[2]), torch.ones(values.shape[2]), torch.zeros(values.shape[2]))
    if known.isnan().any():
        measured = [_measured(settings, _there(column, name)) for column, name in zip(known.split(1, 1), panel.channels, strict=True)]
        offset, span = (torch.cat(part) for part in zip(*measured, strict=True))
    else:
        offset, span = _measured(settings, known)
    scaled, start = (values - offset) / span, ((known - offset) / span).nanmean(0)
    return _Scaled(carried(scaled, start) if settings.read.missing == "mask" else scaled, offset, span, start)


def _there(column: Tensor, name: str) -> Tensor:
    """(known, 1)"""
    known = column[~column.isnan()]
    if not len(known):
        raise UserError(f"channel {name!r} - wanted a value that training sees, to measure the scale on - all are missing")
    return known[:, None]


def _measured(settings: PrepareSettings, known: Tensor) -> tuple[Tensor, Tensor]:
    """The offset and the span of each column."""
    if settings.scale == "minmax":
        offset, span = known.amin(0), known.amax(0) - known.amin(0)
    else:
        offset, span = known.mean(0), known.std(0)
    return offset, torch.where(span > 0, span, torch.ones_like(span))


def _ends(settings: PrepareSettings, panel: Panel, split: Split, window: int) -> list[int]:
    """Where the parts end that are filled without looking at later ones: only windows cut in time have such parts."""
    steps = panel.features.shape[1]
    if panel.labels is not None or settings.split != "chronological":
        return [steps]
    return [int(split.start[split.of(role)].max()) + window + settings.horizon for role in (TRAIN, VALID)] + [steps]


def _known_targets(settings: PrepareSettings, panel: Panel, split: Split, window: int) -> Tensor:
    """(nodes, steps, targets), bool. Raises UserError if a split has no target that is known."""
    known = ~panel.features[..., : settings.targets].isnan()
    for role, name in ((TRAIN, "train"), (VALID, "valid"), (TEST, "test")):
        nodes = torch.ones(len(known), dtype=torch.bool) if split.node_role is None else split.node_role == role
        if not known[nodes][:, split.start[split.of(role)] + window - 1 + settings.horizon].any():
            raise UserError(f"wanted a target that is known in the windows of {name} - all are missing")
    return known


def _edge_scale(settings: PrepareSettings, panel: Panel, split: Split, window: int) -> EdgeScale:
    if settings.edge_scale == "none" or not len(panel.weight):
        return EdgeScale()
    log = settings.edge_scale == "log"
    weight = panel.weight.log1p() if log else panel.weight
    known = weight[_training_events(settings, panel, split, window)]
    if not len(known):
        raise UserError(
            f"prepare.edge_scale - wanted an edge that training sees, to measure the scale on - all {len(weight)} are elsewhere"
        )
    return EdgeScale(log, known.min().item(), (known.max() - known.min()).item())


def _training_steps(settings: PrepareSettings, panel: Panel, split: Split, window: int) -> Tensor:
    if panel.labels is not None:
        return torch.ones(panel.features.shape[1], dtype=torch.bool)
    return seen(split, window, settings.horizon, panel.features.shape[1])


def _training_events(settings: PrepareSettings, panel: Panel, split: Split, window: int) -> Tensor:
    if panel.labels is not None:
        return split.role[panel.graph[panel.source]] == TRAIN
    if panel.static:
        return torch.ones(len(panel.weight), dtype=torch.bool)
    return _training_steps(settings, panel, split, window)[panel.step]


def _training_nodes(panel: Panel, split: Split) -> Tensor:
    if split.node_role is None:
        return torch.ones(len(panel.graph), dtype=torch.bool)
    return split.node_role == TRAIN


def _description(settings: PrepareSettings, panel: Panel, split: Split, features: _Scaled) -> dict[str, object]:
    read = settings.read
    missing = {"missing": {"how": read.missing, "value": read.missing_value, "start": features.start.tolist()}}
    return {
        **({} if read.missing == "refuse" else missing),
        "channels": list(panel.channels),
        "targets": settings.targets,
        "horizon": settings.horizon,
        "classes": 0 if panel.labels is None else int(panel.labels.max()) + 1,
        "static": panel.static,
        "split_nodes": split.node_role is not None,
        "offset": features.offset.tolist(),
        "span": features.span.tolist(),
        "log": settings.log,
    }
