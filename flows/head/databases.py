"""One PostgreSQL address in the spelling of each server, with a schema for each: both call a table `alembic_version`."""

from __future__ import annotations

import importlib.util
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide

_SCHEMES = ("postgresql", "postgres")


def for_prefect(address: str) -> dict[str, str]:
    """The settings with which Prefect's server, which speaks through asyncpg, keeps its tables in the schema `prefect`."""
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": _with_driver(address, "asyncpg"),
        # Extensions of the database, such as pg_trgm, may lie in its schema `public`.
        "PREFECT_SERVER_DATABASE_SQLALCHEMY_CONNECT_ARGS_SEARCH_PATH": "prefect,public",
    }


def for_mlflow(address: str) -> str:
    """The address with which MLflow's server, which speaks through psycopg, keeps its tables in the schema `mlflow`."""
    parts = urlsplit(_with_driver(address, "psycopg"))
    query = urlencode([*parse_qsl(parts.query), ("options", "-csearch_path=mlflow")], quote_via=quote)
    return urlunsplit(parts._replace(query=query))


def prepare(address: str, schema: str) -> None:
    """Makes the schema, if it is not there.

    Raises:
        UserError: no address of PostgreSQL, no driver for it, or no answer.
    """
    plain = _with_driver(address, "")
    if importlib.util.find_spec("psycopg") is None:
        raise UserError(f"{hide(address)} needs the driver of PostgreSQL: pip install 'stillhouse[postgresql]'")
    import psycopg
    from psycopg import sql

    try:
        with psycopg.connect(plain, connect_timeout=10) as connection:
            connection.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
    except psycopg.Error as error:
        reason = hide(str(error).strip().partition("\n")[0])
        raise UserError(f"{hide(address)} - wanted a database of PostgreSQL in which a schema can be made - {reason}") from None


def _with_driver(address: str, driver: str) -> str:
    scheme, mark, rest = address.partition("://")
    if not mark or scheme.partition("+")[0] not in _SCHEMES:
        raise UserError(f"{hide(address)} - wanted postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or no --database for SQLite")
    return f"postgresql{'+' * bool(driver)}{driver}://{rest}"
