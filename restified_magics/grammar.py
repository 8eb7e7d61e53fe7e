"""The source of parameters cells → Parameters. Nothing is executed, and no source makes it fail.

A cell is read in three steps: its statements and comments are told apart (:func:`_lay_out`), each
assignment gets the comments that belong to it (:class:`_CellReader`), and what all of them say about
a name becomes one Parameter (:class:`_Builder`).

Where a comment belongs:

- after an assignment: its label ``[unit] (low..high step s)``. Of several statements on a line, it
  belongs to the last; of a statement of several lines, the comment after its end counts, else the
  one after its first line. Where one statement assigns several names, it is the help of each.
- directly above an assignment: its help; above several in a row: the title of their section, unless
  a heading has begun a section already.
- ``# ## Title``, ``# --- Title ---`` and ``#@markdown ## Title`` are headings. Their section goes on
  to the next one in the cell.
"""

from __future__ import annotations

import ast
import dataclasses
import datetime
import io
import numbers
import pathlib
import re
import tokenize
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

from restified_magics.annotations import AnnotationReader, UnreadableError, facts, kinds, without_bounds
from restified_magics.colab import ColabParam, colab_type, number, read_param, read_title
from restified_magics.parameters import MISSING, Parameter, shorten
from restified_magics.source import parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["ParameterCell", "ParameterSet", "Problem", "read_parameters"]

_Union: Any = Union


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


@dataclass(frozen=True)
class Problem:
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
class ParameterSet:
    """What the parameters cells of a notebook say.

    Attributes:
        parameters: by name, in the order of their first assignment.
        title: of the form, from ``#@title``, else empty.
        title_options: its options, for instance ``{"run": "auto"}``.
        description: text of ``#@markdown`` before the first parameter, else empty.
        problems: what could not be read; never more than a warning.
    """

    parameters: dict[str, Parameter] = field(default_factory=dict)
    title: str = ""
    title_options: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    problems: list[Problem] = field(default_factory=list)


def read_parameters(cells: Sequence[ParameterCell]) -> ParameterSet:
    """Read the parameters of a notebook.

    Where no cell is tagged but some have Colab's ``#@param`` comments, the assignments so marked are
    the parameters. Cells that are not tagged otherwise matter only for what they import, and for the
    Enum classes and type aliases that they define.

    Args:
        cells: all code cells that a call executes, in order.

    Example:
        >>> source = "# How wide it is.\\nwidth = 4.2  # Width [mm] (0..10 step 0.1)"
        >>> width = read_parameters([ParameterCell(0, source, tagged=True)]).parameters["width"]
        >>> width.default, width.label, width.unit, width.minimum, width.maximum, width.help
        (4.2, 'Width', 'mm', 0, 10, 'How wide it is.')
    """
    library = _Library(cells)
    tagged = [cell for cell in cells if cell.tagged]
    chosen = tagged or [cell for cell in cells if _PARAM.search(cell.source)]
    found: dict[str, list[_Assignment]] = {}
    form = _Form()
    for cell in chosen:
        reader = _CellReader(cell, form, only_marked=not tagged)
        for assignment in reader.assignments():
            found.setdefault(assignment.name, []).append(assignment)
    builder = _Builder(AnnotationReader(find=library.find), form.problems)
    parameters = {name: builder.build(name, assignments) for name, assignments in found.items()}
    form.problems.sort(key=lambda problem: (problem.cell, problem.line))
    return ParameterSet(parameters, form.title, form.options, "\n".join(form.description), form.problems)


class _Library:
    """The parsed cells, each parsed when it is first needed: most never are."""

    def __init__(self, cells: Sequence[ParameterCell]) -> None:
        self._cells = cells
        self._trees: dict[int, ast.Module] = {}

    def find(self, name: str) -> Iterator[ast.Module]:
        """The cells that may bind a name at their top level."""
        word = re.escape(name)
        binds = re.compile(
            rf"^[ \t]*(?:from|import)\b|\b(?:class|def|type)\s+{word}\b|^{word}\s*[:=]", re.MULTILINE
        )
        for at, cell in enumerate(self._cells):
            if (name in cell.source or "import *" in cell.source) and binds.search(cell.source):
                if at not in self._trees:
                    self._trees[at] = ast.Module(_lay_out(cell.source, comments=False).statements, [])
                yield self._trees[at]


