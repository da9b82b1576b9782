"""F1 with all classes alike."""

from __future__ import annotations

import torch
from torch import Tensor


def macro_f1(found: Tensor, wanted: Tensor) -> float:
    """The mean over the classes that occur or are predicted of 2 hits / (predicted + true)."""
    classes = int(torch.maximum(found.max(), wanted.max())) + 1
    hits = torch.bincount(wanted[found == wanted], minlength=classes).double()
    both = torch.bincount(found, minlength=classes) + torch.bincount(wanted, minlength=classes)
    return float((2 * hits[both > 0] / both[both > 0]).mean())
