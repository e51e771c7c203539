"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class UserError(Exception):
    """Bad input, said in one sentence that tells what is wrong and what to do.

    The command line prints the sentence to standard error and exits with status 2. Anything else that
    escapes is a defect of narrowgauge, and keeps its traceback.
    """
