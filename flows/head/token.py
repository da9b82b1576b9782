"""The one secret of a project's servers, in a file that only its owner reads."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from stillhouse.record import servers


def kept(folder: Path) -> str:
    """The token, made at the first call. It stays when the servers end, so that nodes go on with their copy."""
    path = folder / servers.TOKEN
    path.parent.chmod(0o700)  # MLflow's users lie beside it
    with suppress(FileExistsError), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{secrets.token_urlsafe(32)}\n")
    return servers.token(folder)
