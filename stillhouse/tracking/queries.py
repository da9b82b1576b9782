"""What MLflow is asked: by lineage, never by a stage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PAGE = 500
_WANTED = ("dvc.stage", "dvc.fingerprint", "dvc.rev", "dvc.dirty", "stillhouse.settings", "mlflow.parentRunId", "device", "threads")
_PREFIXES = ("dvc.in.", "dvc.out.", "unchanged.", "version.")


def runs(client: MlflowClient, experiment: str) -> Iterator[dict[str, Any]]:
    """Every run of the experiment, page by page: {"run", "deleted", "status", "started", "tags"}."""
    from mlflow.entities import ViewType

    token = None
    while True:
        page = client.search_runs([experiment], run_view_type=ViewType.ALL, max_results=_PAGE, page_token=token)
        for run in page:
            tags = {name: value for name, value in run.data.tags.items() if name in _WANTED or name.startswith(_PREFIXES)}
            facts = {"run": run.info.run_id, "deleted": run.info.lifecycle_stage == "deleted", "status": run.info.status}
            yield facts | {"started": run.info.start_time, "tags": tags}
        token = page.token
        if not token:
            return


def version(client: MlflowClient, uri: str) -> dict[str, str | None]:
    """The path, the hash and the run of a registered model, by `models:/NAME/VERSION` or `models:/NAME@ALIAS`.

    Raises:
        UserError: it is no such address, or nothing says which bytes the version is.
    """
    parts = re.fullmatch(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))", uri)
    if not parts:
        raise UserError(f"a registered model is models:/NAME/VERSION or models:/NAME@ALIAS - got {uri}")
    name, number, alias = parts.groups()
    found = client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
    logged = re.fullmatch(r"models:/(m-[0-9a-f]+)", found.source or "")
    model = client.get_logged_model(logged[1]) if logged else None
    tags = {**(model.tags if model else {}), **found.tags}
    if "dvc.path" not in tags or "dvc.md5" not in tags:
        raise UserError(f"{uri} has neither the tags dvc.path and dvc.md5 nor a logged model with them, so its bytes are not known")
    return {"path": tags["dvc.path"], "md5": tags["dvc.md5"], "run": found.run_id or (model.source_run_id if model else None)}


def artifact(client: MlflowClient, run: str, name: str) -> str:
    """A text that was kept with a run.

    Raises:
        UserError: there is none of this name.
    """
    from mlflow.artifacts import load_text

    if name not in [item.path for item in client.list_artifacts(run)]:
        raise UserError(f"run {run} has no {name}")
    text: str = load_text(f"{client.get_run(run).info.artifact_uri}/{name}")
    return text
