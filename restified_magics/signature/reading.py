"""A value of a Parameter from text or from JSON, and as text again: for query strings, commands, fields.

Text is read by the parameter's type, declared or inferred; JSON is checked by it. An inferred ``int``
takes a float too, since ``alpha = 1`` often means 1.0. What is read goes through
:meth:`Parameter.coerce`, so that every face has the same bounds and the same words for a problem.

What text means:

- bool: ``true``, ``false``, ``yes``, ``no``, ``on``, ``off``, ``1``, ``0``, in any case.
- numbers as Python writes them, but no digits that no float holds, as ``1e400`` and ``1e-400``; dates and
  times in ISO 8601, durations also as ``1:30:00``, ``2 days`` and in seconds.
- None, where the type allows it: empty, ``None`` or ``null``. Beside ``str``, text is always text.
- one of several choices: as it is shown; a member of an Enum by its name or its value.
- a list, tuple or set: JSON or a Python literal, or items separated by commas.
- a dict: JSON or a Python literal.
- JSON text, for pydantic's ``Json``: as it stands.
- a union: the first of its types that takes it, in the order in which they are written.
- no type: JSON or a Python literal if it is one, else the text itself. Nothing is ever evaluated.
"""

from __future__ import annotations

import ast
import collections.abc
import contextlib
import csv
import datetime
import functools
import json
import math
import operator
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum, Flag
from typing import Any, Literal, get_args

from restified_magics.core.telling import shorten
from restified_magics.signature.parameters import Parameter, bind
from restified_magics.signature.plain_types import alternatives, bare, is_json_text, origin

__all__ = ["OutOfRange", "as_text", "bind_json", "bind_text", "finite", "load_json", "read_json", "read_text"]

_NONE = ("", "none", "null")
_WHOLE = re.compile(r"\s*[+-]?\d+(_\d+)*\s*")
_DIGITS = re.compile(r"\s*[+-]?[\d_]*\.?[\d_]*([eE][+-]?[\d_]+)?\s*")  # and not nan or infinity
_NOT_ZERO = re.compile(r"[^eE]*[1-9]")
_MOST_DIGITS = 4300  # of a whole number in text; Python reads no more by default
_LONGEST_LITERAL = 1_000_000  # characters; JSON has no limit, Python's parser is slow and deep
_SEVERAL = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Iterable,
    collections.abc.Collection,
    collections.abc.Set,
    collections.abc.MutableSequence,
    collections.abc.MutableSet,
)
_TOO_LARGE = "is too large for a number of 64 bits"
_TOO_SMALL = "is too close to 0 for a number of 64 bits"
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


class OutOfRange(ValueError):  # noqa: N818 - it is said of the number
    """A number is written in digits, and no float holds it."""


def load_json(text: str) -> Any:
    """What JSON says. Raises `OutOfRange` for a number that no float holds, else ValueError as `json.loads`.

    Example:
        >>> load_json('{"n": 1e400}')
        Traceback (most recent call last):
            ...
        restified_magics.signature.reading.OutOfRange: 1e400 is too large for a number of 64 bits
    """
    return json.loads(text, parse_float=finite)


def read_text(parameter: Parameter, text: str | Sequence[str]) -> Any:
    """Read a value from text, as a query string, a command or a field gives it.

    Args:
        parameter: says what the text means.
        text: the text; of a parameter that takes several values also a list, one text for each.

    Returns:
        The value that the Model gets.

    Raises:
        ValueError: it is no such value; the message reads after the parameter's name.

    Example:
        >>> read_text(Parameter("alpha", type=int, default=1), "0.5")
        0.5
        >>> read_text(Parameter("days", type=list[int], declared=True), "1, 2, 3")
        [1, 2, 3]
        >>> read_text(Parameter("n", type=int, default=1, minimum=1), "many")
        Traceback (most recent call last):
            ...
        ValueError: must be a number, not 'many'
    """
    if not isinstance(text, str):
        return _read_texts(parameter, text)
    for choice in parameter.choices or ():
        if text in _texts_of_choice(choice):
            return parameter.enforced.coerce(choice)
    wanted = parameter.enforced
    return wanted.coerce(_union(wanted.type, text))


