"""The values of a call, written at the assignments of its parameters: the way back to a notebook.

A value takes the place of the assigned one, so that lines that derive from it hold, whether the notebook is
run in Jupyter or called as a Model again. What has a literal is written as such; dates, paths and the like
as a call of their type; other data, such as a DataFrame, packed (see :func:`given`). What cannot be written
(a connection, a function), or is larger than a notebook should be, leaves the author's line and a comment.
"""

from __future__ import annotations

import ast
import base64
import datetime
import decimal
import fractions
import json
import math
import pathlib
import uuid
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from restified_magics.core.source import parse, python_source
from restified_magics.signature.enums import NotebookEnumType
from restified_magics.wire.encoding import Unencodable, pack, unpack

__all__ = ["filled", "given", "written"]

_LARGEST = 256 * 1024  # characters of one value

# Types whose repr is a call of them; the modules in which they are found.
_CALLS = {
    datetime.date: "datetime",
    datetime.datetime: "datetime",
    datetime.time: "datetime",
    datetime.timedelta: "datetime",
    decimal.Decimal: "decimal",
    fractions.Fraction: "fractions",
    uuid.UUID: "uuid",
    pathlib.PosixPath: "pathlib",
    pathlib.WindowsPath: "pathlib",
    pathlib.PurePosixPath: "pathlib",
    pathlib.PureWindowsPath: "pathlib",
}


class _Edit(NamedTuple):
    """Text that takes the place of what stands between two places, each (line, column), from 0."""

    start: tuple[int, int]
    end: tuple[int, int]
    text: str


def filled(source: str, sites: Mapping[tuple[int, int], Collection[str]], params: Mapping[str, Any]) -> str:
    """The text of a cell with the values of a call at its assignments.

    Args:
        source: the text of the cell.
        sites: the parameters that the statement at (line from 1, column) assigns.
        params: the values by name.

    Example:
        >>> print(filled("width = 3  # Width [m]\\narea = width ** 2", {(1, 0): ["width"]}, {"width": 10}))
        width = 10  # Width [m]
        area = width ** 2
    """
    wanted = {site: [name for name in names if name in params] for site, names in sites.items()}
    if not any(wanted.values()):
        return source
    text = source.replace("\r\n", "\n")
    python = python_source(text)
    try:
        statements = parse(python).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source  # a call cannot run this cell either
    lines, python_lines = text.split("\n"), python.split("\n")
    edits: list[_Edit] = []
    for statement in statements:
        names = wanted.get((statement.lineno, statement.col_offset))
        if names:
            first, end = statement.lineno - 1, statement.end_lineno or statement.lineno
            if lines[first:end] == python_lines[first:end]:
                edits += _edits(statement, names, params, lines)
            else:  # IPython rewrote it: the value of a magic, or of a command
                edits.append(_Edit((first, 0), (end - 1, len(lines[end - 1])), _assigned(names, params)))
    for edit in sorted(edits, reverse=True):
        (first, start), (last, end) = edit.start, edit.end
        lines[first : last + 1] = [lines[first][:start] + edit.text + lines[last][end:]]
    return "\n".join(lines)


def written(value: Any, like: ast.expr | None = None) -> str | None:
    """A value as a Python expression that needs no name, or None where there is none.

    Args:
        value: the value.
        like: the expression that the author wrote there: where it calls a type, so does what is written.

    Example:
        >>> written([1, "a"]), written(float("nan")), written(datetime.date(2026, 1, 31)), written(print)
        ("[1, 'a']", "float('nan')", "__import__('datetime').date(2026, 1, 31)", None)
    """
    if type(value) is float and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(type(value), NotebookEnumType):
        return f"{type(value).__name__}.{value.name}"
    text = repr(value) if _is_literal(value) else _called(value, like)
    if text is None:
        text = _packed(value)
    return text if text is not None and len(text) <= _LARGEST else None


def given(packed: str) -> Any:
    """The value that was written packed into a notebook.

    Nothing of it is executed.

    Args:
        packed: what stands in the notebook.

    Example:
        >>> given("c$}psNi{)D(NTcMEGpDi_<>NEDO0Ov_Ako-T;kjy~")
        Traceback (most recent call last):
            ...
        ValueError: not a value that was written into a notebook
    """
    try:
        data, *buffers = json.loads(zlib.decompress(base64.b85decode(packed)))
        return unpack(data.encode(), [base64.b64decode(buffer) for buffer in buffers])
    except Exception as error:
        raise ValueError("not a value that was written into a notebook") from error


