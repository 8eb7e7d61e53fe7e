"""Which names a cell reads, without running it: what lint knows of unused parameters and free names."""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Iterator, Sequence

from restified_magics.core.notebook import Cell
from restified_magics.core.source import parse, python_source
from restified_magics.signature.languages import Language
from restified_magics.signature.layout import UNPARSABLE
from restified_magics.signature.statements import split

__all__ = ["first_definition", "first_use", "overwritten", "unread"]

#: Who calls these may read any name.
_READ_ALL = frozenset({"locals", "globals", "eval", "exec"})
_WORD = re.compile(r"[^\W\d]\w*")
_LOOKED_UP = re.compile(r"@\s*([^\W\d]\w*)")  # `frame.query("price > @limit")`


def unread(names: Sequence[str], cells: Sequence[Cell], language: Language | None) -> list[str]:
    """Those of the names that none of the cells reads; where it cannot be known, none.

    Args:
        names: names that the cells assign.
        cells: the cells that a call runs.
        language: theirs, where it is not Python.
    """
    if language is not None:
        return [name for name in names if not any(_mentions(cell, name, language) for cell in cells)]
    read: set[str] = set()
    for cell in cells:
        try:
            found = _read_by(python_source(cell.source))
        except UNPARSABLE:
            found = set(_WORD.findall(cell.source))
        if found & _READ_ALL:
            return []
        read |= found
    return [name for name in names if name not in read]


def overwritten(names: Sequence[str], cells: Sequence[Cell]) -> dict[str, tuple[int, int]]:
    """Where names are assigned anew before anything reads them, so that no value of a call is ever read.

    Args:
        names: the parameters.
        cells: the cells that a call runs, in Python.

    Returns:
        The cell (counted from 1) and the line, by name; only what is certain.
    """
    left = set(names)
    found: dict[str, tuple[int, int]] = {}
    for cell in cells:
        try:
            statements = parse(python_source(cell.source)).body
        except UNPARSABLE:
            left -= set(_WORD.findall(cell.source))
            continue
        for statement in statements:
            read = _read_by(ast.unparse(statement))
            if read & _READ_ALL:
                return found
            left -= read
            if cell.role != "parameters" and isinstance(
                statement, ast.Assign
            ):  # there a call assigns its own
                again = left.intersection(each.id for each in statement.targets if isinstance(each, ast.Name))
                found.update(dict.fromkeys(again, (cell.number, statement.lineno)))
                left -= again
    return found


def first_use(name: str, cells: Sequence[Cell]) -> tuple[int, int] | None:
    """The cell (counted from 1) and the line where a name is read first."""
    return _first(name, cells, stored=False)


def first_definition(name: str, cells: Sequence[Cell]) -> tuple[int, int] | None:
    """The cell (counted from 1) and the line where a name is assigned first."""
    return _first(name, cells, stored=True)


def _first(name: str, cells: Sequence[Cell], *, stored: bool) -> tuple[int, int] | None:
    for cell in cells:
        if name not in cell.source:
            continue
        try:
            tree = parse(python_source(cell.source))
        except UNPARSABLE:
            continue
        lines = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) is stored
        ]
        if lines:
            return cell.number, min(lines)
    return None


def _read_by(source: str) -> set[str]:
    """The names that a cell reads as the notebook's own, in its functions and in arguments of magics too."""
    tree = parse(source)
    try:
        plain = ast.unparse(_Plain().visit(tree)) if "await" in source or "async" in source else source
        table = symtable.symtable(plain, "<cell>", "exec")
    except UNPARSABLE:  # such as a nonlocal name at top level, which `parse` does not look at
        return set(_WORD.findall(source))
    found = set(_globals_read(table, top=True))
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.update(_LOOKED_UP.findall(node.value))
        elif isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name) and node.func.id == "vars" and not node.args:
                found.add("locals")  # which it is
            if _is_magic(node):
                found.update(word for text in _texts(node) for word in _WORD.findall(text))
    return found


class _Plain(ast.NodeTransformer):
    """Takes ``await`` and ``async`` away: from Python 3.14 on, symtable refuses them outside of functions."""

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)  # type: ignore[no-any-return]

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.copy_location(ast.For(**dict(ast.iter_fields(node))), node))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.generic_visit(ast.copy_location(ast.With(**dict(ast.iter_fields(node))), node))

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.is_async = 0
        return self.generic_visit(node)


def _globals_read(table: symtable.SymbolTable, *, top: bool) -> Iterator[str]:
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _globals_read(inner, top=False)


def _is_magic(call: ast.Call) -> bool:
    return (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Call)
        and isinstance(call.func.value.func, ast.Name)
        and call.func.value.func.id == "get_ipython"
    )


def _texts(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _mentions(cell: Cell, name: str, language: Language) -> bool:
    """Whether a cell in another language has the name anywhere but where it is assigned, and in comments."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
    for statement in split(cell.source, language.signs)[0]:
        assigned = language.assigned(statement)
        own = assigned is not None and assigned.name == name and cell.role == "parameters"
        if word.search((assigned.value or "") if own and assigned is not None else statement.text):
            return True
    return False
