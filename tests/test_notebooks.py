"""The notebook runs, is short, and is what the docs print."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "notebooks/own_model.ipynb").read_text())
CELLS = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_gives_a_good_student_in_at_most_25_lines(tmp_path):
    code = "\n".join(CELLS)
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    metrics = ast.literal_eval(done.stdout)
    assert metrics["valid_accuracy"] > 0.9
    assert metrics["macs"] <= 0.25 * 50 * (2 * 64 + 64 * 3)
    assert not list(tmp_path.iterdir())


def test_the_docs_print_the_same_code():
    printed, _ = re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)
    assert ast.dump(ast.parse(printed)) == ast.dump(ast.parse("\n".join(CELLS)))


def test_any_network_as_the_docs_print_it(tmp_path):
    _, code = re.findall(r"```python\n(.*?)```", (ROOT / "docs/library.md").read_text(), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) < 60
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    groups, student = done.stdout.splitlines()
    assert groups.startswith("[('first', 16), ('wide', 32)] {'last': 'the output'}")
    assert " Net torch.Size([" in student
    assert not list(tmp_path.iterdir())
