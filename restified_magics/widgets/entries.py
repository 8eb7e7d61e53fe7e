"""Where a form has each value from: a field, a widget of the author's, another form; or it is fixed.

interact's abbreviations are understood: ``n=(0, 10)`` and ``n=(0, 10, 2)`` set bounds and step, a list, a
dict or pairs are choices, a bool, number or text is the value to begin with, a widget stands where the field
would, and ``fixed(3)`` is given without a field.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import ipywidgets

from restified_magics.core.telling import is_same, shorten
from restified_magics.signature.facts import kinds
from restified_magics.signature.parameters import MISSING, Parameter
from restified_magics.widgets.fields import Field, make_field
from restified_magics.widgets.raw_values import Raw, Upload

__all__ = ["Entry", "FieldEntry", "FileEntry", "FixedEntry", "LinkedEntry", "WidgetEntry", "make_entry"]

# The kinds of fields whose control shows any text.
_WRITABLE = ("text", "number", "slider", "textarea", "json", "suggest", "color")
# What the control of any other shows while a wrong value stands: nothing, so that each choice is a change.
_UNSET = ""


class Entry:
    """Gives the value of one parameter.

    Attributes:
        parameter: the parameter.
        refused: why a value that came from outside was not taken; it is wrong until another one comes.
    """

    parameter: Parameter
    refused: str = ""

    def read(self) -> Any:
        """The value, or ``MISSING`` where the call is left to its default.

        Raises:
            ValueError: there is none; the message reads after the parameter's name.
        """
        raise NotImplementedError

    def current(self) -> Any:
        """As :meth:`read`, unless a value was refused and none has come since.

        Raises:
            ValueError: there is none, or one was refused.
        """
        if self.refused:
            raise ValueError(self.refused)
        return self.read()

    def set(self, value: Any) -> None:
        """Hold this value from now on. Raises ValueError where that cannot be."""
        raise NotImplementedError

    def refuse(self, text: str, why: str) -> None:  # noqa: ARG002 - not every entry can show the text
        """Be wrong until another value comes, since this text is none: showing it, where that can be."""
        self.refused = why

    def reset(self) -> None:
        """Hold what it began with."""
        self.refused = ""


class FieldEntry(Entry):
    """A field of the panel; its raw value lives here, and the panel shows it."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.parameter = field.parameter
        self.raw: Raw = field.initial

    def read(self) -> Any:
        return self.field.read(self.raw)

    def set(self, value: Any) -> None:
        raw = self.field.raw_of(value)
        read = self.field.read(raw)
        if read is MISSING:
            shows = raw is None if value is None else raw is not None and self._is_default(value)
        else:
            wanted = self.parameter.enforced.coerce(value)
            shows = is_same(read, wanted) or repr(read) == repr(wanted)
        if not shows:
            raise ValueError(f"has a field that cannot show {shorten(value)}. Give another value")
        self.refused = ""
        self.take(raw)

    def _is_default(self, value: Any) -> bool:
        """Whether a value with the raw value of the default is it: the order of choices may differ."""
        wanted = self.parameter.enforced.coerce(value)
        return self.field.kind != "several" or bool(
            wanted == self.parameter.enforced.coerce(self.parameter.default)
        )

    def take(self, raw: Raw) -> None:
        """Hold a raw value, whatever it means."""
        if raw != self.raw:
            self.raw, self.refused = raw, ""

    def refuse(self, text: str, why: str) -> None:
        self.take(text if self.field.kind in _WRITABLE else self._as_given(text))
        super().refuse(text, why)

    def _as_given(self, text: str) -> Raw:
        """What shows a refused text in a control that takes no other: a real date, a pair of numbers."""
        if self.field.kind == "date":
            try:
                return datetime.date.fromisoformat(text).isoformat()
            except ValueError:
                return _UNSET
        ends = [end.strip() for end in text.split(",")]
        return ends if self.field.kind == "pair" and len(ends) == 2 and all(ends) else _UNSET

    def reset(self) -> None:
        super().reset()
        self.raw = self.field.initial


