"""Heads of graph attention (arXiv 1710.10903, 2105.14491)."""

from __future__ import annotations

from pydantic import Field, model_validator

from stillhouse.workloads.graphs._shared.geometric import Skips


class Heads(Skips):
    """`hidden` is the width of all heads together; a search drops heads."""

    heads: int = Field(8, gt=1)
    second: bool = False
    """The second version, whose attention is not the same for all nodes."""

    @model_validator(mode="after")
    def _heads(self) -> Heads:
        if self.hidden % self.heads:
            raise ValueError(f"hidden should be a multiple of heads - got {self.hidden} and {self.heads}")
        return self
