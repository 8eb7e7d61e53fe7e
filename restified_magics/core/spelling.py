"""The values of a call, written at the assignments of a notebook in another language than Python.

A value is written as a literal only where the language's own reading of it gives the same value again; any
other leaves the author's line, and a comment.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from restified_magics.core.telling import shorten
from restified_magics.signature.languages import Language

__all__ = ["spelled", "spelled_out"]


def spelled_out(source: str, language: Language, params: Mapping[str, Any]) -> str:
    """The text of a cell with the values of a call at its assignments.

    Args:
        source: the text of the cell.
        language: its language.
        params: the values by name.

    Example:
        >>> from restified_magics.signature.languages import language_of
        >>> print(spelled_out("n <- 15L  # Terms\\nm <- n * 2", language_of("R"), {"n": 20}))
        n <- 20L  # Terms
        m <- n * 2
    """
    comment = "//" if language.name in ("TypeScript", "JavaScript") else "#"
    for statement in reversed(language.statements(source)):
        assigned = language.assigned(statement)
        if assigned is None or assigned.name not in params:
            continue
        value = params[assigned.name]
        text = spelled(value, language)
        rest = source[statement.end :]
        if text is None:
            line, newline, after = rest.partition("\n")
            told = f"{comment} {assigned.name} was given as {type(value).__name__} {shorten(value)}"
            rest = f"{line}  {told}{newline}{after}"
            source = source[: statement.end] + rest
        elif assigned.value is None:
            source = source[: statement.end] + f" {assigned.sign} {text}" + rest
        else:
            start = statement.start + statement.text.rindex(assigned.value)
            source = source[:start] + text + source[start + len(assigned.value) :]
    return source


def spelled(value: Any, language: Language) -> str | None:
    """A value as a literal of the language, or None where there is none that is the same.

    Example:
        >>> from restified_magics.signature.languages import language_of
        >>> r = language_of("R")
        >>> spelled(["a", 'say "b"'], r), spelled(True, r), spelled(object(), r)
        ('c("a", "say \\\\"b\\\\"")', 'TRUE', None)
    """
    spell = _SPELLS.get(language.name)
    if spell is None:
        return None
    try:
        text = spell(value)
        again = language.literal(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return text if type(again) is type(value) and again == value else None


def _r(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "NULL", True: "TRUE", False: "FALSE"}[value]
    if isinstance(value, int):
        return f"{value}L" if abs(value) < 2**31 else str(value)
    if isinstance(value, dict):
        return f"list({', '.join(f'{_json(str(name))} = {_r(item)}' for name, item in value.items())})"
    if isinstance(value, list):
        alike = len({type(item) for item in value}) == 1 and not isinstance(value[0], list | dict | None)
        return f"{'c' if alike else 'list'}({', '.join(map(_r, value))})"
    return _json(value)


def _shell(value: Any) -> str:
    if isinstance(value, list):
        return f"({' '.join(map(_shell, value))})"
    if isinstance(value, str):
        quoted = shlex.quote(value)
        # bare, the words of numbers and truths would not be read as text
        return quoted if quoted != value else f"'{value}'"
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_SPELLS: Mapping[str, Callable[[Any], str]] = {
    "R": _r,
    "bash": _shell,
    "TypeScript": _json,
    "JavaScript": _json,
}
