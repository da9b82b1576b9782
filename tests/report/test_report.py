"""The report: one page that asks for nothing, from the results and from the last report."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stillhouse.comparison import charts
from stillhouse.contracts.errors import UserError
from stillhouse.report import browser, facts, page, write

EVIL = "<script>alert(1)</script>\"'&"
BROWSER = next(filter(None, map(shutil.which, browser.NAMES)), None)


def row(name: str, kind: str = "student", **changes: Any) -> dict[str, Any]:
    values = {
        "name": name,
        "kind": kind,
        "teacher": "rings",
        "metric": "accuracy",
        "quality": 0.9,
        "kept": 0.98 if kind == "student" else 1.0,
        "parameters": 1234.0,
        "macs": 5.0e6,
        "macs_share": 0.5,
        "latency_ms": 1.5,
        "latency_spread_ms": 0.25,
        "search": "dms",
        "losses": "logits+pearson",
        "agreement": 0.97,
        "higher_is_better": True,
        "test_examples": 1000.0,
        "latency_noisy": False,
        "budget": {"unit": "macs", "share": 0.5},
    }
    values |= changes
    return {"metrics": {"macs": values["macs"]}, **values}


DATA = '<script type="application/json" id="facts">{}</script>'
ROWS = [row("rings", "teacher", macs=1e7), row("half"), row("third", quality=0.8, kept=None)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    results(folder, ROWS)
    (folder / "data/half").mkdir()
    (folder / "data/half/student.csv").write_text("epoch,loss,accuracy,note\n1,0.9,0.5,a\n2,0.4,0.8,b\n3,0.2,0.9,\n")
    return folder


def results(folder: Path, rows: list[dict[str, Any]]) -> None:
    (folder / "data/comparison").mkdir(parents=True, exist_ok=True)
    (folder / "data/comparison/table.json").write_text(json.dumps(rows))


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside of data and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "every element is closed in its turn"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style") and data.strip():
            self.text.append(data.strip())


def parsed(folder: Path) -> Parsed:
    return Parsed(write(folder, folder / "report.html").read_text())


def test_what_an_evaluation_remarks_on_a_model_stands_under_the_table(project: Path):
    results(project, [ROWS[0], ROWS[1] | {"remarks": ["no better than " + EVIL]}])
    text = " ".join(parsed(project).text)
    assert f"half : no better than {EVIL}." in text


def test_what_a_language_model_costs_as_it_writes_has_a_table(project: Path):
    costs = {"macs": 5e6, "tokens_per_second_16": 1234.5, "first_token_ms": 7.25}
    results(project, [ROWS[0] | {"metrics": {"macs": 1e7, "cache_bytes": 2048.0}}, ROWS[1] | {"metrics": costs}])
    text = "|".join(parsed(project).text)
    heads, teacher, student = "name|tokens/s, 16 at once|first token, ms|cache, bytes per token", "rings|2,048", "half|1,234|7.25"
    assert f"{heads}|{teacher}|{student}|Tokens a second" in text
    results(project, ROWS)
    assert "tokens/s" not in "|".join(parsed(project).text)


def test_nothing_in_the_page_points_outside_it_and_nothing_in_it_runs(project: Path):
    found = parsed(project)
    for tag, attributes in found.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert tag not in ("iframe", "object", "embed", "base", "form")
    assert [attributes for tag, attributes in found.tags if tag == "script"] == [{"type": "application/json", "id": "facts"}]
    policies = [attributes["content"] for tag, attributes in found.tags if attributes.get("http-equiv") == "Content-Security-Policy"]
    assert [policy and policy.split(";")[0] for policy in policies] == ["default-src 'none'"]
    text = (project / "report.html").read_text()
    assert "url(" not in text
    assert "@import" not in text
    assert len(text) < 32_000


def test_it_shows_every_model_its_numbers_its_place_and_its_training(project: Path):
    found = parsed(project)
    cells = found.text
    for wanted in ("rings", "half", "third", "0.9000", "98.0%", "1,234", "10.0", "1.5 ± 0.2", "97.0%", "dms", "logits+pearson"):
        assert wanted in cells
    assert "half: 0.9, 5 MMACs" in cells
    assert "Training of half" in cells
    assert "Training of third" not in cells
    assert sum(tag == "polyline" for tag, _ in found.tags) == 2, "the loss and the metric"
    assert sum(tag == "circle" for tag, _ in found.tags) == 6, "each against MACs and against latency"
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in found.tags


def test_it_opens_with_the_answer(project: Path):
    (project / "params.yaml").write_text("gate: {kept: 0.999}\n")
    texts = parsed(project).text
    assert texts.index("Which student to take") < texts.index("rings: take half, at 50.0% of the teacher's MACs") < texts.index("rings")
    results(project, [ROWS[0], row("half", quality=0.89)])
    assert "rings: no student passes the gate; the nearest is half, at 50.0% of the teacher's MACs" in parsed(project).text


def test_a_table_of_an_older_version_is_refused(project: Path):
    results(project, [{key: value for key, value in row.items() if key != "higher_is_better"} for row in ROWS])
    with pytest.raises(UserError, match=r"got an older one: `stillhouse run` renews it"):
        write(project, project / "report.html")


def test_names_are_text_and_nothing_else(project: Path):
    results(project, [row(EVIL, "teacher", teacher=EVIL, metric=EVIL, search=EVIL, losses=EVIL)])
    for _ in range(2):
        found = parsed(project)
        assert [tag for tag, _ in found.tags].count("script") == 1
        assert EVIL in found.text
    results(project, ROWS)
    assert f"{EVIL} is gone" in parsed(project).text


def test_it_tells_what_changed_since_the_last_one(project: Path):
    assert "This is the first report." in parsed(project).text
    again = " ".join(parsed(project).text)
    assert "Nothing has changed since the last report" in again
    results(project, [ROWS[0], row("half", quality=0.95, macs=4e6, latency_ms=9.0), row("new")])
    lines = parsed(project).text
    assert "half: quality 0.9 → 0.95, macs 5,000,000 → 4,000,000" in lines
    assert "new is new" in lines
    assert "third is gone" in lines
    assert not [line for line in lines if "→" in line and "rings" in line]


@pytest.mark.parametrize("text", ["", "<html></html>", *(DATA.format(text) for text in ('{"no": 1}', "[", "[]", "3"))])
def test_another_page_in_its_place_is_no_last_report(project: Path, text: str):
    (project / "report.html").write_text(text)
    assert "This is the first report." in parsed(project).text


def test_lineage_is_an_image_in_which_nothing_runs(project: Path):
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    found = Parsed(page.render(facts.Facts("p", "now", "", ROWS, {}, {"half": svg}), None))
    [image] = [attributes for tag, attributes in found.tags if tag == "img"]
    assert str(image["src"]).startswith("data:image/svg+xml;base64,")
    assert "What half was made of" in found.text


def test_without_results_and_without_a_place_it_says_so(project: Path, tmp_path: Path):
    with pytest.raises(UserError, match=r"there are no results yet .*`stillhouse run` makes them"):
        write(tmp_path, tmp_path / "report.html")
    with pytest.raises(UserError, match=r"nowhere/report\.html - wanted a place to write to - No such file or directory"):
        write(project, project / "nowhere/report.html")
    (project / "data/comparison/table.json").write_text("{")
    with pytest.raises(UserError, match=r"table\.json - wanted the table of the comparison as JSON"):
        write(project, project / "report.html")


@given(low=st.floats(-1e9, 1e9), width=st.floats(1e-6, 1e9))
def test_ticks_are_few_round_and_inside(low: float, width: float):
    found = charts.ticks(low, low + width)
    room = 1e-6 * width + 1e-9 * abs(low)
    assert 1 <= len(found) <= 6
    assert all(low - room <= value <= low + width + room for value in found)


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [-1.0, 5.0], [1e-9, 2e-9]])
def test_marks_are_inside_the_frame(values: list[float]):
    points = [charts.Point(value, value, "1", "student", "says") for value in values]
    found = Parsed(f"<div>{charts.scatter(points, 'x', 'y')}{charts.line(values, values, 'z')}</div>")
    for tag, attributes in found.tags:
        if tag == "circle":
            assert charts.LEFT <= float(attributes["cx"] or 0) <= charts.WIDTH - charts.RIGHT
            assert charts.TOP <= float(attributes["cy"] or 0) <= charts.HEIGHT - charts.BOTTOM


@pytest.mark.parametrize(("gap", "labels"), [(0.001, ["1", "2, 3"]), (1.0, ["1", "2", "3"])])
def test_marks_that_would_cover_each_other_share_a_label(gap: float, labels: list[str]):
    places = [("1", 0.0), ("2", 2.0), ("3", 2.0 + gap)]
    points = [charts.Point(place, place, mark, "student", "says") for mark, place in places]
    assert re.findall(r'<text class="mark"[^>]*>([^<]*)</text>', charts.scatter(points, "x", "y")) == labels


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
def test_a_browser_shows_it_on_a_phone_without_a_complaint(project: Path, tmp_path: Path):
    path = write(project, project / "report.html")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--window-size=390,844",
    ]
    done = subprocess.run(
        [*command, "--enable-logging=stderr", "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=240, check=True
    )
    assert "half" in done.stdout
    assert "Content Security Policy" not in done.stderr
    assert "CONSOLE" not in done.stderr


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
def test_a_picture_of_it_has_colours(project: Path):
    drawn = browser.picture(write(project, project / "report.html"), project / "report.png")
    with Image.open(drawn) as image:
        assert image.size == browser.SIZE
        assert len(image.convert("L").getcolors()) > 10
    assert [path.name for path in project.glob(".*.png")] == []


def test_a_picture_without_a_browser_says_what_is_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="a picture wants a Chromium on the PATH: one of chromium, "):
        browser.picture(tmp_path / "report.html", tmp_path / "report.png")


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH")
def test_a_picture_without_a_place_says_so(project: Path):
    page = write(project, project / "report.html")
    with pytest.raises(UserError, match=r"nowhere/report\.png - wanted a place for a picture"):
        browser.picture(page, project / "nowhere/report.png")
