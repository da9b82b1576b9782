"""The door of all stages, as dvc.yaml calls it: `python -m stillhouse.stages <verb> <name>`, and `... check` for params.yaml."""

from __future__ import annotations

from stillhouse.record import spare

if __name__ == "__main__":
    spare.stand_in("stillhouse.stages.door")
