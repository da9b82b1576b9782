"""The servers of Prefect and MLflow that `stillhouse up` keeps running for a project: where they are, and how every command joins them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.files import read_json, write_json
from stillhouse.record import process

FOLDER = Path(".work/servers")
TOKEN = FOLDER / "token"
USER = "stillhouse"
JOINED = "STILLHOUSE_SERVERS"
"""The environment variable with the project whose servers a process uses, unless the reader has named others."""
REMEDY = "`stillhouse up` starts it again, `stillhouse down` goes back to servers that each run starts for itself"
TITLES = {"prefect": "Prefect's server", "mlflow": "MLflow's server"}
_STATE = FOLDER / "servers.json"


@dataclass(frozen=True)
class Server:
    """`address`: how this machine asks it; `public`: how others do; `processes`: the identity of each, the first one started the others."""

    address: str
    public: str
    processes: tuple[str, ...]
    authentication: bool

    def lives(self) -> bool:
        """Whether its first process does."""
        return not process.is_dead(self.processes[0])


def read(folder: Path) -> dict[str, Server]:
    """The servers that were started for a project and not ended, by name ("prefect", "mlflow"), whether they still live or not.

    Raises:
        UserError: the file that names them cannot be read.
    """
    if not (folder / _STATE).exists():
        return {}
    try:
        return {name: Server(**{**facts, "processes": tuple(facts["processes"])}) for name, facts in read_json(folder / _STATE).items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"{folder / _STATE} - wanted what `stillhouse up` writes - {error!r} - delete it, and end the servers by hand"
        ) from None


def write(folder: Path, servers: Mapping[str, Server]) -> None:
    """Keeps the servers for `read`; of none, nothing stays."""
    if servers:
        write_json(folder / _STATE, {name: asdict(server) for name, server in servers.items()})
    else:
        (folder / _STATE).unlink(missing_ok=True)


def join(folder: Path) -> None:
    """From now on this process, and those that it starts, use the servers of the project; an address that the reader has set stays.

    A server that has died is joined too: what it should hear waits for it.
    """
    known = read(folder)
    if "PREFECT_API_URL" not in os.environ and (prefect := known.get("prefect")):
        os.environ.update({"PREFECT_API_URL": prefect.address, JOINED: str(folder.resolve())})
        if prefect.authentication:
            os.environ["PREFECT_API_AUTH_STRING"] = f"{USER}:{token(folder)}"
    if "MLFLOW_TRACKING_URI" not in os.environ and (mlflow := known.get("mlflow")):
        os.environ["MLFLOW_TRACKING_URI"] = mlflow.address
        if mlflow.authentication:
            os.environ.update(MLFLOW_TRACKING_USERNAME=USER, MLFLOW_TRACKING_PASSWORD=token(folder))


def dead(folder: Path) -> list[str]:
    """A sentence for each server of the project that has ended by itself."""
    return [f"{TITLES[name]} of this project has ended: {REMEDY}" for name, server in read(folder).items() if not server.lives()]


def token(folder: Path) -> str:
    """The secret that both servers ask for.

    Raises:
        UserError: its file is gone.
    """
    try:
        return (folder / TOKEN).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise UserError(
            f"{folder / TOKEN} - wanted the token of this project's servers - {error.strerror} - `stillhouse down`, then `stillhouse up`"
        ) from None
