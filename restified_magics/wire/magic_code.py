"""The code that a magic runs, such as what is below ``%%time``, compiled as the part of its cell that it is.

IPython compiles it under a name of its own, with lines counted from 1, and mostly keeps its value to itself.
Runs in kernels too, whose Python may be an older one.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .once import assigned_once

__all__ = ["MagicCode", "as_lines", "is_magic", "kept", "through_magics"]

#: Under these names, which no cell can have, the value of what a magic runs is kept.
_KEPT = "<value of a magic>"
_GIVEN = "<value from a magic>"
_MARK = "_restified_cell"

_MAGIC = re.compile(r"\s*(?:[\w, \t]+=\s*)?%")


class MagicCode:
    """The compiler of IPython's shell, while a cell with magics runs.

    Args:
        compiler: the shell's own, which does all that is not said here.
        source: the cell as it stands in the notebook.
        concerned: whether who compiles is the cell, and not somebody else who uses the same shell.

    Attributes:
        filename: under which the cell is compiled; None as long as nobody knows.
        keeps: the line of the magic whose code gives the value of the cell, or None.
    """

    def __init__(self, compiler: Any, source: str, concerned: Callable[[], bool] = lambda: True) -> None:
        self._compiler = compiler
        self._lines = source.split("\n")
        self._concerned = concerned
        self.filename: str | None = None
        self.keeps: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._compiler, name)

    def __call__(self, source: Any, filename: str, *args: Any, **options: Any) -> Any:
        if (
            self.filename is not None
            and isinstance(source, ast.AST)
            and any(getattr(node, _MARK, None) == self.filename for node in ast.walk(source))
        ):
            filename = self.filename
        return self._compiler(source, filename, *args, **options)

    def ast_parse(self, source: str, *args: Any, **options: Any) -> Any:
        """Parse code; that of a magic of the cell with the lines that it has there."""
        line = self._line_that_runs()
        above = None if line is None else self._above(source, line)
        if above is None:
            return self._compiler.ast_parse(source, *args, **options)
        tree = self._compiler.ast_parse("\n" * above + source, self.filename)
        if line == self.keeps and tree.body:
            self._keep(tree)
        for node in ast.walk(tree):
            setattr(node, _MARK, self.filename)
        return tree

    def _line_that_runs(self) -> int | None:
        if self.filename is None or not self._concerned():
            return None
        frame = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename != self.filename:
            frame = frame.f_back  # type: ignore[assignment]
        return None if frame is None else frame.f_lineno

    def _above(self, source: str, line: int) -> int | None:
        """How many lines of the cell are above this code of the magic on a line; None if it is not there."""
        code = source.strip().rstrip("; \t")
        lines = self._lines
        if not code or line > len(lines):
            return None
        text = lines[line - 1].rstrip("; \t")
        if text.endswith(code):
            return line - 1
        first = code.split("\n", 1)[0].rstrip("; \t")
        at = _first_below(lines, line)
        if not text.lstrip().startswith("%%") or at is None:
            return None
        if lines[at].strip().rstrip("; \t") != first and "get_ipython()" not in first:
            return None
        return at - source[: len(source) - len(source.lstrip())].count("\n")  # IPython drops empty lines

    def _keep(self, tree: ast.Module) -> None:
        """Keep the value of the last statement in the namespace, for `kept`."""
        last = tree.body[-1]
        self.keeps = None
        name = ast.Name(_KEPT, ast.Store())
        if isinstance(last, ast.Expr):
            value = as_lines(last.value)
            if is_magic(value):  # its own code has kept what it does not give
                self.keeps = last.lineno
                given = ast.NamedExpr(ast.Name(_GIVEN, ast.Store()), value)
                last.value = ast.IfExp(
                    ast.Compare(given, [ast.IsNot()], [ast.Constant(None)]),
                    ast.NamedExpr(name, ast.Name(_GIVEN, ast.Load())),
                    ast.Constant(None),
                )
            else:
                last.value = ast.NamedExpr(name, value)
        elif isinstance(last, (ast.Assign, ast.AnnAssign, ast.AugAssign)) and last.value is not None:
            body, value, ends = assigned_once(last)
            keeping = ast.copy_location(ast.Assign([name], value), last)
            tree.body[-1:] = [*body, keeping, *([] if ends is None else [ends])]
        for node in ast.walk(tree.body[-1]):
            if not hasattr(node, "lineno"):
                ast.copy_location(node, last)
        ast.fix_missing_locations(tree)


def kept(names: dict[str, Any]) -> Any:
    """Take what the code of a magic has kept from a namespace; None where it has kept nothing."""
    names.pop(_GIVEN, None)
    return names.pop(_KEPT, None)


def is_magic(value: ast.expr) -> bool:
    """Whether an expression is the call that IPython makes of a magic."""
    return _method(value) in ("run_line_magic", "run_cell_magic")


def as_lines(value: ast.expr) -> ast.expr:
    """``!cmd`` at the end of a `return` cell gives its output lines, as ``x = !cmd`` does."""
    if _method(value) == "system":
        value.func.attr = "getoutput"  # type: ignore[attr-defined]
    return value


def _method(value: ast.expr) -> str | None:
    """The method of IPython's shell that an expression calls."""
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and isinstance(value.func.value, ast.Call)
        and getattr(value.func.value.func, "id", None) == "get_ipython"
    ):
        return value.func.attr
    return None


def through_magics(frames: Sequence[tuple[str, str, int, str]]) -> Iterator[tuple[int, int, int]]:
    """The frames of a traceback without those that only lead to the code that a magic of the same cell runs.

    Args:
        frames: of each its file name, the name of its function, its line, and the source of its cell or "".

    Yields:
        Of each that stays the position of the frame in whose file it is, its own position, and its line.
    """
    places = [frame[:2] for frame in frames]
    number = 0
    while number < len(frames):
        name, _, line, source = frames[number]
        lines = source.split("\n")
        ahead = places[number + 1 : number + 4] if _begins_magic(lines, line) else []
        if ahead[:1] == [(name, "<module>")]:
            number += 1
        elif (name, "inner") in ahead:  # the function that ``%timeit`` makes; the timer is between
            number += 1 + ahead.index((name, "inner"))
        elif ahead[1:2] == [("<string>", "<module>")]:  # ``%prun``; the profiler is between
            below = lines[line - 1].lstrip().startswith("%%") and _first_below(lines, line)
            yield number, number + 2, frames[number + 2][2] + (below or line - 1)
            number += 3
        else:
            yield number, number, line
            number += 1


def _begins_magic(lines: Sequence[str], line: int) -> bool:
    return line <= len(lines) and _MAGIC.match(lines[line - 1]) is not None


def _first_below(lines: Sequence[str], line: int) -> int | None:
    """How many lines are above the first one below this one that is not empty."""
    return next((number for number in range(line, len(lines)) if lines[number].strip()), None)
