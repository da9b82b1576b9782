"""Result tables: what is measured is what is printed, and the texts agree with the files."""

import pytest
import typer

from benchmarks import tables
from benchmarks.tables import FILES, PLACE, _renewed, render


def test_a_table_has_mean_spread_and_seeds():
    rows = [
        {"set": "a", "method": "one", "metric": "m", "mean": 0.5, "sd": 0.01, "seeds": 5},
        {"set": "a", "method": "two", "metric": "m", "mean": 1234.0, "sd": 0.0, "seeds": 1},
        {"set": "a", "method": "two", "metric": "unlisted", "mean": 1.0, "sd": 0.0, "seeds": 1},
    ]
    lines = render(rows, {"m": "quality"}).splitlines()
    assert lines[0] == "| set | method | quality |"
    assert lines[2:] == ["| a | one | 0.500 ± 0.010 (5) |", "| a | two | 1.23e+03 (1) |"]


def test_seconds_may_be_shown_in_milliseconds():
    row = {"set": "a", "method": "one", "metric": "step_seconds", "mean": 0.0042, "sd": 0.0001, "seeds": 3}
    assert render([row], {"step_seconds in ms": "ms"}).splitlines()[2] == "| a | one | 4.200 ± 0.100 (3) |"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_texts_agree_with_the_results(path):
    text = path.read_text()
    assert PLACE.search(text)
    assert PLACE.sub(_renewed, text) == text


def test_a_table_that_cannot_be_read_is_not_passed_over(tmp_path, monkeypatch, capsys):
    (tmp_path / "README.md").write_text("<!-- results some of x: m\n-->\nold\n<!-- end -->")
    monkeypatch.setattr(tables, "FILES", (tmp_path / "README.md",))
    with pytest.raises(typer.Exit):
        tables.main(check=False)
    assert "at all 1 results tables - got 0" in capsys.readouterr().out


def test_a_table_may_choose_methods_and_sets(monkeypatch):
    names = ("x", "y->x", "z")
    rows = [{"set": group, "method": method, "metric": "m", "mean": 0.5, "sd": 0, "seeds": 1} for group in "ab" for method in names]
    monkeypatch.setattr(tables, "read_json", lambda path: {"rows": rows, "command": "c", "commit": "0"})
    text = PLACE.sub(_renewed, "<!-- results some of x|y->x in b: m -->\nold\n<!-- end -->")
    assert [line for line in text.splitlines() if line.startswith("| ")][2:] == ["| b | x | 0.500 (1) |", "| b | y->x | 0.500 (1) |"]
