"""The text of a cell → its statements and comments, also where it is not valid Python."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import TYPE_CHECKING, NamedTuple

from restified_magics.core.source import parse

if TYPE_CHECKING:
    pass


__all__ = ["UNPARSABLE", "Comment", "Layout", "lay_out"]


class Comment(NamedTuple):
    """A comment: its line from 1, its column, its text, and whether it stands on a line of its own."""

    line: int
    column: int
    text: str
    alone: bool  # nothing but the comment is on its line


class Layout(NamedTuple):
    """The statements and comments of a cell, and what could not be read of it."""

    lines: list[str]
    statements: list[ast.stmt]
    comments: list[Comment]
    problems: list[tuple[int, str]]

    def text(self, node: ast.expr) -> str:
        """The source of a node, as `ast.get_source_segment` but without splitting the cell each time."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        picked = [line.encode() for line in self.lines[first : last + 1]]
        picked[-1] = picked[-1][: node.end_col_offset]
        picked[0] = picked[0][node.col_offset :]
        return b"\n".join(picked).decode(errors="replace")


UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_LONGEST = 200  # lines of one statement in a cell that is not valid Python
_MOST_TRIES = 4000  # and some more for each line, so that a broken cell cannot take minutes
_UNFINISHED = re.compile(
    r"was never closed|unterminated triple|unexpected EOF|expected an indented block|EOF in multi"
)


def lay_out(source: str, *, comments: bool = True) -> Layout:
    """Tell the statements and comments of a cell apart, line by line where it is not valid Python."""
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = source.split("\n")
    try:
        statements = parse(source).body
    except UNPARSABLE as error:
        return _lay_out_by_line(lines, error)
    return Layout(lines, statements, _comments(source) if comments else [], [])


def _lay_out_by_line(lines: list[str], error: BaseException) -> Layout:
    """What of an invalid cell can be read: each statement of its own that is valid."""
    layout = Layout(lines, [], [], [(getattr(error, "lineno", None) or 1, _invalid(error))])
    tries, start = _MOST_TRIES + 2 * len(lines), 0
    while start < len(lines):
        text, tries = _statement_at(lines, start, tries)
        if text:
            layout.statements.extend(ast.increment_lineno(parse(text), start).body)
            layout.comments.extend(_comments(text, start))
        if tries <= 0:
            layout.problems.append((start + 1, "the cell is too long to be read further line by line"))
            break
        start += text.count("\n") + 1
    return layout


def _statement_at(lines: list[str], start: int, tries: int) -> tuple[str, int]:
    """The statement that begins on a line, or nothing, and how many more tries there are."""
    if not lines[start].strip():
        return "", tries
    for end in range(start + 1, min(start + _LONGEST, len(lines)) + 1):
        text = "\n".join(lines[start:end])
        tries -= 1
        try:
            parse(text)
        except UNPARSABLE as error:
            if tries <= 0 or not isinstance(error, SyntaxError) or not _UNFINISHED.search(str(error)):
                break
        else:
            return text, tries
    return "", tries


def _invalid(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else type(error).__name__
    return f"not valid Python ({said}), so it is read line by line"


def _comments(text: str, offset: int = 0) -> list[Comment]:
    if "#" not in text:
        return []
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                line, column = token.start
                found.append(Comment(line + offset, column, token.string, not token.line[:column].strip()))
    except (tokenize.TokenError, *UNPARSABLE):
        pass  # the tokenizer may see an error where the parser sees none; what it read so far counts
    return found
