"""The registry: students as models that can be handed on, one version for each that was distilled, and a champion among them.

After `distill` a student is stored with its LoggedModel as a package and registered under its name; after `evaluate` the alias
`champion` moves to it if it passes the gate. Either way the version's tags say why. Only the upload may take long, and it needs no lock.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillhouse.contracts.errors import UserError
from stillhouse.record import hashes
from stillhouse.record.run_record import Item, RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

    from stillhouse.comparison.gate import Champion, Verdict

CHAMPION = "champion"
_HASHES = {"prepared": "hash.data", "teacher": "hash.teacher", "found": "hash.architecture", "student": "hash.student"}
_EXTERNAL = "mlflow.model.isExternal"


def student(record: RunRecord) -> Item | None:
    """The student that a record makes a version of, or judges: that of a finished `distill` or `evaluate`."""
    verb, _, name = record.stage.partition("@")
    if record.status != "FINISHED" or verb not in ("distill", "evaluate"):
        return None
    things = [item for item in (*record.inputs, record.output) if item]
    return next((item for item in things if item.path == f"data/{name}/student" and item.model), None)


def upload(root: Path, client: MlflowClient, record: RunRecord, run: str) -> str:
    """Puts a package of the record's student where MLflow keeps models, once; returns "stored", or why not. `run` is the record's run."""
    item = student(record)
    assert item is not None
    return _stored((record.folder, root), client, _logged(client, run, item), record.stage.partition("@")[2], item)


def after(root: Path, client: MlflowClient, record: RunRecord, run: str, stored: str) -> None:
    """Registers the student of a finished `distill`, and lets that of a finished `evaluate` try to become the champion.

    `stored` is what `upload` has returned. Told again, it changes nothing. What a reader should know is printed, and so comes into the
    tracker's log.
    """
    item = student(record)
    assert item is not None
    version = _registered(client, record, run, item, stored)
    if record.stage.startswith("evaluate@"):
        _try(root, client, record, run, version)


def _registered(client: MlflowClient, record: RunRecord, run: str, student: Item, stored: str) -> ModelVersion:
    """The version with these bytes; a new one if there is none yet."""
    name = record.stage.partition("@")[2]
    known = client.search_model_versions(f"name = '{name}' and tags.`hash.student` = '{student.md5}'")
    if known:
        client.set_model_version_tag(name, known[0].version, "bytes", stored)
        return client.get_model_version(name, known[0].version)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    tags = {**_hashes(record, student), "bytes": stored, "registered.by": run}
    model = _logged(client, run, student)
    version: ModelVersion = client.create_model_version(name, f"models:/{model}", run, tags, model_id=model)
    print(f"registered: {name} version {version.version}" + ("" if stored == "stored" else f", without its bytes: {stored}"))
    return version


def _logged(client: MlflowClient, run: str, student: Item) -> str:
    """The id of the student's LoggedModel among those that the run read and wrote."""
    found = client.get_run(run)
    models: list[Any] = [*(found.inputs.model_inputs if found.inputs else []), *(found.outputs.model_outputs if found.outputs else [])]
    described = (client.get_logged_model(model.model_id) for model in models)
    same = [model.model_id for model in described if (model.tags.get("dvc.path"), model.tags.get("dvc.md5")) == (student.path, student.md5)]
    return str(same[0])


def _stored(places: Sequence[Path], client: MlflowClient, model: str, name: str, student: Item) -> str:
    """Puts a package of the student's folder where MLflow keeps the model, once; returns "stored", or why not."""
    if _EXTERNAL not in client.get_logged_model(model).tags:
        return "stored"
    folder = _in_place(places, f"distill@{name}", student)
    if folder is None:
        return f"{student.path} no longer holds the bytes {student.md5}, which were made by another run than the last"
    from stillhouse.serving import package

    with tempfile.TemporaryDirectory() as place:
        try:
            package.save(folder, Path(place) / "package", model)
        except UserError as error:
            return str(error)
        client.log_model_artifacts(model, str(Path(place) / "package"))
    client.delete_logged_model_tag(model, _EXTERNAL)
    return "stored"


