"""A network of PyTorch Geometric, as somebody has written it, forecasts values of nodes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.foreign import ModuleSettings
from stillhouse.space.blueprint import groups_of
from stillhouse.space.extraction import extract
from stillhouse.workloads.graphs.temporal import WORKLOAD
from stillhouse.workloads.graphs.temporal.batch import Batch
from tests.space.cutting import random_architecture

SIZES = {"channels": 2, "outputs": 1, "classes": 0, "steps": 3, "static": 1}
SETTINGS = ModuleSettings(factory=f"{__name__}:Net")


class Net(nn.Module):
    """Two graph convolutions with the edges' weights."""

    def __init__(self) -> None:
        super().__init__()
        geometric = pytest.importorskip("torch_geometric.nn")
        self.first, self.second, self.last = geometric.GCNConv(6, 8), geometric.GCNConv(8, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        x = self.first(x, edge_index, edge_weight).relu()
        return self.last(self.second(x, edge_index, edge_weight).relu())


def build(architecture=None, **sizes: int) -> nn.Module:
    torch.manual_seed(0)
    return WORKLOAD.model(SETTINGS, SIZES | sizes, architecture)


def batch() -> Batch:
    rng = torch.Generator().manual_seed(1)
    edges = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [1, 2, 0, 4, 5, 6, 3]])
    asked = {"target": torch.zeros(7, 1), "asked": torch.ones(7, dtype=torch.bool), "last": torch.zeros(7, 1)}
    windows = {"window": torch.tensor([0, 0, 0, 1, 1, 1, 1]), "windows": 2}
    empty = torch.zeros(0, dtype=torch.int64)
    return Batch(torch.randn(7, 3, 2, generator=rng), edges, torch.rand(7, generator=rng), empty, (), **windows, **asked)


def test_it_is_asked_by_the_tensors_of_a_batch():
    model, asked = build().eval(), batch()
    own = Net().eval()
    own.load_state_dict(model.state_dict())
    with torch.no_grad():
        found = WORKLOAD.apply(model, asked)
        wanted = own(asked.history.reshape(7, 6), asked.edges, asked.weight)
    assert found.meaning == "values"
    torch.testing.assert_close(found.prediction, wanted)


def test_a_smaller_one_is_of_the_same_class():
    model = build().eval()
    groups = groups_of(model)
    assert {group.size for group in groups} == {8}
    architecture = random_architecture(groups, torch.Generator().manual_seed(0))
    static = build(architecture).eval()
    static.load_state_dict(extract(model, architecture))
    assert type(static) is type(model)
    assert WORKLOAD.apply(static, batch()).prediction.shape == (7, 1)


@pytest.mark.parametrize(("sizes", "got"), [({"classes": 3}, "classes of graphs"), ({"static": 0}, "edges that change")])
def test_other_questions_are_refused(sizes: dict[str, int], got: str):
    with pytest.raises(UserError, match=f"family module - wanted data in which nodes have values .* - got {got}"):
        build(**sizes)
