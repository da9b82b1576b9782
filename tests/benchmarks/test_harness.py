"""Every benchmark can be listed, and says what it needs and how long it takes."""

from typer.testing import CliRunner

from benchmarks.__main__ import available


def test_benchmarks_declare_themselves():
    for name, module in available().items():
        assert name == module.name
        assert module.expected_seconds > 0
        assert callable(module.run)
        assert module.__doc__


def test_an_unknown_benchmark_names_those_there_are():
    import typer

    from benchmarks.__main__ import main

    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["nonsense"])
    assert result.exit_code == 2
    assert "wanted one of" in result.output
