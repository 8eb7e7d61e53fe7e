"""The comments of Colab's forms: ``#@param``, ``#@title``, ``#@markdown``, and their relaxed JSON.

Here is what they say; :mod:`restified_magics.signature.grammar` decides what of it counts.
"""

from __future__ import annotations

import math
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from restified_magics.signature.enums import IsoDate

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ColabParam", "ColabTitle", "colab_type", "number", "read_param", "read_title"]

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[^\s,:\[\]{}\"'#]+")
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_DEEPEST = 20
# Colab's names of types, and those that people write in their place.
_COLABS = ("slider", "integer", "number", "string", "boolean", "raw", "date")
_OUR_TYPES = ("password", "textarea")  # what forms show besides, without a type of its own
_TYPES = {
    **{name: name for name in _COLABS},
    **{"int": "integer", "float": "number", "str": "string", "text": "string", "bool": "boolean"},
}
_KNOWN_OPTIONS = {"type", "min", "max", "step", "allow-input", "placeholder", "isTemplate"}


class ColabParam(NamedTuple):
    """What one ``#@param`` says.

    Attributes:
        kind: Colab's type (``slider``, ``integer`` ...), ``dropdown``, or empty if none is named.
        choices: of a dropdown; with ``raw`` they are source text.
        raw: the value is code, or the choices are.
        free_choice: ``allow-input``.
        minimum, maximum, step: of a slider.
        options: everything else, as it was written.
        text: what stands around it in the same comment.
        problems: what could not be understood.
    """

    kind: str = ""
    choices: tuple[Any, ...] | None = None
    raw: bool = False
    free_choice: bool = False
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    options: Mapping[str, Any] = MappingProxyType({})
    text: str = ""
    problems: tuple[str, ...] = ()


class ColabTitle(NamedTuple):
    """The text and the options of a ``#@title``."""

    text: str = ""
    options: Mapping[str, Any] = MappingProxyType({})
    problems: tuple[str, ...] = ()


def read_param(text: str) -> ColabParam:
    """Read what follows ``#@param``: choices, options, both or none, and other words.

    Example:
        >>> read_param("['a', 'b',] {allow-input: true}").choices
        ('a', 'b')
        >>> read_param('{type:"slider", min:0, max:10, step:.5} Width').step
        0.5
    """
    choices: tuple[Any, ...] | None = None
    options: dict[str, Any] = {}
    problems: list[str] = []
    rest = text.lstrip(" \t:")
    while rest[:1] in ("[", "{"):
        try:
            value, end = _relaxed(rest, 0, 0)
        except ValueError as error:
            problems.append(f"#@param is not understood: {error}")
            rest = ""
            break
        if isinstance(value, list):
            choices = tuple(value)
        else:
            options.update(value)
        rest = rest[end:].lstrip(" \t,")
    said = _param(choices, options, problems)
    return ColabParam(**said, text=rest.strip(), problems=tuple(problems))


def _param(choices: tuple[Any, ...] | None, options: dict[str, Any], problems: list[str]) -> dict[str, Any]:
    """The options, each where it belongs. Those that mean nothing here stay options, with a problem."""
    said: dict[str, Any] = {"choices": choices or None}
    if choices == ():
        problems.append('the list of choices is empty. Write them, as in ["a", "b"]')
    named = options.pop("type", None)
    kind = _TYPES.get(named) if isinstance(named, str) else None
    if named is not None and kind is None:
        if named not in _OUR_TYPES:
            problems.append(f"#@param has no type {named!r}. Its types are {', '.join(_COLABS)}")
        options["widget"] = named
    elif kind in ("slider", "date", "raw", "string"):  # what the type of the value does not say again
        options["widget"] = kind
    said["kind"] = "dropdown" if choices and kind in (None, "raw", "string") else kind or ""
    said["raw"] = kind == "raw"
    said["free_choice"] = options.pop("allow-input", False) is True
    for option, name in (("min", "minimum"), ("max", "maximum"), ("step", "step")):
        if option in options:
            value = options.pop(option)
            value = number(value) if isinstance(value, str) else value
            if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) == math.inf:
                problems.append(f"#@param: {option} is no number, and so is ignored. Write one")
            else:
                said[name] = value
    unknown = sorted(options.keys() - _KNOWN_OPTIONS - {"widget"})
    problems += [f"#@param has no option {option!r}; it is kept for forms that know it" for option in unknown]
    said["options"] = options
    return said


