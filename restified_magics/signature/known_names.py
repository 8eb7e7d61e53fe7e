"""The names that an annotation or a default may use, from modules whose import does nothing."""

from __future__ import annotations

import importlib
import math
import typing
from typing import Any

if typing.TYPE_CHECKING:
    pass


__all__ = [
    "BUILTINS",
    "CONSTANTS",
    "MODULES",
    "UNCHECKED",
    "VALUES",
    "WELL_KNOWN",
    "UnreadableError",
    "canonical",
    "fetched",
]


class UnreadableError(Exception):
    """Why a piece of source has no type or value that can be told without running the notebook."""


_SIMPLE = (int, float, complex, bool, str, list, tuple, set, frozenset, dict)
BUILTINS = {t.__name__: t for t in (*_SIMPLE, bytes, bytearray, object, type, range, slice, memoryview)}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODULES = _words(
    "annotated_types array collections collections.abc datetime decimal enum fractions ipaddress numbers os "
    "pathlib pydantic re time types typing typing_extensions uuid zoneinfo"
)
# Known also where the notebook imports them nowhere: reading is no reason to be strict about it.
_KNOWN = {
    "datetime": _words("date datetime time timedelta timezone tzinfo"),
    "decimal": _words("Decimal"),
    "fractions": _words("Fraction"),
    "pathlib": _words("Path PurePath"),
    "uuid": _words("UUID"),
    "enum": _words("Enum IntEnum StrEnum Flag IntFlag"),
    "annotated_types": _words("Ge Gt Le Lt Interval MultipleOf MinLen MaxLen Len Unit"),
    "pydantic": _words(
        "Field conint confloat constr condecimal conlist PositiveInt NegativeInt NonNegativeInt "
        "NonPositiveInt PositiveFloat NegativeFloat NonNegativeFloat NonPositiveFloat"
    ),
}
WELL_KNOWN = {name: f"{module}.{name}" for module, names in _KNOWN.items() for name in names}
# Validating a value would use it up, or would say nothing about it.
UNCHECKED = _words(
    "Iterable Iterator Generator AsyncIterable AsyncIterator AsyncGenerator Awaitable Coroutine "
    "IO TextIO BinaryIO Self Never NoReturn LiteralString TypeAlias TypeGuard ParamSpec Concatenate "
    "Unpack Generic Protocol TypeVar NamedTuple TypedDict Required NotRequired ReadOnly"
)
# Constructors of plain values, safe for any literal arguments.
VALUES = {
    *(f"builtins.{t.__name__}" for t in _SIMPLE),
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta")),
    *(f"pathlib.{name}" for name in ("Path", "PurePath", "PurePosixPath", "PureWindowsPath")),
    *("decimal.Decimal", "uuid.UUID", "collections.OrderedDict"),
}
CONSTANTS = {
    f"{module}.{name}": getattr(math, name)
    for module in ("math", "numpy")
    for name in ("pi", "e", "inf", "nan")
}
CONSTANTS["math.tau"] = math.tau


def canonical(path: str) -> str:
    """The name under which a thing is known, for one that has several."""
    module, _, name = path.rpartition(".")
    if module == "typing_extensions" and name in typing.__all__:
        return f"typing.{name}"
    return f"pydantic.{name}" if module in ("pydantic.fields", "pydantic.types") else path


def fetched(path: str) -> Any:
    """The thing of this dotted name, from one of the modules that may be imported."""
    module, _, name = path.rpartition(".")
    if module not in MODULES and module != "builtins":
        raise UnreadableError(f"`{path}` is known only when the notebook runs")
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        raise UnreadableError(f"`{module}` cannot be imported here") from None
