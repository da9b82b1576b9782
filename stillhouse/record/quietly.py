"""Another program with a quiet collector: `python -m stillhouse.record.quietly dvc status` is `python -m dvc status`, sooner done."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from stillhouse.record import collector, spare

DVC_ADDRESS = "STILLHOUSE_SPARE_DVC"
"""The environment variable that tells where a process is asked that has loaded DVC (see `record.spare`)."""


def command(module: str, *words: str) -> list[str]:
    """What runs `python -m module words...` so."""
    return [sys.executable, "-m", __name__, module, *words]


def main(arguments: Sequence[str]) -> int:
    """Becomes `python -m module words...`: these are the arguments. Returns the exit status, or raises it as SystemExit."""
    collector.quiet()
    module, *_ = sys.argv[:] = list(arguments)
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, int):
            collector.leave(ended.code)
        raise
    return 0


def _stand_in(arguments: Sequence[str]) -> int:
    """DVC is a copy of a process that has loaded it, where there is one."""
    copied = spare.run("stillhouse.record.quietly", arguments, DVC_ADDRESS) if arguments[0] == "dvc" else None
    return main(arguments) if copied is None else copied


if __name__ == "__main__":
    sys.exit(_stand_in(sys.argv[1:]))
