"""Published folds: one is tested on, and all other graphs are for training, of which validation takes some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stillhouse.contracts.errors import UserError
from stillhouse.workloads.graphs._shared.nodes import SPLITS, Array

if TYPE_CHECKING:
    from jaxtyping import Bool, Int


def fold(tested: Bool[Array, " graphs"], which: int, place: str) -> Int[Array, " graphs"]:
    """(graphs,) places in SPLITS, none of them valid. Raises UserError if nothing is tested on."""
    if not tested.any():
        raise UserError(f"{place} - wanted graphs of the fold {which} (`prepare.split`, from 0) - there are none")
    return np.where(tested, SPLITS.index("test"), SPLITS.index("train"))