def read_title(text: str) -> ColabTitle:
    """Read what follows ``#@title``.

    Example:
        >>> title = read_title('Fibonacci { run: "auto", display-mode: "form" }')
        >>> title.text, title.options
        ('Fibonacci', {'run': 'auto', 'display-mode': 'form'})
    """
    for start in (match.start() for match in re.finditer(r"\{", text)):
        try:
            options, end = _relaxed(text, start, 0)
        except ValueError:
            continue
        if not text[end:].strip():
            return ColabTitle(text[:start].strip(), options)
    problems = ("the options of #@title are not understood",) if "{" in text else ()
    return ColabTitle(text.strip(), {}, problems)


def colab_type(param: ColabParam, default: Any) -> Any:
    """The Python type of the values that Colab would write for a ``#@param``, or None if it names none.

    Args:
        param: what the comment says.
        default: the value in the notebook, where that is a literal, else None.

    Example:
        >>> colab_type(read_param('{type:"slider", min:0, max:1, step:0.1}'), 1)
        <class 'float'>
    """
    if param.kind == "dropdown":
        return _common_type(param)
    if param.kind in ("slider", "number"):
        if any(isinstance(x, float) for x in (default, param.minimum, param.maximum, param.step)):
            return float
        # A number field that holds 10 takes 2.5 too, and an int that is typed there stays one.
        return int if param.kind == "slider" else int | float
    if param.kind == "date":
        # Colab's date field writes text, and the notebook's code expects that.
        return Annotated[str, IsoDate()] if default is None or isinstance(default, str) else type(default)
    return {"integer": int, "string": str, "boolean": bool, "raw": Any}.get(param.kind)


def _common_type(param: ColabParam) -> Any:
    found = {type(choice) for choice in param.choices or ()} - {type(None)}
    if param.raw or not found <= {str, int, float, bool}:
        return Any
    if found == {int, float}:
        return int | float
    return found.pop() if len(found) == 1 else Any


def number(text: str) -> int | float | None:
    """The number that a text is, or None: ``-5``, ``1_000``, ``.5``, ``1e-9``.

    Example:
        >>> number("1e-9"), number("1_000"), number("ten")
        (1e-09, 1000, None)
    """
    if not _NUMBER.fullmatch(text) or len(text) > 400:
        return None
    try:
        return int(text) if re.fullmatch(r"[+-]?[\d_]+", text) else float(text)
    except ValueError:  # underscores in the wrong places
        return None


# --- JSON as people write it -----------------------------------------------------------------------


def _relaxed(text: str, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins at a position, and the position after it. Raises ValueError.

    Beside JSON: single quotes, keys and words without quotes, trailing commas, Python's literals.
    """
    at = _skip(text, at)
    first = text[at : at + 1]
    if depth > _DEEPEST:
        raise ValueError("it is nested too deep")
    if first in ('"', "'"):
        return _quoted(text, at)
    if first in ("[", "{"):
        return _items(text, at, depth)
    match = _WORD.match(text, at)
    if not match:
        raise ValueError(
            f"something is missing before {text[at : at + 10]!r}" if first else "its end is missing"
        )
    word = match.group()
    if word in _WORDS:
        return _WORDS[word], match.end()
    value = number(word)
    return (word if value is None else value), match.end()


def _items(text: str, at: int, depth: int) -> tuple[Any, int]:
    pairs = text[at] == "{"
    found: list[Any] = []
    at += 1
    while True:
        at = _skip(text, at)
        if text[at : at + 1] == ("}" if pairs else "]"):
            return (dict(found) if pairs else found), at + 1
        value, at = _relaxed(text, at, depth + 1)
        if pairs:
            at = _skip(text, at)
            if text[at : at + 1] not in (":", "="):
                raise ValueError(f"a colon is missing after {value!r}")
            key = value if isinstance(value, str) else str(value)
            value, at = _relaxed(text, at + 1, depth + 1)
            found.append((key, value))
        else:
            found.append(value)
        at = _skip(text, at)
        if text[at : at + 1] == ",":
            at += 1
        elif text[at : at + 1] not in ("]", "}"):
            raise ValueError(
                f"a comma is missing before {text[at : at + 10]!r}" if text[at:] else "its end is missing"
            )


def _quoted(text: str, at: int) -> tuple[str, int]:
    quote, at, parts = text[at], at + 1, ""
    while at < len(text):
        sign = text[at]
        if sign == quote:
            return parts, at + 1
        if sign == "\\" and at + 1 < len(text):
            at += 1
            code = text[at + 1 : at + 5]
            if text[at] == "u" and re.fullmatch(r"[0-9a-fA-F]{4}", code):
                parts += chr(int(code, 16))
                at += 5
                continue
            sign = _ESCAPES.get(text[at], text[at])
        parts += sign
        at += 1
    raise ValueError("a quote is not closed")


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
