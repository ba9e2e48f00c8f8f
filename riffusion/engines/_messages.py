"""Parts of error messages that both kinds of engine show."""

from __future__ import annotations

MAX_LENGTH = 200


def first_line(error: BaseException) -> str:
    """Return the first line of a library's message, at most 200 characters, or the error's type."""
    lines = str(error).strip().splitlines()
    return lines[0][:MAX_LENGTH] if lines else type(error).__name__
