"""Expressions and assignments that stand in the View → the values of a call, evaluated there."""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from IPython.core.error import UsageError

from restified_magics.core.source import parse, python_source
from restified_magics.core.telling import shorten

__all__ = ["assigned_values", "expression_values"]


def expression_values(shell: Any, pairs: Sequence[tuple[str, str]], names: dict[str, Any]) -> dict[str, Any]:
    """Evaluate the arguments of a line.

    Args:
        shell: the IPython shell, which keeps the source for tracebacks.
        pairs: names and expressions; for ``**`` the expression is a mapping to expand.
        names: where the expressions find their names.

    Raises:
        UsageError: a name is given twice, or what is to be expanded is not a mapping from names.
        Exception: whatever an expression raises.
    """
    __tracebackhide__ = True  # IPython shows the user's lines only
    if not pairs:
        return {}
    written = [f"**{expression}" if name == "**" else f"{name}={expression}" for name, expression in pairs]
    # a traceback shows the arguments as the call that they are
    source = f"call_notebook({', '.join(written)})"
    statement = parse(source).body[0]
    assert isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)  # noqa: S101, PT018
    filename = shell.compile.cache(source, shell.displayhook.prompt_count)
    values: dict[str, Any] = {}
    for (name, expression), keyword in zip(pairs, statement.value.keywords, strict=True):
        try:
            value = _evaluated(keyword.value, filename, names)
        except NameError as error:
            if isinstance(keyword.value, ast.Name):
                error.add_note(f'Values are Python expressions. Text goes in quotes: {name}="{expression}"')
            raise
        for key, each in _expanded(expression, value) if name == "**" else [(name, value)]:
            _give(values, key, each)
    return values


def assigned_values(
    shell: Any, magic: str, body: str, names: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Evaluate a cell of assignments, one parameter each, where later lines see the earlier ones.

    Args:
        shell: the IPython shell, which keeps the source for tracebacks.
        magic: the first line of the cell, which is part of no statement.
        body: the other lines.
        names: where the expressions find their names; it is not changed.
        given: the values of the first line, which the body sees and may not give again.

    Returns:
        The values of the first line and of the body.

    Raises:
        UsageError: a line is not an assignment to a name.
        Exception: whatever an expression raises.
    """
    __tracebackhide__ = True
    source = python_source(body)
    # the first line of the cell is that of the magic: the numbers are those that the user sees
    filename = shell.compile.cache(f"# {magic}\n{source}", shell.displayhook.prompt_count)
    values = dict(given)
    copied = {**names, **given}
    for statement in _statements(body, source):
        targets, value = _assignment(statement, body)
        ast.increment_lineno(value, 1)
        worth = _evaluated(value, filename, copied)
        for target in targets:
            _give(values, target, worth)
            copied[target] = worth
    return values


def _evaluated(expression: ast.expr, filename: str, names: dict[str, Any]) -> Any:
    __tracebackhide__ = True
    code = compile(ast.Expression(expression), filename, "eval", dont_inherit=True)
    return eval(code, names)  # noqa: S307 - what the user typed, in the user's own session


def _expanded(expression: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise UsageError(f"**{expression} must be a dict of names and values, not {shorten(value)}")
    for key in value:
        if not isinstance(key, str):
            raise UsageError(f"**{expression} has the key {shorten(key)}, which is no name of a parameter")
    yield from value.items()


def _give(values: dict[str, Any], name: str, value: Any) -> None:
    name = unicodedata.normalize("NFKC", name)
    if name in values:
        raise UsageError(f"{name} is given twice. Leave one out")
    values[name] = value


def _statements(body: str, source: str) -> list[ast.stmt]:
    try:
        return parse(source).body
    except SyntaxError as error:
        raise UsageError(f"{_place(body, error.lineno or 1)} is not Python: {error.msg}") from None


def _assignment(statement: ast.stmt, body: str) -> tuple[list[str], ast.expr]:
    """The names that are assigned, and their value."""
    match statement:
        case ast.Assign(targets=targets, value=value) if all(isinstance(each, ast.Name) for each in targets):
            return [each.id for each in targets if isinstance(each, ast.Name)], value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [name], value
    raise UsageError(
        f"{_place(body, statement.lineno)} is not a parameter: in this cell each line assigns one, "
        "as in width=3. Everything else goes into a cell before it"
    )


def _place(body: str, number: int) -> str:
    """A line of the body as messages call it: with its number in the whole cell."""
    text = body.split("\n")[number - 1 : number]
    return f"line {number + 1} of the cell ({''.join(text).strip()!r})"
