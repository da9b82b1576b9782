"""Applies each mutant to a copy of the sources and tells whether its tests see it; fails if they do not."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.mutants.catalogue import MUTANTS
from tests.mutants.trial import ROOT, Verdict, copied, tried


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 if a mutant survives, no longer applies, or had red tests before."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    known = [mutant.name for mutant in MUTANTS]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which mutants (all): {', '.join(known)}")
    names = parser.parse_args(arguments).names
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"unknown mutant {', '.join(unknown)}; there are {', '.join(known)}")
    chosen = [mutant for mutant in MUTANTS if not names or mutant.name in names]
    with tempfile.TemporaryDirectory() as place:
        return report(tried(chosen, copied(ROOT, Path(place))), len(chosen))


def report(verdicts: list[Verdict], wanted: int) -> int:
    """Prints what was not killed with the end of its tests' output; 0 if all were."""
    for verdict in verdicts:
        if verdict.words != "killed":
            print(verdict.output[-3000:])
    killed = sum(verdict.words == "killed" for verdict in verdicts)
    print(f"{killed} of {wanted} mutants killed")
    return 0 if killed == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
