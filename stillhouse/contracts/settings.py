"""The ancestor of all settings."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

LARGEST = 2**63 - 1
"""The largest whole number that tensors and their sizes can hold."""


class Settings(BaseModel):
    """The ancestor of every settings class: frozen, an unknown key is an error, and every number is one that a computer counts with."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _countable(self) -> Settings:
        for name, value in self:
            if isinstance(value, int) and abs(value) > LARGEST:
                raise ValueError(f"{name} should be at most 2^63 - 1")
        return self
