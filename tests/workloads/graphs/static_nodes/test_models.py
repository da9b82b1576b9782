"""Networks of PyTorch Geometric on one graph: what they compute, what does not matter to them, and what is cut out of them."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.output import Output
from stillhouse.losses import logits
from stillhouse.space.blueprint import Architecture, groups_of, hard_masks, masked
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.static_nodes import WORKLOAD
from stillhouse.workloads.graphs.static_nodes.sample import Batch, Prepared
from tests.space.cutting import random_architecture

SETTINGS: list[dict[str, Any]] = [
    {"family": "gcn", "layers": 3},
    {"family": "gcn", "norm": "batch"},
    {"family": "sage"},
    {"family": "gat", "heads": 4},
    {"family": "gat", "heads": 4, "second": True, "layers": 3},
    {"family": "gin"},
    {"family": "pna"},
    {"family": "mlp", "norm": "batch", "layers": 3},
    {"family": "nosmog"},
    {"family": "sage", "positions": True},
    {"family": "gcn", "residual": True, "jumping": "last", "norm": "batch"},
    {"family": "sage", "residual": True, "layers": 3},
    {"family": "gat", "heads": 4, "residual": True, "jumping": "cat"},
    {"family": "gin", "jumping": "max"},
    {"family": "sgc", "hops": 1, "hidden": 24, "layers": 3},
    {"family": "gps", "heads": 2, "norm": "batch"},
    {"family": "gps", "heads": 4, "messages": "gin", "positions": True, "layers": 1},
]
every = pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: "-".join(map(str, settings.values())))
SIZES = {"features": 3, "positions": 2, "classes": 3}
PATH = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
"""Four nodes in a row, both ways."""


def build(settings: dict[str, Any], sizes: dict[str, int] = SIZES, architecture: Architecture | None = None) -> nn.Module:
    torch.manual_seed(0)
    chosen = TypeAdapter(WORKLOAD.model_settings).validate_python({"hidden": 8} | settings)
    return WORKLOAD.model(chosen, sizes, architecture).double().eval()


def graph(nodes: int = 30, arcs: int = 90) -> Prepared:
    rng = torch.Generator().manual_seed(3)
    edges = torch.randint(nodes, (2, arcs), generator=rng)
    edges = edges[:, edges[0] != edges[1]].unique(dim=1)
    features = torch.randn(nodes, 5, generator=rng, dtype=torch.float64)
    label = torch.arange(nodes) % 3
    return Prepared(features, edges, label, label, torch.zeros(nodes, dtype=torch.bool))


def answers(model: nn.Module, features: Tensor, edges: Tensor) -> Tensor:
    everything = torch.ones(len(features), dtype=torch.bool)
    with torch.no_grad():
        batch = Prepared(features, edges, everything.long(), everything.long(), everything).batch(everything, everything)
        return WORKLOAD.apply(model, batch).prediction


@every
def test_neither_the_order_of_nodes_nor_that_of_edges_matters(settings: dict[str, Any]) -> None:
    model, found = build(settings), graph()
    wanted = answers(model, found.features, found.edges)
    order, rng = torch.randperm(30), torch.Generator().manual_seed(5)
    moved = answers(model, found.features[order], order.argsort()[found.edges])
    torch.testing.assert_close(moved, wanted[order], rtol=0, atol=1e-10)
    shuffled = found.edges[:, torch.randperm(found.edges.shape[1], generator=rng)]
    torch.testing.assert_close(answers(model, found.features, shuffled), wanted, rtol=0, atol=1e-10)


@every
def test_what_is_cut_out_answers_as_what_is_masked(settings: dict[str, Any]) -> None:
    model, found = build(settings), graph()
    groups = groups_of(model)
    architecture = random_architecture(groups, torch.Generator().manual_seed(1))
    static = build(settings, architecture=architecture)
    static.load_state_dict(extract(model, architecture))
    with masked(model, hard_masks(groups, architecture, torch.ones(1, dtype=torch.float64))):
        wanted = answers(model, found.features, found.edges)
    torch.testing.assert_close(answers(static, found.features, found.edges), wanted, rtol=0, atol=1e-10)
    assert (answers(model, found.features, found.edges) - wanted).abs().max() > 1e-3


@every
def test_only_the_edgeless_network_answers_alike_on_other_edges(settings: dict[str, Any]) -> None:
    model, found = build(settings), graph()
    one, other = (answers(model, found.features, edges) for edges in (found.edges, found.edges[:, :9].roll(1, 0)))
    assert torch.equal(one, other) == (settings["family"] in ("mlp", "nosmog"))


def ones(family: str, **settings: Any) -> nn.Module:
    """One feature in, both classes its value: each map is the identity, or all ones, and no bias."""
    model = build({"family": family, "hidden": 2, "layers": 2, **settings}, {"features": 1, "classes": 2})
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.zero_() if "bias" in name or "lin_r" in name else weight.fill_(1 / weight.shape[-1])
    return model


@pytest.mark.parametrize(
    ("edges", "values", "wanted"),
    [
        (PATH, [1.0, 2, 3, 4], [1.5053287746, 2.3289824071, 3.1080215095, 2.9594529198]),
        (PATH, [1.0, 2, 3, 4, 5], [1.5053287746, 2.3289824071, 3.1080215095, 2.9594529198, 5]),
        (PATH[:, 0:0], [1.0, 2], [1.0, 2]),
    ],
)
def test_two_graph_convolutions_are_the_normalised_adjacency_squared(edges: Tensor, values: list[float], wanted: list[float]) -> None:
    """S^2 x with S = D^-1/2 (A + I) D^-1/2; a node without edges keeps its value."""
    found = answers(ones("gcn"), torch.tensor(values, dtype=torch.float64)[:, None], edges)
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64)[:, None].expand(-1, 2), rtol=0, atol=1e-10)


@pytest.mark.parametrize("hops", [1, 2])
def test_simplified_convolutions_average_so_many_times_and_then_see_no_edge(hops: int) -> None:
    """S x or S^2 x, the same as that many layers of graph convolutions."""
    values = torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64)[:, None]
    once = [1.3164965809, 2.0749149571, 3.2996598285, 3.2247448714, 5]
    wanted = torch.tensor(once if hops == 1 else [1.5053287746, 2.3289824071, 3.1080215095, 2.9594529198, 5], dtype=torch.float64)
    torch.testing.assert_close(answers(ones("sgc", hops=hops), values, PATH), wanted[:, None].expand(-1, 2), rtol=0, atol=1e-9)
    with pytest.raises(UserError, match=r"the family sgc - wanted positions of nodes, .* - there are none$"):
        build({"family": "sgc", "positions": True}, {"features": 5, "classes": 3})


def test_a_map_past_a_layer_is_added_to_it() -> None:
    """Of two layers (S + I)^2 x, with S x = [1.3164965809, 2.0749149571, 3.2996598285, 3.2247448714]."""
    values = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)
    once, twice = answers(ones("gcn"), values[:, None], PATH), [1.3164965809, 2.0749149571, 3.2996598285, 3.2247448714]
    wanted = once[:, 0] + 2 * torch.tensor(twice, dtype=torch.float64) + values
    found = answers(ones("gcn", residual=True), values[:, None], PATH)
    torch.testing.assert_close(found, wanted[:, None].expand(-1, 2), rtol=0, atol=1e-9)


def test_answers_come_from_the_layers_that_are_asked_for() -> None:
    """On values that stay positive: S^2 x, the mean of it and S x, or the larger of both."""
    values = torch.tensor([1.0, 2, 3, 4], dtype=torch.float64)[:, None]
    once = torch.tensor([1.3164965809, 2.0749149571, 3.2996598285, 3.2247448714], dtype=torch.float64)
    twice = answers(ones("gcn"), values, PATH)[:, 0]
    for jumping, wanted in (("last", twice), ("cat", (once + twice) / 2), ("max", torch.maximum(once, twice))):
        torch.testing.assert_close(answers(ones("gcn", jumping=jumping), values, PATH)[:, 0], wanted, rtol=0, atol=1e-9)


def test_sage_takes_the_mean_of_the_neighbours_of_which_a_lonely_node_has_none() -> None:
    found = answers(ones("sage"), torch.tensor([1.0, 2, 3, 4, 5], dtype=torch.float64)[:, None], PATH)
    assert found[:, 0].tolist() == pytest.approx([2, 2.5, 2.5, 3, 0], abs=1e-12)


def test_an_edgeless_student_follows_its_teacher_on_every_node_and_the_classes_that_are_known() -> None:
    """GLNN on a path of three nodes, of which two have a known class."""
    teacher = Output(torch.tensor([[2, 0.5, -1], [0.3, 1.2, 0.1], [-0.5, 0, 1.5]], dtype=torch.float64), "classes")
    student = Output(torch.tensor([[1, 0.2, -0.3], [0.4, 0.6, 0], [0.1, -0.2, 0.9]], dtype=torch.float64), "classes")
    nodes, known = torch.ones(3, dtype=torch.bool), torch.tensor([True, True, False])
    batch = Prepared(torch.zeros(3, 1), PATH[:, :4], torch.tensor([0, 1, 2]), torch.zeros(3), ~nodes).batch(nodes, known)
    assert float(WORKLOAD.loss(student, batch)) == pytest.approx(0.7026289961, abs=1e-10)
    for temperature, wanted in ((1.0, 0.0827112600), (2.0, 0.1174957188)):
        loss = logits.LOSS.make(logits.LOSS.settings(temperature=temperature), student, teacher)
        assert float(loss(student, teacher)) == pytest.approx(wanted, abs=1e-10)


def test_a_loss_is_shown_known_classes_and_the_edges_between_the_nodes_that_are_asked_about() -> None:
    nodes = torch.ones(4, dtype=torch.bool)
    whole = Prepared(torch.zeros(4, 1), PATH, torch.tensor([0, 1, 2, 0]), torch.zeros(4), ~nodes)
    asked, known = torch.tensor([False, True, True, True]), torch.tensor([True, True, False, False])
    found = WORKLOAD.shown(whole.batch(asked, known))
    assert found.edges is not None
    assert found.known is not None
    assert (found.edges.tolist(), found.known.tolist()) == ([[0, 1, 1, 2], [1, 0, 2, 1]], [True, False, False])
    everything = WORKLOAD.shown(whole.batch(nodes, nodes))
    assert everything.edges is not None
    assert torch.equal(everything.edges, PATH)


@pytest.mark.parametrize(("family", "module"), [("gcn", "act"), ("sage", "act"), ("gat", "act"), ("gin", "convs.0"), ("mlp", "act")])
def test_hidden_layers_are_there_for_losses(family: str, module: str) -> None:
    model, found = build({"family": family, "features": {"hidden": module}}), graph()
    everything = torch.ones(30, dtype=torch.bool)
    hidden = WORKLOAD.apply(model, found.batch(everything, everything)).features["hidden"]
    assert (hidden.value.shape, hidden.layout.channel, hidden.layout.batch) == ((30, 8), 1, 0)


def test_only_who_asks_for_positions_sees_them() -> None:
    found = graph()
    moved = torch.cat((found.features[:, :3], found.features[:, 3:].flip(0)), 1)
    for settings in ({"family": "sage"}, {"family": "mlp"}, {"family": "sage", "positions": True}, {"family": "nosmog"}):
        model = build(settings)
        one, other = (answers(model, features, found.edges) for features in (found.features, moved))
        assert torch.equal(one, other) == (len(settings) == 1 and settings["family"] != "nosmog")
    with pytest.raises(UserError, match=r"wanted positions of nodes, `prepare: \{positions: \{size: 16\}\}` - there are none$"):
        build({"family": "nosmog"}, {"features": 5, "classes": 3})


def test_scores_are_over_all_nodes_and_tell_the_unseen_ones_apart() -> None:
    def asked(label: list[int], found: list[int], unseen: bool) -> tuple[Output, Batch]:
        prediction = nn.functional.one_hot(torch.tensor(found), 3).double()
        told = torch.full((len(label),), unseen)
        return Output(prediction, "classes"), Batch(prediction, PATH, torch.arange(len(label)), torch.tensor(label), told)

    seen, new = asked([0, 1, 2], [0, 1, 0], False), asked([1], [2], True)
    metrics = WORKLOAD.score([seen, new])
    assert next(iter(metrics)) == "accuracy"
    wanted = {"accuracy": 0.5, "macro_f1": (2 / 3 + 2 / 3 + 0) / 3, "observed_accuracy": 2 / 3, "unseen_accuracy": 0}
    assert {name: metrics[name] for name in wanted} == pytest.approx(wanted)
    assert set(WORKLOAD.score([seen])) == {"accuracy", "macro_f1", "cross_entropy"}
    assert set(WORKLOAD.score([new])) == {"accuracy", "macro_f1", "cross_entropy", "unseen_accuracy"}


def test_heads_share_the_width() -> None:
    with pytest.raises(ValidationError, match="hidden should be a multiple of heads - got 8 and 3"):
        build({"family": "gat", "heads": 3})
    assert [group.size for group in groups_of(build({"family": "gat", "heads": 4, "layers": 3}))] == [4, 4]


def test_a_graph_transformer_sees_nodes_that_no_edge_leads_to_and_refuses_too_many() -> None:
    found, model = graph(), build({"family": "gps", "most_nodes": 30})
    moved = found.features.clone()
    moved[0] += 1
    edges = found.edges[:, (found.edges != 0).all(0)]
    assert ((answers(model, moved, edges) - answers(model, found.features, edges)).abs().amax(1) > 1e-9).all()
    with pytest.raises(UserError, match=r"gps - wanted at most 30 nodes, .* got 31: raise model\.most_nodes, or take gcn, sage or gat$"):
        answers(model, torch.cat((moved, moved[:1])), edges)
    with pytest.raises(UserError, match=r"the family gps - wanted positions of nodes, .* - there are none$"):
        build({"family": "gps", "positions": True}, {"features": 5, "classes": 3})
    with pytest.raises(ValidationError, match="hidden should be a multiple of heads - got 8 and 3"):
        build({"family": "gps", "heads": 3})


def test_of_a_graph_transformer_what_feeds_the_attention_is_left_whole_and_told() -> None:
    model = build({"family": "gps", "messages": "gin"})
    assert {group.name: (group.size, group.kind) for group in groups_of(model)} == {
        "body.layers.0.conv.nn.0": (8, "width"),
        "body.layers.0.mlp.0": (16, "width"),
        "body.layers.1.conv.nn.0": (8, "width"),
        "body.layers.1.mlp.0": (16, "width"),
        "body.layers.blocks": (2, "depth"),
    }
    assert "attention" in model.blueprint.left_whole["body.layers.0.attn.in_proj_weight"]


def test_the_usual_number_of_neighbours_is_learnt() -> None:
    model, found = build({"family": "pna"}), graph()
    model(found.features, found.edges).prediction.square().sum().backward()
    learnt = [weight.grad for name, weight in model.named_parameters() if "avg_deg_log" in name]
    assert len(learnt) == 2
    assert all(gradient is not None and gradient.abs() > 0 for gradient in learnt)


def test_a_package_that_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_geometric.nn", None)
    with pytest.raises(UserError, match=r"wanted the package torch-geometric, .*: pip install 'stillhouse\[graphs\]'"):
        build({"family": "gcn", "hidden": 16})
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    with pytest.raises(UserError, match=r"wanted the package torch-geometric, .*: pip install 'stillhouse\[graphs\]'"):
        build({"family": "gps", "hidden": 16})
