"""The door of all stages, as dvc.yaml calls it: `python -m stillhouse.stages <verb> <name>`, and `... check` for params.yaml."""

from __future__ import annotations

import sys

from stillhouse.record import collector, spare

if __name__ == "__main__":
    status = spare.run("stillhouse.stages.door", sys.argv[1:])
    if status is not None:
        sys.exit(status)
    collector.quiet()
    from stillhouse.stages.door import main

    collector.leave(main())
