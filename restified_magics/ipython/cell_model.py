"""The body of ``%%restify`` → a notebook with tagged cells, which can be a Model and a file."""

from __future__ import annotations

import ast
import hashlib
import itertools
import json
import os
import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from IPython.core.error import UsageError

from restified_magics.core.endings import ends_without_value
from restified_magics.core.notebook_files import write_notebook
from restified_magics.core.source import parse, python_source

__all__ = ["save_cell_model", "tagged_notebook"]

_KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def tagged_notebook(name: str, body: str) -> dict[str, Any]:
    """Cut a cell into the cells of a Model.

    What leads (imports, a docstring, magics) and what is between are plain cells, the assignments
    after what leads are the `parameters` cell, and the last statement is the `return` cell.
    Each has the text that the author wrote, with its comments.

    Args:
        name: the Model's name, which becomes the notebook's title.
        body: the lines of the cell.

    Returns:
        The notebook, nbformat 4.5.

    Raises:
        UsageError: the body is empty, or is not Python.

    Example:
        >>> made = tagged_notebook("area", "import math\\nr = 2  # Radius [m]\\nmath.pi * r**2")
        >>> for cell in made["cells"]:
        ...     print(cell["metadata"].get("tags"), cell["source"])
        None # area
        None import math
        ['parameters'] r = 2  # Radius [m]
        ['return'] math.pi * r**2
    """
    if body.lstrip("\n")[:1].isspace():  # IPython takes cells that are indented as a whole
        body = textwrap.dedent(body)
    source = python_source(body)
    try:
        statements = parse(source).body
    except SyntaxError as error:
        # the first line of the cell is that of the magic
        raise UsageError(f"line {(error.lineno or 1) + 1} of the cell is not Python: {error.msg}") from None
    if not statements:
        raise UsageError(
            "the cell is empty. Write the Model's parameters, and what it returns as the last line"
        )
    source_lines = lines = source.split("\n")
    if source == body or "\\\n" not in body:  # else a magic may be joined of several lines of the body
        lines = body.split("\n")
    text = _Text(source_lines, lines, statements)
    last = len(statements) - 1
    if ends_without_value(statements[last]) is not None:
        end = ast.unparse(statements[last]).splitlines()[0]
        raise UsageError(
            f"line {statements[last].lineno + 1} of the cell, `{end}`, "
            "has no value. Write what the Model returns below it, as the last line"
        )
    first = next((number for number, each in enumerate(statements[:last]) if not _leads(each)), last)
    after = next((number for number in range(first, last) if not _assigns(statements[number])), last)
    parts = [
        ("setup", text.of(0, first), []),
        ("parameters", text.of(first, after), ["parameters"]),
        ("steps", text.of(after, last), []),
        ("return", text.of(last, last + 1), ["return"]),
    ]
    cells = [_cell("title", f"# {name}"), *(_cell(*part) for part in parts if part[1])]
    metadata = {
        "kernelspec": _KERNELSPEC,
        "language_info": {"name": "python"},
        "restified_magics": {"restify": _digest(cells)},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def save_cell_model(node: Mapping[str, Any], path: pathlib.Path) -> None:
    """Write the notebook to a file, whole or not at all.

    Raises:
        UsageError: there is another file already: only a notebook that ``%%restify`` wrote, and that
            nobody changed since, is replaced.
    """
    if path.exists() and not _is_ours(path):
        raise UsageError(
            f"--save {os.fspath(path)}: the file is there already, and is not as %%restify wrote it. "
            "Remove it, or save under another name"
        )
    # sources as lists of lines, as Jupyter writes them, so that a diff of the file is readable
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in node["cells"]]
    write_notebook({**node, "cells": cells}, path)


class _Text:
    """The text of a cell, cut at its statements; comments belong to the statement below them."""

    def __init__(self, source: Sequence[str], lines: Sequence[str], statements: Sequence[ast.stmt]) -> None:
        self._lines = lines
        # where each statement's share begins: (line, column), counted from 0
        self._starts = [(0, 0)]
        for before, statement in itertools.pairwise(statements):
            row, end = _first_row(statement) - 1, (before.end_lineno or 1) - 1
            if row == end:  # several statements on one line
                column = len(source[row].encode()[: statement.col_offset].decode())
                self._starts.append((row, column))
            else:
                self._starts.append((end + 1, 0))
        self._starts.append((len(lines), 0))

    def of(self, first: int, end: int) -> str:
        """The text of the statements from number `first` up to, not including, number `end`."""
        if first == end:
            return ""
        (row, column), (end_row, end_column) = self._starts[first], self._starts[end]
        lines = [*self._lines[row:end_row], *([self._lines[end_row][:end_column]] if end_column else [])]
        lines[0] = lines[0][column:]
        if end_column:
            lines[-1] = lines[-1].rstrip().removesuffix(";")
        while lines and not lines[0].strip():
            del lines[0]
        return "\n".join(lines).rstrip()


def _first_row(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(decorator.lineno for decorator in decorators)])


def _leads(statement: ast.stmt) -> bool:
    """Whether this may stand above the parameters: an import, a docstring, a magic."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(ast.Constant(str())):
            return True
        case ast.Expr(ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name("get_ipython"))))):
            return True
    return False


def _assigns(statement: ast.stmt) -> bool:
    """Whether this can be a parameter: an assignment to plain names."""
    match statement:
        case ast.Assign(targets=targets):
            return all(_is_plain(target) for target in targets)
        case ast.AnnAssign(target=ast.Name()):
            return True
    return False


def _is_plain(target: ast.expr) -> bool:
    if isinstance(target, (ast.Tuple, ast.List)):
        return all(isinstance(each, ast.Name) for each in target.elts)
    return isinstance(target, ast.Name)


def _cell(name: str, source: str, tags: Sequence[str] | None = None) -> dict[str, Any]:
    metadata = {"tags": list(tags)} if tags else {}
    if tags is None:
        return {"cell_type": "markdown", "id": name, "metadata": metadata, "source": source}
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": metadata,
        "outputs": [],
        "source": source,
    }


def _digest(cells: Sequence[Mapping[str, Any]]) -> str:
    """What an edit of the notebook changes, and running it does not."""
    kept = [[cell["cell_type"], "".join(cell["source"]), cell["metadata"].get("tags", [])] for cell in cells]
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _is_ours(path: pathlib.Path) -> bool:
    """Whether ``%%restify`` wrote this file, and its cells are as they were then."""
    try:
        node = json.loads(path.read_bytes())
        return bool(node["metadata"]["restified_magics"]["restify"] == _digest(node["cells"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False
