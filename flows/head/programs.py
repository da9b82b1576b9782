"""How each of the two servers is called, and with which environment: secrets are in no command line, where every user could read them."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from stillhouse.contracts.files import replace
from stillhouse.flows import server
from stillhouse.flows.head import databases
from stillhouse.flows.head.wishes import Wishes
from stillhouse.record import moved, servers

Program = tuple[list[str], dict[str, str]]
_AUTHENTICATION = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{database}
admin_username = {user}
auth_cache_ttl_seconds = 60
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


def prefect(folder: Path, wishes: Wishes, token: str) -> Program:
    """Prefect's server with all its services. Its database is the one that runs without it use too, or PostgreSQL."""
    quiet = {name: value for name, value in server.settings(folder).items() if not name.startswith("PREFECT_SERVER_SERVICES_")}
    environment = quiet | {
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
        "PREFECT_SERVER_UI_API_URL": f"http://{wishes.public}:{wishes.prefect_port}/api",
    }
    if wishes.prefect_database:
        environment |= databases.for_prefect(wishes.prefect_database)
    if token:
        environment |= dict.fromkeys(("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"), f"{servers.USER}:{token}")
    command = [sys.executable, "-W", "ignore", "-m", "prefect", "server", "start"]
    return [*command, "--host", wishes.host, "--port", str(wishes.prefect_port)], environment


def _store(folder: Path, wishes: Wishes) -> dict[str, str]:
    """MLflow's database, the one that runs without a server use too, or PostgreSQL, and then artifacts go through the server."""
    artifacts = (folder / "mlartifacts").as_uri()
    if wishes.mlflow_database:
        return {"MLFLOW_BACKEND_STORE_URI": databases.for_mlflow(wishes.mlflow_database), "MLFLOW_ARTIFACTS_DESTINATION": artifacts}
    database = f"sqlite:///{folder / 'mlflow.db'}"
    moved.follow(folder, database)  # a server says what stands in it
    # A run that finds no server must find the artifacts of these runs, and their place is kept with the experiment.
    return {"MLFLOW_BACKEND_STORE_URI": database, "MLFLOW_DEFAULT_ARTIFACT_ROOT": artifacts}


def mlflow(folder: Path, wishes: Wishes, token: str) -> Program:
    """MLflow's server, with a password where there is a token."""
    environment = _store(folder, wishes) | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
    }
    if not wishes.local:
        environment["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(_hosts(wishes))
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--host", wishes.host, "--port", str(wishes.mlflow_port)]
    command += ["--workers", "1", "--uvicorn-opts", "--log-level warning --no-access-log"]  # else its log grows for ever
    if not token:
        return command, environment
    environment |= {
        "MLFLOW_AUTH_CONFIG_PATH": str(_authentication(folder)),
        "MLFLOW_AUTH_ADMIN_PASSWORD": token,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": hashlib.sha256(f"forms:{token}".encode()).hexdigest(),
    }
    return [*command, "--app-name", "basic-auth"], environment


_CLIENTS = {
    *("PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING", servers.JOINED),
    *("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"),
}
PROGRAMS: dict[str, Callable[[Path, Wishes, str], Program]] = {"prefect": prefect, "mlflow": mlflow}


def environment(more: dict[str, str]) -> dict[str, str]:
    """This process's environment for a server: without what a client reads, with `more`."""
    return {name: value for name, value in os.environ.items() if name not in _CLIENTS} | more


def _hosts(wishes: Wishes) -> list[str]:
    """The names by which MLflow lets itself be called: of any other it suspects a page that rebinds its own name to this machine."""
    names = dict.fromkeys(("localhost", "127.0.0.1", wishes.host, wishes.public))
    return [pattern for name in names for pattern in (name, f"{name}:*")]


def _authentication(folder: Path) -> Path:
    """MLflow's file of settings for who may come in; its users are kept beside the token, so that both are made together."""
    path = folder / servers.FOLDER / "mlflow.ini"
    text = _AUTHENTICATION.format(database=folder / servers.FOLDER / "users.db", user=servers.USER)
    replace(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path