# --- statements and comments -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Comment:
    line: int
    column: int
    text: str
    alone: bool  # nothing but the comment is on its line


@dataclass(frozen=True)
class _Layout:
    lines: list[str]
    statements: list[ast.stmt]
    comments: list[_Comment]
    problems: list[tuple[int, str]]

    def text(self, node: ast.expr) -> str:
        """The source of a node, as `ast.get_source_segment` but without splitting the cell each time."""
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        picked = [line.encode() for line in self.lines[first : last + 1]]
        picked[-1] = picked[-1][: node.end_col_offset]
        picked[0] = picked[0][node.col_offset :]
        return b"\n".join(picked).decode(errors="replace")


_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError)
_LONGEST = 200  # lines of one statement in a cell that is not valid Python
_MOST_TRIES = 4000  # and some more for each line, so that a broken cell cannot take minutes
_UNFINISHED = re.compile(
    r"was never closed|unterminated triple|unexpected EOF|expected an indented block|EOF in multi"
)


def _lay_out(source: str, *, comments: bool = True) -> _Layout:
    source = source.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    lines = source.split("\n")
    try:
        statements = parse(source).body
    except _UNPARSABLE as error:
        return _lay_out_by_line(lines, error)
    return _Layout(lines, statements, _comments(source) if comments else [], [])


def _lay_out_by_line(lines: list[str], error: BaseException) -> _Layout:
    """What of an invalid cell can be read: each statement of its own that is valid."""
    layout = _Layout(lines, [], [], [(getattr(error, "lineno", None) or 1, _invalid(error))])
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
        except _UNPARSABLE as error:
            if tries <= 0 or not isinstance(error, SyntaxError) or not _UNFINISHED.search(str(error)):
                break
        else:
            return text, tries
    return "", tries


def _invalid(error: BaseException) -> str:
    said = error.msg if isinstance(error, SyntaxError) else type(error).__name__
    return f"not valid Python ({said}), so it is read line by line"


def _comments(text: str, offset: int = 0) -> list[_Comment]:
    if "#" not in text:
        return []
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                line, column = token.start
                found.append(_Comment(line + offset, column, token.string, not token.line[:column].strip()))
    except (tokenize.TokenError, *_UNPARSABLE):
        pass  # the tokenizer may see an error where the parser sees none; what it read so far counts
    return found


# --- what comments say -----------------------------------------------------------------------------

_PARAM = re.compile(r"#\s*@param\b")
_MARKED = re.compile(r"#\s*@(title|markdown)\b[ \t]*(.*)")
_NOISE = re.compile(
    r"noqa|fmt:|pylint:|type:\s*ignore|isort:|mypy:|pyright:|ruff:|flake8:|yapf:|nosec\b|pragma:|vim:"
    r"|-\*-|%%|%[a-z]|!",
    re.IGNORECASE,
)
_TYPE = re.compile(r"type:\s*(?=\S)")
_NUMBER = r"[+\-−]?(?:inf|∞|\d[\d_]*(?:\.(?!\.)[\d_]*)?(?:[eE][+\-]?\d+)?|\.\d[\d_]*(?:[eE][+\-]?\d+)?)"
_LIMIT = rf"(?:\d{{4}}-\d\d-\d\d|{_NUMBER})"
_RANGE = re.compile(
    rf"\(\s*(?:(?P<low>{_LIMIT})?\s*\.\.(?!\.)\s*(?P<high>{_LIMIT})?)?"
    rf"\s*(?:,?\s*step\s+(?P<step>{_LIMIT}))?\s*\)"
)
_ALMOST_RANGE = re.compile(r"\([^()]*\d\s*\.\.[^()]*\)|\([^()]*\.\.\s*\d[^()]*\)")
_UNIT = re.compile(r"\[(?P<unit>[^\[\],'\"]*[^\W\d_][^\[\],'\"]*|[-%‰°$€£¥]+)\]$")


@dataclass
class _Said:
    """What the comments of one assignment say."""

    text: str = ""
    unit: str = ""
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    type_text: str = ""
    param: ColabParam | None = None
    help: str = ""
    section: str = ""
    problems: list[str] = field(default_factory=list)


