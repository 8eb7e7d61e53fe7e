"""The value that the last assignment of a `return` cell has given, without evaluating its target twice.

Runs in kernels too, whose Python may be an older one.
"""

from __future__ import annotations

import ast
from typing import Any, TypeVar

__all__ = ["assigned_once"]

Node = TypeVar("Node", bound=ast.AST)

_TEMPORARY = "<value {}>"  # no cell can have such a name


def assigned_once(
    statement: ast.Assign | ast.AnnAssign | ast.AugAssign,
) -> tuple[list[ast.stmt], ast.expr, ast.stmt | None]:
    """What to run instead of an assignment, and the expression that reads what it has assigned.

    Args:
        statement: an `ast.Assign`, `ast.AnnAssign` or `ast.AugAssign` with a value.

    Returns:
        The statements, the expression, and the statement that takes the temporary names away, or None where
        there are none.

    Example:
        >>> tree = ast.parse("d[next(it)] += 3")
        >>> body, value, _ = assigned_once(tree.body[0])
        >>> names = {"d": [1, 2], "it": iter([1])}
        >>> exec(compile(ast.Module(body, []), "", "exec"), names)
        >>> eval(compile(ast.Expression(value), "", "eval"), names)
        5
    """
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    made = _Temporaries(statement)
    value: ast.expr
    body: list[ast.stmt]
    if statement.value is None or not any(
        isinstance(node, (ast.Subscript, ast.Attribute)) for node in ast.walk(target)
    ):
        return [statement], made.located(_read(target)), None
    if isinstance(statement, ast.AugAssign):
        body = made.opened(target)  # type: ignore[arg-type]  # no name: that was above
        value = _read(target)
        body.append(statement)
    elif isinstance(target, (ast.Subscript, ast.Attribute)):
        value = whole = made.name()
        body = [ast.Assign([_stored(whole)], statement.value), statement]
        statement.value = _read(whole)
    else:
        whole = made.name()
        leaves: list[tuple[ast.expr, ast.Name]] = []
        shape = made.unpacked(target, leaves)
        value = _read(shape)
        body = [ast.Assign([_stored(whole)], statement.value), ast.Assign([shape], _read(whole))]
        body += [ast.Assign([leaf], _read(name)) for leaf, name in leaves]
        others = statement.targets[1:] if isinstance(statement, ast.Assign) else []
        body += [ast.Assign([other], _read(whole)) for other in others]
    ends = ast.Delete([ast.Name(name, ast.Del()) for name in made.names])
    return [made.located(each) for each in body], made.located(value), made.located(ends)


class _Temporaries:
    """Names for what is kept between the parts of one statement."""

    def __init__(self, statement: ast.stmt) -> None:
        self._statement = statement
        self.names: list[str] = []

    def name(self) -> ast.Name:
        self.names.append(_TEMPORARY.format(len(self.names)))
        return ast.Name(self.names[-1], ast.Load())

    def located(self, node: Node) -> Node:
        """Give what is new in a tree the place of the statement."""
        for each in ast.walk(node):
            if not hasattr(each, "lineno"):
                ast.copy_location(each, self._statement)
        return node

    def opened(self, target: ast.Subscript | ast.Attribute) -> list[ast.stmt]:
        """Evaluate the parts of a place once; the target reads them by their names from here on."""
        holder = self.name()
        body: list[ast.stmt] = [ast.Assign([_stored(holder)], target.value)]
        target.value = holder
        if isinstance(target, ast.Subscript):
            key = self.name()
            body.append(ast.Assign([_stored(key)], _Slices().visit(target.slice)))
            target.slice = key
        return body

    def unpacked(self, target: ast.expr, leaves: list[tuple[ast.expr, ast.Name]]) -> ast.expr:
        """The target with a name in the place of each leaf."""
        if isinstance(target, (ast.Tuple, ast.List)):
            return ast.Tuple([self.unpacked(each, leaves) for each in target.elts], ast.Store())
        if isinstance(target, ast.Starred):
            return ast.Starred(self.unpacked(target.value, leaves), ast.Store())
        name = self.name()
        leaves.append((target, name))
        return _stored(name)


class _Slices(ast.NodeTransformer):
    """A key as an expression of its own: ``1:2`` is ``slice(1, 2, None)`` there."""

    def visit_Index(self, node: Any) -> Any:  # until Python 3.8
        return self.visit(node.value)

    def visit_ExtSlice(self, node: Any) -> Any:  # as above
        return ast.Tuple([self.visit(each) for each in node.dims], ast.Load())

    def visit_Slice(self, node: ast.Slice) -> ast.expr:
        module = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("builtins")], [])
        parts = [part or ast.Constant(None) for part in (node.lower, node.upper, node.step)]
        return ast.Call(ast.Attribute(module, "slice", ast.Load()), parts, [])

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        return node


def _stored(name: ast.Name) -> ast.Name:
    return ast.Name(name.id, ast.Store())


def _read(target: ast.expr) -> ast.expr:
    """The expression that reads a target."""
    if isinstance(target, (ast.Tuple, ast.List)):
        return type(target)([_read(each) for each in target.elts], ast.Load())
    if isinstance(target, ast.Starred):
        return ast.Starred(_read(target.value), ast.Load())
    if isinstance(target, ast.Subscript):
        return ast.Subscript(target.value, target.slice, ast.Load())
    if isinstance(target, ast.Attribute):
        return ast.Attribute(target.value, target.attr, ast.Load())
    assert isinstance(target, ast.Name)  # noqa: S101 - there are no other targets
    return ast.Name(target.id, ast.Load())
