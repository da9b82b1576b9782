"""The benchmark of few labels: what its students see, that they train for as many steps, and the rows that come of it."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest

from benchmarks import _cells, _choices, labels, labels_colour, labels_gains
from benchmarks._few import Method
from stillhouse.contracts.files import write_json
from stillhouse.training.files import read_parquet

RATES, WEIGHTS = dict.fromkeys(("0.01", "0.1", "1.0"), 1e-2), dict.fromkeys(labels.settings["losses"], 1.0)


def source(title: str) -> labels.Source:
    return labels.Source(title, Path)


@pytest.mark.parametrize("title", labels.settings["sets"])
def test_students_with_and_without_a_teacher_take_about_as_many_steps(title: str) -> None:
    block = labels.settings["sets"][title]
    for share, passes in block["shares"].items():
        known = round(float(share) * block["draw"]["train"])
        alone = passes["labels"] * -(-known // (32 if share != "1.0" else block["data"]["batch_size"]))
        rest = block["draw"]["train"] - known
        taught = passes["all"] * -(-rest // 64) if rest else alone
        assert 0.9 < taught / alone < 1.1, share


def test_only_who_has_a_teacher_or_stands_for_it_sees_pictures_without_labels() -> None:
    methods = dict(labels.methods(source("digits"), RATES, WEIGHTS))
    for title, method in methods.items():
        if method.block:
            sees = method.block["distill"]["data"].get("unlabelled", 0) > 0
            assert sees == (title.partition("@")[0] not in ("alone", "longer", "smoothing")), title
            assert bool(method.block["distill"]["losses"]) == (title.partition("@")[0] not in labels.CONTROLS[:4]), title
    few = methods["same-logits@0.01"].entry.teach["data"]["train_limit"]
    assert (few, "train_limit" in methods["logits@0.01"].entry.teach["data"]) == (0.01, False)


def test_each_seed_deals_the_digits_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "WORK", tmp_path)
    first, second = (read_parquet(labels.dealt({"train": 10, "val": 4, "test": 6}, seed)) for seed in (1, 2))
    assert list(first["split"]) == ["train"] * 10 + ["val"] * 4 + ["test"] * 6
    assert len(set(first["image"])) == 20
    assert first["image"] != second["image"]


def test_gains_are_over_the_best_control_of_the_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = deepcopy(labels.settings)
    small |= {
        "choosing": [0],
        "seeds": [1],
        "names": "digits",
        "rates": [1e-2],
        "weights": [1.0, 4.0],
        "losses": {"logits": {}},
        "same": [],
    }
    small["teacher"] |= {"width": 4, "blocks": [1, 1]}
    digits = small["sets"]["digits"]
    digits |= {"draw": {"train": 200, "val": 30, "test": 60}, "shares": {"0.1": {"labels": 1, "all": 1}}}
    digits["teach"]["epochs"] = 1
    monkeypatch.setattr(labels, "settings", small)
    for module in (labels, _cells):
        monkeypatch.setattr(module, "WORK", tmp_path)
    rows = {(row["method"], row["metric"]): row for row in labels.run(tmp_path)}
    controls = {title: rows[f"{title}@0.1", "accuracy"]["mean"] for title in labels.CONTROLS}
    best = max(controls, key=controls.__getitem__)
    gain = rows["logits@0.1", "accuracy_gain"]
    assert gain["mean"] == pytest.approx(rows["logits@0.1", "accuracy"]["mean"] - controls[best])
    assert ("logits@0.1", "accuracy_gain_95") not in rows
    assert (f"{best}@0.1", "accuracy_gain") not in rows
    assert rows["logits", "chosen"]["mean"] in (1.0, 4.0)


def test_further_seeds_take_the_rate_and_the_weight_that_were_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"alone@0.1": 0.5, "alone@1.0": 0.25, "logits": 4.0, "dist": 2.0}
    rows = [_cells.row("digits", title, "chosen", [value]) for title, value in chosen.items()]
    write_json(tmp_path / "labels.json", {"rows": rows})
    monkeypatch.setattr(_choices, "RESULTS", tmp_path)
    seen: dict[int, dict[str, Method]] = {}

    def measured(methods, seeds):
        seen.update({seed: methods(seed) for seed in seeds})
        return [], []

    monkeypatch.setattr(labels_gains, "measured", measured)
    monkeypatch.setattr(labels_gains, "ahead", lambda *given: [])
    labels_gains.run(tmp_path)
    assert not {*seen} & {*labels.settings["seeds"], *labels.settings["choosing"]}
    distilled = {title: method.block["distill"] for title, method in seen[7].items() if method.block}
    assert {*distilled} == {f"{title}@0.1" for title in ("alone", "longer", "smoothing", "beside", "logits", "same-logits")}
    assert {block["fit"]["learning_rate"] for block in distilled.values()} == {0.5}
    assert [block["weight"] for block in distilled["same-logits@0.1"]["losses"]] == [4.0]


def test_coloured_pictures_take_what_was_chosen_on_grey_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = {"alone@0.1": 0.5, "logits": 4.0, "pearson": 2.0}
    rows = [_cells.row("fashion-mnist", title, "chosen", [value]) for title, value in chosen.items()]
    write_json(tmp_path / "labels.json", {"rows": [*rows, _cells.row("digits", "alone@0.1", "chosen", [0.25])]})
    monkeypatch.setattr(_choices, "RESULTS", tmp_path)
    seen: dict[str, Method] = {}
    monkeypatch.setattr(labels_gains, "measured", lambda methods, seeds: seen.update(methods(2)) or ([], []))
    monkeypatch.setattr(labels_gains, "ahead", lambda *given: [])
    labels_colour.run(tmp_path)
    assert {*seen} == {"teacher", *(f"{title}@0.1" for title in ("alone", "longer", "logits", "pearson"))}
    distilled = {title: method.block["distill"] for title, method in seen.items() if method.block}
    assert {block["fit"]["learning_rate"] for block in distilled.values()} == {0.5}
    weights = {title: [item["weight"] for item in block["losses"]] for title, block in distilled.items()}
    assert weights == {"alone@0.1": [], "longer@0.1": [], "logits@0.1": [4.0], "pearson@0.1": [2.0]}
