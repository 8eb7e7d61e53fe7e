"""A traceback as the author of a notebook wants it: the cells' own frames, and none of this package."""

from __future__ import annotations

import linecache
import os
import traceback
import types
from collections.abc import Iterator

from restified_magics.errors import CellError, RestifiedError
from restified_magics.program import Step, cell_of

__all__ = ["cell_error", "from_first_cell", "message"]

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_AROUND = 2  # lines shown before and after the one that raised
_RULE = "-" * 75


def cell_error(error: BaseException, step: Step, notebook: str) -> CellError:
    """What the caller gets for an exception that a cell raised.

    Args:
        error: the exception.
        step: the cell that was running.
        notebook: the notebook's name, as messages call it.
    """
    frames = [frame for frame in _frames(error) if cell_of(frame[0].co_filename)]
    line = next((number for code, number in frames if code.co_filename == step.filename), None)
    if line is None and isinstance(error, SyntaxError) and error.filename == step.filename:
        line = error.lineno
    where = ""
    if frames:
        code, number = frames[-1]
        raised = cell_of(code.co_filename)
        if raised and (code.co_filename, number) != (step.filename, line):
            where = f" (raised in {code.co_name}, {_place(raised, notebook)}, line {number})"
    name, text = type(error).__name__, message(error)
    return CellError(
        notebook,
        cell=step.cell.number,
        cell_id=step.cell.id,
        line=line,
        source_line=_line(step.cell.source, line).strip(),
        ename=name,
        evalue=text,
        where=where,
        traceback=list(_text(error)),
    )


def message(error: BaseException) -> str:
    """`str(error)`, for exceptions of which even that raises too."""
    if isinstance(error, SyntaxError):
        return error.msg or ""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a message can raise anything
        return f"<its message raised {type(broken).__name__}>"


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


def _text(error: BaseException) -> Iterator[str]:
    """The traceback with its causes, the first one first."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if isinstance(error, CellError):
        yield from error.traceback
        yield ""
        yield "That notebook was called from:"
        for code, number in _frames(error):
            yield from _frame(code, number)
        return
    if cause is not None and (cause.__traceback__ is not None or isinstance(cause, CellError)):
        yield from _text(cause)
        yield ""
        how = "caused" if error.__cause__ else "was being handled when this happened:"
        yield (
            f"The exception above {how} {type(error).__name__}"
            if error.__cause__
            else f"The exception above {how}"
        )
        yield ""
    name = type(error).__name__
    yield _RULE
    yield f"{name:<42}Traceback (most recent call last)"
    for code, number in _frames(error):
        yield from _frame(code, number)
    yield from "".join(traceback.format_exception_only(error)).rstrip("\n").split("\n")


def _frame(code: types.CodeType, number: int) -> Iterator[str]:
    cell = cell_of(code.co_filename)
    inside = "" if code.co_name == "<module>" else f", in {code.co_name}"
    if cell is None:
        yield f"{code.co_filename}, line {number}{inside}"
        yield f"      {linecache.getline(code.co_filename, number).strip()}"
        return
    yield f"{_place(cell)}, line {number}{inside}"
    lines = linecache.getlines(code.co_filename)
    for shown in range(max(1, number - _AROUND), min(len(lines), number + _AROUND) + 1):
        arrow = f"----> {shown}" if shown == number else f"{shown:>7}"
        yield f"{arrow} {lines[shown - 1].rstrip()}".rstrip()