class FileEntry(FieldEntry):
    """A field for a file, which the page sends in pieces."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        self._selection: Any = None  # of which a file is on its way
        self._pieces: list[bytes] = []
        self._upload: Upload | None = None
        self._made: Any = MISSING  # of the upload: a large table is not read at each look
        self._wrong = ""

    @property
    def is_coming(self) -> bool:
        """A file was chosen, and is on its way."""
        return self._selection is not None

    def read(self) -> Any:
        if self.is_coming:
            raise ValueError("is still being sent. Wait until it is there")
        if self._upload is None:
            return self.field.read(self.raw)
        if self._made is MISSING and not self._wrong:
            try:
                self._made = self.field.read(self._upload)
            except ValueError as error:
                self._wrong = str(error)
        if self._wrong:
            raise ValueError(self._wrong)
        # what a run does with its table, the next one does not see
        return self._made.copy() if hasattr(self._made, "copy") else self._made

    def take(self, raw: Raw) -> None:
        """Nothing: a file comes by :meth:`hear` alone."""

    def hear(self, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> bool:
        """Take what the page says of a file; tell whether that changes anything.

        Args:
            message: has ``what``: ``begin``, ``piece``, ``lost`` or ``none``; and a ``selection``, so that
                pieces of a file that was chosen before are not mixed with those of the present one.
            buffers: the piece.
        """
        what, selection = message["what"], message.get("selection")
        if what == "none":
            self.reset()
        elif what == "begin":
            self.reset()
            self._selection = selection
            self.raw = f"{message['name']}, being sent"
        elif selection != self._selection:
            return False
        elif what == "lost":
            self.reset()
            self.refuse("", f"could not be sent: {message['why']}. Choose it again")
        else:
            self._pieces.append(bytes(buffers[0]))
            if len(self._pieces) < message["count"]:
                return False
            self._give(Upload(message["name"], b"".join(self._pieces)))
        return True

    def reset(self) -> None:
        super().reset()
        self._selection, self._pieces, self._upload = None, [], None
        self._made, self._wrong = MISSING, ""

    def _give(self, upload: Upload) -> None:
        self.reset()
        self._upload = upload
        self.raw = f"{upload.name}, {len(upload.content):,} bytes"


class FixedEntry(Entry):
    """A value without a field."""

    def __init__(self, parameter: Parameter, value: Any) -> None:
        self.parameter = parameter
        self._value = value

    def read(self) -> Any:
        return self._value

    def set(self, value: Any) -> None:  # noqa: ARG002 - whatever it is
        if self._value is MISSING:
            raise ValueError("has no widget here. Give it one, or leave it out")
        raise ValueError(f"is fixed at {shorten(self._value)} here. Leave it out")


class WidgetEntry(Entry):
    """A widget of the author's with a ``value``."""

    def __init__(self, parameter: Parameter, widget: Any) -> None:
        if not hasattr(widget, "value"):
            raise TypeError(
                f"{parameter.name}: a {type(widget).__name__} has no value. "
                "Give a widget that has one, as IntSlider()"
            )
        self.parameter = parameter
        self.widget = widget
        self._initial = widget.value
        self._changed: Callable[[], object] | None = None

    def read(self) -> Any:
        return self.parameter.coerce(self.widget.value)

    def set(self, value: Any) -> None:
        before = self.widget.value
        try:
            self.widget.value = value
        except Exception as error:  # noqa: BLE001 - traitlets' own, or what the author's widget raises
            raise ValueError(f"has a widget that does not take {shorten(value)}: {error}") from None
        taken = self.widget.value
        if not is_same(taken, value) and repr(taken) != repr(value):  # a slider clamps, and says nothing
            self.widget.value = before
            raise ValueError(f"has a widget that makes {shorten(taken)} of {shorten(value)}")
        self.refused = ""

    def reset(self) -> None:
        super().reset()
        self.widget.value = self._initial

    def on_change(self, changed: Callable[[], object]) -> None:
        """Call a function after each change of the widget, until it is closed."""
        self._changed = changed
        self.widget.observe(self._hear, "value")

    def close(self) -> None:
        """Hear no more of the widget, which is its author's and lives on."""
        if self._changed is not None:
            self.widget.unobserve(self._hear, "value")
            self._changed = None

    def _hear(self, _change: Any) -> None:
        self.refused = ""
        if self._changed is not None:
            self._changed()


class LinkedEntry(Entry):
    """The result of another form."""

    def __init__(self, parameter: Parameter, origin: str) -> None:
        self.parameter = parameter
        self._origin = origin
        self._value: Any = MISSING

    def read(self) -> Any:
        if self._value is MISSING:
            raise ValueError(f"waits for the result of {self._origin}")
        return self.parameter.coerce(self._value)

    def set(self, value: Any) -> None:
        self._value = value

    def shown(self) -> str:
        """One line that says what it holds."""
        if self._value is MISSING:
            return f"waits for {self._origin}"
        shape = getattr(self._value, "shape", None)
        if isinstance(shape, tuple) and shape:
            return f"from {self._origin}: {type(self._value).__name__} of {' × '.join(map(str, shape))}"
        return f"from {self._origin}: {shorten(self._value)}"

    def spec(self) -> dict[str, Any]:
        """What the page shows of it."""
        spec = make_field(dataclasses.replace(self.parameter, choices=None)).spec()
        return {**spec, "kind": "linked", "hint": "", "blank": ""}  # nobody writes it