def read_json(parameter: Parameter, value: Any) -> Any:
    """Check a value that came as JSON, and make of it what the Model gets.

    Args:
        parameter: says what the value may be.
        value: what ``json.loads`` gave.

    Raises:
        ValueError: it is no such value; the message reads after the parameter's name.

    Example:
        >>> import datetime
        >>> read_json(Parameter("since", type=datetime.date, declared=True), "2026-01-31")
        datetime.date(2026, 1, 31)
        >>> read_json(Parameter("name", type=str, default="x"), 5)
        Traceback (most recent call last):
            ...
        ValueError: must be text, not 5
    """
    wanted = parameter.enforced
    if isinstance(value, int | float) and _is_of_calendar(wanted.type):
        return read_text(parameter, str(value))  # refuses it; pydantic would make a day of 1970 of it
    origins = {origin(kind) for kind in alternatives(wanted.type)}
    if isinstance(value, str) and (problem := _out_of_range(value, origins)):
        raise ValueError(problem)
    if isinstance(value, int) and float in origins and int not in origins and abs(value) > sys.float_info.max:
        raise ValueError(_TOO_LARGE)
    return wanted.coerce(value)


def _is_of_calendar(kind: Any) -> bool:
    kinds = {bare(each) for each in alternatives(kind)} - {type(None)}
    return bool(kinds) and kinds <= {datetime.date, datetime.datetime, datetime.time}


def bind_text(
    parameters: Mapping[str, Parameter], values: Mapping[str, str | Sequence[str]], notebook: str
) -> dict[str, Any]:
    """As :func:`restified_magics.signature.parameters.bind`, of values given as text.

    Example:
        >>> bind_text({"n": Parameter("n", type=int, default=1)}, {"n": "x", "m": "2"}, "area.ipynb")
        Traceback (most recent call last):
            ...
        restified_magics.errors.ParameterError: area.ipynb:
          n must be a number, not 'x'
          m is not a parameter. Known: n
    """
    return bind(parameters, values, notebook, read=read_text)


def bind_json(
    parameters: Mapping[str, Parameter], values: Mapping[str, Any], notebook: str
) -> dict[str, Any]:
    """As :func:`restified_magics.signature.parameters.bind`, of values given as JSON.

    Example:
        >>> bind_json({"n": Parameter("n", type=int, default=1)}, {"n": 2.5}, "area.ipynb")
        {'n': 2.5}
    """
    return bind(parameters, values, notebook, read=read_json)


def as_text(value: Any) -> str:
    """The text that :func:`read_text` reads as this value, where there is one; None is empty.

    Example:
        >>> import datetime
        >>> as_text(datetime.timedelta(minutes=90)), as_text([1, 2]), as_text(0.5), as_text(None)
        ('PT1H30M', '[1, 2]', '0.5', '')
    """
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Enum):
        return value
    if isinstance(value, Enum):
        return str(value.name)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _duration(value)
    if isinstance(value, list | tuple | dict | set | frozenset):
        return _structure_text(value)
    return str(value)


# ------------------------------------------------------------------- reading


def _read_texts(parameter: Parameter, texts: Sequence[str]) -> Any:
    """Several texts, one for each item of a list; a single one is read as it would be alone."""
    if len(texts) == 1:
        return read_text(parameter, texts[0])
    for kind in alternatives(parameter.enforced.type):
        if origin(kind) in _SEVERAL and texts and not is_json_text(kind):
            kinds = _tuple_types(kind)
            items = [_union(kinds[min(at, len(kinds) - 1)], text) for at, text in enumerate(texts)]
            return parameter.enforced.coerce(items)
    raise ValueError("is given twice" if texts else "is given without a value")


