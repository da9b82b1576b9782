"""The one exception that says: the input is wrong, not the program."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake that its reader can mend: one sentence with what was wanted, what was got and where.

    The runner prints the sentence without a traceback.
    """
