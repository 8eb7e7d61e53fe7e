"""A Parameter → a field of a form: which control it has, and what its text means.

No widget is here. A field's *raw* value is what its control holds: text, True or False, the numbers of
chosen choices, or None where it is left blank. A raw value is validated by the same reading as a query
string or a command's argument, and never clamped. A field that still holds what it began with gives
nothing, so that the Model runs with the very default of its notebook.
"""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from restified_magics.core.telling import shorten
from restified_magics.signature.parameters import MISSING, Parameter
from restified_magics.signature.plain_types import alternatives, is_json_text, origin
from restified_magics.signature.reading import as_text
from restified_magics.widgets.controls import (
    SEVERAL,
    Kind,
    control_of,
    is_whole,
    slider_step,
)
from restified_magics.widgets.raw_values import Raw, Upload, is_empty, read_raw, written

__all__ = ["Field", "make_field"]

# Where an empty control is no value of its own, it means that there is none.
_EMPTY_IS_BLANK: Final = frozenset(
    {"number", "slider", "date", "time", "datetime", "moment", "pair", "color", "select", "file", "table"}
)
# Where nothing but what they hold is ever said.
_WITHOUT_NONE: Final = frozenset({"select", "file", "table"})


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
        empty_is_none: an empty control means None, and not what blank means.
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
    empty_is_none: bool = False
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
        if raw is None or (self.empty_is_blank and is_empty(raw)):
            value = self._read_blank()
        elif self.empty_is_none and is_empty(raw):
            value = self.parameter.enforced.coerce(None)
        else:
            value = read_raw(self, raw)
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
        if value is None and None not in self.choices:
            if self.parameter.expression is not None:  # blank means that one
                return self._raw_of_none()
            if self.blank:
                return None
        return written(self, value)

    def _raw_of_none(self) -> Raw:
        if self.empty_is_none:
            return ["", ""] if self.kind in ("pair", "moment") else ""
        if self.kind in ("text", "password") and self.parameter.enforced.type in (Any, object):
            return "None"
        raise ValueError("has a field that cannot show None. Give another value")

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
            "emptyIsNone": self.empty_is_none,
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
    optional = type(None) in alternatives(parameter.type)
    computed = parameter.expression is not None
    nullable = (parameter.default is None or optional) and None not in choices
    if kind == "checkbox" and (nullable or computed or parameter.required):
        kind, choices = "select", (True, False)
    if kind == "select" and optional and nullable and labels is None and (computed or parameter.required):
        choices, nullable = (*choices, None), False  # blank means something else
    if kind in ("file", "table") and parameter.required:
        nullable = False
    blank = parameter.expression or ("none" if nullable else "")
    if kind == "slider" and (blank or parameter.required):
        kind = "number"
    shown = tuple(labels) if labels is not None else tuple(map(_label_of, choices))
    untyped = parameter.enforced.type in (Any, object)
    may_be_empty = kind in _EMPTY_IS_BLANK or (
        kind in ("text", "password") and ((bool(blank) and untyped) or _is_path(parameter))
    )
    # who has to choose, or has an expression there, says None in a way of its own
    apart = optional and nullable and (computed or parameter.required) and kind not in _WITHOUT_NONE
    made = Field(
        parameter,
        kind,
        choices,
        shown,
        blank=blank,
        always=always,
        own=own,
        empty_is_blank=may_be_empty and not apart,
        empty_is_none=apart and computed and not _takes_empty(parameter, kind),
    )
    return replace(made, initial=_initial(made))


def _takes_empty(parameter: Parameter, kind: Kind) -> bool:
    """Whether an empty control is a value: a text without a character, a choice of none."""
    takes_text = any(origin(each) is str for each in alternatives(parameter.enforced.type))
    return kind == "several" or (takes_text and kind not in _EMPTY_IS_BLANK)


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
    if any(map(is_json_text, alternatives(made.parameter.enforced.type))):
        return "JSON."
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