def _of_field(field: Field) -> FieldEntry:
    return (FileEntry if field.kind in ("file", "table") else FieldEntry)(field)


def make_entry(parameter: Parameter, override: Any = None) -> Entry:
    """The entry of a parameter.

    Args:
        parameter: the parameter.
        override: an abbreviation as for ``ipywidgets.interact``, a widget, a Parameter; None is none.

    Raises:
        TypeError: the override is no abbreviation.
        ValueError: nothing that the Model takes can come of it; the message reads after the parameter's name.

    Example:
        >>> entry = make_entry(Parameter("n", type=int, default=5), (0, 10))
        >>> entry.field.kind, entry.read() is MISSING
        ('slider', True)
        >>> make_entry(Parameter("n", default=5), ipywidgets.fixed(3)).read()
        3
    """
    if override is None:
        return _of_field(make_field(parameter))
    if isinstance(override, ipywidgets.fixed):
        if override.value is not MISSING:
            parameter.coerce(override.value)
        return FixedEntry(parameter, override.value)
    if isinstance(override, ipywidgets.Widget):
        return WidgetEntry(parameter, override)
    if isinstance(override, Parameter):
        if override.default is not MISSING:
            parameter.coerce(override.default)
        if not override.free_choice:
            _check_choices(parameter, override.choices or ())
        named = dataclasses.replace(override, name=parameter.name)
        return _of_field(make_field(named, always=True, own=parameter))
    if isinstance(override, bool | int | float | str):
        return _of_field(make_field(_beginning_with(parameter, override), always=True))
    if isinstance(override, tuple) and len(override) in (2, 3) and all(map(_is_number, override)):
        return _of_field(make_field(_bounded(parameter, *override), own=parameter))
    if isinstance(override, Mapping | Iterable):
        return _choices(parameter, override)
    raise TypeError(
        f"{parameter.name}: {shorten(override)} says nothing of a field. Give bounds as (0, 10), "
        "a list of choices, a value, a widget, or fixed(value)"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bounded(parameter: Parameter, low: Any, high: Any, step: Any = None) -> Parameter:
    """The parameter with these bounds. Raises ValueError where no value can be right."""
    if not low <= high:
        raise ValueError(f"cannot be from {low} to {high}. Give the smaller bound first")
    if step is not None and not step > 0:
        raise ValueError(f"must have a step of more than 0, not {step}")
    if kinds(parameter.enforced.type) <= {str, bool, bytes, dict}:
        raise ValueError(f"takes no numbers, so that it cannot be from {low} to {high}")
    own = parameter.minimum, parameter.maximum
    below = _is_number(own[0]) and high < own[0]
    above = _is_number(own[1]) and low > own[1]
    if below or above:
        told = f"at least {own[0]}" if below else f"at most {own[1]}"
        raise ValueError(f"must be {told}, so that it cannot be from {low} to {high}")
    if not _is_typed(parameter):
        kind = float if float in map(type, (low, high, step)) else int
        parameter = dataclasses.replace(parameter, type=kind | None if parameter.default is None else kind)
    return dataclasses.replace(parameter, minimum=low, maximum=high, step=step)


def _is_typed(parameter: Parameter) -> bool:
    """Whether the notebook tells of a type: it does not where it has no default, None, or an expression."""
    return parameter.declared or parameter.type not in (Any, object, type(None))


def _check_choices(parameter: Parameter, choices: Iterable[Any]) -> None:
    for choice in choices:
        try:
            parameter.coerce(choice)
        except ValueError as error:
            raise ValueError(f"{error} (among the choices of the form)") from None


def _beginning_with(parameter: Parameter, value: Any) -> Parameter:
    if parameter.required or parameter.expression is not None or parameter.default is None:
        typed = _is_typed(parameter)
        parameter = dataclasses.replace(parameter, type=parameter.type if typed else type(value))
    return dataclasses.replace(parameter, default=parameter.enforced.coerce(value), expression=None)


def _choices(parameter: Parameter, override: Any) -> Entry:
    pairs = override.items() if isinstance(override, Mapping) else list(override)
    labelled = isinstance(override, Mapping) or all(
        isinstance(each, tuple) and len(each) == 2 for each in pairs
    )
    labels = {str(label): value for label, value in pairs} if labelled else None
    values = tuple(labels.values()) if labels is not None else tuple(pairs)
    if not values:
        raise TypeError(f"{parameter.name}: there are no choices. Give at least one")
    _check_choices(parameter, values)
    # values of the author's own, taken as they are
    chosen = dataclasses.replace(parameter, choices=values, free_choice=False, type=Any, declared=False)
    return _of_field(make_field(chosen, labels, own=parameter))
