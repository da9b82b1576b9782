"""`python -m stillhouse` is the command `stillhouse`."""

from stillhouse.record import collector

if __name__ == "__main__":
    collector.quiet()
    from stillhouse.cli.__main__ import app

    try:
        app()
    except SystemExit as ended:
        if isinstance(ended.code, int):
            collector.leave(ended.code)
        raise
