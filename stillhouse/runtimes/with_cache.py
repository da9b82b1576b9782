"""A language model as a file that is given the keys and values of the tokens before, and gives them back with those of its own tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import write_json
from stillhouse.runtimes.hugging_face import cache_argument, converted
from stillhouse.runtimes.program import Program, capture
from stillhouse.runtimes.runtime import Ask, telling
from stillhouse.runtimes.table import RUNTIMES

if TYPE_CHECKING:
    from jaxtyping import Int

_WANTED = 8
"""Tokens by which a file is checked, but no more than its prompt has."""
Step = Mapping[str, Tensor]
"""`token` (batch, tokens), and for each layer `key_0` and `value_0` (batch, heads, past, size)."""


@dataclass(frozen=True)
class _Steps:
    """What the capture of a program must know of a task."""

    def apply(self, network: Any, step: Step) -> Any:
        """`logits` (batch, tokens, vocabulary), and for each layer `next_key_0` and `next_value_0` of past and new tokens."""
        from transformers import DynamicCache

        past: Any = DynamicCache()
        for layer in range(network.config.num_hidden_layers):
            past.update(step[f"key_{layer}"], step[f"value_{layer}"], layer)
        returned = network(input_ids=step["token"], use_cache=True, return_dict=False, **{cache_argument(network): past})
        held = {f"next_{name}_{index}": getattr(layer, f"{name}s") for index, layer in enumerate(past.layers) for name in ("key", "value")}
        return make_dataclass("Answer", ["logits", *held])(returned[0], **held)


def save(network: nn.Module, kind: str, folder: Path, prompt: Int[Tensor, "batch tokens"], tolerance: float | None) -> tuple[str, float]:
    """Writes the file of a runtime and `program.json`; the file's name and the largest difference, as a share of the largest number.

    The file goes on from the prompt, and what it says is compared with the network's own answers for the whole text. Raises UserError
    if the network is none that writes with a cache, the runtime cannot run it, or it says something else.
    """
    model = converted(network)
    runtime = RUNTIMES[cast(Any, kind)]
    with telling(kind):
        program = capture(cast(Any, _Steps()), model, [_step(model, *sizes) for sizes in ((2, 3, 4), (3, 2, 5))])
        runtime.save(program, folder / runtime.file, [])
        gap = _difference(program, runtime.load(folder / runtime.file, program), network, prompt)
    limit = runtime.tolerance if tolerance is None else tolerance
    if not gap <= limit:
        raise UserError(f"{kind} - wanted a largest difference of {limit:g} at most from PyTorch - got {gap:.3g}: nothing is written")
    made = {"runtime": f"{kind}-cache", "difference": gap, "tolerance": limit, "torch": torch.__version__}
    write_json(folder / "program.json", {**program.description(), **made})
    return runtime.file, gap


def _step(model: Any, batch: int, tokens: int, past: int) -> dict[str, Tensor]:
    """Tokens after a past of a network; of no tokens it is how a text begins."""
    token = torch.zeros(batch, max(past, 1), dtype=torch.int64)
    with torch.no_grad():
        returned = model(input_ids=token, use_cache=True)
    held = enumerate(returned[cache_argument(model)].layers)
    cut = {f"{name}_{index}": getattr(layer, f"{name}s")[:, :, :past] for index, layer in held for name in ("key", "value")}
    return {"token": torch.zeros(batch, tokens, dtype=torch.int64), **cut}


def _difference(program: Program, ask: Ask, network: Any, prompt: Int[Tensor, "batch tokens"]) -> float:
    """Raises UserError if another token is the likeliest one."""
    step, text, gap = _step(program.body.network, len(prompt), 1, 0) | {"token": prompt}, prompt, 0.0
    for _ in range(min(_WANTED, prompt.shape[1])):
        logits, *held = ask(program.values(step))
        with torch.no_grad():
            wanted = network(input_ids=text).prediction[:, -1]
        gap = max(gap, float((logits[:, -1] - wanted).abs().amax() / wanted.abs().amax()))
        token = wanted.argmax(-1, keepdim=True)
        if not torch.equal(logits[:, -1].argmax(-1, keepdim=True), token):
            raise UserError("wanted a file that writes the same tokens as the student - it writes others: nothing is written")
        step = {"token": token, **dict(zip(list(program.inputs)[1:], held, strict=True))}
        text = torch.cat([text, token], 1)
    return gap
