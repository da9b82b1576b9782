"""A registered model's package, brought from where MLflow keeps it."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.record import moved


def fetch(project: Path, address: str, place: Path) -> Path:
    """Downloads the package of models:/NAME/VERSION or models:/NAME@ALIAS into `place`.

    Raises UserError if there is no such version, or no bytes with it.
    """
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{project.resolve() / 'mlflow.db'}")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", str(sys.stderr.isatty()).lower())  # a log would get a line for each file
    _follow(project)
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        package = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(place)))
    except MlflowException as error:
        reason = str(error.message).partition("\n")[0]
        raise UserError(f"{address} - wanted a registered model (models:/NAME/VERSION or models:/NAME@ALIAS) - {reason}") from None
    if not (package / "code").exists():
        raise UserError(f"{address} - wanted a model with its bytes - it was registered without; tag `bytes` of the version says why")
    return package


def _follow(project: Path) -> None:
    """The package's place is right in a project that was moved too. Raises UserError if the database cannot be mended."""
    try:
        moved.follow(project, os.environ["MLFLOW_TRACKING_URI"])
    except sqlite3.Error as error:
        raise UserError(f"{project / 'mlflow.db'} - wanted MLflow's database, to write the folder's new path to - {error}") from None
