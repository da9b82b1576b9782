"""The JSON forms of PyTorch Geometric Temporal (github.com/benedekrozemberczki/pytorch_geometric_temporal, folder `dataset`).

- edge_mapping {edge_index, edge_weight}, each {step: ...}, and y: edges of their own at every step (England COVID);
- edges, weights if any, and FX or X: the same edges at all steps (chickenpox, Pedal Me);
- nodes, each with an id and a series y, and links: the same edges at all steps (Montevideo buses).

Series are lists of steps, each with a number for every node, but for the last form.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs.temporal.found import Found, matrix, positions, whole
from stillhouse.workloads.graphs.temporal.missing import Missing
from stillhouse.workloads.graphs.temporal.panel import Events

SERIES = ("FX", "X")


def read(value: Any, place: str, missing: Missing) -> Found:
    """The graph that a JSON value of one of the forms describes; raises UserError with the key where it does not."""
    keys = set(value) if isinstance(value, dict) else set()
    if {"edge_mapping", "y"} <= keys:
        return _dynamic(value, place, missing)
    if "edges" in keys and (series := [name for name in SERIES if name in keys]):
        return _static(value, series[0], place, missing)
    if {"nodes", "links"} <= keys:
        return _linked(value, place, missing)
    forms = "edge_mapping and y, or edges and FX or X, or nodes and links"
    raise UserError(f"{place} - wanted {forms}, or a package with files, or a generator - got {sorted(keys)}")


def _dynamic(value: Mapping[str, Any], place: str, missing: Missing) -> Found:
    features = _series(value, "y", place, missing)
    mapping = _typed(value, "edge_mapping", dict, place)
    at = f"{place}: edge_mapping"
    edges, weights = _typed(mapping, "edge_index", dict, at), _typed(mapping, "edge_weight", dict, at)
    days = _days(edges, features.shape[1], f"{at}.edge_index")
    if lacking := [day for day in days if day not in weights]:
        raise UserError(f"{at}.edge_weight - wanted the steps of edge_index - there is no {lacking[0]!r}")
    starts = [0, *accumulate(len(_typed(edges, day, list, f"{at}.edge_index")) for day in days)]

    def where(event: int, part: str = "edge_index") -> str:
        step = bisect_right(starts, event) - 1
        return f"{at}.{part}.{days[step]}[{event - starts[step]}]"

    counts = torch.tensor(starts).diff()
    for day, count in zip(days, counts.tolist(), strict=True):
        _same_length(_typed(weights, day, list, f"{at}.edge_weight"), count, f"{at}.edge_weight.{day}")
    pairs = [pair for day in days for pair in edges[day]]
    weight = [[number] for day in days for number in weights[day]]
    step = torch.arange(len(days)).repeat_interleave(counts)
    return Found(features, ("y",), _events(step, pairs, matrix(weight, lambda event: where(event, "edge_weight"), 1), where), static=False)


def _days(edges: Mapping[str, Any], steps: int, place: str) -> list[str]:
    """The keys of the steps in the order of time: they are numbers written as text, in no order."""
    for day in edges:
        if not (day.isascii() and day.isdigit() and len(day) <= 15):
            raise UserError(f"{place} - wanted steps as keys, whole numbers - got {day!r:.60}")
    days = sorted(edges, key=int)
    wanted = range(int(days[0]), int(days[0]) + steps) if days else range(steps)
    if [int(day) for day in days] != list(wanted):
        odd = sorted(set(wanted) ^ {int(day) for day in days})
        raise UserError(
            f"{place} - wanted each step from {wanted[0]} to {wanted[-1]} once, as many as y has - got {len(days)}; see {odd[:3]}"
        )
    return days


def _static(value: Mapping[str, Any], name: str, place: str, missing: Missing) -> Found:
    features, pairs = _series(value, name, place, missing), _typed(value, "edges", list, place)
    weights = _typed(value, "weights", list, place) if "weights" in value else [1.0] * len(pairs)
    _same_length(weights, len(pairs), f"{place}: weights")
    weight = matrix([[number] for number in weights], lambda event: f"{place}: weights[{event}]", 1)
    events = _events(torch.zeros(len(pairs), dtype=torch.int64), pairs, weight, lambda event: f"{place}: edges[{event}]")
    return Found(features, (name,), events, static=True)


def _linked(value: Mapping[str, Any], place: str, missing: Missing) -> Found:
    nodes, links = _typed(value, "nodes", list, place), _typed(value, "links", list, place)
    names = [_name(node, "id", f"{place}: nodes[{index}]") for index, node in enumerate(nodes)]
    known = positions(names, f"{place}: nodes")
    series = [_get(node, "y", f"{place}: nodes[{index}]") for index, node in enumerate(nodes)]
    features = _stepped(matrix(series, lambda index: f"{place}: nodes[{index}].y", missing=missing), f"{place}: nodes")
    pairs = []
    for index, link in enumerate(links):
        ends = [_name(link, end, f"{place}: links[{index}]") for end in ("source", "target")]
        for end in ends:
            if end not in known:
                raise UserError(f"{place}: links[{index}] - wanted the id of a node - got {end!r}")
        pairs.append([known[end] for end in ends])
    weight = matrix([[link.get("weight", 1.0)] for link in links], lambda index: f"{place}: links[{index}].weight", 1)
    events = _events(torch.zeros(len(links), dtype=torch.int64), pairs, weight, lambda event: f"{place}: links[{event}]")
    return Found(features, ("y",), events, static=True)


def _events(step: Tensor, pairs: list[Any], weight: Tensor, where: Callable[[int], str]) -> Events:
    source, target = whole(matrix(pairs, where, 2), where).unbind(1)
    return Events(step, source, target, weight[:, 0], where)


def _series(value: Mapping[str, Any], name: str, place: str, missing: Missing) -> Tensor:
    """(nodes, steps, 1) of a list of steps."""
    rows = _typed(value, name, list, place)
    return _stepped(matrix(rows, lambda step: f"{place}: {name}[{step}]", missing=missing).T.contiguous(), f"{place}: {name}")


def _stepped(series: Tensor, place: str) -> Tensor:
    if not series.numel():
        raise UserError(f"{place} - wanted a series of at least one node and one step - got {list(series.shape)} nodes and steps")
    return series[:, :, None]


def _same_length(values: list[Any], wanted: int, place: str) -> None:
    if len(values) != wanted:
        raise UserError(f"{place} - wanted {wanted} weights, as many as edges - got {len(values)}")


def _typed(value: Mapping[str, Any], key: str, kind: type, place: str) -> Any:
    found = _get(value, key, place)
    if not isinstance(found, kind):
        raise UserError(f"{place}: {key} - wanted a JSON {'object' if kind is dict else 'list'} - got {found!r:.60}")
    return found


def _name(value: Any, key: str, place: str) -> int | str:
    found = _get(value, key, place)
    if not isinstance(found, int | str):
        raise UserError(f"{place}: {key} - wanted a number or a name - got {found!r:.60}")
    return found


def _get(value: Any, key: str, place: str) -> Any:
    if not isinstance(value, dict) or key not in value:
        raise UserError(f"{place} - wanted the key {key!r} - got {sorted(value) if isinstance(value, dict) else value!r:.60}")
    return value[key]