def _union(annotation: Any, text: str) -> Any:
    """What a text is by a type: the first of several that takes it. What none takes stays text."""
    kinds = alternatives(annotation)
    origins = {origin(kind) for kind in kinds}
    if type(None) in origins and str not in origins and text.strip().lower() in _NONE:
        return None
    if str not in origins and origins & {int, float} and len(text) > _MOST_DIGITS and _WHOLE.fullmatch(text):
        raise ValueError(f"must have at most {_MOST_DIGITS} digits")  # as a float it would be infinite
    if problem := _out_of_range(text, origins):
        raise ValueError(problem)
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    for kind in kinds:
        if origin(kind) is int and float in origins and not _WHOLE.fullmatch(text):
            continue  # "5.0" is a float where floats are taken, as it is in Python
        if len(kinds) == 1:
            return _plain(kind, text)
        with contextlib.suppress(ValueError):
            return _checked(kind, _plain(kind, text))
    return text


def _out_of_range(text: str, origins: Collection[Any]) -> str:
    """What is wrong with a text that these types would read as a number that no float holds; or nothing."""
    if float not in origins or str in origins or (int in origins and _WHOLE.fullmatch(text)):
        return ""
    return _no_float(text)


def _no_float(digits: str) -> str:
    try:
        value = float(digits) if _DIGITS.fullmatch(digits) else 1.0
    except ValueError:  # no number
        return ""
    if math.isinf(value):
        return _TOO_LARGE
    return _TOO_SMALL if value == 0 and _NOT_ZERO.match(digits) else ""


def finite(digits: str) -> float:
    """The float that digits say; it is another number in silence neither at the end nor near 0.

    Raises:
        OutOfRange: no float holds it.

    Example:
        >>> finite("5e-324"), finite("0e5")
        (5e-324, 0.0)
    """
    problem = _no_float(digits)
    if problem:
        raise OutOfRange(f"{shorten(digits) if len(digits) > 40 else digits} {problem}")
    return float(digits)


def _plain(kind: Any, text: str) -> Any:
    """What a text is by one type, as far as pydantic would not read it from the text itself."""
    cls = str if is_json_text(kind) else origin(kind)
    if cls is float and (problem := _no_float(text)):  # beside `str` it is text
        raise ValueError(problem)
    if cls in (Any, object):
        return _guess(text)
    if cls is Literal:
        return next((choice for choice in get_args(bare(kind)) if text in _texts_of_choice(choice)), text)
    if isinstance(cls, type) and issubclass(cls, Enum):
        return _member(cls, text)
    if cls in _SEVERAL:
        return _items(kind, text)
    if cls in _MAPPINGS:
        return {} if not text.strip() else _structure(text)
    is_number = text.strip().replace(".", "", 1).isdigit()
    if cls is datetime.timedelta and is_number:
        return float(text)
    if cls in (datetime.date, datetime.datetime) and is_number:
        # pydantic would take a number for seconds since 1970
        wanted = "a date" if cls is datetime.date else "a date and time"
        example = "2026-01-31" if cls is datetime.date else "2026-01-31T12:00"
        raise ValueError(f"must be {wanted} such as {example}, not {shorten(text)}")
    if isinstance(cls, type) and issubclass(cls, str):
        return text
    return text.strip() if _is_scalar(cls) else _guess_structure(text)


def _items(kind: Any, text: str) -> Any:
    if text.lstrip()[:1] in ("[", "(", "{"):
        value = _structure(text)
        return list(value) if isinstance(value, set | tuple) else value
    if not text.strip():
        return []
    try:
        rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise ValueError(
            f'cannot be read as items with commas ({error}). Write JSON, such as ["a"]'
        ) from None
    kinds = _tuple_types(kind)
    parts = [part.strip() for row in rows for part in row]
    return [
        _union(kinds[min(at, len(kinds) - 1)], part)
        for at, part in enumerate(parts)
        if part or len(parts) > 1
    ]


def _tuple_types(kind: Any) -> tuple[Any, ...]:
    """The types of the items, the last one for all that follow."""
    arguments = tuple(argument for argument in get_args(bare(kind)) if argument is not ...)
    return arguments or (Any,)


