"""Literals of other languages → values of Python. What is not a literal is a ValueError."""

from __future__ import annotations

import ast
import datetime
import re
import shlex
from typing import Any

__all__ = ["read_javascript", "read_r", "read_shell"]

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")


def number(text: str) -> int | float:
    """A number as most languages write it."""
    if not _NUMBER.match(text):
        raise ValueError(f"{text!r} is not a number")
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


# ----------------------------------------------------------------------- R

_R_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')|(?P<hex>-?0[xX][0-9a-fA-F]+)L?"
    r"|(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)L?(?![\w.])|(?P<name>-?[A-Za-z.][\w.]*)|(?P<sign>[(),=]))",
    re.DOTALL,
)
_R_NAMES = {
    "TRUE": True,
    "T": True,
    "FALSE": False,
    "F": False,
    "NULL": None,
    "NA": None,
    "NaN": float("nan"),
    "Inf": float("inf"),
    "-Inf": float("-inf"),
}


def read_r(source: str) -> Any:
    """A literal of R: a vector of one is a value, ``c()`` and ``list()`` are lists, or dicts with names.

    Example:
        >>> read_r('list(n = 15L, kinds = c("a", "b"), on = TRUE)')
        {'n': 15, 'kinds': ['a', 'b'], 'on': True}
    """
    tokens = []
    at = 0
    source = source.rstrip()
    while at < len(source):
        found = _R_TOKEN.match(source, at)
        if found is None:
            raise ValueError(f"{source!r} is not a literal")
        tokens.append((found.lastgroup, found[found.lastgroup or ""]))
        at = found.end()
    value = _r_value(tokens)
    if tokens:
        raise ValueError(f"{source!r} is not a literal")
    return value


_Tokens = list[tuple[str | None, str]]


def _r_value(tokens: _Tokens) -> Any:
    kind, text = _next(tokens)
    if kind == "text":
        return _unescaped(text)
    if kind == "number":
        return number(text)
    if kind == "hex":
        return int(text, 16)
    if kind == "name" and text in _R_NAMES:
        return _R_NAMES[text]
    if kind == "name" and text in ("c", "list"):
        return _r_items(tokens)
    if kind == "name" and text == "as.Date":
        [day] = _r_items(tokens)
        return datetime.date.fromisoformat(day)
    raise ValueError(f"{text!r} is not a literal")


def _r_items(tokens: _Tokens) -> list[Any] | dict[str, Any]:
    items: list[Any] = []
    names: list[str | None] = []
    _expect(tokens, "(")
    while tokens and tokens[0][1] != ")":
        named = len(tokens) > 1 and tokens[1] == ("sign", "=") and tokens[0][0] in ("name", "text")
        if named:
            kind, name = _next(tokens)
            _expect(tokens, "=")
            names.append(_unescaped(name) if kind == "text" else name)
        else:
            names.append(None)
        items.append(_r_value(tokens))
        if tokens and tokens[0][1] == ",":
            _next(tokens)
    _expect(tokens, ")")
    if not any(names):
        return items
    if None in names:
        raise ValueError("some items have names and some have none")
    return {str(name): item for name, item in zip(names, items, strict=True)}


def _next(tokens: _Tokens) -> tuple[str | None, str]:
    if not tokens:
        raise ValueError("it is not complete")
    return tokens.pop(0)


def _expect(tokens: _Tokens, sign: str) -> None:
    if _next(tokens) != ("sign", sign):
        raise ValueError(f"{sign!r} is missing")


def _unescaped(text: str) -> str:
    """A string as C and its kin write it."""
    try:
        value = ast.literal_eval(text.replace("\n", "\\n"))
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text!r} is not text: {error}") from error
    return str(value)


# -------------------------------------------------------------- JavaScript


def read_javascript(source: str) -> Any:
    """A literal of JavaScript: what JSON5 has, and a template without holes.

    Example:
        >>> read_javascript("{n: 15, kinds: ['a', 'b'],}")
        {'n': 15, 'kinds': ['a', 'b']}
    """
    import json5  # slow to import, and only notebooks of this language need it

    text = source.strip()
    if text == "undefined":
        return None
    if re.fullmatch(r"`[^`\\$]*`", text, re.DOTALL):
        return text[1:-1]
    if re.fullmatch(r"-?\d[\d_]*n", text):
        return int(text[:-1].replace("_", ""))
    return json5.loads(text)


# -------------------------------------------------------------------- bash

_EXPANDED = re.compile(r"[$`]")
_GLOB = re.compile(r"[*?\[~{]")


def read_shell(source: str) -> Any:
    """A word of a shell, or an array of words: a number or ``true`` where it looks like one, else text.

    Example:
        >>> read_shell("'a b'"), read_shell("15"), read_shell("(1 two)")
        ('a b', 15, [1, 'two'])
    """
    unquoted = re.sub(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"", "", source)
    raw = re.sub(r"'[^']*'", "", source)
    if _EXPANDED.search(re.sub(r"\\.", "", raw)) or _GLOB.search(unquoted):
        raise ValueError(f"{source!r} is not a literal: the shell expands it")
    if source.startswith("("):
        if not source.endswith(")"):
            raise ValueError(f"{source!r} is not a literal")
        bare = source[1:-1].split()
        return [_word(word, word in bare) for word in shlex.split(source[1:-1], comments=True)]
    words = shlex.split(source)
    if len(words) > 1:
        raise ValueError(f"{source!r} is more than one word")
    return _word(words[0] if words else "", unquoted == source)


def _word(text: str, bare: bool) -> Any:
    if bare and text in ("true", "false"):
        return text == "true"
    if (
        bare
        and re.fullmatch(r"[+-]?(?:\d+|\d+\.\d+)(?:[eE][+-]?\d+)?", text)
        and not re.match(r"[+-]?0\d", text)
    ):
        return number(text)
    return text
