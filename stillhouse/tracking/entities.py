"""A record in MLflow's own words, within the limits that MLflow sets."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.hidden import hide
from stillhouse.record.run_record import Item, RunRecord

if TYPE_CHECKING:
    from mlflow.entities import Metric

_TAG, _PARAM, _NAME, _DIGEST = 8000, 6000, 250, 36


def metrics(record: RunRecord, model: str | None) -> list[Metric]:
    """The history by epoch, then the final values: at the last step and latest, so that they are what MLflow shows."""
    from mlflow.entities import Metric

    last = max((step for *_, step in record.history), default=0)
    rows = [Metric(name(key), value, at, step) for key, value, at, step in [*record.history, *record.usage]]
    return rows + [Metric(name(key), value, record.ended, last, model_id=model) for key, value in record.metrics.items()]


def params(record: RunRecord) -> list[Any]:
    """The settings, defaults filled in."""
    from mlflow.entities import Param

    return [Param(name(key), hide(value)[:_PARAM]) for key, value in record.params.items()]


def tags(record: RunRecord) -> list[Any]:
    """What the record is tagged with, and each hash by its path."""
    from mlflow.entities import RunTag

    written = [record.output] * (record.output is not None) + record.beside
    hashes = {f"dvc.in.{path(item.path)}": item.md5 for item in record.inputs}
    hashes |= {f"dvc.out.{path(item.path)}": item.md5 for item in written if item}
    return [RunTag(key, hide(value)[:_TAG]) for key, value in ({name(key): value for key, value in record.tags.items()} | hashes).items()]


def datasets(record: RunRecord) -> list[Any]:
    """Everything that was read (data, models and code) and written, as datasets by path and hash; no data are read."""
    written = [record.output] * (record.output is not None) + record.beside
    return [_dataset(item, "read") for item in record.inputs] + [_dataset(item, "written") for item in written if item]


def _dataset(item: Item, context: str) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(name=item.path, digest=item.md5[:_DIGEST], source_type="local", source=json.dumps({"uri": item.path}))
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


def name(text: str) -> str:
    """A name that MLflow takes: at most 250 characters, of the marks only those of file paths, and a path that leads on."""
    cut = re.sub(r"[^\w.\- :/]", "_", text.replace("@", "_at_"))[:_NAME]
    return "/".join(part for part in cut.split("/") if part not in ("", ".", "..")) or (cut and "_")


def path(text: str) -> str:
    """A path as the end of a tag's name, from which it can be read again: a mark that MLflow does not take becomes `:2b:`."""
    return re.sub(r"[^\w.\- /]", lambda mark: f":{ord(mark[0]):x}:", text)[: _NAME - len("dvc.out.")]
