"""The page: facts as HTML, with its style and pictures in it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape

from stillhouse.comparison import charts, table
from stillhouse.report import generation
from stillhouse.report.answer import Answer, answers
from stillhouse.report.facts import COMPARED, Facts, Last, Row, told

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The browser enforces that nothing is fetched and no script runs."""
STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 76rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.2rem; margin-top: 2rem; border-top: 1px solid var(--line); padding-top: 1rem }
p, li, summary { overflow-wrap: anywhere } summary { cursor: pointer; padding: .4rem 0 }
.wide { overflow-x: auto } .small { font-size: .85rem; opacity: .75 }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .5rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th:nth-child(2), td:nth-child(2) { text-align: left }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1rem; max-width: 52rem }
svg { width: 100%; max-width: 30rem }
img { max-width: none; background: #fff; border-radius: 4px }
"""
_HEADS = ("#", *table.HEADS)


def render(facts: Facts, last: Last | None) -> str:
    """The whole page."""
    title = f"Results of {escape(facts.title)}"
    body = [
        f"<h1>{title}</h1>",
        f"<p class=small>{escape(facts.time)}{f', commit {escape(facts.commit)}' if facts.commit else ''}</p>",
        *_answer(facts),
        *_changes(facts, last),
        *(part for teacher in dict.fromkeys(row["teacher"] for row in facts.rows) for part in _teacher(facts, teacher)),
        f'<script type="application/json" id="facts">{told(facts)}</script>',
    ]
    head = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<link rel="icon" href="data:,"><title>{title}</title><style>{charts.STYLE}{STYLE}</style></head><body>',
    ]
    return "\n".join([*head, *body, "</body></html>", ""])


def _answer(facts: Facts) -> Iterator[str]:
    """Which students to take, before any table."""
    yield "<h2>Which student to take</h2>"
    yield f"<ul>{''.join(map(_choice, answers(facts.rows, facts.gate)))}</ul>"


def _choice(answer: Answer) -> str:
    rest = "".join(f"<li>{escape(sentence)}</li>" for sentence in answer.sentences)
    return f"<li><b>{escape(answer.choice)}</b><ul>{rest}</ul></li>"


def _changes(facts: Facts, last: Last | None) -> Iterator[str]:
    if last is None:
        yield "<p>This is the first report.</p>"
        return
    lines = list(_differences(facts, last))
    since = f"since the last report ({escape(last.time)}{f', commit {escape(last.commit)}' if last.commit else ''})"
    if not lines:
        yield f"<p>Nothing has changed {since}.</p>"
        return
    yield f"<p>What changed {since}:</p><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _differences(facts: Facts, last: Last) -> Iterator[str]:
    """One line for each model that is new, gone or other than it was."""
    now = {row["name"]: row for row in facts.rows}
    for name, row in now.items():
        before = last.values.get(name)
        if before is None:
            yield f"{name} is new"
        elif moved := [key for key in COMPARED if before.get(key) != row.get(key)]:
            yield f"{name}: {', '.join(f'{key} {_short(before.get(key))} → {_short(row.get(key))}' for key in moved)}"
    yield from (f"{name} is gone" for name in last.values if name not in now)


def _short(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


def _teacher(facts: Facts, teacher: str) -> Iterator[str]:
    """A teacher with its students."""
    rows = [row for row in facts.rows if row["teacher"] == teacher]
    yield f"<h2>{escape(teacher)}</h2>"
    cells = [[str(number), *table.cells(row)] for number, row in enumerate(rows, start=1)]
    body = "".join(_line("td", line) for line in cells)
    yield f"<div class=wide><table><thead>{_line('th', _HEADS)}</thead><tbody>{body}</tbody></table></div>"
    costs = "MACs are those of a validation batch, latency that of a test batch"
    yield f"<p class=small>Quality is {escape(rows[0]['metric'])} on the test split; {costs}.</p>"
    yield from generation.table(rows)
    for row in rows:
        yield from (f"<p><b>{escape(row['name'])}</b>: {escape(sentence)}.</p>" for sentence in row.get("remarks", []))
    yield f"<div class=charts>{''.join(charts.quality(rows))}</div>"
    for row in rows:
        yield from _curves(facts, row)
        if row["name"] in facts.lineage:
            yield _picture(f"What {row['name']} was made of", facts.lineage[row["name"]])


def _line(tag: str, cells: tuple[str, ...] | list[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _curves(facts: Facts, row: Row) -> Iterator[str]:
    """How a model was trained: its loss, and the metric by which its epoch was chosen."""
    curve = dict(facts.curves.get(row["name"], {}))
    epochs = curve.pop("epoch", [])
    names = dict.fromkeys([*(name for name in ("loss", row["metric"]) if name in curve), *curve])
    drawn = [charts.line(epochs, curve[name], name) for name in list(names)[:2]] if epochs else []
    if drawn:
        yield f"<details><summary>Training of {escape(row['name'])}</summary><div class=charts>{''.join(drawn)}</div></details>"


def _picture(title: str, svg: str) -> str:
    """Somebody else's SVG as an image: nothing in it can run or be fetched."""
    data = base64.b64encode(svg.encode()).decode()
    image = f'<img alt="{escape(title, quote=True)}" src="data:image/svg+xml;base64,{data}">'
    return f"<details><summary>{escape(title)}</summary><div class=wide>{image}</div></details>"
