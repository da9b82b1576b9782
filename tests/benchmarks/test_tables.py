"""Result tables: what is measured is what is printed, and the README agrees with the files."""

from benchmarks.tables import PLACE, ROOT, _renewed, render


def test_a_table_has_mean_spread_and_seeds():
    rows = [
        {"set": "a", "method": "one", "metric": "m", "mean": 0.5, "sd": 0.01, "seeds": 5},
        {"set": "a", "method": "two", "metric": "m", "mean": 1234.0, "sd": 0.0, "seeds": 1},
        {"set": "a", "method": "two", "metric": "unlisted", "mean": 1.0, "sd": 0.0, "seeds": 1},
    ]
    lines = render(rows, {"m": "quality"}).splitlines()
    assert lines[0] == "| set | method | quality |"
    assert lines[2:] == ["| a | one | 0.500 ± 0.010 (5) |", "| a | two | 1.23e+03 (1) |"]


def test_the_readme_agrees_with_the_results():
    text = (ROOT / "README.md").read_text()
    assert PLACE.sub(_renewed, text) == text