def _heading(text: str) -> str:
    """The title in ``## Title``, else nothing."""
    level = len(text) - len(text.lstrip("#"))
    return text.strip("# \t") if 0 < level <= 6 and text[level : level + 1].isspace() else ""


def _section_title(comment: str) -> str:
    """The title in ``# ## Title`` or ``# --- Title ---``, else nothing."""
    text = comment[1:].strip()
    if comment[1:2].isspace() and (title := _heading(text)):
        return title
    inner = text.strip("-=*~#_+")
    before = text.find(inner)
    framed = inner and before >= 2 and len(text) - before - len(inner) >= 2
    return inner.strip() if framed else ""


def _plain(comment: str) -> str:
    """The words of a comment, without the notes to tools that stand in it too."""
    pieces = re.split(r"(?<=\s)(?=#)", comment)
    kept = [piece for piece in pieces if not _NOISE.match(piece.lstrip("#: \t"))]
    text = "".join(kept).lstrip("#: \t").strip()
    return "" if _is_code(text) or not _is_text(text) else text


def _is_text(text: str) -> bool:
    return any(map(str.isalnum, text)) or text[:1] in ("[", "(")  # `[%]` is a unit, `-----` nothing


def _is_code(text: str) -> bool:
    """Whether a comment is code that was taken out: ``# x = 5``, ``# import os``, ``# plt.show()``."""
    if not re.match(r"[\w.\[\]'\" ,]+(?::[^=]+)?[-+*/]?=[^=]|(?:import|from)\s|[\w.]+\(.*\)$", text):
        return False
    try:
        body = parse(text).body
    except _UNPARSABLE:
        return False
    match body:
        case [ast.Assign(value=value) | ast.AugAssign(value=value)]:
            return not isinstance(value, ast.Name)  # `n = number` is rather an explanation
        case [ast.AnnAssign(value=ast.expr()) | ast.Import() | ast.ImportFrom()]:
            return True
        case [ast.Expr(value=ast.Call(func=func))]:
            return isinstance(func, ast.Attribute) or ast.unparse(func) == "print"
    return False


def _read_trailing(comment: str, said: _Said) -> None:
    """Add what a comment after an assignment says."""
    text = comment
    if match := _PARAM.search(comment):
        said.param = read_param(comment[match.end() :])
        said.problems.extend(said.param.problems)
        text = f"{comment[: match.start()].strip()} {said.param.text}".strip()
    text = _plain(text)
    if match := _TYPE.match(text):
        said.type_text, text = _split_type(text[match.end() :])
        said.help = _read_label(text, said) or said.help
        return
    _read_label(text, said)


