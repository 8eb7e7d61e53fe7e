"""The values on the line of a magic → names and expressions, told apart by Python's own tokenizer.

What is in quotes and brackets stays together, and nothing is evaluated.
"""

from __future__ import annotations

import ast
import dataclasses
import io
import itertools
import tokenize
from collections.abc import Iterator, Sequence
from typing import NoReturn

from IPython.core.error import UsageError

from restified_magics.core.source import parse

__all__ = ["Mark", "Token", "marks", "split_values", "tokens"]


@dataclasses.dataclass(frozen=True, slots=True)
class Token:
    """A token of Python: its kind by `tokenize`, its text, where it stands, the open brackets around it."""

    kind: int
    text: str
    start: int
    end: int
    depth: int


def tokens(line: str, start: int) -> Iterator[Token]:
    """Python's tokens from `start` on, as far as they can be told."""
    text = line[start:].rstrip("\n")
    # inside brackets a line has neither indentation nor an end
    reading = tokenize.generate_tokens(io.StringIO(f"(\n{text}\n)").readline)
    rows = list(itertools.accumulate((len(each) + 1 for each in text.split("\n")), initial=start))
    depth = 0
    try:
        for kind, string, (row, column), (end_row, end_column), _ in reading:
            if not 1 < row <= len(rows) or kind == tokenize.NL:
                continue
            depth -= kind == tokenize.OP and string in (")", "]", "}")
            yield Token(kind, string, rows[row - 2] + column, rows[end_row - 2] + end_column, depth)
            depth += kind == tokenize.OP and string in ("(", "[", "{")
    except (tokenize.TokenError, SyntaxError):
        return  # what is wrong with it is told when the expressions are parsed


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """The place of a ``name =`` or ``**`` that may begin an argument, and where its expression begins."""

    name: str
    start: int
    begin: int


def marks(found: Sequence[Token]) -> list[Mark]:
    """All places outside brackets that may begin an argument."""
    starts = []
    previous: Token | None = None
    for token, following in itertools.zip_longest(found, found[1:]):
        first = previous is None or previous.text == ","
        if token.depth == 0 and (first or (previous is not None and previous.end < token.start)):
            if token.kind == tokenize.NAME and following is not None and following.text == "=":
                starts.append(Mark(token.text, token.start, following.end))
            elif token.text == "**" and first:
                starts.append(Mark("**", token.start, token.end))
        previous = token
    return starts


def split_values(line: str, start: int) -> tuple[tuple[tuple[str, str], ...], bool]:
    """Tell the arguments of a line apart.

    Args:
        line: the line, with blanks where its flags stood.
        start: the arguments begin here.

    Returns:
        Pairs of names and expressions, with ``**`` as the name of a mapping to expand; and whether
        a semicolon ends the line.

    Raises:
        UsageError: a value has no name, a name no value, or a value is not an expression.

    Example:
        >>> split_values('f=lambda a=1: a, name = "x y" size=2;', 0)
        ((('f', 'lambda a=1: a'), ('name', '"x y"'), ('size', '2')), True)
    """
    found = list(tokens(line, start))
    end = len(line)
    if found and found[-1].kind == tokenize.COMMENT:
        end = found.pop().start
    silent = bool(found) and found[-1].text == ";" and found[-1].depth == 0
    if silent:
        end = found.pop().start
    starts = marks(found)
    nameless = line[start : starts[0].start if starts else end].strip(" \t\n,")
    if nameless:
        example = nameless if _is_value(nameless) else "…"
        raise UsageError(f"{nameless!r} has no name. Write the parameter's name before it: name={example}")
    ends = [*(mark.start for mark in starts[1:]), end]
    values: dict[str, str] = {}
    listed: list[tuple[str, str]] = []
    index = 0
    while index < len(starts):
        mark = starts[index]
        # `f=lambda a=1: a`: what is no expression alone goes on to where the next argument seemed to begin
        pieces = (_expression(line[mark.begin : stop]) for stop in ends[index:])
        last, expression = next(
            ((last, piece) for last, piece in enumerate(pieces, index) if _is_value(piece)), (index, None)
        )
        if expression is None:
            _refuse(mark.name, _expression(line[mark.begin : ends[index]]))
        if mark.name in values:
            raise UsageError(f"{mark.name} is given twice. Leave one out")
        if mark.name != "**":
            values[mark.name] = expression
        listed.append((mark.name, expression))
        index = last + 1
    return tuple(listed), silent


def _expression(text: str) -> str:
    return text.strip().removesuffix(",").rstrip()


def _is_value(expression: str) -> bool:
    """Whether this is one expression, as it may stand for an argument of a call."""
    try:
        call = parse(f"_(_={expression})").body
    except SyntaxError:
        return False
    match call:
        case [ast.Expr(ast.Call(func=ast.Name(), args=[], keywords=[_]))]:
            return True
    return False


def _refuse(name: str, expression: str) -> NoReturn:
    written = f"{name}{expression}" if name == "**" else f"{name}={expression}"
    if not expression:
        raise UsageError(
            f"{written} has no value. Write one, as in {written}{'options' if name == '**' else 42}"
        )
    try:
        parse(expression)
    except SyntaxError as error:
        raise UsageError(
            f'{written} is not a Python expression ({error.msg}). Text goes in quotes: {name}="some text"'
        ) from None
    raise UsageError(f"{written} is not one Python expression. A tuple goes in parentheses: {name}=(1, 2)")
