"""What a reader may ask of the servers, checked before anything starts."""

from __future__ import annotations

import importlib.util
import ipaddress
import socket
from dataclasses import dataclass

from stillhouse.contracts.errors import UserError

PORTS = {"prefect": 4200, "mlflow": 5000}
_EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Wishes:
    """`host`: where they listen; `known_as`: the name under which other machines reach this one; `databases`: addresses, else SQLite."""

    host: str = "127.0.0.1"
    known_as: str = ""
    prefect_port: int = PORTS["prefect"]
    mlflow_port: int = PORTS["mlflow"]
    prefect_database: str = ""
    mlflow_database: str = ""
    authentication: bool = True

    @property
    def asked_at(self) -> str:
        """The host by which this machine asks them."""
        return "127.0.0.1" if self.host in _EVERYWHERE else self.host

    @property
    def public(self) -> str:
        """The host by which others do."""
        return self.known_as or (socket.gethostname() if self.host in _EVERYWHERE else self.host)

    def port(self, name: str) -> int:
        """Where one of the servers listens."""
        return self.prefect_port if name == "prefect" else self.mlflow_port

    def database(self, name: str) -> str:
        """The address of one's database; "" is SQLite."""
        return self.prefect_database if name == "prefect" else self.mlflow_database

    @property
    def local(self) -> bool:
        """Whether nobody else can reach them."""
        return is_local(self.host)


def is_local(host: str) -> bool:
    """Whether a host is this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check(wishes: Wishes) -> None:
    """Raises UserError about what cannot be."""
    if not wishes.local and not wishes.authentication:
        raise UserError(
            f"--no-authentication with --host {wishes.host}: servers that others can reach must ask for the token; leave it out"
        )
    if wishes.authentication and importlib.util.find_spec("flask_wtf") is None:
        raise UserError("MLflow's server asks for a password only where Flask-WTF is installed: pip install 'Flask-WTF<2'")


def require_free(host: str, port: int, option: str) -> None:
    """Raises UserError if something listens on a port already, or the host is none of this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(
                f"{host}:{port} - wanted a free port of this machine - {error.strerror} - choose another {option}, or --host"
            ) from None
