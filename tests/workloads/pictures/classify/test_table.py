"""A coded picture in a row is the picture that a model was trained on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
import torch
from pydantic import TypeAdapter

from stillhouse.contracts.errors import UserError
from stillhouse.training.table import predictions
from stillhouse.workloads.pictures.classify import WORKLOAD
from stillhouse.workloads.pictures.classify.prepare import PrepareSettings, prepare
from stillhouse.workloads.pictures.classify.table import ROWS, TABLE
from tests.workloads.pictures.classify.raws import coded, pixels, table


def kept(tmp_path: Path, **form: int) -> Path:
    images = [coded(picture) for picture in pixels(12, **form)]
    raw = table(tmp_path / "raw.parquet", images, [row % 3 for row in range(12)], ["train"] * 6 + ["valid"] * 3 + ["test"] * 3)
    prepare(PrepareSettings.model_validate({}), raw, tmp_path / "prepared", torch.Generator())
    (tmp_path / "context").mkdir()
    TABLE.keep(tmp_path / "prepared", tmp_path / "context")
    return tmp_path


@pytest.mark.parametrize("form", [{"channels": 1, "height": 8, "width": 8}, {"channels": 3, "height": 10, "width": 8}])
def test_predictions_are_those_of_the_prepared_pictures(tmp_path: Path, form: dict[str, int]) -> None:
    folder = kept(tmp_path, **form)
    data = WORKLOAD.load(WORKLOAD.data_settings(), folder / "prepared", test=True)
    settings = TypeAdapter(WORKLOAD.model_settings).validate_python({"family": "resnet", "stem": "small", "width": 4, "blocks": [1]})
    model = WORKLOAD.model(settings, data.sizes, None).eval()
    assert data.test is not None
    [batch] = data.test.draw(torch.Generator())
    wanted = WORKLOAD.apply(model, batch).prediction.double().softmax(-1)
    rows = pa.table({"image": [coded(picture) for picture in pixels(12, **form)[9:]]})
    got = pa.concat_tables(predictions(TABLE, WORKLOAD, model, folder / "context", rows))
    assert torch.allclose(torch.tensor(got.column("probabilities").to_pylist(), dtype=torch.float64), wanted, atol=1e-6)
    assert got.column("class").to_pylist() == [str(place) for place in wanted.argmax(-1).tolist()]
    assert got.column("probability").to_pylist() == pytest.approx(wanted.amax(-1).tolist(), abs=1e-6)


def test_what_is_no_picture_or_one_of_another_form_is_refused_with_its_row(tmp_path: Path) -> None:
    context = kept(tmp_path, height=10, width=8) / "context"
    fine = coded(pixels(1, height=10, width=8)[0])

    def read(*images: bytes) -> list[object]:
        return list(TABLE.ask(context, pa.table({"image": list(images)})).batches)

    with pytest.raises(UserError, match=r"^row 1 - wanted a picture \(PNG or JPEG\)"):
        read(fine, b"no picture")
    with pytest.raises(UserError, match=r"^row 257 - wanted a picture of 10 by 8 pixels, as in training - got 6 by 5$"):
        read(*[fine] * (ROWS + 1), coded(pixels(1)[0]))
