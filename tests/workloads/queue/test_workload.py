"""The workload as the verbs see it, and what it is for: the full queue under loads that nobody has seen."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, median

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from stillhouse.contracts.data import Metrics
from stillhouse.contracts.files import read_json
from stillhouse.losses.logits import LOSS
from stillhouse.runner import params
from stillhouse.stages.distill import distill
from stillhouse.stages.evaluate import evaluate
from stillhouse.stages.prepare import prepare
from stillhouse.stages.search import search
from stillhouse.stages.teach import teach
from stillhouse.training import machine
from stillhouse.workloads.queue import WORKLOAD
from stillhouse.workloads.queue.gradients import Infinity, Unrolled, steady_state
from stillhouse.workloads.queue.simulate import Simulation, full_share, simulate
from stillhouse.workloads.queue.walk import births, deaths

PARAMS = """
seed: 0
teachers:
  calls:
    workload: queue
    raw: {raw}
    prepare: {{}}
    teach:
      model: {{family: neural, width: 16, hidden: 16, depth: 2}}
      fit: {{epochs: 8, learning_rate: 1.0e-2, clip_norm: 1.0}}
students:
  calls-dms:
    teacher: calls
    workload: queue
    search:
      method: {method}
      budget: {{unit: macs, share: 0.25}}
      settings: {settings}
    distill:
      losses: [{{loss: logits, weight: 1.0}}, {{loss: pearson, weight: 0.1, settings: {{pairs: [trunk]}}}}]
      data: {{unlabelled: 10, unlabelled_loads: [11, 60]}}
      fit: {{epochs: 8, learning_rate: 5.0e-3, clip_norm: 1.0}}
    evaluate: {{evaluations: [{{evaluation: latency, settings: {{rounds: 2, seconds: 0}}}}]}}
"""
SEARCHES = {
    "dms": "{fit: {epochs: 3, learning_rate: 1.0e-3}, structure_learning_rate: 5.0e-2}",
    "uniform": "{}",
    "random": "{draws: 2, fit: {epochs: 2, learning_rate: 1.0e-3}}",
}


@pytest.mark.parametrize("method", SEARCHES)
def test_the_five_verbs(tmp_path: Path, method: str) -> None:
    (tmp_path / "queue.json").write_text(json.dumps({"generator": "queue", "heavy": [31, 45, 60]}))
    file = tmp_path / "params.yaml"
    file.write_text(PARAMS.format(raw=tmp_path / "queue.json", method=method, settings=SEARCHES[method]))
    params.check(file)
    log: list[object] = []
    paths = {name: tmp_path / name for name in ("prepared", "teacher", "found", "student", "report")}

    def block(verb: str, name: str) -> params.Block:
        found: params.Block = params.read(file, verb, name)
        return found

    first = block("prepare", "calls")
    prepare(first.settings, WORKLOAD, raw=tmp_path / "queue.json", prepared=paths["prepared"], rng=machine.seed(0), log=log.append)
    known = {name: paths[name] for name in ("prepared", "teacher")}
    taught = teach(block("teach", "calls").settings, WORKLOAD, **known, rng=machine.seed(0), log=log.append)
    item = block("search", "calls-dms")
    known["found"] = paths["found"]
    found = search(item.settings, WORKLOAD, item.parts["method"], **known, rng=machine.seed(0), log=log.append)
    assert found["cost"] <= found["budget"]
    item = block("distill", "calls-dms")
    known["student"] = paths["student"]
    learned = distill(item.settings, WORKLOAD, item.parts["losses"], **known, rng=machine.seed(0), log=log.append)
    assert learned["macs"] <= 0.25 * taught["macs"]
    del known["found"]
    asked = block("evaluate", "calls-dms")
    report = evaluate(asked.settings, **asked.parts, **known, report=paths["report"], rng=machine.seed(0), log=log.append)
    assert read_json(paths["report"] / "report.json")["metric"] == "mape"
    assert report["student_mape"] < 0.8  # a black box's is 0.85
    assert abs(report["student_mape"] - report["teacher_mape"]) < 0.25
    assert {"teacher_mse", "student_log_loss"} < set(report)
    assert not WORKLOAD.higher_is_better


def test_what_a_teacher_says_of_unseen_loads_is_what_its_student_learns(tmp_path: Path) -> None:
    """A student that is fitted to nothing but a known teacher's steady states comes to predict alike far outside of the data."""
    torch.manual_seed(0)
    build = TypeAdapter(WORKLOAD.model_settings).validate_python
    teacher = WORKLOAD.model(build({"family": "structured", "servers": 2}), {"states": 12}, None).eval()
    student = WORKLOAD.model(build({"family": "neural", "width": 16, "hidden": 16, "gradient": {"method": "exact"}}), {"states": 12}, None)
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(student.parameters(), 1e-2)
    first = last = 0.0
    for step in range(150):
        load = 1 + 3 * torch.rand(20, generator=rng, dtype=torch.float64)
        with torch.no_grad():
            wanted = teacher(load)
        output = student.train()(load)
        term = LOSS.make(LOSS.settings(), output, wanted)(output, wanted)
        optimizer.zero_grad()
        term.backward()
        optimizer.step()
        first, last = (term.item() if step == 0 else first), term.item()
    assert last < 0.05 * first