def _split_type(text: str) -> tuple[str, str]:
    """The type at the start of a text, and the rest: types have spaces in brackets and around ``|``."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "[(") - (sign in "])")
        if sign.isspace() and depth <= 0:
            rest = text[at:].strip()
            if not rest.startswith("|") and not text[:at].rstrip().endswith("|"):
                return text[:at], rest
    return text, ""


def _read_label(text: str, said: _Said) -> str:
    """Cut unit and range off a label; a bracket that is neither stays in it."""
    for _ in range(2):
        if not said.unit and (match := _UNIT.search(text)):
            said.unit, text = match["unit"].strip(), text[: match.start()].strip()
        for match in list(_RANGE.finditer(text))[-1:]:
            if match["low"] or match["high"] or match["step"]:
                low, high, said.step = (_limit(match[name]) for name in ("low", "high", "step"))
                _set_bounds(said, low, high)
                text = f"{text[: match.start()]} {text[match.end() :]}".strip()
    if match := _ALMOST_RANGE.search(text):
        said.problems.append(f"the range {match.group()} is not understood; write (low..high step s)")
    said.text = text or said.text
    return text


def _set_bounds(said: _Said, low: Any, high: Any) -> None:
    if low is not None and high is not None and not _in_order(low, high):
        said.problems.append(f"{low} and {high} are not in order, and so are ignored as bounds")
    else:
        said.minimum, said.maximum = low, high


def _limit(text: str | None) -> Any:
    if text is None:
        return None
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            return None
    return number(text.replace("−", "-"))


# --- assignments and their comments ----------------------------------------------------------------


@dataclass(frozen=True)
class _Assignment:
    """One assignment of one name. `value` is None in ``n: int``; what is `unpacked` is a part of it only."""

    name: str
    site: tuple[int, int, int]
    layout: _Layout
    annotation: ast.expr | None
    value: ast.expr | None
    unpacked: bool
    said: _Said


@dataclass
class _Form:
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


_Blocks = list[list[list[_Comment]]]


class _CellReader:
    """Walks through one cell from top to bottom and hands each assignment the comments that are its own."""

    def __init__(self, cell: ParameterCell, form: _Form, *, only_marked: bool) -> None:
        self._index = cell.index
        self._layout = _lay_out(cell.source)
        self._form = form
        self._only_marked = only_marked
        self._section = ""
        self._markdown: list[str] = []  # since the last parameter

    def assignments(self) -> Iterator[_Assignment]:
        for line, text in self._layout.problems:
            self._problem(line, text)
        trailing, blocks = self._share_out()
        run_section, run_end = "", -1
        for at, statement in enumerate(self._layout.statements):
            above = _Above()
            for block in blocks[at]:
                above = self._block(block, touches=block[-1].line == statement.lineno - 1)
            bound = _bound_by(statement)
            said = _said(statement, trailing[at], above) if bound else _Said()
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
                yield _Assignment(name, site, self._layout, annotation, value, unpacked, said)
        for block in blocks[-1]:
            self._block(block, touches=False)

    def _share_out(self) -> tuple[list[list[_Comment]], _Blocks]:
        """For each statement, the comments on its lines, and the blocks of comments before it."""
        statements = self._layout.statements
        trailing: list[list[_Comment]] = [[] for _ in statements]
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

    def _block(self, block: list[_Comment], *, touches: bool) -> _Above:
        """Read a block of comments. What it says about the form or a section holds from here on."""
        above = _Above()
        for comment in block:
            raw = comment.text
            if match := _MARKED.match(raw):
                self._marked(match[1], match[2].strip(), comment.line)
            elif _PARAM.search(raw):
                above.moved.append(raw)
            elif title := _section_title(raw):
                self._section = title
                above.text.clear()
            elif plain := _plain(raw):
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
        elif heading := _heading(text):
            self._section = heading
        elif any(map(str.isalnum, text)):
            self._markdown.append(text)

    def _problem(self, line: int, text: str) -> None:
        self._form.problems.append(Problem(self._index, line, text))


def _said(statement: ast.stmt, trailing: Iterable[_Comment], above: _Above) -> _Said:
    said = _Said()
    for text in above.moved:
        _read_trailing(text, said)
    for line in dict.fromkeys((statement.lineno, statement.end_lineno)):  # what the last line says wins
        for comment in trailing:
            if comment.line == line:
                _read_trailing(comment.text, said)
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


# --- all that is said of a name → one Parameter ----------------------------------------------------


class _Builder:
    """Makes Parameters. What ranks highest counts: ``#@param``, annotation, ``# type:``, the value's type."""

    def __init__(self, reader: AnnotationReader, problems: list[Problem]) -> None:
        self._reader = reader
        self._problems = problems
        self._name, self._site = "", (0, 0, 0)

    def build(self, name: str, assignments: Sequence[_Assignment]) -> Parameter:
        self._name, self._site = name, assignments[-1].site
        said = _merged(assignment.said for assignment in assignments)
        known: dict[str, Any] = {
            **{"label": said.text, "help": said.help, "unit": said.unit, "section": said.section},
            **{"minimum": said.minimum, "maximum": said.maximum, "step": said.step},
            "sites": frozenset(assignment.site for assignment in assignments),
        }
        known |= self._default(assignments)
        known |= self._annotation(assignments, said.type_text, known)
        if said.param is not None:
            known |= self._param(said.param, known)
        known |= self._without_odd_bounds(known)
        parameter = Parameter(name, **known)
        self._look_at_default(parameter)
        return parameter

    def _default(self, assignments: Sequence[_Assignment]) -> dict[str, Any]:
        last = next((a for a in reversed(assignments) if a.value is not None), None)
        if last is None or last.value is None:
            return {}
        reason = "its value is unpacked from several"
        if not last.unpacked:
            try:
                value = self._reader.literal(last.value)
            except UnreadableError as error:
                reason = str(error)
            else:
                inferred = (
                    Any if value is None else pathlib.Path if isinstance(value, pathlib.Path) else type(value)
                )
                return {"default": value, "type": inferred, "choices": facts(inferred).choices}
        return {"expression": last.layout.text(last.value), "reason": f"the call works it out: {reason}"}

    def _annotation(
        self, assignments: Sequence[_Assignment], comment: str, known: Mapping[str, Any]
    ) -> dict[str, Any]:
        written = next((a for a in reversed(assignments) if a.annotation is not None), None)
        node = written.annotation if written else None
        if written is None or node is None:
            if not comment:
                return {}
            try:
                return self._declared(self._reader.read(ast.Constant(comment)), comment, known)
            except UnreadableError as error:
                self._problem(f"the type comment `{comment}` is not understood: {error}")
                return {"annotation": comment}
        quoted = isinstance(node, ast.Constant) and isinstance(node.value, str)
        shown = str(node.value) if quoted and isinstance(node, ast.Constant) else written.layout.text(node)
        try:
            return self._declared(self._reader.read(node), shown, known)
        except UnreadableError as error:
            reason = f"its type is shown and not enforced: {error}"
            both = f"{known['reason']}; {reason}" if known.get("reason") else reason
            return {"type": Any, "choices": None, "annotation": shown, "reason": both}

    def _declared(self, meant: Any, shown: str, known: Mapping[str, Any]) -> dict[str, Any]:
        for note in self._reader.notes:
            self._problem(note)
        self._reader.notes.clear()
        told = facts(meant)
        found: dict[str, Any] = {"declared": True, "annotation": shown, "choices": told.choices}
        found["type"] = _or_none(meant, known)
        for name in ("minimum", "maximum", "step"):
            if (value := getattr(told, name)) is not None:
                found[name] = value
        for name in ("label", "help", "unit"):
            found[name] = known[name] or getattr(told, name)
        return found | {"options": dict(told.options)}

    def _param(self, param: ColabParam, known: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {"options": {**known.get("options", {}), **param.options}}
        for name in ("minimum", "maximum", "step"):
            if (value := getattr(param, name)) is not None:
                found[name] = value
        declared = known.get("type", Any)
        if known.get("declared") and found.keys() & {"minimum", "maximum"}:
            found["type"] = declared = without_bounds(declared)
        choices = self._choices(param, known.get("default"), found)
        if known.get("declared"):
            agreed = _agreed(param, declared, choices)
            if agreed is not None:
                return found | ({"choices": agreed} if agreed else {})
            self._problem(f"#@param goes over the annotation `{known['annotation']}`, which says otherwise")
        if choices:
            found["choices"] = choices
        default = known.get("default")
        meant = colab_type(dataclasses.replace(param, choices=choices or None), default)
        if meant is None:
            return found
        if meant is Any:
            return found | {"type": Any, "declared": False, "choices": choices or None}
        reason = known.get("reason") if known.get("expression") is not None else None
        shown = "str" if param.kind == "date" and default.__class__ in (str, type(None)) else _named(meant)
        told = {"type": _or_none(meant, known), "declared": True, "annotation": shown}
        return found | told | {"choices": choices or None, "reason": reason}

    def _choices(self, param: ColabParam, default: Any, found: dict[str, Any]) -> tuple[Any, ...]:
        """The choices of a dropdown as values, the default among them. Also finds ``free_choice``."""
        choices = list(param.choices or ())
        found["free_choice"] = param.free_choice
        if param.raw or param.kind in ("integer", "number"):
            try:
                choices = [self._as_code(choice) for choice in choices]
            except (UnreadableError, *_UNPARSABLE):
                self._problem("some choices of #@param are code, so that other values are taken too")
                found["free_choice"] = True
        if choices and default is not None and not found["free_choice"]:
            try:
                Parameter("choice", choices=tuple(choices)).check_limits(default)
            except ValueError:
                self._problem(f"the default {shorten(default)} was not among the choices of #@param")
                choices.insert(0, default)
        return tuple(choices)

    def _as_code(self, choice: Any) -> Any:
        if not isinstance(choice, str):
            return choice
        return self._reader.literal(ast.parse(choice.strip(), mode="eval").body)

    def _without_odd_bounds(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """Bounds that no value of the type can be compared with would only be in everybody's way."""
        low, high, type_ = known.get("minimum"), known.get("maximum"), known.get("type", Any)
        bound = high if low is None else low
        if low is not None and high is not None and not _in_order(low, high):
            self._problem(
                f"the bounds {shorten(low)} and {shorten(high)} are in the wrong order, and so are ignored"
            )
            return {"minimum": None, "maximum": None, "type": without_bounds(type_)}
        if bound is None or type_ is Any or any(_comparable(kind, bound) for kind in kinds(type_)):
            return {}
        self._problem(f"its bounds are ignored, since {_named(type_)} does not compare with {shorten(bound)}")
        return {"minimum": None, "maximum": None, "type": without_bounds(type_)}

    def _look_at_default(self, parameter: Parameter) -> None:
        """Tell of a default that a call could not give. It stays, since it is what the notebook runs with."""
        default = parameter.default
        if default is MISSING or default is None:
            return
        wanted = parameter.type
        if parameter.declared and wanted in (int, float, str, bool):
            fits = type(default) is wanted or (wanted is float and type(default) is int)
            if not fits:
                self._problem(f"the default {shorten(default)} is not of the declared type {_named(wanted)}")
                return
        try:
            parameter.check_limits(default)
        except ValueError as error:
            self._problem(f"the default {error}")

    def _problem(self, text: str) -> None:
        cell, line, _ = self._site
        self._problems.append(Problem(cell, line, f"{self._name}: {text}"))


def _merged(all_said: Iterable[_Said]) -> _Said:
    """What is said last counts, where it says something."""
    merged = _Said()
    for said in all_said:
        for item in dataclasses.fields(_Said):
            if (value := getattr(said, item.name)) not in ("", None):
                setattr(merged, item.name, value)
    return merged


def _or_none(meant: Any, known: Mapping[str, Any]) -> Any:
    """The type, with None where None is the default: what the notebook runs with, a call may give."""
    if meant is None:
        return type(None)
    return (
        _Union[meant, None] if known.get("default", MISSING) is None and meant not in (Any, object) else meant
    )


# With which annotated classes a type of Colab goes together: the annotation is the finer of the two.
_GOES_WITH: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "slider": (numbers.Number,),
    "number": (numbers.Number,),
    "boolean": (bool,),
    "date": (str, datetime.date),
}
_NOT_TEXT = (numbers.Number, list, tuple, dict, set, frozenset, bytes)


def _agreed(param: ColabParam, declared: Any, choices: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The choices as values of the annotated type, or None where annotation and ``#@param`` differ."""
    classes = [kind for kind in kinds(declared) if isinstance(kind, type)]
    fitting = _GOES_WITH.get(param.kind)
    if fitting and not all(
        issubclass(kind, fitting) and (kind is not bool or bool in fitting) for kind in classes
    ):
        return None
    if param.kind == "string" and any(
        issubclass(kind, _NOT_TEXT) and not issubclass(kind, str) for kind in classes
    ):
        return None
    read = Parameter("choice", type=declared, declared=True)
    try:
        return tuple(choice if choice is None else read.coerce(choice) for choice in choices)
    except ValueError:
        return None


def _in_order(low: Any, high: Any) -> bool:
    try:
        return bool(low <= high)
    except (TypeError, ArithmeticError):  # of two kinds, or a Decimal that is no number
        return False


def _comparable(kind: Any, bound: Any) -> bool:
    if not isinstance(kind, type) or kind is object:
        return True
    if isinstance(bound, datetime.date):
        return issubclass(kind, datetime.date | str)
    if isinstance(bound, numbers.Number):
        return issubclass(kind, numbers.Number) and kind is not bool
    return isinstance(bound, kind)


def _named(meant: Any) -> str:
    return meant.__name__ if isinstance(meant, type) else str(meant).replace("typing.", "")
