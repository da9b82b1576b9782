"""`python -m stillhouse.serving FOLDER FILE` writes down what a model shows of itself."""

from __future__ import annotations

from stillhouse.record import spare

if __name__ == "__main__":
    spare.stand_in("stillhouse.serving.shown")
