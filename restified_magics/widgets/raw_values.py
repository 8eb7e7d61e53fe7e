"""What a control holds ⇄ a Python value, for each kind of control.

A *raw* value is text, True or False, the numbers of chosen choices, or what a file brought. It is
validated by the same reading as a query string or a command's argument.
"""

from __future__ import annotations

import ast
import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from restified_magics.core.telling import is_same, shorten
from restified_magics.signature.parameters import Parameter
from restified_magics.signature.plain_types import alternatives, ends_of, is_json_text
from restified_magics.signature.reading import as_text, read_text
from restified_magics.widgets.controls import NUMBERS, is_nested

if TYPE_CHECKING:
    from restified_magics.widgets.fields import Field

__all__ = ["Raw", "Upload", "is_empty", "read_raw", "written"]

Raw = str | bool | list[str] | None

# which names there are depends on who draws: `red`, `tab:blue`, `rgb(10 20 30)`
_COLOR = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})|[^\W\d_].*")


@dataclass(frozen=True)
class Upload:
    """A file that a visitor gave.

    Attributes:
        name: its name on the visitor's machine.
        content: its bytes.
    """

    name: str
    content: bytes


def is_empty(raw: Raw | Upload) -> bool:
    """Whether a control is empty."""
    return raw == "" or (isinstance(raw, list) and bool(raw) and not any(raw))


def read_raw(made: Field, raw: Any) -> Any:
    """The value that a raw value means, which is not blank.

    Raises:
        ValueError: it means none; the message reads after the field's label.
    """
    return _READERS.get(made.kind, _read_line)(made, raw)


def written(made: Field, value: Any) -> Raw:
    """The raw value that means a value.

    Raises:
        ValueError: the field cannot hold it.
    """
    return _WRITERS.get(made.kind, _write_text)(made, value)


# -------------------------------------------------------------------- reading


def _read_line(made: Field, raw: Any) -> Any:
    if made.parameter.required and raw == "":
        raise ValueError("is required")
    return read_text(made.parameter, str(raw))


def _read_checkbox(made: Field, raw: Any) -> Any:
    return made.parameter.enforced.coerce(bool(raw))


def _read_select(made: Field, raw: Any) -> Any:
    return made.parameter.enforced.coerce(made.choices[int(raw)])


def _read_several(made: Field, raw: Any) -> Any:
    if made.parameter.required and not raw:
        raise ValueError("is required")
    return made.parameter.enforced.coerce([made.choices[int(index)] for index in raw])


def _read_suggest(made: Field, raw: Any) -> Any:
    if raw in made.labels:
        return made.parameter.enforced.coerce(made.choices[made.labels.index(raw)])
    return _read_line(made, raw)


def _read_color(made: Field, raw: Any) -> Any:
    if not _COLOR.fullmatch(raw):
        raise ValueError(f"must be a colour as #336699, or a name such as red, not {shorten(raw)}")
    return _read_line(made, raw)


def _read_pair(made: Field, raw: Any) -> Any:
    parameter = made.parameter
    kinds = ends_of(parameter.type, parameter.default) or (Any, Any)
    read = []
    for word, part, kind in zip(("from", "to"), raw, kinds, strict=True):
        item = Parameter(made.name, type=kind, declared=True)
        try:
            read.append(read_text(item, part))
        except ValueError as error:
            raise ValueError(f"({word}) {'is required' if not part else error}") from None
    return parameter.enforced.coerce(tuple(read))


def _read_moment(made: Field, raw: Any) -> Any:
    local, offset = raw
    if not local:
        raise ValueError("must have a date and a time")
    if not re.fullmatch(r"[Zz]|[+-]\d\d:?\d\d", offset.strip()):
        raise ValueError("must have an offset from UTC such as +01:00, or Z for UTC itself")
    return read_text(made.parameter, local + offset.strip().upper())


def _read_file(made: Field, raw: Any) -> Any:
    if not isinstance(raw, Upload):
        raise ValueError("needs a file. Choose one")
    return made.parameter.enforced.coerce(raw.content)


