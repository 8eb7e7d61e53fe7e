"""The source of a cell → its assignments, each with the comments that belong to it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from restified_magics.signature.colab import read_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
from restified_magics.signature.comments import (
    COLAB_MARK,
    PARAM_MARK,
    Said,
    heading_of,
    plain_text,
    read_trailing,
    section_title,
)
from restified_magics.signature.layout import Comment, Layout, lay_out

__all__ = ["Assignment", "CellReader", "Form", "ParameterCell", "Problem"]


class Problem(NamedTuple):
    """Something in a parameters cell that could not be read as its author may have meant it.

    Example:
        >>> print(Problem(0, 3, "rate: the type comment `flaot` is not understood"))
        cell 1, line 3: rate: the type comment `flaot` is not understood
    """

    cell: int
    line: int
    text: str

    def __str__(self) -> str:
        return f"cell {self.cell + 1}, line {self.line}: {self.text}"


@dataclass(frozen=True)
class ParameterCell:
    """A code cell that a call executes.

    Attributes:
        index: position in the notebook, from 0.
        source: the cell as Python, IPython's magics turned into calls with the same line numbers.
        tagged: the cell bears the tag ``parameters``.
    """

    index: int
    source: str
    tagged: bool = False


class Assignment(NamedTuple):
    """One assignment of one name. `value` is None in ``n: int``; what is `unpacked` is a part of it only."""

    name: str
    site: tuple[int, int, int]
    layout: Layout
    annotation: ast.expr | None
    value: ast.expr | None
    unpacked: bool
    said: Said


@dataclass
class Form:
    """What the cells say about the form as a whole."""

    title: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    description: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    begun: bool = False  # a parameter was seen


@dataclass
class _Above:
    """What the comments directly above a statement say about it."""

    text: list[str] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)  # each a `#@param`, which formatters move up


_Blocks = list[list[list[Comment]]]


class CellReader:
    """Walks through one cell from top to bottom and hands each assignment the comments that are its own."""

    def __init__(self, cell: ParameterCell, form: Form, *, only_marked: bool) -> None:
        self._index = cell.index
        self._layout = lay_out(cell.source)
        self._form = form
        self._only_marked = only_marked
        self._section = ""
        self._markdown: list[str] = []  # since the last parameter

    def assignments(self) -> Iterator[Assignment]:
        for line, text in self._layout.problems:
            self._problem(line, text)
        trailing, blocks = self._share_out()
        run_section, run_end = "", -1
        for at, statement in enumerate(self._layout.statements):
            above = _Above()
            for block in blocks[at]:
                above = self._block(block, touches=block[-1].line == statement.lineno - 1)
            bound = _bound_by(statement)
            said = _said(statement, trailing[at], above) if bound else Said()
            if not bound or (self._only_marked and said.param is None):
                continue
            if above.text:
                run_end = self._run_end(at, blocks)
                # Where headings make the sections, a comment need not be one.
                alone = bool(self._section) or (run_end == at and len(bound) == 1)
                run_section = "" if alone else " ".join(above.text)
                said.help = "\n".join(above.text) if alone else said.help
            said.help = "\n".join([*self._markdown, said.help]).strip()
            self._markdown, self._form.begun = [], True
            said.section = (run_section if at <= run_end else "") or self._section
            if len(bound) > 1:  # one label for several fields would tell nobody which is which
                said.help, said.text = said.help or said.text, ""
            for problem in said.problems:
                self._problem(statement.lineno, f"{bound[0][0]}: {problem}")
            site = (self._index, statement.lineno, statement.col_offset)
            annotation = statement.annotation if isinstance(statement, ast.AnnAssign) else None
            for name, value, unpacked in bound:
                yield Assignment(name, site, self._layout, annotation, value, unpacked, said)
        for block in blocks[-1]:
            self._block(block, touches=False)

    def _share_out(self) -> tuple[list[list[Comment]], _Blocks]:
        """For each statement, the comments on its lines, and the blocks of comments before it."""
        statements = self._layout.statements
        trailing: list[list[Comment]] = [[] for _ in statements]
        blocks: _Blocks = [[] for _ in range(len(statements) + 1)]
        at = 0
        for comment in self._layout.comments:
            while at < len(statements) and (statements[at].end_lineno or 0) < comment.line:
                at += 1
            if at < len(statements) and statements[at].lineno <= comment.line:
                last = at  # of several statements on the line, the comment is the last one's
                while last + 1 < len(statements) and statements[last + 1].lineno == comment.line:
                    last += 1
                if not comment.alone:
                    trailing[last].append(comment)
            elif not self._layout.lines[comment.line - 1][: comment.column].strip("\f"):  # not indented
                if blocks[at] and blocks[at][-1][-1].line == comment.line - 1:
                    blocks[at][-1].append(comment)
                else:
                    blocks[at].append([comment])
        return trailing, blocks

    def _run_end(self, at: int, blocks: _Blocks) -> int:
        """The last of the assignments that follow without a blank line, comment or other statement."""
        statements = self._layout.statements
        while at + 1 < len(statements) and not blocks[at + 1]:
            below = statements[at + 1]
            if below.lineno > (statements[at].end_lineno or 0) + 1 or not _bound_by(below):
                break
            at += 1
        return at

    def _block(self, block: list[Comment], *, touches: bool) -> _Above:
        """Read a block of comments. What it says about the form or a section holds from here on."""
        above = _Above()
        for comment in block:
            raw = comment.text
            if match := COLAB_MARK.match(raw):
                self._marked(match[1], match[2].strip(), comment.line)
            elif PARAM_MARK.search(raw):
                above.moved.append(raw)
            elif title := section_title(raw):
                self._section = title
                above.text.clear()
            elif plain := plain_text(raw):
                above.text.append(plain)
        if touches:
            return above
        if not self._form.begun:
            self._form.description.extend(self._markdown)
            self._markdown = []
        return _Above()

    def _marked(self, mark: str, text: str, line: int) -> None:
        """Read a ``#@title`` or ``#@markdown``."""
        if mark == "title":
            title = read_title(text)
            if self._form.title:
                self._section = title.text  # in Colab each cell is a form; here it is a part of the one form
            else:
                self._form.title, self._form.options = title.text, title.options
            for problem in title.problems:
                self._problem(line, problem)
        elif heading := heading_of(text):
            self._section = heading
        elif any(map(str.isalnum, text)):
            self._markdown.append(text)

    def _problem(self, line: int, text: str) -> None:
        self._form.problems.append(Problem(self._index, line, text))


