"""Another program with a quiet collector: `python -m stillhouse.record.quietly dvc status` is `python -m dvc status`, sooner done."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Sequence

from stillhouse.record import collector


def command(module: str, *words: str) -> list[str]:
    """What runs `python -m module words...` so."""
    return [sys.executable, "-m", __name__, module, *words]


def main(module: str, words: Sequence[str]) -> None:
    """Becomes `python -m module words...`."""
    collector.quiet()
    sys.argv[:] = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, int):
            collector.leave(ended.code)
        raise


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