def _read_table(made: Field, raw: Any) -> Any:
    del made
    import io

    import pandas as pd  # heavy, optional, and only a form with a table needs it

    if not isinstance(raw, Upload):
        raise ValueError("needs a CSV file. Choose one")
    try:
        return pd.read_csv(io.BytesIO(raw.content))
    except (ValueError, UnicodeDecodeError) as error:  # pandas' ParserError is a ValueError
        raise ValueError(f"cannot be read as CSV: {error}") from None


_READERS: Mapping[str, Callable[[Field, Any], Any]] = {
    "checkbox": _read_checkbox,
    "select": _read_select,
    "several": _read_several,
    "suggest": _read_suggest,
    "color": _read_color,
    "pair": _read_pair,
    "moment": _read_moment,
    "file": _read_file,
    "table": _read_table,
}


# -------------------------------------------------------------------- writing


def _write_text(made: Field, value: Any) -> Raw:
    """The plainest text that reads as the value again."""
    if any(map(is_json_text, alternatives(made.parameter.enforced.type))):
        return as_text(value)
    if hasattr(value, "get_secret_value"):
        return str(value.get_secret_value())
    if isinstance(value, (list, tuple, set, frozenset)) and value and not is_nested(value):
        items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        if all(type(item) in NUMBERS or (isinstance(item, str) and _is_plain(item)) for item in items):
            return ", ".join(map(as_text, items))
    if isinstance(value, datetime.timedelta) and datetime.timedelta(0) <= value < datetime.timedelta(days=1):
        return str(value).zfill(8) if not value.microseconds else as_text(value)
    return as_text(value)


def _is_plain(text: str) -> bool:
    """Text that is an item of a comma-separated list as it is, and is read as text by no type at all."""
    return bool(re.fullmatch(r"[^\W\d][\w .-]*", text)) and text.lower() not in (
        "none",
        "null",
        "true",
        "false",
    )


def _write_json(made: Field, value: Any) -> Raw:
    del made
    import json

    try:
        text = json.dumps(value, ensure_ascii=False, indent=2)
        if repr(json.loads(text)) == repr(value):
            return text
        literal = repr(value)  # keys that are no text, tuples, sets: as Python writes them
        return literal if repr(ast.literal_eval(literal)) == literal else text
    except (TypeError, ValueError, SyntaxError, RecursionError):
        return as_text(value)


def _write_checkbox(made: Field, value: Any) -> Raw:
    return bool(made.parameter.enforced.coerce(value))


def _write_select(made: Field, value: Any) -> Raw:
    for index, choice in enumerate(made.choices):
        if is_same(value, choice):
            return str(index)
    return str(made.choices.index(read_text(made.parameter, as_text(value))))


def _write_several(made: Field, value: Any) -> Raw:
    value = made.parameter.enforced.coerce(value)
    return [str(index) for index, choice in enumerate(made.choices) if any(is_same(choice, v) for v in value)]


def _write_suggest(made: Field, value: Any) -> Raw:
    for label, choice in zip(made.labels, made.choices, strict=True):
        if is_same(value, choice):
            return label
    return as_text(value)


def _write_pair(made: Field, value: Any) -> Raw:
    del made
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"must be two values, not {shorten(value)}")
    return [as_text(each) for each in value]


def _write_moment(made: Field, value: Any) -> Raw:
    del made
    text = as_text(value)
    found = re.fullmatch(r"(.*T[\d:.]+?)(Z|[+-]\d\d:?\d\d)?", text)
    return [found[1], found[2] or ""] if found else [text, ""]


def _write_nothing(made: Field, value: Any) -> Raw:
    del made, value
    return None


_WRITERS: Mapping[str, Callable[[Field, Any], Raw]] = {
    "json": _write_json,
    "checkbox": _write_checkbox,
    "select": _write_select,
    "several": _write_several,
    "suggest": _write_suggest,
    "pair": _write_pair,
    "moment": _write_moment,
    "file": _write_nothing,
    "table": _write_nothing,
}