def _said(statement: ast.stmt, trailing: Iterable[Comment], above: _Above) -> Said:
    said = Said()
    for text in above.moved:
        read_trailing(text, said)
    for line in dict.fromkeys((statement.lineno, statement.end_lineno)):  # what the last line says wins
        for comment in trailing:
            if comment.line == line:
                read_trailing(comment.text, said)
    return said


_Bound = tuple[str, ast.expr | None, bool]


def _bound_by(statement: ast.stmt) -> list[_Bound]:
    """The public plain names that a statement assigns, with the value and whether that is unpacked."""
    if isinstance(statement, ast.AnnAssign):
        return list(_paired(statement.target, statement.value))
    if isinstance(statement, ast.Assign):
        return [bound for target in statement.targets for bound in _paired(target, statement.value)]
    return []


def _paired(target: ast.expr, value: ast.expr | None, unpacked: bool = False) -> Iterator[_Bound]:
    if isinstance(target, ast.Name):
        if not target.id.startswith("_"):
            yield target.id, value, unpacked
    elif isinstance(target, ast.Starred):
        yield from _paired(target.value, value, unpacked=True)
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value.elts if isinstance(value, ast.Tuple | ast.List) and not unpacked else []
        starred = any(isinstance(part, ast.Starred) for part in [*target.elts, *parts])
        if len(parts) == len(target.elts) and not starred:
            for part, its_value in zip(target.elts, parts, strict=True):
                yield from _paired(part, its_value)
        else:
            for part in target.elts:
                yield from _paired(part, value, unpacked=True)
