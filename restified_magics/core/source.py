"""The text of a code cell → the Python that IPython would make of it, with the line numbers it has."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from typing import Any

__all__ = ["joined_magics", "parse", "python_source"]

_PROMPT = re.compile(r"\s*In \[\d+\]:")
_BLANK = re.compile(r"\A(?:[ \t\f]*\r?\n)*")
# a magic or `!command` that a backslash continues on further lines
_CONTINUED = re.compile(r"^[ \t]*(?:[\w, \t]+=[ \t]*)?[!%](?:.*\\\n)+.*$", re.MULTILINE)


@functools.cache
def _transformer() -> Any:
    # IPython takes 0.1 s to import, and most cells need nothing of it.
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager()


@functools.lru_cache(maxsize=4096)
def python_source(source: str) -> str:
    """The cell as plain Python: magics, ``!commands``, ``?`` and prompts become calls of IPython.

    A cell that is Python already comes back as it is, and IPython is not imported for it. The
    line numbers are those of the cell. What IPython cannot read comes back as it was.

    Example:
        >>> python_source("n = 15  # Terms")
        'n = 15  # Terms'
        >>> python_source("x = 1\\n%cd data")
        "x = 1\\nget_ipython().run_line_magic('cd', 'data')\\n"
    """
    if not _PROMPT.match(source):
        try:
            parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
        else:
            return source
    leading = _BLANK.match(source)
    blank = leading.group().count("\n") if leading else 0
    try:
        text: str = _transformer().transform_cell(source)
        if text.rstrip("\n").count("\n") + blank < source.rstrip("\n").count("\n"):
            text = _transformer().transform_cell(joined_magics(source) or source)
    except (SyntaxError, ValueError, RecursionError, IndexError):
        return source
    # IPython drops the empty lines that a cell begins with; the line numbers need them.
    return "\n" * blank + text


def joined_magics(source: str) -> str | None:
    """The cell with each magic that is continued over lines on one, and empty lines after it; else None.

    IPython joins them too, and leaves no lines in their place, so that all that follow have other numbers.
    """
    joined, count = _CONTINUED.subn(_joined, source)
    return joined if count else None


def _joined(found: re.Match[str]) -> str:
    """The lines of a magic as one, and empty ones after it."""
    lines = found[0].split("\\\n")
    return " ".join(line.strip() if number else line for number, line in enumerate(lines)) + "\n" * (
        len(lines) - 1
    )


def parse(source: str) -> ast.Module:
    """`ast.parse` without the compiler's warnings, which are the running cell's to give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)
