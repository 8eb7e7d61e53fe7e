"""A Parameter → a field of a form: which control it has, and what its text means.

No widget is here. A field's *raw* value is what its control holds: text, True or False, the numbers of
chosen choices, or None where it is left blank. A raw value is validated by the same reading as a query
string or a command's argument, and never clamped. A field that still holds what it began with gives
nothing, so that the Model runs with the very default of its notebook.
"""

from __future__ import annotations

import ast
import datetime
import pathlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from restified_magics.core.telling import is_same, shorten
from restified_magics.signature.parameters import MISSING, Parameter
from restified_magics.signature.plain_types import alternatives, ends_of, origin
from restified_magics.signature.reading import as_text, read_text
from restified_magics.widgets.controls import (
    NUMBERS,
    SEVERAL,
    Kind,
    control_of,
    is_nested,
    is_whole,
    slider_step,
)

__all__ = ["Field", "Raw", "Upload", "make_field"]

Raw = str | bool | list[str] | None

# Where an empty control is no value of its own, it means that there is none.
_EMPTY_IS_BLANK: Final = frozenset(
    {"number", "slider", "date", "time", "datetime", "moment", "pair", "color", "select", "file", "table"}
)


@dataclass(frozen=True)
class Upload:
    """A file that a visitor gave.

    Attributes:
        name: its name on the visitor's machine.
        content: its bytes.
    """

    name: str
    content: bytes


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Attributes:
        parameter: what it gives a value to.
        kind: which control it has.
        choices: the values to choose from.
        labels: how a person reads them.
        initial: the raw value that it begins with.
        blank: what it means when it is left blank, as words: ``none``, or the expression that the
            notebook has there; empty where a value has to be there.
        empty_is_blank: an empty control is blank, too.
        always: its value is given in each call, also the one that it begins with.
        own: the Model's own parameter, where this one is another: its limits hold, too.

    Example:
        >>> size = make_field(Parameter("size", type=float, default=4.2, minimum=0, maximum=10))
        >>> size.kind, size.initial, size.read("7.5")
        ('slider', '4.2', 7.5)
        >>> size.read("12")
        Traceback (most recent call last):
            ...
        ValueError: must be at most 10, not 12.0
    """

    parameter: Parameter
    kind: Kind
    choices: tuple[Any, ...] = ()
    labels: tuple[str, ...] = ()
    initial: Raw = ""
    blank: str = ""
    empty_is_blank: bool = False
    always: bool = False
    own: Parameter | None = None

    @property
    def name(self) -> str:
        """The parameter's name."""
        return self.parameter.name

    @property
    def secret(self) -> bool:
        """Its value is never shown, kept or taken from an address: a password, a file's content."""
        return self.kind in ("password", "file", "table")

    def read(self, raw: Raw | Upload) -> Any:
        """The value that a raw value means; ``MISSING`` where the call is to be left to its default.

        Raises:
            ValueError: it means none; the message reads after the field's label.
        """
        if not self._fits(raw):
            raise ValueError("has a value that its control cannot hold. Give it again")
        if raw == self.initial and not (self.parameter.required or self.always):
            return MISSING
        if raw is None or (self.empty_is_blank and _is_empty(raw)):
            value = self._read_blank()
        else:
            value = _READERS.get(self.kind, _read_line)(self, raw)
        if self.own is not None and value is not MISSING:
            self.own.coerce(value)  # checked only: the call itself coerces it
        return value

    def raw_of(self, value: Any) -> Raw:
        """The raw value that means a value.

        Raises:
            ValueError: the field cannot hold it.
        """
        if value is MISSING:
            return self.initial
        if value is None and self.blank and None not in self.choices:
            return None
        return _WRITERS.get(self.kind, _write_text)(self, value)

    def raw_of_kept(self, kept: Any) -> Raw:
        """The raw value that a browser kept, where choices are told by what they are called.

        Raises:
            ValueError: it is none, or a choice is not there any more.
        """
        raw = kept
        if self.kind == "select" and kept is not None:
            raw = self._chosen(kept)
        elif self.kind == "several" and isinstance(kept, list):
            raw = [self._chosen(each) for each in kept]
        if not self._fits(raw):
            raise ValueError(f"has a control that cannot hold {shorten(kept)}")
        return raw  # type: ignore[no-any-return]

    def _chosen(self, label: Any) -> str:
        if label not in self.labels:
            raise ValueError(f"has no choice {shorten(label)} now")
        return str(self.labels.index(label))

    def _fits(self, raw: Any) -> bool:
        """Whether its control can hold this raw value: who sends another one is no page of ours."""
        if raw is None or isinstance(raw, Upload):
            return True
        numbers = [str(index) for index in range(len(self.choices))]
        if self.kind == "checkbox":
            return isinstance(raw, bool)
        if self.kind == "select":
            return raw in numbers
        if self.kind == "several":
            return isinstance(raw, list) and all(each in numbers for each in raw)
        if self.kind in ("pair", "moment"):
            return isinstance(raw, list) and len(raw) == 2 and all(isinstance(each, str) for each in raw)
        return isinstance(raw, str)

    def spec(self) -> dict[str, Any]:
        """What the page needs to know of it, as JSON."""
        parameter = self.parameter
        bounds = {
            name: as_text(value)
            for name in ("minimum", "maximum", "step")
            if (value := getattr(parameter, name)) is not None
        }
        placeholder = parameter.options.get("placeholder")
        help_ = parameter.help if parameter.help != parameter.label else ""
        return {
            "name": self.name,
            "kind": self.kind,
            "label": parameter.label,
            "help": help_,
            "unit": parameter.unit,
            "section": parameter.section,
            "required": parameter.required,
            "choices": list(self.labels),
            "blank": self.blank,
            "computed": parameter.expression is not None,
            "emptyIsBlank": self.empty_is_blank,
            "placeholder": placeholder if isinstance(placeholder, str) else "",
            "hint": _hint(self),
            "secret": self.secret,
            "whole": is_whole(parameter),
            "initial": self.initial,
            **bounds,
            **({"step": slider_step(parameter)} if self.kind == "slider" else {}),
        }

    def _read_blank(self) -> Any:
        if self.parameter.expression is not None:
            return MISSING
        if self.blank:
            return self.parameter.enforced.coerce(None)
        raise ValueError("is required")


