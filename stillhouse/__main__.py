"""`python -m stillhouse` is the command `stillhouse`."""

from stillhouse.cli.__main__ import app

if __name__ == "__main__":
    app()
