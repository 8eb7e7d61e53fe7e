"""A value as bare JSON: the value itself, with nothing around it that says what it was.

JSON has no NaN, no infinity and no dates, so that those are ``null`` and text in ISO 8601; Decimal is
text, bytes are text in base64, a set is a list, and a table is a list of objects, one for each row. A library
is asked for what is its own only where it is imported already: what is not cannot have made the value.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import sys
from collections.abc import Iterable, Mapping, Set
from enum import Enum
from pathlib import PurePath
from typing import Any

from restified_magics.core.telling import shorten
from restified_magics.wire.encoding import Unencodable

__all__ = ["framed", "of_library", "plain", "to_json"]

_DEEPEST = 200  # levels of containers: far below Python's recursion limit
_NOT_JSON = "cannot be written as JSON"


def to_json(value: object, *, compact: bool = True) -> bytes:
    """The JSON of a value, in UTF-8.

    Args:
        value: the value.
        compact: without blanks after commas and colons.

    Raises:
        Unencodable: it, or something in it, has no form in JSON.

    Example:
        >>> to_json({"n": 1, "rate": float("nan"), "tags": {"a"}})
        b'{"n":1,"rate":null,"tags":["a"]}'
    """
    try:
        separators = (",", ":") if compact else None
        text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=separators)
        return text.encode()
    except UnicodeEncodeError as error:
        where = shorten(error.object[max(0, error.start - 20) : error.end + 20])
        raise Unencodable("text", f"Its characters {where} are no Unicode text", _NOT_JSON) from None
    except ValueError as error:  # an integer of more digits than Python writes
        raise Unencodable(type(value).__name__, str(error), _NOT_JSON) from None


def plain(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - as many kinds as there are
    """The value in terms of JSON's own types.

    Args:
        value: the value.
        depth: how deep in another value it is.

    Raises:
        Unencodable: it, or something in it, has no form in JSON.

    Example:
        >>> import datetime
        >>> plain({"since": datetime.date(2026, 1, 31)})
        {'since': '2026-01-31'}
        >>> plain([1, object()])
        Traceback (most recent call last):
            ...
        restified_magics.wire.encoders.Unencodable: [1] is an object, which cannot be written as JSON. \
Return plain data instead, for instance a dict, a list or a DataFrame
    """
    cls = type(value)
    if cls in (str, bool, int) or value is None:
        return value
    if cls is float:
        return value if math.isfinite(value) else None
    if depth > _DEEPEST:
        hint = "Return something flatter"
        raise Unencodable(cls.__name__, hint, "contains itself or is nested too deep")
    if isinstance(value, Mapping):
        return _items(((_key(key), key, item) for key, item in value.items()), depth, dict)
    if isinstance(value, list | tuple | Set | range) or cls.__name__ in ("deque", "array"):
        if not isinstance(value, Set):
            kinds = set(map(type, value))
            if kinds <= {str, bool, int} or (kinds == {float} and all(map(math.isfinite, value))):
                return list(value)
        return _items(((index, index, item) for index, item in enumerate(value)), depth, list)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, Enum):
        return plain(value.value, depth + 1)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = ((field.name, field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return _items(fields, depth, dict)
    converted = of_library(value)
    if converted is not value:
        return plain(converted, depth + 1)
    for base in (str, int, float):
        if isinstance(value, base):
            return plain(base(value), depth)
    return _by_pydantic(value, depth)


def _items(triples: Iterable[tuple[Any, Any, Any]], depth: int, make: type) -> Any:
    """The items of a container; an error in one tells the way to it."""
    found: dict[Any, Any] = {}
    key: Any = None
    try:
        for name, key, item in triples:  # noqa: B007 - where the error is
            if name in found:
                raise Unencodable(make.__name__, f"Two of its keys are written as {name!r}", _NOT_JSON)
            found[name] = plain(item, depth + 1)
    except Unencodable as error:
        error.where = f"[{key!r}]{error.where}" if len(error.where) < 100 else error.where
        raise
    return found if make is dict else list(found.values())


def _key(key: Any) -> str:
    """The name of an object's member: text, or what JSON would write for the value."""
    if isinstance(key, str):
        return str(key)
    name = plain(key)
    return name if isinstance(name, str) else json.dumps(name, separators=(",", ":"))


