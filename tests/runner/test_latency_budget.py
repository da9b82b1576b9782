"""A budget in milliseconds through the runner: what measures is handed to the stages, and what was measured stays in the project."""

from __future__ import annotations

import json
from pathlib import Path

from ruamel.yaml import YAML

from stillhouse.stages.door import main


def test_a_student_with_a_budget_in_milliseconds(project: Path) -> None:
    file = project / "params.yaml"
    values = YAML(typ="safe").load(file)
    budget = {"unit": "latency", "value": 1000, "threads": 1}
    values["students"]["half"]["search"] |= {"method": "uniform", "budget": budget, "settings": {}}
    YAML().dump(values, file)
    for verb, name in (("prepare", "rings"), ("teach", "rings"), ("search", "half"), ("distill", "half"), ("evaluate", "half")):
        assert main([verb, name]) == 0
    assert len(list((project / ".work/latency").iterdir())) == 1
    told = json.loads((project / "data/half/found.json").read_text())
    assert told["latency_predicted_ms"] <= told["latency_budget_ms"]
    report = json.loads((project / "data/reports/half/report.json").read_text())
    assert report["search"]["latency"]["runtime"] == "torch"
    assert report["student"]["latency"] > 0
    assert main(["compare"]) == 0
