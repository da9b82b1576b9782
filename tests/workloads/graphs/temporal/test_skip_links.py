"""A snapshot of a dynamic ring with skip links tells nothing; which edges were there when tells its class."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable

import pytest
import torch
from pydantic import ValidationError

from stillhouse.workloads.graphs.temporal.panel import Panel
from stillhouse.workloads.graphs.temporal.skip_links import CLASSES, NODES, SKIPS, SkipLinks, generate

Neighbours = dict[int, list[tuple[int, Hashable]]]
"""For each node, its neighbours, each with the label of the edge."""


def made(samples: int = 12, **settings: object) -> Panel:
    return generate(SkipLinks(generator="dyncsl", samples=samples, **settings))  # type: ignore[arg-type]


def snapshots(panel: Panel, sample: int) -> list[Neighbours]:
    found: list[Neighbours] = [defaultdict(list) for _ in range(panel.features.shape[1])]
    for step, source, target in zip(panel.step.tolist(), panel.source.tolist(), panel.target.tolist(), strict=True):
        if target // NODES == sample:
            found[step][target].append((source, None))
    return found


def union(panel: Panel, sample: int) -> Neighbours:
    """Edges of any step, labelled with the steps at which they are there."""
    present: dict[tuple[int, int], list[int]] = defaultdict(list)
    for step, found in enumerate(snapshots(panel, sample)):
        for node, neighbours in found.items():
            for source, _ in neighbours:
                present[source, node].append(step)
    joined: Neighbours = defaultdict(list)
    for (source, node), steps in present.items():
        joined[node].append((source, tuple(steps)))
    return joined


def refined(colours: dict[int, int], neighbours: Neighbours, known: dict[Hashable, int]) -> dict[int, int]:
    """One round of colour refinement; `known` gives equal signatures equal colours in all graphs."""
    signs = {
        node: (colour, tuple(sorted((colours[other], label) for other, label in neighbours[node]))) for node, colour in colours.items()
    }
    return {node: known.setdefault(sign, len(known) + 1) for node, sign in signs.items()}


def colours_of(rounds: list[Neighbours], sample: int, known: dict[Hashable, int]) -> tuple[tuple[int, int], ...]:
    colours = dict.fromkeys(range(sample * NODES, (sample + 1) * NODES), 0)
    for neighbours in rounds:
        colours = refined(colours, neighbours, known)
    return tuple(sorted(Counter(colours.values()).items()))


def by_label(panel: Panel, values: list[Hashable]) -> dict[int, set[Hashable]]:
    found = defaultdict(set)
    for label, value in zip(panel.labels.tolist(), values, strict=True):
        found[label].add(value)
    return dict(found)


def test_shapes_and_labels() -> None:
    panel = made(10)
    assert panel.features.shape == (10 * NODES, 8, 1)
    assert (panel.features == 1).all()
    assert (panel.weight == 1).all()
    assert panel.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert torch.equal(panel.graph, torch.arange(10).repeat_interleave(NODES))
    assert panel.length.tolist() == [8] * 10
    assert not panel.static
    assert len(panel.step) == 10 * 8 * NODES * 4


def test_every_snapshot_has_four_neighbours_a_node_both_ways_and_no_loops() -> None:
    panel = made()
    assert (torch.bincount(panel.step * 12 * NODES + panel.target) == 4).all()
    assert (panel.source != panel.target).all()
    there = set(zip(panel.step.tolist(), panel.source.tolist(), panel.target.tolist(), strict=True))
    assert {(step, target, source) for step, source, target in there} == there


def test_union_degrees_by_pattern() -> None:
    panel = made()
    degrees = [tuple({len(neighbours) for neighbours in union(panel, sample).values()}) for sample in range(12)]
    assert by_label(panel, degrees) == {0: {(4,)}, 1: {(6,)}, 2: {(6,)}, 3: {(8,)}}


def test_presence_histories_by_pattern() -> None:
    panel = made()
    every, even, odd = tuple(range(8)), (0, 2, 4, 6), (1, 3, 5, 7)
    expected = [{every}, {every, even, odd}, {every, every[:4], every[4:]}, {every, (0, 3, 6), (1, 4, 7), (2, 5)}]
    for sample, label in enumerate(panel.labels.tolist()):
        assert {steps for neighbours in union(panel, sample).values() for _, steps in neighbours} == expected[label]


@pytest.mark.parametrize("seed", range(3))
def test_refinement_inside_a_recurrence_tells_nothing_and_on_the_labelled_union_everything(seed: int) -> None:
    panel = made(seed=seed)
    inside: dict[Hashable, int] = {}
    on_union: dict[Hashable, int] = {}
    assert len({colours_of(snapshots(panel, sample) * 2, sample, inside) for sample in range(12)}) == 1
    found = by_label(panel, [colours_of([union(panel, sample)] * 3, sample, on_union) for sample in range(12)])
    assert all(len(values) == 1 for values in found.values())
    assert len(set.union(*found.values())) == CLASSES


def test_snapshots_are_circulants_of_the_lengths_that_are_not_isomorphic() -> None:
    networkx = pytest.importorskip("networkx")
    rings = {skip: networkx.circulant_graph(NODES, [1, skip]) for pair in SKIPS for skip in pair}
    assert sorted(rings) == list(range(2, 10))
    same = {(a, b) for a in rings for b in rings if networkx.is_isomorphic(rings[a], rings[b])}
    assert same == {(a, b) for pair in SKIPS for a in pair for b in pair}
    panel, seen = made(40), set()
    for sample in range(40):
        neighbours = snapshots(panel, sample)[0]
        snapshot = networkx.Graph((node, other) for node, around in neighbours.items() for other, _ in around)
        seen.add(next(pair for pair in SKIPS if networkx.is_isomorphic(snapshot, rings[pair[0]])))
    assert seen == set(SKIPS)


def test_the_nodes_of_a_sample_are_in_random_order() -> None:
    panel = made(200)
    first = panel.step == 0
    neighbours = torch.bincount((panel.source[first] % NODES) * NODES + panel.target[first] % NODES, minlength=NODES**2)
    apart = neighbours.reshape(NODES, NODES)[~torch.eye(NODES, dtype=torch.bool)]
    expected = 200 * 4 / (NODES - 1)
    assert (apart - expected).abs().max() < 5 * expected**0.5


def test_noise_adds_edges_and_takes_none_away() -> None:
    quiet, noisy = made(), made(noise_edges=3)
    count = torch.bincount(noisy.step * 12 + noisy.target // NODES, minlength=96) - NODES * 4
    assert set(count.tolist()) == {0, 2, 4, 6}
    assert len(quiet.step) < len(noisy.step)
    assert (noisy.source != noisy.target).all()
    there = set(zip(noisy.step.tolist(), noisy.source.tolist(), noisy.target.tolist(), strict=True))
    assert {(step, target, source) for step, source, target in there} == there
    ring = torch.bincount(noisy.step * 12 * NODES + noisy.target)
    assert ring.min() == 4


def test_unequal_lengths_begin_late_and_end_together() -> None:
    panel = made(80, unequal=True)
    assert panel.features.shape == (80 * NODES, 16, 1)
    assert set(panel.length.tolist()) == set(range(8, 17))
    begin = (16 - panel.length)[panel.graph]
    assert torch.equal(panel.features[..., 0], (torch.arange(16) >= begin[:, None]).double())
    degree = torch.bincount(panel.target * 16 + panel.step, minlength=80 * NODES * 16).reshape(-1, 16)
    assert torch.equal(degree, 4 * (torch.arange(16) >= begin[:, None]).long())
    kinds = [{steps for around in union(panel, sample).values() for _, steps in around} for sample in range(80)]
    assert by_label(panel, [len(kind) for kind in kinds]) == {0: {1}, 1: {3}, 2: {3}, 3: {4}}
    for sample in range(2, 80, 4):
        switches = [steps for steps in kinds[sample] if len(steps) < panel.length[sample]]
        assert all(steps == tuple(range(steps[0], steps[-1] + 1)) for steps in switches)


def test_marks_are_a_channel_of_their_own() -> None:
    plain, marked = made(unequal=True), made(unequal=True, random_marks=True)
    assert marked.channels == ("one", "mark")
    assert torch.equal(plain.features, marked.features[..., :1])
    assert torch.equal(plain.source, marked.source)
    marks = marked.features[:, -1, 1]
    assert len(marks.unique()) == len(marks)
    assert torch.equal(marked.features[..., 1], marked.features[..., 0] * marks[:, None])


def test_a_seed_says_everything() -> None:
    first, again, other = made(noise_edges=2), made(noise_edges=2), made(noise_edges=2, seed=1)
    assert torch.equal(first.source, again.source)
    assert not torch.equal(first.source[:1000], other.source[:1000])


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"steps": 3}, {"samples": 3}, {"noise_edges": 134}, {"noise_edges": -1}):
        with pytest.raises(ValidationError):
            SkipLinks(generator="dyncsl", **wrong)  # type: ignore[arg-type]