def _by_pydantic(value: Any, depth: int) -> Any:
    """Dates, Decimal, UUID … and models of pydantic, in pydantic's words."""
    if isinstance(value, PurePath):
        return str(value)
    if callable(value) or hasattr(value, "__next__"):
        raise Unencodable(_kind(value), _hint(value), _NOT_JSON)
    # needed by few values, and slower to import than a call takes
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        return to_jsonable_python(
            value,
            bytes_mode="base64",
            inf_nan_mode="null",
            fallback=lambda inner: _refuse(inner) if inner is value else plain(inner, depth + 1),
        )
    except PydanticSerializationError as error:
        raise Unencodable(_kind(value), str(error), _NOT_JSON) from error


def _refuse(value: object) -> Any:
    raise Unencodable(_kind(value), _hint(value), _NOT_JSON)


def _kind(value: object) -> str:
    cls = type(value)
    own = cls.__module__ in ("builtins", "__main__")
    return cls.__qualname__ if own else f"{cls.__module__}.{cls.__qualname__}"


def _hint(value: object) -> str:
    if hasattr(value, "__next__"):
        return "Return a list of it"
    if callable(value):
        return "Return what it gives, not the thing itself"
    return "Return plain data instead, for instance a dict, a list or a DataFrame"


def of_library(value: Any) -> Any:
    """A value of numpy, pandas, polars or IPython.display as one of plain Python; any other as it is."""
    np, pd, pl = (sys.modules.get(name) for name in ("numpy", "pandas", "polars"))
    if np is not None and isinstance(value, np.ndarray | np.generic):
        return _of_numpy(value, np)
    if pl is not None and isinstance(value, pl.DataFrame):
        return value.to_dicts()
    if pl is not None and isinstance(value, pl.Series):
        return value.to_list()
    if type(value).__module__ == "IPython.core.display" and type(value).__name__ == "JSON":
        return value.data
    return value if pd is None else _of_pandas(value, pd)


def _of_numpy(value: Any, np: Any) -> Any:
    if value.dtype.kind in "mM":  # else nanoseconds become a bare number
        value = value.astype(value.dtype.str[:2] + "8[us]")
    elif value.dtype.names is not None:
        return [dict(zip(value.dtype.names, row, strict=True)) for row in np.atleast_1d(value).tolist()]
    plain = value.tolist()
    if isinstance(plain, np.generic):  # a long double
        return float(plain) if plain.dtype.kind == "f" else str(plain)
    return plain


def _of_pandas(value: Any, pd: Any) -> Any:
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, pd.Index | pd.api.extensions.ExtensionArray):
        return list(value)
    if isinstance(value, pd.Series) and _is_numbering(value.index):
        return list(value)
    if isinstance(value, pd.DataFrame | pd.Series):
        return _records(framed(value))
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return str(value) if isinstance(value, pd.Period | pd.Interval) else value


def framed(value: Any) -> Any:
    """A DataFrame or Series of pandas as a DataFrame whose columns say all.

    An index that says something becomes a column, a mere numbering does not. What counts is the kind of
    index and never its values, so that a table of fewer rows has the same shape.

    Example:
        >>> import pandas as pd
        >>> framed(pd.Series([2, 1], index=["Berlin", "Bern"], name="count")).to_dict("records")
        [{'index': 'Berlin', 'count': 2}, {'index': 'Bern', 'count': 1}]
    """
    if not hasattr(value, "columns"):
        value = value.to_frame("value" if value.name is None else value.name)
    index = value.index
    if _is_numbering(index):
        return value
    names = [
        name if name is not None else ("index" if index.nlevels == 1 else f"level_{level}")
        for level, name in enumerate(index.names)
    ]
    taken = set(value.columns)
    names = [f"{name}_index" if name in taken else name for name in names]
    return value.rename_axis(index=names).reset_index()


def _is_numbering(index: Any) -> bool:
    return index.nlevels == 1 and index.name is None and getattr(index.dtype, "kind", "O") in "iu"


def _records(frame: Any) -> list[dict[str, Any]]:
    names = [
        " ".join(str(part) for part in name if part != "") if isinstance(name, tuple) else _key(name)
        for name in frame.columns
    ]
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise Unencodable("DataFrame", f"Two of its columns are called {twice!r}: rename one", _NOT_JSON)
    columns = [list(frame.iloc[:, number]) for number in range(frame.shape[1])]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
