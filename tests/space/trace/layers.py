"""Layers that have rules of their own, each in as small a network as shows them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from tests.space.trace.handmade import PICTURE, ROWS


class Bidirectional(nn.Module):
    """Two layers of a recurrent one that goes both ways: the second reads other sizes than the first."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.last = nn.Linear(5, 16), nn.Linear(16, 3)
        self.recurrent = nn.GRU(16, 8, 2, batch_first=True, bidirectional=True)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(self.recurrent(self.embed(value))[0].mean(1))


class Attended(nn.Module):
    """PyTorch's own attention, which has one operation for all of it where no gradient is asked for, and a perceptron behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 4, batch_first=True)
        self.first, self.last = nn.Linear(16, 12), nn.Linear(12, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(self.first(self.attention(value, value, value, need_weights=False)[0]).relu())


class Experts(nn.Module):
    """What the experts give is added up in a tensor like the one they read."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.experts, self.last = nn.Linear(5, 8), nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)]), nn.Linear(8, 3)

    def forward(self, value: Tensor) -> Tensor:
        value = self.embed(value)
        total = torch.zeros_like(value)
        for expert in self.experts:
            total = total.index_add(0, torch.arange(len(value)), expert(value))
        return self.last(total)


class Standardized(nn.Module):
    """A convolution whose weight is made anew in each run."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 6, 1), nn.Linear(6, 3)

    def forward(self, value: Tensor) -> Tensor:
        weight = self.first.weight - self.first.weight.mean((1, 2, 3), keepdim=True)
        return self.last(self.wide(nn.functional.conv2d(value, weight)).relu().mean((2, 3)))


class Places(nn.Module):
    """A small network that reads a table of places, which is a buffer, and gives a share for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("table", torch.arange(8.0).view(4, 2))
        self.scale = nn.Parameter(torch.ones(()))
        self.share, self.hidden, self.first, self.last = nn.Linear(2, 6), nn.Linear(6, 4), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(self.first(value) * self.scale * self.hidden(self.share(self.table).relu()))


class Partial(nn.Module):
    """An attention in which a part of each head's channels is turned by places, and the other is not."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.last = nn.Linear(5, 16), nn.Linear(5, 16), nn.Linear(5, 16), nn.Linear(16, 3)

    def forward(self, value: Tensor) -> Tensor:
        query, key, values = (each(value).view(2, 6, -1, 4).transpose(1, 2) for each in (self.query, self.key, self.value))
        attended = nn.functional.scaled_dot_product_attention(_turned(query), _turned(key), values)
        return self.last(attended.transpose(1, 2).flatten(2))


class Normed(nn.Module):
    """An attention in which queries and keys are normed, head by head, with one weight for all heads."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.last = nn.Linear(5, 16), nn.Linear(5, 16), nn.Linear(5, 16), nn.Linear(16, 3)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, value: Tensor) -> Tensor:
        query, key, values = (each(value).view(2, 6, -1, 4) for each in (self.query, self.key, self.value))
        query, key = (each * each.square().mean(-1, keepdim=True).rsqrt() * self.scale for each in (query, key))
        attended = nn.functional.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (query, key, values)))
        return self.last(attended.transpose(1, 2).flatten(2))


class Heads(nn.Module):
    """An attention that keeps its number of heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.parts, self.out = 4, nn.Linear(5, 48), nn.Linear(16, 5)

    def forward(self, value: Tensor) -> Tensor:
        query, key, values = self.parts(value).view(2, 6, 3, self.heads, 4).permute(2, 0, 3, 1, 4)
        return self.out(nn.functional.scaled_dot_product_attention(query, key, values).transpose(1, 2).flatten(2))


class Mixed(nn.Module):
    """A size that a layer keeps, and behind it one that is written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.first, self.last = Heads(), nn.Linear(5, 6), nn.Linear(6, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(self.first(self.attention(value).relu()).relu().view(-1, 6))


def _turned(value: Tensor) -> Tensor:
    angles = torch.linspace(0, 1, 12, dtype=value.dtype).view(6, 2)
    return torch.cat([value[..., :2] * angles.cos(), value[..., 2:]], -1)


def _groups() -> nn.Module:
    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.Hardswish(), nn.Conv2d(16, 8, 3), nn.PReLU(8), *ends)