def _in_place(places: Sequence[Path], stage: str, item: Item) -> Path | None:
    """The path of an output of a stage in one of some project folders, if it has the hash that it had when the record was written."""
    for folder in dict.fromkeys(place.resolve() for place in places):
        try:
            if hashes.outputs(stage, folder).get(item.path) == item.md5:
                return folder / item.path
        except UserError:
            continue  # the stage is no longer in dvc.yaml
    return None


def _hashes(record: RunRecord, student: Item) -> dict[str, str]:
    """The hashes of what a student was made of: of its distillation all, and if only its evaluation is told those that it shares."""
    tags = {_HASHES[what]: item.md5 for item in (*record.inputs, student) if (what := Path(item.path).name) in _HASHES}
    if record.stage.startswith("distill@"):
        settings = json.dumps(dict(record.params), sort_keys=True).encode()
        tags |= {"hash.settings": hashlib.md5(settings, usedforsecurity=False).hexdigest()}
        tags |= {name: record.tags[name] for name in ("dvc.fingerprint", "dvc.rev", "dvc.dirty") if name in record.tags}
    return tags


def _try(root: Path, client: MlflowClient, record: RunRecord, run: str, version: ModelVersion) -> None:
    """Judges a version by its evaluation, writes the verdict down, and crowns it if it passes."""
    if version.tags.get("gate.run") == run:
        return
    name, number = version.name, str(version.version)  # some stores give a number
    verdict, tags = _judged(root, client, record, version)
    tags |= {"gate": "passed" if verdict.passed else "not passed", "gate.reason": verdict.reason[:5000]}
    for key, value in tags.items():
        client.set_model_version_tag(name, number, key, value)
    if verdict.passed:
        client.set_registered_model_alias(name, CHAMPION, number)
    client.set_model_version_tag(name, number, "gate.run", run)  # last: what broke off before is done again
    print(f"{CHAMPION}: {name} version {number} {'passes' if verdict.passed else 'does not pass'} the gate: {verdict.reason}")


def _judged(root: Path, client: MlflowClient, record: RunRecord, version: ModelVersion) -> tuple[Verdict, dict[str, str]]:
    """The verdict, and what the version's tags say of its test."""
    from stillhouse.comparison.gate import Result, Verdict, judge, read_gate

    report = _in_place((record.folder, root), record.stage, record.output) if record.output else None
    if report is None:
        return Verdict(False, f"its report is no longer in place ({record.stage} has run again)"), {}
    data = next((item.md5 for item in record.inputs if item.path.endswith("/prepared")), "")
    try:
        result = Result.of(json.loads((report / "report.json").read_text(encoding="utf-8")), data)
    except KeyError as error:
        return Verdict(False, f"its report does not say {error}"), {}
    before = _champion(client, version.name)
    tags = {"test.data": data, "test.metric": result.metric, "test.quality": repr(result.quality)}
    tags["gate.before"] = before.version if before else ""
    if before and before.version == str(version.version):
        return Verdict(True, "it is the champion already"), tags
    if (stored := version.tags.get("bytes")) != "stored":
        return Verdict(False, f"its bytes are not in the registry: {stored}"), tags
    return judge(read_gate(root / "params.yaml"), result, before), tags


def _champion(client: MlflowClient, name: str) -> Champion | None:
    from stillhouse.comparison.gate import Champion

    aliases = client.get_registered_model(name).aliases
    if CHAMPION not in aliases:
        return None
    tags: Mapping[str, Any] = client.get_model_version(name, aliases[CHAMPION]).tags
    quality = tags.get("test.quality")
    return Champion(str(aliases[CHAMPION]), tags.get("test.metric", ""), float(quality) if quality else None, tags.get("test.data", ""))
