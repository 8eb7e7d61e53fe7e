"""Run the blocks of one page in this Python, one after the other, and tell what is not as the page says.

    python run_page.py < blocks.json > problems.json

All share one namespace. Blocks with magics run in an IPython shell, which there is from the first of them on.
``# → value`` after an expression is compared with what it gives.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import re
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from typing import Any

_ARROW = re.compile(r"#\s*→\s*(.+?)\s*$")


class _Compared(ast.NodeTransformer):
    """Expressions with an arrow behind them → comparisons of what they give, wherever they stand."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.said = {
            number: found[1] for number, line in enumerate(lines, 1) if (found := _ARROW.search(line))
        }

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        said = self.said.pop(node.end_lineno or 0, None)
        if said is not None:
            arguments = [node.value, ast.Constant(said), ast.Constant(ast.unparse(node.value))]
            node.value = ast.Call(ast.Name("__compare__", ast.Load()), arguments, [])
        return node


def compared(code: str) -> ast.Module:
    """The code, with its comparisons."""
    tree, compared = ast.parse(code), _Compared(code.split("\n"))
    compared.visit(tree)
    if compared.said:
        raise AssertionError(f"an arrow after something that has no value: {compared.said}")
    return ast.fix_missing_locations(tree)


class Page:
    """What the blocks of a page share."""

    def __init__(self) -> None:
        self.main = types.ModuleType("__main__")
        self.main.__dict__["__compare__"] = compare
        self.shell: Any = None
        sys.modules["__main__"] = self.main
        self.loop = asyncio.new_event_loop()

    def python(self, code: str) -> None:
        """Run a block of Python; top-level await is allowed, as in Jupyter."""
        compiled = compile(compared(code), "<page>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        awaitable = eval(compiled, self.main.__dict__)
        if inspect.isawaitable(awaitable):
            self.loop.run_until_complete(awaitable)

    def magics(self, code: str) -> None:
        """Run cells in an IPython shell; `%%` begins a cell that goes on to the end of the block."""
        at = code.find("%%")
        if at >= 0 and (at == 0 or code[at - 1] == "\n"):
            self._cells(code[:at].rstrip())
            self._cell(code[at:], None)
        else:
            self._cells(code)

    def _cells(self, code: str) -> None:
        """Run the statements one after the other: their lines are those of what IPython makes of them."""
        lines = code.split("\n")
        for statement in ast.parse(self._running().transform_cell(code)).body:
            text = "\n".join(lines[statement.lineno - 1 : statement.end_lineno])
            said = _ARROW.search(text)
            self._cell(text, said[1] if said else None)

    def _cell(self, text: str, said: str | None) -> None:
        outcome = self._running().run_cell(text)
        outcome.raise_error()
        if said is not None:
            compare(outcome.result, said, text)

    def _running(self) -> Any:
        if self.shell is None:
            from IPython.core.interactiveshell import InteractiveShell
            from traitlets.config import Config

            quiet = Config(HistoryManager={"enabled": False})
            self.shell = InteractiveShell.instance(config=quiet, user_module=self.main)
        return self.shell


def compare(value: Any, said: str, text: str) -> None:
    """Whether a value is what is said of it; ``…`` at the end stands for anything."""
    told = repr(value)
    if not (told.startswith(said[:-1]) if said.endswith("…") else told == said):
        raise AssertionError(f"`{text.strip()}` gives {told}")


def main() -> None:
    """Run what stdin says; stdout gets the problems alone."""
    told, problems = json.load(sys.stdin), []
    with contextlib.redirect_stdout(sys.stderr):
        page = Page()
        run: dict[str, Callable[[str], None]] = {"python": page.python, "ipython": page.magics}
        for block in told:
            try:
                run["python"](block["before"])
                run[block["kind"]](block["code"])
            except BaseException as error:
                lines = traceback.format_exception(error, limit=-3)
                problems.append([block["place"], "".join(lines)])
    sys.__stdout__.write(json.dumps(problems))


if __name__ == "__main__":
    main()