def make_field(
    parameter: Parameter,
    labels: Mapping[str, Any] | None = None,
    *,
    always: bool = False,
    own: Parameter | None = None,
) -> Field:
    """The field of a parameter.

    Args:
        parameter: the parameter, with the choices and bounds that the form is to show.
        labels: the parameter's choices by the words that a person reads, where those are others.
        always: the form's default is not the notebook's, so that it is given, too.
        own: the Model's own parameter, where this one is another: its limits hold, too.
    """
    kind, choices = control_of(parameter)
    nullable = parameter.default is None or type(None) in alternatives(parameter.type)
    blank = parameter.expression or ("none" if nullable and None not in choices else "")
    if kind == "checkbox" and (blank or parameter.required):
        kind, choices = "select", (True, False)
    if kind == "slider" and (blank or parameter.required):
        kind = "number"
    shown = tuple(labels) if labels is not None else tuple(map(_label_of, choices))
    untyped = parameter.enforced.type in (Any, object)
    made = Field(
        parameter,
        kind,
        choices,
        shown,
        blank=blank,
        always=always,
        own=own,
        empty_is_blank=kind in _EMPTY_IS_BLANK
        or (kind in ("text", "password") and ((bool(blank) and untyped) or _is_path(parameter))),
    )
    return replace(made, initial=_initial(made))


def _is_path(parameter: Parameter) -> bool:
    """Whether it takes a path, and no other text: nothing is no path, though Python makes ``.`` of it."""
    given = [kind for kind in alternatives(parameter.enforced.type) if kind is not type(None)]
    return bool(given) and all(
        isinstance(cls := origin(kind), type) and issubclass(cls, pathlib.PurePath) for kind in given
    )


def _initial(made: Field) -> Raw:
    default = made.parameter.default
    if default is not MISSING:
        try:
            return made.raw_of(default)
        except ValueError:  # a default that is not among the choices: it stays what the notebook runs with
            return None
    if made.parameter.expression is not None or made.kind in ("select", "file", "table"):
        return None
    return {"several": [], "pair": ["", ""], "moment": ["", ""]}.get(made.kind, "")


def _label_of(choice: Any) -> str:
    if choice is None:
        return "none"
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    if isinstance(choice, Enum):
        return str(choice.name).replace("_", " ").lower()
    return as_text(choice) or "(empty)"


def _hint(made: Field) -> str:
    """How to write a value where its control does not show it."""
    kinds = [origin(kind) for kind in alternatives(made.parameter.enforced.type)]
    if made.kind == "text" and any(kind in SEVERAL for kind in kinds):
        return "Separate values by commas."
    if datetime.timedelta in kinds:
        return "Hours, minutes and seconds as 1:30:00, days as 2 days, or seconds alone as 90."
    if made.kind == "color":
        return "As #336699; a name such as red is given as it is."
    if made.kind == "json":
        return "JSON."
    if made.kind == "table":
        return "A CSV file with a header line."
    return ""


# -------------------------------------------------------------------- reading


def _is_empty(raw: Raw | Upload) -> bool:
    return raw == "" or (isinstance(raw, list) and bool(raw) and not any(raw))


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
    "pair": _read_pair,
    "moment": _read_moment,
    "file": _read_file,
    "table": _read_table,
}


# -------------------------------------------------------------------- writing


def _write_text(made: Field, value: Any) -> Raw:
    """The plainest text that reads as the value again."""
    del made
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
