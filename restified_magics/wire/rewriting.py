"""What a call changes in the tree of a cell: given values at their assignments, and what is returned is kept.

It is sent to kernels with `kernel_side`; the changed code asks its running call for values, and gives them.
"""

from __future__ import annotations

import ast

from .annotated import annotation_of
from .magic_code import as_lines, is_magic
from .once import assigned_once

__all__ = ["rewrite"]


def rewrite(tree, cell, given, magic_code):
    """Change the tree of a cell, in place.

    Args:
        tree: an `ast.Module`.
        cell: the cell as the request describes it.
        given: the names that have a value of the caller's.
        magic_code: what the cell's magics run, or None.

    Returns:
        The given names whose assignments are not where they were expected: then nothing is left of the tree.
    """
    sites = {(line, column): names for line, column, names in cell["sites"]}
    body = []
    for statement in tree.body:
        names = sites.pop((statement.lineno, statement.col_offset), ())
        here = [name for name in names if name in given]
        if not here or not set(_targets(statement)) <= set(given):
            body.append(statement)
        elif isinstance(statement, ast.AnnAssign):
            body.append(annotation_of(statement))
        for name in here:
            assigned = ast.Assign([ast.Name(name, ast.Store())], _ours("given", ast.Constant(name)))
            body.append(ast.copy_location(assigned, statement))
    lost = [name for names in sites.values() for name in names if name in given]
    if lost:
        body = []
    if cell["returns"] and body:
        if magic_code is not None and isinstance(body[-1], ast.Expr) and is_magic(body[-1].value):
            magic_code.keeps = body[-1].lineno
        _keep_value(body)
    tree.body = body
    return lost


def _targets(statement):
    """The names a statement binds; a target that is no name is named so that no call can give it."""
    listed = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in listed:
        for node in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
            yield node.id if isinstance(node, ast.Name) else "<not a name>"


def _ours(method, argument):
    """The expression that calls a method of the running call, by no name that a cell could have."""
    module = ast.Call(ast.Name("__import__", ast.Load()), [ast.Constant("_restified_kernel")], [])
    running = ast.Attribute(module, "_running", ast.Load())
    return ast.Call(ast.Attribute(running, method, ast.Load()), [argument], [])


def _keep_value(body):
    """Have the value of the last statement kept: of an expression, or what was just assigned."""
    last = body[-1]
    if isinstance(last, ast.Expr):
        value = as_lines(last.value)  # `!cmd` gives its lines, as `x = !cmd` does
        last.value = ast.copy_location(_ours("keep", value), value)
        return
    if isinstance(last, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        statements, value, ends = assigned_once(last)
        taken = ast.copy_location(ast.Expr(_ours("take", value)), last)
        body[-1:] = [*statements, taken, *([] if ends is None else [ends])]
