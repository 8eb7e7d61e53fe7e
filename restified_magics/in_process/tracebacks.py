"""A traceback as the author of a notebook wants it: the cells' own frames, and none of this package."""

from __future__ import annotations

import linecache
import os
import traceback
import types
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from restified_magics.core.calls import Call
from restified_magics.core.notebook import Cell
from restified_magics.errors import CellError, RestifiedError, show_as
from restified_magics.in_process.program import cell_of
from restified_magics.wire.magic_code import through_magics

__all__ = [
    "Frame",
    "Raised",
    "cell_error",
    "failure_of",
    "from_first_cell",
    "message",
    "raised",
    "show_cells_only",
]

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_AROUND = 2  # lines shown before and after the one that raised
_RULE = "-" * 75


class Frame(NamedTuple):
    """Where a function was when an exception passed through it.

    Attributes:
        filename: the file, as Python calls it.
        function: the function's name, ``<module>`` at top level.
        line: counted from 1.
        lines: the text around that line: of a cell all of it, of a file as much as there is.
        cell: the notebook's name and the cell's number, or None for a file.
    """

    filename: str
    function: str
    line: int
    lines: Sequence[str] = ()
    cell: tuple[str, int] | None = None


class Raised(NamedTuple):
    """An exception and how it came: what is left of it when it is far away.

    Attributes:
        ename: the name of its class.
        evalue: its message.
        frames: from the first cell on, the outermost first.
        last: how Python tells it, without its frames.
        cause: the exception before it, or None.
        explicit: whether that one is its cause, and not just what was being handled.
        line: of a syntax error in the cell itself, its line.
        told: the traceback of a notebook that was called from there, as text.
    """

    ename: str
    evalue: str
    frames: Sequence[Frame] = ()
    last: Sequence[str] = ()
    cause: Raised | None = None
    explicit: bool = False
    line: int | None = None
    told: Sequence[str] | None = None


def raised(error: BaseException) -> Raised:
    """What there is to tell of an exception that was raised in this process."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    told = list(error.traceback) if isinstance(error, CellError) else None
    if told is not None or (
        cause is not None and cause.__traceback__ is None and not isinstance(cause, CellError)
    ):
        cause = None
    in_cell = isinstance(error, SyntaxError) and error.filename and cell_of(error.filename)
    return Raised(
        ename=type(error).__name__,
        evalue=message(error),
        frames=_without_magics([_frame_of(code, number) for code, number in _frames(error)]),
        # without its own frames, and with all that there is of the members of an exception group
        last="".join(traceback.format_exception(type(error), error, None, chain=False))
        .rstrip("\n")
        .split("\n"),
        cause=None if cause is None else raised(cause),
        explicit=error.__cause__ is not None,
        line=error.lineno if in_cell and isinstance(error, SyntaxError) else None,
        told=told,
    )


def cell_error(error: Raised, cell: Cell, notebook: str) -> CellError:
    """What the caller gets for an exception that a cell raised.

    Args:
        error: the exception.
        cell: the cell that was running.
        notebook: the notebook's name, as messages call it.
    """
    own = (notebook, cell.number)
    in_cells = [frame for frame in error.frames if frame.cell]
    line = error.line or next((frame.line for frame in in_cells if frame.cell == own), None)
    where = ""
    if in_cells and error.line is None:
        deepest = in_cells[-1]
        if deepest.cell and (deepest.cell, deepest.line) != (own, line):
            where = f" (raised in {deepest.function}, {_place(deepest.cell, notebook)}, line {deepest.line})"
    return CellError(
        notebook,
        cell=cell.number,
        cell_id=cell.id,
        line=line,
        source_line=_line(cell.source, line).strip(),
        ename=error.ename,
        evalue=error.evalue,
        where=where,
        traceback=list(_text(error)),
    )


def failure_of(error: BaseException, call: Call | None, notebook: str) -> RestifiedError:
    """What comes through a call as itself, such as KeyboardInterrupt, as the failure of the cell that ran."""
    if call is None or call.cell is None:
        return RestifiedError(f"{notebook}: a cell raised {type(error).__name__}")
    failure = cell_error(raised(error), call.cell, notebook)
    failure.result = call.result
    return failure


def message(error: BaseException) -> str:
    """`str(error)`, for exceptions of which even that raises too."""
    if isinstance(error, SyntaxError):
        return error.msg or ""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a message can raise anything
        return f"<its message raised {type(broken).__name__}>"


def show_cells_only(error: BaseException) -> None:
    """Let IPython print the Model's own frames for what comes through as itself, and none of ours."""
    show_as(error, list(_text(raised(error))))


def from_first_cell(found: types.TracebackType | None) -> types.TracebackType | None:
    """The part of a traceback that begins in a cell."""
    while found is not None and not cell_of(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found


def _line(source: str, number: int | None) -> str:
    lines = source.split("\n")
    return lines[number - 1] if number and number <= len(lines) else ""


def _place(cell: tuple[str, int], notebook: str | None = None) -> str:
    name, number = cell
    return f"cell {number}" if name == notebook else f"{name}, cell {number}"


def _frames(error: BaseException) -> Iterator[tuple[types.CodeType, int]]:
    """The frames from the first cell on, without this package's, nor IPython's ways to a magic."""
    found = from_first_cell(error.__traceback__)
    while found is not None:
        code = found.tb_frame.f_code
        if code.co_filename.startswith(_OURS) and isinstance(error, RestifiedError):
            return  # a nested Model, whose frames its own error tells
        if not _hidden(code.co_filename):
            yield code, found.tb_lineno
        found = found.tb_next


def _hidden(filename: str) -> bool:
    return filename.startswith(_OURS) or f"{os.sep}IPython{os.sep}core{os.sep}" in filename


def _frame_of(code: types.CodeType, number: int) -> Frame:
    lines = linecache.getlines(code.co_filename)
    return Frame(code.co_filename, code.co_name, number, lines, cell_of(code.co_filename))


def _without_magics(frames: list[Frame]) -> list[Frame]:
    """The frames without those that only lead to what a magic runs, which stands in the same cell."""
    listed = [
        (frame.filename, frame.function, frame.line, "".join(frame.lines) if frame.cell else "")
        for frame in frames
    ]
    return [
        frames[place]._replace(function=frames[number].function, line=line)
        for place, number, line in through_magics(listed)
    ]


def _text(error: Raised) -> Iterator[str]:
    """The traceback with its causes, the first one first."""
    if error.told is not None:
        yield from error.told
        yield ""
        yield "That notebook was called from:"
        for frame in error.frames:
            yield from _shown(frame)
        return
    if error.cause is not None:
        yield from _text(error.cause)
        yield ""
        how = f"caused {error.ename}" if error.explicit else "was being handled when this happened:"
        yield f"The exception above {how}"
        yield ""
    yield _RULE
    yield f"{error.ename:<42}Traceback (most recent call last)"
    for frame in error.frames:
        yield from _shown(frame)
    yield from error.last


def _shown(frame: Frame) -> Iterator[str]:
    inside = "" if frame.function == "<module>" else f", in {frame.function}"
    lines = frame.lines
    if frame.cell is None:
        yield f"{frame.filename}, line {frame.line}{inside}"
        yield f"      {lines[frame.line - 1].strip() if frame.line <= len(lines) else ''}"
        return
    yield f"{_place(frame.cell)}, line {frame.line}{inside}"
    for shown in range(max(1, frame.line - _AROUND), min(len(lines), frame.line + _AROUND) + 1):
        arrow = f"----> {shown}" if shown == frame.line else f"{shown:>7}"
        yield f"{arrow} {lines[shown - 1].rstrip()}".rstrip()
