"""Networks of somebody else, with nothing of ours in them."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

OF_THE_DOCUMENT = ("walk", "boxes", "states", "bag", "next", "nodes")
_TEXT = (Path(__file__).parents[2] / "docs/your-model.md").read_text()
for _name in OF_THE_DOCUMENT:
    exec(re.search(rf"\*\*`parts/{_name}.py`\*\*\n\n```python\n(.*?)```\n", _TEXT, re.DOTALL)[1])


class Classifier(nn.Module):
    """Pictures of one channel to a dictionary with logits."""

    def __init__(self, width: int = 6, classes: int = 10) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width)
        self.last = nn.Linear(width, classes)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.last(torch.relu(self.norm(self.first(image))).mean((2, 3)))}


class Segmenter(nn.Module):
    """Two results, of which the second one is the prediction."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(channels, 8, 3, padding=1), nn.Conv2d(8, classes, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        value = torch.relu(self.first(image))
        return value.mean((2, 3)), self.last(value)


def segmenter(channels: int = 1, classes: int = 11) -> Segmenter:
    return Segmenter(channels, classes)


class Forecaster(nn.Module):
    """Values of nodes from their own past and the weighted mean of their neighbours'."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.own, self.others, self.last = nn.Linear(inputs, 8), nn.Linear(inputs, 8), nn.Linear(8, outputs)

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor) -> Tensor:
        source, target = edge_index
        told = torch.zeros_like(x).index_add(0, target, edge_weight[:, None] * x[source])
        return self.last(torch.relu(self.own(x) + self.others(told)))


def forecaster(inputs: int = 1, outputs: int = 1) -> Forecaster:
    return Forecaster(inputs, outputs)


class Graphs(nn.Module):
    """Sums over neighbours, and then over the nodes of a graph."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.own, self.others, self.last = nn.Linear(features, 8), nn.Linear(features, 8), nn.Linear(8, classes)

    def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor, batch_size: int) -> Tensor:
        source, target = edge_index
        told = torch.relu(self.own(x) + self.others(torch.zeros_like(x).index_add(0, target, x[source])))
        return self.last(told.new_zeros(batch_size, told.shape[1]).index_add(0, batch, told))


class Pairs(nn.Module):
    """Products of two nodes, each of which sees its neighbours' sum."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.own, self.others, self.last = nn.Linear(features, 8), nn.Linear(features, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor, edge_index: Tensor, source: Tensor, target: Tensor) -> Tensor:
        first, second = edge_index
        told = torch.relu(self.own(x) + self.others(torch.zeros_like(x).index_add(0, second, x[first])))
        return self.last(told[source].unsqueeze(1) * told[target]).squeeze(-1)