class Frozen(nn.Module):
    """A norm whose statistics and weights are constants, as detectors have them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.rand(width) + 0.5)
        self.register_buffer("running_mean", torch.rand(width))

    def forward(self, value: Tensor) -> Tensor:
        return (value - self.running_mean.view(1, -1, 1, 1)) * self.weight.view(1, -1, 1, 1)


def _frozen() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), Frozen(8), nn.ReLU(), nn.Conv2d(8, 2, 1))


class Written(nn.Module):
    """Numbers are written into what a layer made: along a border, and where a condition holds."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 1)

    def forward(self, picture: Tensor) -> Tensor:
        value = self.first(picture)
        value[:, :, 0] = 0
        value[..., -1].fill_(1.0)
        value[value > 1] = 0.5
        return self.last(value)


class Ranked(nn.Module):
    """Places in the order of their values, channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 8), nn.Linear(40, 3)

    def forward(self, series: Tensor) -> Tensor:
        value = self.first(series)
        some = [value.topk(2, 1).values[:, 1], value.sort(dim=1).values[:, 0], value.median(1).values]
        return self.last(torch.cat([*some, value.kthvalue(3, 1).values, value.cummax(1).values[:, 3]], -1))


class Turned(nn.Module):
    """A picture is looked at where another layer says."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.where, self.last = nn.Conv2d(3, 8, 3), nn.Linear(8, 6), nn.Conv2d(8, 2, 1)

    def forward(self, picture: Tensor) -> Tensor:
        value = self.first(picture)
        grid = nn.functional.affine_grid(self.where(value.mean((2, 3))).view(-1, 2, 3), list(value.shape), align_corners=False)
        return self.last(nn.functional.grid_sample(value, grid, align_corners=False))


class Alone(nn.Module):
    """An attention that is the whole network, and keeps the number of its heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.all, self.last = 2, nn.Linear(5, 24), nn.Linear(8, 3)

    def forward(self, series: Tensor) -> Tensor:
        batch, places, _ = series.shape
        query, key, value = self.all(series).reshape(batch, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        made = nn.functional.scaled_dot_product_attention(query, key, value)
        return self.last(made.transpose(1, 2).reshape(batch, places, -1))


def _encoder() -> nn.Module:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 12, batch_first=True), 2)


def _grouped() -> nn.Module:
    ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=4), *ends)


def _normed() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Linear(5, 16)), nn.GLU(), weight_norm(nn.Linear(8, 12)), nn.ReLU(), nn.Linear(12, 3))


SERIES = (torch.zeros(2, 6, 5),)
LAYERS = {
    "group norm": (_groups, PICTURE, {"0": 4, "3": 8}),
    "grouped convolution": (_grouped, PICTURE, {"0": 4, "1": 4}),
    "weight norm": (_normed, ROWS, {"0": 8, "2": 12}),
    "bidirectional": (Bidirectional, SERIES, {"embed": 16, "recurrent": 8}),
    "attention of PyTorch": (Attended, (torch.zeros(2, 6, 16),), {"attention.out_proj": 16, "first": 12}),
    "experts": (Experts, ROWS, {"embed": 8}),
    "standardized": (Standardized, PICTURE, {"wide": 6}),
    "places": (Places, ROWS, {"share": 6, "hidden": 4}),
    "encoder": (_encoder, (torch.zeros(2, 6, 16),), {"layers.0.linear1": 12, "layers.1.linear1": 12, "layers.blocks": 2}),
    "heads and a fixed size": (Mixed, SERIES, {"attention.out": 5, "attention.parts.heads": 4}),
    "normed heads": (Normed, SERIES, {"query.heads": 4}),
    "frozen norm": (_frozen, PICTURE, {"0": 8}),
    "written into": (Written, PICTURE, {"first": 8}),
    "ranked places": (Ranked, SERIES, {"first": 8}),
    "turned picture": (Turned, PICTURE, {"first": 8}),
    "attention alone": (Alone, SERIES, {"all.heads": 2}),
    "partly turned": (Partial, SERIES, {"query.heads": 4}),
}
"""Name -> what makes it, an example, and the groups with their sizes."""
