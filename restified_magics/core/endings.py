"""The last statement of a `return` cell: what has no value, and what says so."""

from __future__ import annotations

import ast

from restified_magics.core.source import parse, python_source

__all__ = ["ends_without_value"]

#: Cell magics that give no value, whatever is below them.
_NO_VALUE = frozenset(
    (
        *("bash", "sh", "script", "cmd", "perl", "pypy", "python", "python2", "python3", "ruby"),
        *("file", "writefile", "html", "HTML", "javascript", "js", "latex", "markdown", "svg", "SVG"),
    )
)
#: Those that give none of what they run, unless they are asked for what they have found by a flag.
_ASKED = {"timeit": "-o", "prun": "-r"}
#: Those whose value is that of what they run.
_RUNS = ("time", "capture")


def ends_without_value(last: ast.stmt) -> str | None:
    """How a `return` cell ends, where it ends in a statement without a value; else None.

    Args:
        last: its last statement, an expression or an assignment where it has a value.

    Example:
        >>> ends_without_value(parse(python_source("%%time\\nfor n in range(3):\\n    print(n)")).body[-1])
        'for n in range(3):'
    """
    if isinstance(last, ast.AnnAssign):
        return None if last.value is not None else _first_line(last)
    if not isinstance(last, (ast.Expr, ast.Assign, ast.AugAssign)):
        return _first_line(last)
    return _magic_without_value(last.value) if isinstance(last, ast.Expr) else None


def _first_line(statement: ast.stmt) -> str:
    return ast.unparse(statement).split("\n", 1)[0]


def _magic_without_value(value: ast.expr) -> str | None:
    """The same of a call of a magic, as IPython writes it."""
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute)):
        return None
    called = value.func.attr
    given = [each.value for each in value.args if isinstance(each, ast.Constant)]
    if called not in ("run_line_magic", "run_cell_magic") or not all(isinstance(each, str) for each in given):
        return None
    name, line, *below = map(str, given)
    shown = f"{'%%' if below else '%'}{name}"
    if name in _ASKED:
        return None if _ASKED[name] in line.split() else shown
    if below and name in _NO_VALUE:
        return shown
    if name not in _RUNS:
        return None
    try:
        body = parse(python_source(below[0] if below else line)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the call will raise it
    return ends_without_value(body[-1]) if body else shown
