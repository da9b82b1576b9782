"""Small networks as people write them, each with a trap for whoever looks for structure in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu


class Perceptron(nn.Module):
    """Two hidden layers, one behind a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm, self.last = nn.Linear(5, 16), nn.Linear(16, 12), nn.BatchNorm1d(12), nn.Linear(12, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(relu(self.norm(self.second(relu(self.first(value))))))


class Dense(nn.Module):
    """What was made before is read again, side by side with what is new."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
        self.third, self.norm, self.last = nn.Conv2d(10, 4, 3, padding=1), nn.BatchNorm2d(14), nn.Linear(14, 3)

    def forward(self, value: Tensor) -> Tensor:
        first = self.first(value)
        second = self.second(relu(first))
        third = self.third(torch.cat([first, second], 1))
        return self.last(relu(self.norm(torch.cat([first, second, third], 1))).mean((2, 3)))


class Unet(nn.Module):
    """A skip around a smaller picture."""

    def __init__(self) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1, stride=2)
        self.up, self.join, self.last = nn.ConvTranspose2d(8, 6, 2, stride=2), nn.Conv2d(12, 5, 3, padding=1), nn.Conv2d(5, 2, 1)

    def forward(self, value: Tensor) -> Tensor:
        fine = relu(self.fine(value))
        return self.last(relu(self.join(torch.cat([fine, self.up(relu(self.coarse(fine)))], 1))))


class SqueezeExcite(nn.Module):
    """A depthwise convolution, channels weighed by their own means, and a flattened picture."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.depthwise = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze, self.excite, self.last = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1), nn.Linear(8 * 4 * 4, 3)

    def forward(self, value: Tensor) -> Tensor:
        value = self.depthwise(relu(self.wide(value)))
        weight = torch.sigmoid(self.excite(relu(self.squeeze(value.mean((2, 3), keepdim=True)))))
        return self.last(max_pool2d(value * weight, 2).flatten(1))


class Shuffle(nn.Module):
    """A grouped convolution whose channels are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1, groups=2)
        self.second, self.last = nn.Conv2d(8, 6, 3), nn.Linear(6, 3)

    def forward(self, value: Tensor) -> Tensor:
        value = relu(self.grouped(relu(self.first(value))))
        batch, channels, height, width = value.shape
        value = value.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)
        return self.last(relu(self.second(value)).mean((2, 3)))


class TwoHeads(nn.Module):
    """Two outputs of one trunk, whose last layer is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.shared = nn.Linear(5, 12), nn.Linear(12, 12)
        self.classes, self.value = nn.Linear(12, 3), nn.Linear(12, 1)

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        hidden = relu(self.shared(relu(self.shared(relu(self.trunk(value))))))
        return self.classes(hidden), self.value(hidden)


class Recurrent(nn.Module):
    """The last state of an LSTM."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.recurrent, self.last = nn.Linear(5, 7), nn.LSTM(7, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(self.recurrent(relu(self.embed(value)))[0][:, -1])


class HardCoded(nn.Module):
    """A size that is written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(6, 8), nn.Linear(8, 10), nn.Linear(10, 2)

    def forward(self, value: Tensor) -> Tensor:
        return self.last(relu(self.second(relu(self.first(value)).view(-1, 8))))


PICTURE = (torch.zeros(2, 3, 8, 8),)
ROWS = (torch.zeros(4, 5),)
HANDMADE = {
    "perceptron": (Perceptron, ROWS, {"first": 16, "second": 12}),
    "dense": (Dense, PICTURE, {"first": 6, "second": 4, "third": 4}),
    "unet": (Unet, PICTURE, {"fine": 6, "coarse": 8, "up": 6, "join": 5}),
    "squeeze and excite": (SqueezeExcite, PICTURE, {"wide": 8, "squeeze": 4}),
    "shuffle": (Shuffle, PICTURE, {"first": 4, "grouped": 4, "second": 6}),
    "two heads": (TwoHeads, ROWS, {"trunk": 12}),
    "recurrent": (Recurrent, (torch.zeros(2, 4, 5),), {"embed": 7, "recurrent": 6}),
    "hard-coded": (HardCoded, (torch.zeros(3, 6),), {"second": 10}),
}
"""Name -> its class, an example, and the groups with their sizes."""
