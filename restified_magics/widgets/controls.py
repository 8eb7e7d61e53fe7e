"""A Parameter → the kind of control that a form has for it. Bounds and choices are never invented."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from restified_magics.signature.credentials import is_secret
from restified_magics.signature.enums import IsoDate
from restified_magics.signature.facts import facts, kinds
from restified_magics.signature.parameters import Parameter
from restified_magics.signature.plain_types import alternatives, bare, ends_of, is_json_text, origin
from restified_magics.signature.reading import as_text

__all__ = [
    "NUMBERS",
    "SEVERAL",
    "Kind",
    "control_of",
    "is_nested",
    "is_whole",
    "slider_step",
]

Kind = Literal[
    "text",
    "number",
    "slider",
    "checkbox",
    "select",
    "several",
    "suggest",
    "textarea",
    "json",
    "password",
    "color",
    "date",
    "time",
    "datetime",
    "moment",
    "pair",
    "file",
    "table",
]

#: The classes of numbers.
NUMBERS = (int, float, decimal.Decimal)

#: The classes of collections that one field can edit.
SEVERAL = (set, frozenset, list, tuple)

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LONG = 60  # characters: a default of more is edited in several lines


def control_of(parameter: Parameter) -> tuple[Kind, tuple[Any, ...]]:
    """The kind of control for a parameter, and the choices that it offers.

    Example:
        >>> control_of(Parameter("mode", default="a", choices=("a", "b")))
        ('select', ('a', 'b'))
    """
    wanted = parameter.enforced.type
    found = [kind for kind in alternatives(wanted) if kind is not type(None)]
    if any(map(is_json_text, found)):
        return "text", ()
    if parameter.choices:
        return ("suggest" if parameter.free_choice else "select"), tuple(parameter.choices)
    if _names_table(parameter):
        return "table", ()
    if len(found) == 1 and (several := _choices_of_items(found[0])):
        return "several", several
    origins = {origin(kind) for kind in found}
    if origins and all(isinstance(each, type) and issubclass(each, NUMBERS) for each in origins):
        if origins == {bool}:
            return "checkbox", ()
        both = all(
            isinstance(each, NUMBERS) and math.isfinite(each)
            for each in (parameter.minimum, parameter.maximum)
        )
        return ("slider" if both and bool not in origins else "number"), ()
    if len(found) != 1:
        return "text", ()
    return _of_one(parameter, found[0])


# The kinds that a class alone decides, by its name: pydantic's own are not imported for it.
_BY_NAME: Mapping[str, Kind] = {
    "AwareDatetime": "moment",
    "NaiveDatetime": "datetime",
    "date": "date",
    "bytes": "file",
    "bytearray": "file",
    "dict": "json",
    "Mapping": "json",
    "MutableMapping": "json",
}


def _of_one(parameter: Parameter, kind: Any) -> tuple[Kind, tuple[Any, ...]]:
    cls, default = origin(kind), parameter.default
    name = getattr(cls, "__name__", "")
    if cls is str or name == "SecretStr":
        return _of_text(parameter, kind), ()
    if cls in (Any, object) and _is_masked(parameter):
        return "password", ()
    if name in _BY_NAME:
        return _BY_NAME[name], ()
    has_zone = getattr(default, "tzinfo", None) is not None
    if cls is datetime.datetime:
        return ("moment" if has_zone else "datetime"), ()
    if cls is datetime.time and not has_zone:
        return "time", ()
    if ends_of(parameter.type, default) is not None:
        return "pair", ()
    nested = isinstance(default, SEVERAL) and is_nested(default)
    return ("json" if cls in SEVERAL and (nested or _holds_others(kind)) else "text"), ()


def _holds_others(kind: Any) -> bool:
    """Whether the items of ``list[dict]`` and its like are collections, which no comma separates."""
    items = (bare(item) for item in get_args(bare(kind)) if item is not ...)
    return any(origin(item) in (*SEVERAL, dict, Mapping) for item in items)


def _of_text(parameter: Parameter, kind: Any) -> Kind:
    widget, default = parameter.options.get("widget"), parameter.default
    if getattr(origin(kind), "__name__", "") == "SecretStr" or _is_masked(parameter):
        return "password"
    if any(isinstance(item, IsoDate) for item in getattr(kind, "__metadata__", ())):
        return "date"
    if widget == "color" or (isinstance(default, str) and _COLOR.fullmatch(default)):
        return "color"
    long = isinstance(default, str) and ("\n" in default or len(default) > _LONG)
    return "textarea" if widget == "textarea" or long else "text"


def _is_masked(parameter: Parameter) -> bool:
    """Whether its text is a password: its author says so; or says nothing, and name or default do."""
    widget = parameter.options.get("widget")
    default = parameter.default if isinstance(parameter.default, str) else None
    return widget == "password" or (widget is None and is_secret(parameter.name, default))


def _names_table(parameter: Parameter) -> bool:
    """Whether the parameter is annotated as a pandas DataFrame, which reading does not import."""
    words = {word.rpartition(".")[2] for word in re.findall(r"[\w.]+", parameter.annotation)}
    return "DataFrame" in words and words <= {"DataFrame", "Optional", "Union", "None"}


def _choices_of_items(kind: Any) -> tuple[Any, ...]:
    """The choices of the items of ``set[Literal["a", "b"]]`` and its like."""
    plain = bare(kind)
    if origin(kind) not in SEVERAL:
        return ()
    items = [item for item in get_args(plain) if item is not ...]
    return (facts(items[0]).choices or ()) if len(items) == 1 else ()


def is_whole(parameter: Parameter) -> bool:
    """Whether its control moves by whole numbers: its type says so, or default, bounds and step do.

    Example:
        >>> is_whole(Parameter("n", default=15, minimum=0, maximum=90)), is_whole(Parameter("n", default=15))
        (True, False)
    """
    if parameter.declared and kinds(parameter.type) == {int}:
        return True
    numbers = (parameter.default, parameter.minimum, parameter.maximum)
    return all(type(each) is int for each in numbers) and type(parameter.step) in (int, type(None))


def slider_step(parameter: Parameter) -> str:
    """The distance of two values of a slider: the declared one, else about a hundredth of the range.

    Example:
        >>> slider_step(Parameter("size", default=4.2, minimum=0, maximum=10))
        '0.1'
        >>> slider_step(Parameter("size", default=4.2, minimum=0, maximum=2.4))
        '0.02'
    """
    if parameter.step is not None:
        return as_text(parameter.step)
    wide = decimal.Decimal(str(parameter.maximum)) - decimal.Decimal(str(parameter.minimum))
    if is_whole(parameter) or wide <= 0:
        return "1"
    hundredth = wide / 100
    unit = decimal.Decimal(1).scaleb(hundredth.adjusted())
    leading = min((1, 2, 5, 10), key=lambda each: abs(hundredth / unit - each))
    return f"{(leading * unit).normalize():f}"


def is_nested(value: Any) -> bool:
    """Whether a collection holds others."""
    return any(isinstance(item, (list, tuple, dict, set)) for item in value)
