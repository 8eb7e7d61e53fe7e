"""The source of a cell in another language than Python → its statements and comments.

No full parser, and none is needed: a statement ends at a line's end or a semicolon, outside of brackets,
strings and comments, unless the line ends or the next one begins with what goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Remark", "Signs", "Statement", "split"]


class Signs(NamedTuple):
    """The signs of a language by which its statements are told apart.

    Attributes:
        comment: what begins a comment, to the end of the line.
        quotes: what strings are between. In those of ``raw`` a backslash is itself.
        raw: the quotes in which nothing is escaped.
        blocks: what stands around a comment of many lines, or None.
        goes_on: matches the end of a line whose statement goes on.
        goes_back: matches the beginning of a line that goes on with the statement before.
        word_comments: a comment begins only where a word may begin, as in a shell.
    """

    comment: str
    quotes: str
    raw: str = ""
    blocks: tuple[str, str] | None = None
    goes_on: re.Pattern[str] | None = None
    goes_back: re.Pattern[str] | None = None
    word_comments: bool = False


class Statement(NamedTuple):
    """One statement: the part ``source[start:end]`` of its cell, without what follows it.

    Attributes:
        start: where it begins.
        end: where it ends.
        line: the line it begins on, from 0.
        last_line: the line it ends on.
        text: itself.
    """

    start: int
    end: int
    line: int
    last_line: int
    text: str


class Remark(NamedTuple):
    """A comment of one line: its line from 0, its words, and whether nothing else is on the line."""

    line: int
    text: str
    alone: bool


def split(source: str, signs: Signs, ends: str = ";") -> tuple[list[Statement], list[Remark]]:
    """Tell the statements and comments of a cell apart, or what else stands between certain signs.

    Example:
        >>> signs = Signs(comment="#", quotes="\\"'")
        >>> statements, remarks = split("n <- 15  # Terms\\nf(n, '#;')", signs)
        >>> [statement.text for statement in statements], remarks[0].text
        (['n <- 15', "f(n, '#;')"], ' Terms')
    """
    reader = _Reader(source, signs, ends)
    return list(reader.statements()), reader.remarks


class _Reader:
    def __init__(self, source: str, signs: Signs, ends: str) -> None:
        self._ends = ends
        self._source = source
        self._signs = signs
        self.remarks: list[Remark] = []

    def statements(self) -> Iterator[Statement]:
        source, signs = self._source, self._signs
        at, depth = 0, 0
        start = end = -1  # of the statement that is read, and of its last sign
        while at < len(source):
            sign = source[at]
            if self._begins_comment(at):
                at = self._comment(at)
                continue
            if signs.blocks and source.startswith(signs.blocks[0], at):
                close = source.find(signs.blocks[1], at + 2)
                at = len(source) if close < 0 else close + len(signs.blocks[1])
                continue
            if depth <= 0 and (
                sign in self._ends or (sign == "\n" and start >= 0 and not self._goes_on(start, end, at))
            ):
                if start >= 0:
                    yield self._statement(start, end)
                start, depth = -1, 0
                at += 1
                continue
            if not sign.isspace():
                start = at if start < 0 else start
                depth += (sign in "([{") - (sign in ")]}")
            at = (
                self._after_string(at)
                if sign in signs.quotes
                else at + 1 + (sign == "\\" and not signs.blocks)
            )
            if not sign.isspace():
                end = min(at, len(source))
        if start >= 0:
            yield self._statement(start, end)

    def _begins_comment(self, at: int) -> bool:
        if not self._source.startswith(self._signs.comment, at):
            return False
        return not self._signs.word_comments or at == 0 or self._source[at - 1] in " \t\n;&|("

    def _comment(self, at: int) -> int:
        end = self._source.find("\n", at)
        end = len(self._source) if end < 0 else end
        first = self._source.rfind("\n", 0, at) + 1
        text = self._source[at + len(self._signs.comment) : end]
        alone = not self._source[first:at].strip()
        self.remarks.append(Remark(self._source.count("\n", 0, at), text.rstrip("\r"), alone))
        return end

    def _after_string(self, at: int) -> int:
        quote, source = self._source[at], self._source
        at += 1
        while at < len(source) and source[at] != quote:
            at += 2 if source[at] == "\\" and quote not in self._signs.raw else 1
        return at + 1

    def _goes_on(self, start: int, end: int, at: int) -> bool:
        signs = self._signs
        if signs.goes_on is not None and signs.goes_on.search(self._source, start, end):
            return True
        return signs.goes_back is not None and signs.goes_back.match(self._source, at) is not None

    def _statement(self, start: int, end: int) -> Statement:
        line = self._source.count("\n", 0, start)
        text = self._source[start:end]
        return Statement(start, end, line, line + text.count("\n"), text)
