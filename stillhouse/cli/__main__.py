"""The `stillhouse` command.

Nothing heavy is imported before it is needed: when nothing is due, neither Prefect nor MLflow nor PyTorch is.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from stillhouse.cli import node as node_commands
from stillhouse.cli import results
from stillhouse.cli.export import export
from stillhouse.cli.head import down, up
from stillhouse.cli.init import init
from stillhouse.cli.inspect import inspect
from stillhouse.cli.lineage import lineage
from stillhouse.cli.plan import AllowMissing, Names, enter, plan, planned, show
from stillhouse.cli.predict import predict
from stillhouse.cli.report import report
from stillhouse.cli.reproduce import reproduce
from stillhouse.cli.schedule import schedule
from stillhouse.cli.settle import Check, foreseen
from stillhouse.cli.upgrade import upgrade
from stillhouse.cli.verify import verify
from stillhouse.contracts.errors import UserError
from stillhouse.contracts.hidden import hide
from stillhouse.flows import graph, uncached
from stillhouse.flows.graph import Node
from stillhouse.flows.opening import Opening, alone, opening
from stillhouse.flows.spare import Spare, spare
from stillhouse.project import version
from stillhouse.record import collector, process, revision, room, servers, surroundings

if TYPE_CHECKING:
    from stillhouse.flows.execution import Ended

INTERRUPTED = 130

commands = typer.Typer(
    add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help="Distil big models into small ones that fit a budget."
)
Jobs = Annotated[int | None, typer.Option(min=1, help="Stages at once; as many as there are cores by default.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"stillhouse {version.installed()}")
        raise typer.Exit


@commands.callback()
def main(
    context: typer.Context,
    wanted: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version of this library.")] = False,
) -> None:
    """Distil big models into small ones that fit a budget."""
    process.ask_this_machine_directly()
    if context.invoked_subcommand not in ("up", "down"):
        _join()


Force = Annotated[
    bool,
    typer.Option(
        "--force", "-f", help="Run what is unchanged or kept too. Example: stillhouse run --force teach@umls runs it and prepare@umls."
    ),
]
KeepGoing = Annotated[
    bool,
    typer.Option(
        "--keep-going/--no-keep-going",
        "-k",
        help="After a failure, run all that does not depend on it, or begin nothing more. Example: stillhouse run --no-keep-going.",
    ),
]
Given = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Run each combination of these values as an experiment, in a copy. Example: --set students.half.search.budget.share=0.5,0.25.",
    ),
]
AtOnce = Annotated[int, typer.Option("--at-once", min=1, help="Combinations that run side by side.")]
On = Annotated[str, typer.Option("--on", help="Run stages on the nodes of this pool. Example: stillhouse run --on gpus umls.")]
Dry = Annotated[bool, typer.Option("--dry", help="Show what would run, and run nothing. Example: stillhouse run --force --dry umls.")]


@commands.command()
def run(
    names: Names = None,
    jobs: Jobs = None,
    force: Force = False,
    keep_going: KeepGoing = True,
    dry: Dry = False,
    allow_missing: AllowMissing = False,
    given: Given = None,
    at_once: AtOnce = 1,
    on: On = "",
) -> None:
    """Run what is due."""
    # A polite request to end and Ctrl-C are one thing, in every phase of the execution, and also where a shell has Ctrl-C ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    folder = enter()
    version.check(folder)
    wishes = _Wishes(names or [], jobs, force, keep_going, allow_missing, on)
    if given:
        from stillhouse.cli import sweep

        raise typer.Exit(sweep.run(folder, wishes.words(), given, at_once, dry))
    if ended := _run(folder, wishes, dry=dry):
        _leave(folder, ended, wishes.names)


@dataclasses.dataclass(frozen=True)
class _Wishes:
    """What `run` was asked for, but for experiments."""

    names: Sequence[str]
    jobs: int | None
    force: bool
    keep_going: bool
    allow_missing: bool
    on: str

    def words(self) -> list[str]:
        """As on the command line."""
        options = ["--force"] * self.force + ["--no-keep-going"] * (not self.keep_going) + ["--allow-missing"] * self.allow_missing
        return [*self.names, *options, *(["--jobs", str(self.jobs)] if self.jobs else []), *(["--on", self.on] if self.on else [])]


def _run(folder: Path, wishes: _Wishes, *, dry: bool) -> Ended | None:
    """How the execution ended; None where nothing was to be done, or done."""
    with opening(folder) as opened, spare(folder) as ready:
        check = ready.check if dry or wishes.on else _beside(opened, ready)
        options: dict[str, Any] = {"force": wishes.force, "allow_missing": wishes.allow_missing}
        nodes = planned(folder, wishes.names, **options, check=check)
        if not dry and uncached.may_be(nodes) and (stored := uncached.store(folder)):
            print(f"stored in DVC's cache again, where they were missing: the results of {', '.join(stored)}")
            nodes = planned(folder, wishes.names, **options, check=lambda: None)
        if not dry and any(node.state != "unchanged" for node in nodes):
            return _execute(folder, nodes, wishes, opened, ready)
    if dry:
        show(nodes, folder)
    else:
        _nothing_to_do(nodes, folder)
    return None


def _leave(folder: Path, ended: Ended, names: Sequence[str]) -> NoReturn:
    if ended.code == 0:
        results.show(folder, compared=not names or "compare" in names)
    if ended.gone:
        sys.stdout.flush()
        os._exit(ended.code)
    raise typer.Exit(ended.code)


def _beside(opened: Opening, ready: Spare) -> Check:
    """The check of params.yaml, while what an execution holds begins."""

    def check() -> None:
        opened.begin()
        ready.check()

    return check


def _execute(folder: Path, planned: Sequence[Node], wishes: _Wishes, opened: Opening, ready: Spare) -> Ended:
    revision.head(folder)  # where git refuses to tell it, every stage would fail
    room.require(folder)
    surroundings.require_writable(folder)
    from stillhouse.flows import execution

    if not wishes.on and any(node.state == "due" and node.name != "compare" for node in planned):
        ready.begin()
    elsewhere = execution.Elsewhere(wishes.on, foreseen(afresh=wishes.force)) if wishes.on else None
    options = {"afresh": wishes.force, "keep_going": wishes.keep_going, "allow_missing": wishes.allow_missing}
    return execution.execute(folder, wishes.names, planned, wishes.jobs, opened, **options, on=elsewhere)


def _nothing_to_do(planned: Sequence[Node], folder: Path) -> None:
    print(f"nothing to do: {len(planned)} stages are up to date")
    _mend(folder)
    results.show(folder)


@commands.command()
def doctor() -> None:
    """Check this machine and this folder; the exit code is 1 if anything is wrong."""
    from stillhouse.cli import doctor as checks

    raise typer.Exit(checks.main(Path.cwd()))


commands.command()(plan)
commands.command()(init)
commands.command()(upgrade)
commands.command()(lineage)
commands.command()(reproduce)
commands.command()(predict)
commands.command()(export)
commands.command()(report)
commands.command()(verify)
commands.command()(inspect)
commands.command()(up)
commands.command()(down)
commands.command()(schedule)
commands.command()(node_commands.node)
commands.command()(node_commands.nodes)


def app() -> None:
    """The command, with a reader's mistakes told in one sentence."""
    collector.quiet()
    surroundings.complete()
    try:
        commands()
    except UserError as problem:
        print(hide(str(problem)), file=sys.stderr)
        sys.exit(1)
    except PermissionError as problem:
        print(surroundings.refused(problem), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        sentence = room.told(error, Path.cwd())
        if sentence is None:
            raise
        sys.exit(sentence)


def _join() -> None:
    """Uses the servers of the project, if this is one and `stillhouse up` has started some."""
    try:
        folder = graph.root(Path.cwd())
    except UserError:
        return
    servers.join(folder)
    for sentence in servers.dead(folder):
        print(f"warning: {sentence}", file=sys.stderr)


def _mend(folder: Path) -> None:
    """Nobody else would tell Prefect and MLflow how the last execution ended, if nothing is due."""
    from stillhouse.flows import execution, lost

    if lost.is_open(folder):
        try:
            with execution.interruptible() as stop, alone(folder):
                lost.mend(folder, stop)
        except UserError as problem:
            print(f"warning: {problem}", file=sys.stderr)


if __name__ == "__main__":
    app()