def learned(method: object, recipe: Simulation, seeds: int = 20) -> tuple[torch.Tensor, Metrics]:
    """The rate of one server fitted to each of several data sets, all side by side, and the errors under heavy loads."""
    light, heavy = (torch.tensor(loads, dtype=torch.float64) for loads in (recipe.light, recipe.heavy))
    repeated = light.repeat_interleave(recipe.light_samples)
    counts = torch.stack([simulate(recipe, repeated, torch.Generator().manual_seed(seed)) for seed in range(seeds)])
    seen = counts.view(seeds, len(light), recipe.light_samples, -1).sum(2)[..., :2].double()
    logarithm = torch.zeros(seeds, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logarithm], lr=0.02)

    def distributions(loads: torch.Tensor, how: object) -> torch.Tensor:
        rate = (logarithm.exp() * light.mean()).repeat_interleave(len(loads))
        both = torch.cat([part.unsqueeze(-1).expand(-1, recipe.states - 1) for part in (loads.repeat(seeds), rate)], 1)
        transitions = births(recipe.states) + deaths(recipe.states, 1)
        return steady_state(both, transitions, how).view(seeds, len(loads), -1)

    for _ in range(80):
        among = distributions(light, method)[..., :2]
        loss = -(seen * (among / among.sum(-1, keepdim=True)).log()).sum((1, 2)) / seen.sum((1, 2))
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
    with torch.no_grad():
        error = distributions(heavy, Infinity())[..., -1] - full_share(recipe, heavy)
    mape = (error.abs() / full_share(recipe, heavy)).mean(1)
    metrics = {"mape": median(mape.tolist()), "mse": fmean(error.square().mean(1).tolist())}
    return (logarithm.exp() * light.mean()).detach(), metrics


def test_it_extrapolates_where_its_rival_does_not() -> None:
    """M/M/1/K with mu 25, 20 seeds, the same start, link, rate and steps for both."""
    torch.manual_seed(0)
    rate, ours = learned(Infinity(), Simulation())
    _, rival = learned(Unrolled(ticks=16), Simulation())
    assert ours["mape"] <= 0.10
    assert 3 * ours["mse"] < rival["mse"]
    assert abs(rate.mean().item() / 25 - 1) < 0.1


def test_an_unknown_family_and_gradient_are_refused_with_those_that_exist() -> None:
    build = TypeAdapter(WORKLOAD.model_settings).validate_python
    with pytest.raises(ValidationError, match="'black_box', 'module', 'neural', 'structured', 'triangular'"):
        build({"family": "lstm"})
    with pytest.raises(ValidationError, match="'infinity', 'exact', 'truncated', 'dc_bptt'"):
        build({"family": "structured", "gradient": {"method": "adjoint"}})
