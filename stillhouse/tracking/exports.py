"""What was exported, beside the student's own model in MLflow: the files as artifacts, the hash as a tag."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stillhouse.contracts.errors import UserError
from stillhouse.record import hashes
from stillhouse.record.deadline import UPLOADS, TooLate, seconds
from stillhouse.tracking.store import Store, limited

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel


def tell(root: Path, student: str, kind: str, folder: Path, sha256: str) -> str:
    """Puts an exported folder beside the student in MLflow, as `exports/KIND`, with the tag `export.KIND`; a sentence on what was done."""
    if "MLFLOW_TRACKING_URI" not in os.environ and not (root / "mlflow.db").exists():
        return "MLflow: not told, because this project has no tracker yet"
    from mlflow.exceptions import MlflowException

    try:
        md5 = hashes.outputs(f"distill@{student}", root)[f"data/{student}/student"]
        with limited(root, UPLOADS * seconds()) as store:
            return _told(store, student, md5, kind, folder, sha256)
    except (UserError, MlflowException, OSError, TooLate) as error:
        return f"MLflow: not told, {str(error).strip().splitlines()[0]}"


def _told(store: Store, student: str, md5: str, kind: str, folder: Path, sha256: str) -> str:
    model = _model(store, student, md5)
    if model is None:
        return f"MLflow: not told, because it does not know a student {student} with the bytes {md5}"
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(folder, Path(place) / "exports" / kind)
        store.client.log_model_artifacts(model.model_id, place)
    store.client.set_logged_model_tags(model.model_id, {f"export.{kind}": sha256})
    for version in store.client.search_model_versions(f"name = '{student}' and tags.`hash.student` = '{md5}'"):
        store.client.set_model_version_tag(student, version.version, f"export.{kind}", sha256)
    return f"MLflow: exports/{kind} of {model.model_id}"


def _model(store: Store, student: str, md5: str) -> LoggedModel | None:
    condition = f"tags.`dvc.path` = 'data/{student}/student' AND tags.`dvc.md5` = '{md5}'"
    return next(iter(store.client.search_logged_models([store.experiment], condition)), None)
