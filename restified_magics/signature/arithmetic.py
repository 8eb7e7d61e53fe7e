"""Arithmetic of literals, as in ``60 * 60``, within bounds, so that no default can hang its reader."""

from __future__ import annotations

import ast
import operator
import pathlib
import typing
from typing import Any

if typing.TYPE_CHECKING:
    from collections.abc import Callable
from restified_magics.signature.known_names import UnreadableError

__all__ = ["UNARY", "worked_out"]

UNARY: dict[type, Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
_MOST_BITS = 10_000
_MOST_ITEMS = 10_000


def worked_out(op: ast.operator, left: Any, right: Any) -> Any:
    """The value of an operation on literals, where it is sure to be small and quick: ``60 * 60``."""
    work = _BINARY.get(type(op))
    if work is None:
        raise UnreadableError("it is not a literal")
    kind = type(op)
    if isinstance(left, int) and isinstance(right, int):
        bits = {
            ast.Pow: left.bit_length() * right,
            ast.LShift: right,
            ast.Mult: left.bit_length() + right.bit_length(),
        }
        if bits.get(kind, 0) > _MOST_BITS:
            raise UnreadableError("it is too large to work out while reading")
        return work(left, right)
    numbers = int | float | complex
    if isinstance(left, numbers) and isinstance(right, numbers):
        return work(left, right)
    if kind is ast.Add and type(left) is type(right) and isinstance(left, str | bytes | list | tuple):
        return left + right
    if kind is ast.Mult and isinstance(left, str | list | tuple) and isinstance(right, int):
        nested = any(isinstance(item, list | tuple | set | dict) for item in left)
        if len(left) * right <= _MOST_ITEMS and not nested:
            return left * right
    if kind is ast.Div and isinstance(left, pathlib.PurePath) and isinstance(right, str):
        return left / right
    raise UnreadableError("it is not a literal")
