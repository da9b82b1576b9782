"""Inputs that people really have are read rightly or refused in one sentence."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json
from stillhouse.runner.entries import load
from stillhouse.serving.predict import read as table
from stillhouse.workloads.graphs.knowledge.read import Source
from stillhouse.workloads.graphs.knowledge.read import read as knowledge
from stillhouse.workloads.graphs.knowledge.text import parse
from stillhouse.workloads.graphs.temporal.read import ReadSettings
from stillhouse.workloads.graphs.temporal.read import read as temporal
from stillhouse.workloads.pictures.classify.decode import Form
from stillhouse.workloads.pictures.classify.read import read as classify
from stillhouse.workloads.pictures.detect.read import read as detect
from stillhouse.workloads.pictures.segment.decode import Form as PairForm
from stillhouse.workloads.pictures.segment.read import read as segment
from stillhouse.workloads.queue.read import read as queue
from tests.workloads.pictures.detect.raws import BOXES, coco, coded, folder, pictures, voc

PICTURE = coded(pictures(1)[0])
MARK = b"\xef\xbb\xbf"
"""The byte-order mark of UTF-8."""


def test_pictures_in_nested_folders_are_of_the_class_above(tmp_path: Path) -> None:
    source = classify(folder(tmp_path, {"ant/a/b/1.png": PICTURE, "bee/2.PNG": PICTURE}), Form())
    assert (source.names, source.splits["train"].label.tolist()) == (("ant", "bee"), [0, 1])


def test_what_systems_and_editors_leave_is_ignored(tmp_path: Path) -> None:
    left = ("ant/._1.png", "ant/.DS_Store", "ant/Thumbs.db", "__MACOSX/ant/2.png", ".ipynb_checkpoints/3.png")
    source = classify(folder(tmp_path, {"ant/1.png": PICTURE, **dict.fromkeys(left, b"?")}), Form())
    assert (source.names, len(source.splits["train"].label)) == (("ant",), 1)


def test_a_mask_that_loses_its_numbers_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("L", (10, 8)).save(stream, "JPEG")
    with pytest.raises(UserError, match=r"1\.jpg - wanted a mask as PNG, which keeps the numbers of classes - got a JPEG"):
        segment(folder(tmp_path, {"images/1.png": PICTURE, "masks/1.jpg": stream.getvalue()}), PairForm())


def test_an_image_id_of_two_pictures_is_refused_with_both_places(tmp_path: Path) -> None:
    content = coco([0, 1, 2], BOXES[:3])
    content["images"][2]["id"] = content["images"][0]["id"]
    with pytest.raises(UserError, match=r"c\.json: images\.2\.id - wanted an id of its own - 100 is that of images\.0 too"):
        detect(folder(tmp_path, {"c.json": json.dumps(content), **{f"{number}.png": PICTURE for number in range(3)}}))


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "a/../../secret.png"])
def test_a_picture_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.png").write_bytes(PICTURE)
    content = coco([0], BOXES[:1])
    content["images"][0]["file_name"] = name
    with pytest.raises(UserError, match="which leads out of it"):
        detect(folder(tmp_path / "raw", {"c.json": json.dumps(content), "a/0.png": PICTURE}))


@pytest.mark.parametrize("form", ["iso-8859-1", "utf-8-sig", "utf-16", "comment"])
def test_voc_in_any_encoding(tmp_path: Path, form: str) -> None:
    text = voc([("caf\u00e9", 1, 1, 2, 2, 0)])
    if form == "comment":
        content = text.replace("<annotation>", "<annotation><!-- <object>\n</object> -->").encode()
    else:
        content = (f'<?xml version="1.0" encoding="{form.removesuffix("-sig")}"?>\n{text}').encode(form)
    source = detect(folder(tmp_path, {"Annotations/1.xml": content, "JPEGImages/1.png": PICTURE}))
    assert source.names == ("caf\u00e9",)
    assert source.splits["train"][0].boxes.tolist() == [[0, 0, 2, 2]]


def test_voc_in_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"Annotations/1.xml": '<?xml version="1.0" encoding="nonsense"?><annotation/>', "JPEGImages/1.png": PICTURE})
    with pytest.raises(UserError, match=r"1\.xml.* - wanted XML"):
        detect(raw)


def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path) -> None:
    assert parse(MARK + b"a r b\n", "x") == [("a", "r", "b")]
    assert read_json(folder(tmp_path, {"x.json": MARK + b"[1]"}) / "x.json") == [1]
    assert load(folder(tmp_path, {"x.yaml": MARK + b"seed: 1"}) / "x.yaml") == {"seed": 1}
    assert table(folder(tmp_path, {"t.csv": MARK + b"load\n1\n"}) / "t.csv").to_pydict() == {"load": [1]}
    assert queue(folder(tmp_path, {"q.csv": MARK + b"callrate,Q=0,Q=1\n1,2,3\n"}) / "q.csv", None).counts.tolist() == [[2, 3]]


def test_text_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"x.json": b'["\xe9"]', "q.csv": b"callrate,Q=0,Q=1\n\xe9,2,3\n", "deep.json": "[" * 100_000})
    with pytest.raises(UserError, match=r"x\.json - wanted UTF-8 text - byte 2 is not"):
        read_json(raw / "x.json")
    with pytest.raises(UserError, match=r"q\.csv - wanted UTF-8 text - byte 17 is not"):
        queue(raw / "q.csv", None)
    with pytest.raises(UserError, match=r"deep\.json - wanted JSON - it is nested too deeply"):
        read_json(raw / "deep.json")


def test_where_a_line_of_triples_has_tabs_they_separate() -> None:
    assert parse(b"New York\tpart of\tUSA\na r b\n", "x") == [("New York", "part of", "USA"), ("a", "r", "b")]
    with pytest.raises(UserError, match=r"x:1 - wanted head, relation, tail"):
        parse(b"New York\t\tUSA\n", "x")


def test_all_edges_that_are_given_twice_are_told_with_the_remedy(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"s.csv": "a,b\n1,2\n3,4\n", "e.csv": "from,to,cost\na,b,1\nb,a,1\na,b,1\nb,a,2\n"})
    settings = {"series": "s.csv", "edges": "e.csv"}
    with pytest.raises(UserError, match=r"(?s)e\.csv:4 - .*`prepare: \{read: \{repeated: once\}\}`.*e\.csv:5 - .*\n2 faults in all"):
        temporal(raw, ReadSettings.model_validate(settings))
    with pytest.raises(UserError, match=r"e\.csv:5 - wanted the weight 1 .* - got 2"):
        temporal(raw, ReadSettings.model_validate({**settings, "repeated": "once"}))


TRIPLES = [("New York", "part of", "USA"), ("a, b", "r", "c")]


@pytest.mark.parametrize("ending", ["tsv", "csv", "TXT"])
@pytest.mark.parametrize("spelling", [("train", "validation", "test"), ("Training", "val", "testing"), ("train", "dev", "TEST")])
def test_triples_in_files_of_other_names(tmp_path: Path, ending: str, spelling: tuple[str, str, str]) -> None:
    comma, tab = 'New York,part of,USA\r\n"a, b",r,c\r\n', "New York\tpart of\tUSA\na, b\tr\tc\n"
    raw = folder(tmp_path / "raw", {f"{name}.{ending}": comma if ending == "csv" else tab for name in spelling})
    source = knowledge(raw, "", "")
    assert source.train == source.valid == source.test == TRIPLES
    (raw / "train.txt").write_text("x r y\n")
    assert knowledge(raw, "", "").train == [("x", "r", "y")]


def test_files_that_are_no_triples_are_listed(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", {"train.tsv": "a\tr\tb\n", "held-out.tsv": "a\tr\tb\n", "test.csv": "a,r,b\n"})
    listed = r"wanted valid\.txt in folder '' \(valid or .*val.*\.tsv, \.csv\) - there are the files \['held-out.tsv', 'test.csv', 't"
    with pytest.raises(UserError, match=listed):
        knowledge(raw, "", "")
    with pytest.raises(UserError, match=r"wanted one file of 'train' - there are \['train\.tsv', 'training\.txt'\]"):
        knowledge(folder(raw, {"training.txt": "a r b\n"}), "", "")
    with pytest.raises(UserError, match=r"s\.csv:2 - wanted head, relation, tail separated by commas - got 'a b c'"):
        parse(b"a,b,c\na b c\n", "s.csv")
    with pytest.raises(UserError, match=r"s\.tsv:1 - wanted head, relation, tail separated by tabs"):
        parse(b"a b c\n", "s.tsv")


def _headed(tmp_path: Path, first: str, train: str = "a\tr\tb\n") -> Source:
    parts = {"train.tsv": first + train, "valid.tsv": first + "a\tr\tb\n", "test.txt": "b\tr\ta\n"}
    return knowledge(folder(tmp_path / "raw", parts), "", "")


@pytest.mark.parametrize("first", ["head\trelation\ttail\n", "Subject\tPredicate\tObject\n", "\ufeffh\tr1\tt\n".replace("r1", "rel")])
def test_a_header_of_triples_is_left_out_and_said(tmp_path: Path, first: str) -> None:
    with pytest.warns(UserWarning, match=r"tsv:1 is taken for a header and left out") as said:
        source = _headed(tmp_path, first)
    assert (source.train, source.valid, source.test, len(said)) == ([("a", "r", "b")], [("a", "r", "b")], [("b", "r", "a")], 2)


def test_names_that_read_like_a_header_lose_no_triple(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"\.tsv:1 reads like a header and is kept as a triple: \['tail'\] are names in other lines too"):
        source = _headed(tmp_path, "head\trelation\ttail\n", "tail\tr\tb\n")
    assert source.train == [("head", "relation", "tail"), ("tail", "r", "b")]


def test_a_header_in_another_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"train\.tsv:1 - wanted the columns head, relation, tail in this order - got the header \['relation', 'head', "
    ):
        _headed(tmp_path, "relation\thead\ttail\n")


def test_a_series_and_edges_with_tabs(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"s.tsv": "\ufeffNew York\tSan, Jose\n1\t2\n3\t4\n", "e.tsv": "\ufefffrom\tto\nNew York\tSan, Jose\n"})
    panel = temporal(raw, ReadSettings(series="s.tsv", edges="e.tsv"))
    assert (panel.features[..., 0].tolist(), panel.source.tolist(), panel.target.tolist()) == ([[1, 3], [2, 4]], [0], [1])


@pytest.mark.parametrize(
    "index",
    ["date,2020-01-01,2020-01-02", ",0,1", "day,2020/01/01,2020/01/02", "when,2020-01-01T00:00:00Z,2020-01-01T01:00:00Z", "Time,noon,one"],
)
def test_a_date_column_is_an_index(tmp_path: Path, index: str) -> None:
    heading, first, second = index.split(",")
    raw = folder(tmp_path, {"my.csv": f"\ufeff{heading},a,b\n{first},1,2\n{second},3,4\n", "e.csv": "\ufefffrom,to\na,b\n"})
    settings = ReadSettings(series="my.csv", edges="e.csv")
    with pytest.warns(UserWarning, match=rf"my\.csv: column '{heading}' is taken for an index of the steps"):
        assert temporal(raw, settings).features[..., 0].tolist() == [[1, 3], [2, 4]]
    assert temporal(raw, settings.model_copy(update={"columns": "a|b"})).features[..., 0].tolist() == [[1, 3], [2, 4]]


def test_a_node_of_numbers_is_no_index_and_steps_out_of_order_are_told(tmp_path: Path) -> None:
    raw = folder(tmp_path, {"s.csv": "20200101,b\n20200102,2\n20200103,4\n", "e.csv": "from,to\n0,1\n"})
    assert len(temporal(raw, ReadSettings(series="s.csv", edges="e.csv")).features) == 2
    (raw / "s.csv").write_text("date,a\n2020-01-03,1\n2020-01-01,2\n2020-01-01,3\n")
    wanted = r"(?s)s\.csv:3 - wanted a later step than the line before - got '2020-01-01'.*s\.csv:4 .*2 faults"
    with pytest.warns(UserWarning, match="index"), pytest.raises(UserError, match=wanted):
        temporal(raw, ReadSettings(series="s.csv", edges="e.csv"))


def test_a_series_of_another_name_is_told_with_the_keys(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", {"series.csv": "a\n1\n", "links.csv": "from,to\n"})
    keys = r"there are \['links\.csv', 'series\.csv'\]; name others by `prepare: \{read: \{series: NAME, edges: NAME, labels: NAME\}\}`"
    with pytest.raises(UserError, match=rf"wanted the file series\.parquet - {keys}"):
        temporal(raw, ReadSettings())