def _member(cls: Any, text: str) -> Any:
    if text in cls.__members__:
        return cls.__members__[text]
    for member in cls:
        if text in _texts_of_choice(member):
            return member
    if issubclass(cls, Flag) and "|" in text:
        parts = [_member(cls, part.strip()) for part in text.split("|")]
        return functools.reduce(operator.or_, parts) if all(isinstance(part, cls) for part in parts) else text
    return int(text) if issubclass(cls, Flag) and _WHOLE.fullmatch(text) else text


def _structure(text: str) -> Any:
    """The JSON or the Python literal that a text is, else the text."""
    try:
        return load_json(text)
    except OutOfRange as error:
        raise ValueError(_of_number(str(error), text)) from None
    except (ValueError, RecursionError):
        pass
    if len(text) > _LONGEST_LITERAL:
        return text
    stripped = text.strip()
    try:
        tree = ast.parse(stripped, mode="eval")
        problem = next(filter(None, (_of_constant(node, stripped) for node in ast.walk(tree))), None)
        if problem is None:
            return ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return text
    raise ValueError(f"has a number that {problem}")


def _of_number(told: str, text: str) -> str:
    """The words after the parameter's name: it is this number, or it has it in it."""
    return _no_float(text) or f"has {told.replace(' is ', ', which is ', 1)}"


def _of_constant(node: ast.AST, text: str) -> str:
    """What is wrong with a number in a Python literal; or nothing."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, float | complex):
        return ""
    if math.isinf(abs(node.value)):
        return _TOO_LARGE
    digits = "" if node.value else ast.get_source_segment(text, node)
    return _no_float((digits or "").rstrip("jJ"))


def _guess(text: str) -> Any:
    """What a text is that no type says: a number, true, a list …, as JSON or Python write it."""
    stripped = text.strip()
    if stripped.lower() in _NONE:
        return None
    if stripped.lower() in ("nan", "infinity", "-infinity"):  # words, unless a type says float
        return text
    if stripped in ("True", "False"):
        return stripped == "True"
    return _structure(text)


def _guess_structure(text: str) -> Any:
    """For a type that pydantic knows and this module does not: a dataclass, a model."""
    return _structure(text) if text.lstrip()[:1] in ("{", "[", "(") else text


def _texts_of_choice(choice: Any) -> tuple[str, ...]:
    if isinstance(choice, str) and not isinstance(choice, Enum):
        return (choice,)
    if isinstance(choice, Enum):
        return choice.name or "", str(choice.value), str(choice)
    if choice is None:
        return "", "None", "null"
    if isinstance(choice, bool):
        return str(choice), str(choice).lower()
    return as_text(choice), repr(choice)


# --------------------------------------------------------------------- types


def _is_scalar(cls: Any) -> bool:
    return getattr(cls, "__module__", "") in ("builtins", "datetime", "decimal", "pathlib", "uuid")


def _checked(kind: Any, value: Any) -> Any:
    """The value as one type of several takes it. Raises ValueError where it does not."""
    check = _checker(kind)
    if check is None:
        return value
    try:
        return check(value)
    except Exception as error:  # noqa: BLE001 - also what a type's own validator raises
        raise ValueError(str(error)) from None


@functools.lru_cache(maxsize=1024)
def _checker(kind: Any) -> Callable[[Any], Any] | None:
    from pydantic import ConfigDict, TypeAdapter  # slow to import, and only unions need it here

    try:
        return TypeAdapter(kind, config=ConfigDict(arbitrary_types_allowed=True)).validate_python
    except Exception:  # noqa: BLE001 - a type that pydantic has no idea of
        return None


# ------------------------------------------------------------------- writing


def _duration(value: datetime.timedelta) -> str:
    from pydantic import TypeAdapter  # slow to import, and durations are rare

    return str(TypeAdapter(datetime.timedelta).dump_python(value, mode="json"))


def _structure_text(value: Any) -> str:
    items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
    try:
        return json.dumps(items, ensure_ascii=False, default=as_text)
    except (TypeError, ValueError):  # keys that are no text, a circle
        return repr(value)
