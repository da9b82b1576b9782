"""Where a training stands: weights, optimiser, random generators, and the batch that comes next."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from stillhouse.contracts.data import Batches
from stillhouse.contracts.errors import UserError
from stillhouse.training.loader import Loader


class Place:
    """The state of a training between two steps: restored, it goes on with the batch and the random numbers that would have come."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, rng: torch.Generator) -> None:
        self.model, self.optimizer, self.rng = model, optimizer, rng
        self.epoch = 0
        """Finished passes."""
        self.first_loss = 0.0
        """The mean loss of the first pass."""
        self._steps, self._total, self._loss = 0, *self._zeros()
        self._start = rng.get_state()
        self._waiting: tuple[Mapping[str, Tensor], Mapping[str, Any]] | None = None
        """States of the global generators that were read and not yet put back."""

    def batches(self, batches: Batches[Any], loader: Loader) -> Iterator[Any]:
        """The batches of the pass under way that are left; the order is the one of its start, whose random state is kept for that."""
        self._start = self.rng.get_state()
        jobs = loader.jobs(batches)
        planned = jobs.plan(self.rng)
        for _ in islice(planned, self._steps):
            pass
        self._continue_generators()
        yield from loader.built(planned, jobs.build)

    def count(self, loss: Tensor) -> None:
        """One step is done; its loss (a scalar) stays on the device, which is not waited for."""
        loss = loss.double()
        self._steps, self._total = self._steps + 1, self._total + loss
        self._loss = torch.where(self._loss.isfinite(), loss, self._loss)

    def require_finite(self) -> None:
        """Raises UserError, naming the first of them, if a loss of this pass was no finite number."""
        if not self._loss.isfinite():
            loss = self._loss.item()
            raise UserError(f"epoch {self.epoch + 1}: the training loss became {loss}: lower the learning rate or clip the gradient")

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What fails after a loss that was no finite number fails for that reason. Raises UserError."""
        try:
            yield
        except Exception:
            self.require_finite()
            raise

    def finish(self) -> float:
        """The pass is done; returns its mean loss. Raises UserError if that is no finite number, or there was no batch."""
        self.require_finite()
        if not self._steps:
            raise UserError(
                f"the training data - wanted a batch at least in each pass - pass {self.epoch + 1} had none: does `draw` begin anew?"
            )
        loss = self._total.item() / self._steps
        self.epoch, self._steps, self._start = self.epoch + 1, 0, self.rng.get_state()
        self._total, self._loss = self._zeros()
        self.first_loss = loss if self.epoch == 1 else self.first_loss
        return loss

    def tensors(self) -> Mapping[str, Tensor]:
        """Raises UserError if a loss was no finite number: nothing goes on from there."""
        self.require_finite()
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            state |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        return state | {f"rng.{name}": value for name, value in self._device_generators().items()} | {"rng.batches": self._start}

    def facts(self) -> Mapping[str, Any]:
        place = {"epoch": self.epoch, "steps": self._steps, "total": self._total.item(), "first_loss": self.first_loss}
        return place | {"groups": self.optimizer.state_dict()["param_groups"], "libraries": _libraries()}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self.model.load_state_dict(_under("model.", tensors))
        values: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimizer.", tensors).items():
            index, _, key = name.partition(".")
            values.setdefault(int(index), {})[key] = value
        self.optimizer.load_state_dict({"state": values, "param_groups": facts["groups"]})
        self.epoch, self._steps, total, self.first_loss = (facts[name] for name in ("epoch", "steps", "total", "first_loss"))
        self._total, self._loss = self._total.new_tensor(total), self._loss.new_zeros(())
        self.rng.set_state(tensors["rng.batches"])
        self._waiting = _under("rng.", tensors), facts["libraries"]
        if not self._steps:  # also where no pass is left to be drawn
            self._continue_generators()

    def _zeros(self) -> tuple[Tensor, Tensor]:
        """The sum of the losses of a pass, and the last of them or the first that was no finite number; on the device."""
        zeros = torch.zeros(2, dtype=torch.float64, device=next(self.model.parameters()).device)
        return zeros[0], zeros[1]

    def _device_generators(self) -> dict[str, Tensor]:
        device = next(self.model.parameters()).device
        states = {"global": torch.get_rng_state()}
        return states if device.type == "cpu" else states | {device.type: torch.get_device_module(device).get_rng_state(device)}

    def _continue_generators(self) -> None:
        """Puts back the states of the global generators, once, when the batches that are not trained on again have been drawn."""
        if self._waiting is None:
            return
        (states, libraries), self._waiting = self._waiting, None
        torch.set_rng_state(states["global"])
        device = next(self.model.parameters()).device
        if device.type in states:
            torch.get_device_module(device).set_rng_state(states[device.type], device)
        _set_libraries(libraries)


def _libraries() -> dict[str, Any]:
    """The states of Python's and NumPy's global generators, as JSON."""
    state: Any = numpy.random.get_state(legacy=False)
    return {"python": random.getstate(), "numpy": state | {"state": state["state"] | {"key": state["state"]["key"].tolist()}}}


def _set_libraries(states: Mapping[str, Any]) -> None:
    version, inner, gauss = states["python"]
    random.setstate((version, tuple(inner), gauss))
    key = numpy.array(states["numpy"]["state"]["key"], dtype=numpy.uint32)
    numpy.random.set_state(states["numpy"] | {"state": states["numpy"]["state"] | {"key": key}})


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
