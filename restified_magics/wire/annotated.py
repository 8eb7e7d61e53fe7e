"""What is left of an assignment whose value a call has given: its annotation.

Runs in kernels too, whose Python may be an older one.
"""

from __future__ import annotations

import ast

__all__ = ["annotation_of"]


def annotation_of(statement: ast.stmt) -> ast.stmt | None:
    """The statement that only annotates, or None where there is no annotation.

    It passes where the annotation cannot be evaluated: ``since: date`` is given without a ``date``.

    Args:
        statement: an assignment.

    Example:
        >>> print(ast.unparse(annotation_of(ast.parse("n: int = 1").body[0])))
        try:
            n: int
        except __import__('builtins').Exception:
            pass
    """
    if not isinstance(statement, ast.AnnAssign):
        return None
    bare = ast.AnnAssign(statement.target, statement.annotation, None, statement.simple)
    module = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("builtins")], [])
    any_error = ast.Attribute(module, "Exception", ast.Load())
    made = ast.Try([bare], [ast.ExceptHandler(any_error, None, [ast.Pass()])], [], [])
    for node in ast.walk(made):
        if not hasattr(node, "lineno"):
            ast.copy_location(node, statement)
    return made
