"""Addresses and error messages as they may be printed and recorded: without the passwords that people write into addresses."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

MASK = "***"
_USER = re.compile(r"(?<=://)[^/\s@'\"<>]*(?:@[^/\s@'\"<>]*)*@(?=[\w.\[-])")
_TOKEN = re.compile(r"(?i)([?&;][\w.-]*(?:token|password|passwd|pwd|secret|key|signature|sig|credential)[\w.-]*=)[^&;\s'\"<>)]+")
_ADDRESSES = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "PREFECT_API_URL")
_SECRETS = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")
_SHORTEST = 4
"""Characters; a shorter password would be found in innocent words."""


def hide(text: str) -> str:
    """The text with `***` for the user and password of every address, for secrets in queries, and for those that the environment names."""
    for secret in _known():
        text = text.replace(secret, MASK)
    return _TOKEN.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", text))


def has_password(text: str) -> bool:
    """Whether an address in the text has a password in it."""
    return any(":" in found[0] for found in _USER.finditer(text))


def _known() -> list[str]:
    """The secrets of the environment, also as a library may have decoded them, the longest first."""
    found = {os.environ.get(name, "") for name in _SECRETS}
    for name in _ADDRESSES:
        user = os.environ.get(name, "").partition("://")[2].rpartition("@")[0]
        found.add(user.partition(":")[2])
    found.add(os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")[2])
    found |= {unquote(secret) for secret in found}
    return sorted((secret for secret in found if len(secret) >= _SHORTEST), key=len, reverse=True)
