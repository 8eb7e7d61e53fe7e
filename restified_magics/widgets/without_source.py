"""Printed text without the source and the paths that Python and IPython put into it, for visitors."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["without_folders", "without_source"]

_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_WARNING = re.compile(r"\S.*?:\d+: (?P<said>\w*Warning: .*)")
_TRACEBACK = "Traceback (most recent call last)"
_RULE = re.compile(r"-{20,}")
_RAISED = re.compile(r"[^\W\d][\w.]*(: .*)?")  # the line that ends a traceback
_FOLDERS = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^/\\\s'\",:;]+[/\\])+")


def without_source(text: str) -> str:
    """The text, where a warning is its message and a traceback is its last line.

    Args:
        text: what a cell printed, on stdout or stderr.

    Example:
        >>> without_source("/srv/x.py:3: UserWarning: old data\\n  warn(SECRET)\\nread\\n")
        'UserWarning: old data\\nread\\n'
        >>> without_source("Traceback (most recent call last):\\n  File 'x'\\nError: no\\nread\\n")
        'Error: no\\nread\\n'
    """
    if _TRACEBACK not in text and "Warning: " not in text:
        return text
    return "\n".join(_lines(text.split("\n")))


def without_folders(text: str) -> str:
    """The text, where an absolute path is the name of its file.

    Example:
        >>> without_folders("/srv/private/area.ipynb: there is no such file")
        'area.ipynb: there is no such file'
    """
    return _FOLDERS.sub("", text)


def _lines(lines: list[str]) -> Iterator[str]:
    inside = ""
    for number, line in enumerate(lines):
        plain = _COLORS.sub("", line)
        if _TRACEBACK in plain:
            inside = "traceback"
        elif inside == "traceback":
            if _RAISED.fullmatch(plain):
                inside = ""
                yield plain
        elif inside == "warning" and plain.startswith("  "):
            continue
        elif found := _WARNING.fullmatch(plain):
            inside = "warning"
            yield found["said"]
        else:
            inside = ""
            following = lines[number + 1] if number + 1 < len(lines) else ""
            if not (_RULE.fullmatch(plain) and _TRACEBACK in following):
                yield line