def _called(value: Any, like: ast.expr | None) -> str | None:
    """A date, a path … as a call of its type."""
    module = _CALLS.get(type(value))
    zone = getattr(value, "tzinfo", None)
    if module is None or type(zone) not in (datetime.timezone, type(None)):
        return None
    if zone is not None:
        return _zoned(value, like)
    name, arguments = repr(value).removeprefix(f"{module}.").split("(", 1)
    function = ast.unparse(like.func) if isinstance(like, ast.Call) else ""
    name = "Path" if module == "pathlib" and "Pure" not in name else name
    if function.rpartition(".")[2] == name:
        return f"{function}({arguments}"
    return f"__import__({module!r}).{name}({arguments}"


def _zoned(value: datetime.datetime | datetime.time, like: ast.expr | None) -> str:
    """A moment or a time of day with its offset from UTC: its ``repr``, in which the module is a name."""
    call = ast.parse(repr(value), mode="eval").body
    function = like.func if isinstance(like, ast.Call) else None
    name = type(value).__name__
    module: ast.expr = ast.Call(ast.Name("__import__"), [ast.Constant("datetime")], [])
    if isinstance(function, ast.Attribute) and function.attr == name:
        module = function.value
    made = _In(module).visit(call)
    if isinstance(function, ast.Name) and function.id == name:
        made.func = function
    return ast.unparse(made)


class _In(ast.NodeTransformer):
    """Puts an expression in the place of each name."""

    def __init__(self, module: ast.expr) -> None:
        self._module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        del node
        return self._module


def _packed(value: Any) -> str | None:
    try:
        data, buffers = pack(value)
    except Unencodable:
        return None
    except Exception:  # noqa: BLE001 - a library's object may fail in any way
        return None
    if len(data) + sum(memoryview(buffer).nbytes for buffer in buffers) > 64 * _LARGEST:
        return None  # whatever it compresses to
    parts = [data.decode(), *(base64.b64encode(buffer).decode() for buffer in buffers)]
    packed = base64.b85encode(zlib.compress(json.dumps(parts).encode(), 9)).decode()
    return f"__import__('restified_magics.core.filling', fromlist=['given']).given({packed!r})"


def _is_literal(value: Any) -> bool:
    """Whether its repr, read again, is the same value of the same type."""
    try:
        text = repr(value)
        if len(text) > _LARGEST:
            return False
        again = ast.literal_eval(text)
    except Exception:  # noqa: BLE001 - a repr can raise anything, and most are no literal
        return False
    return type(again) is type(value) and repr(again) == text


# ---------------------------------------------------------------------- edits


def _edits(
    statement: ast.stmt, names: Collection[str], params: Mapping[str, Any], lines: list[str]
) -> Iterator[_Edit]:
    end = _place(lines, statement.end_lineno, statement.end_col_offset)
    value = getattr(statement, "value", None)
    texts = {name: written(params[name], value) for name in names}
    for name, text in texts.items():
        if text is None:
            last = (end[0], len(lines[end[0]]))
            yield _Edit(last, last, f"  # {name} was given as {_told(params[name])}")
    known = {name: text for name, text in texts.items() if text is not None}
    if not known:
        return
    targets = _targets(statement)
    if value is None:
        yield _Edit(end, end, f" = {next(iter(known.values()))}")
    elif targets and set(targets) <= known.keys():
        start, stop = (
            _place(lines, value.lineno, value.col_offset),
            _place(lines, value.end_lineno, value.end_col_offset),
        )
        yield _Edit(start, stop, ", ".join(known[name] for name in targets))
    else:  # a chain, or names of which some keep their default
        yield _Edit(end, end, "".join(f"; {name} = {text}" for name, text in known.items()))


def _targets(statement: ast.stmt) -> list[str]:
    """The names that a plain assignment assigns, in order; none where it is more than that."""
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
        case ast.Assign(targets=[ast.Tuple(elts=parts) | ast.List(elts=parts)]):
            names = [part.id for part in parts if isinstance(part, ast.Name)]
            return names if len(names) == len(parts) > 1 else []
    return []


def _assigned(names: Collection[str], params: Mapping[str, Any]) -> str:
    texts = {name: written(params[name]) for name in names}
    return "; ".join(
        f"{name} = {text}" if text is not None else f"{name} = None  # was given as {_told(params[name])}"
        for name, text in texts.items()
    )


def _told(value: Any) -> str:
    return f"an object that cannot be written here: {type(value).__module__}.{type(value).__qualname__}"


def _place(lines: list[str], line: int | None, column: int | None) -> tuple[int, int]:
    """A place as `ast` has it, its column in bytes, as one in text."""
    row = (line or 1) - 1
    return row, len(lines[row].encode()[: column or 0].decode(errors="replace"))
