"""What a Parameter is: one input of a Model, its type and default, and what a form shows of it.

Every face of a Model hands values over by :func:`bind`, so that a call, a form, a request and a
command accept the same values and report the same errors. Nothing is clamped or rounded: a value is
taken as it is, coerced to a type that the author declared, or refused with the reason.
"""

from __future__ import annotations

import copy
import unicodedata
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from restified_magics.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
from restified_magics.core.telling import explain, is_same, made_like, nearest, shorten
from restified_magics.signature.enums import mentions_enum, own_member
from restified_magics.signature.plain_types import PLAIN_TYPES, alternatives, ends_of, quick_check
from restified_magics.signature.zones import may_have_zones, with_plain_zones

__all__ = ["MISSING", "Parameter", "bind", "unknown"]


class _Missing(Enum):
    REQUIRED = "<required>"

    def __repr__(self) -> str:
        return str(self.value)


MISSING: Final = _Missing.REQUIRED
"""The default of a parameter that has none. It is one object also after a pickle there and back."""

_MOST_TOLD = 1000  # problems of a call: a request may have hundreds of thousands
_CONTAINERS = (list, dict, set, tuple, bytearray)


class _OwnCopy:
    """A field whose every reader gets a container of its own, so that no reader can change the Parameter."""

    def __get__(self, instance: Parameter | None, owner: type | None = None) -> Any:
        if instance is None:
            return MISSING  # what dataclass asks for the default of the field
        value = instance.__dict__["_default"]
        return copy.deepcopy(value) if type(value) in _CONTAINERS else value

    def __set__(self, instance: Parameter, value: Any) -> None:
        instance.__dict__["_default"] = value


@dataclass(frozen=True)
class Parameter:
    """One input of a Model. Options given in code go over what the notebook says: ``dataclasses.replace``.

    Attributes:
        name: the Python name, normalised (NFKC) as Python itself does it.
        type: the Python type, for instance ``int``, ``Annotated[int, Ge(1)]``; ``Any`` if unknown.
        declared: the author wrote the type, so it is enforced; else it is only inferred.
        annotation: the declared type as text, to show; empty if it is only inferred.
        default: the value, where the default is a literal, else ``MISSING``. A list, dict, set or tuple
            is a fresh copy each time it is read.
        expression: source text of a default that is not a literal; the call works it out.
        reason: why the default is an expression, or why the annotation is not enforced.
        label: what a form calls the field, never empty.
        help: one or more sentences about it.
        unit: for instance ``mm``.
        section: the title of the group of fields that it belongs to.
        choices: the values to choose from, or None.
        free_choice: the choices are suggestions, other values are taken too.
        minimum, maximum: the least and greatest value, both included; of a range, a pair of numbers or
            dates, for each of its ends. Never invented.
        step: distance of the values that a slider offers; never enforced.
        options: whatever else was declared for a form, for instance ``{"placeholder": "a name"}``.
        sites: (cell index, line from 1, column) of the top-level statements that assign it.

    Example:
        >>> n = Parameter("n_terms", type=int, declared=True, annotation="int", default=15, minimum=1)
        >>> n.label, n.required, str(n)
        ('n terms', False, 'n_terms: int = 15')
        >>> n.coerce("20")
        20
        >>> n.coerce(0)
        Traceback (most recent call last):
            ...
        ValueError: must be at least 1, not 0
    """

    name: str
    type: Any = Any
    declared: bool = False
    annotation: str = ""
    default: Any = _OwnCopy()  # a descriptor, which dataclass asks for the default
    expression: str | None = None
    reason: str | None = None
    label: str = ""
    help: str = ""
    unit: str = ""
    section: str = ""
    choices: tuple[Any, ...] | None = None
    free_choice: bool = False
    minimum: Any = None
    maximum: Any = None
    step: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    sites: frozenset[tuple[int, int, int]] = frozenset()

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " ").strip() or self.name)

    def __str__(self) -> str:
        typed = f"{self.name}: {self.annotation}" if self.annotation else self.name
        if self.expression is not None:
            return f"{typed} = {self.expression}"
        return typed if self.default is MISSING else f"{typed} = {shorten(self.default)}"

    def __getstate__(self) -> dict[str, Any]:
        # Without the cached checks: a validator is not made to be pickled, and is soon made again.
        names = {f.name for f in fields(self)} | {"_default"}
        return {name: value for name, value in self.__dict__.items() if name in names}

    @cached_property
    def required(self) -> bool:
        """The parameter has no default, so that every call must give a value."""
        return self.default is MISSING and self.expression is None

    @cached_property
    def enforced(self) -> Parameter:
        """The same with its type enforced though it is only inferred: what text and JSON are read by.

        An inferred ``int`` takes a float too.

        Example:
            >>> Parameter("alpha", type=int, default=1).enforced.coerce("0.5")
            0.5
        """
        if self.declared or self.type in (Any, object):
            return self
        return replace(self, declared=True, type=int | float if self.type is int else self.type)

    @cached_property
    def has_enum(self) -> bool:
        """Values may hold members of an Enum of the notebook's own: :func:`revive` them before use."""
        return mentions_enum(self.type)

    def coerce(self, value: Any) -> Any:
        """Turn a Python object into what the Model gets.

        Without a declared type, bounds or choices that is the object itself. With bounds a bool is no
        number and NaN is out of bounds. Raises ValueError, with a message that reads after the name.

        Example:
            >>> Parameter("mode", default="a", choices=("a", "b")).coerce("c")
            Traceback (most recent call last):
                ...
            ValueError: must be one of 'a', 'b', not 'c'
        """
        check = self._check
        return value if check is None else check(value)

    @cached_property
    def _check(self) -> Callable[[Any], Any] | None:
        """What a value goes through, made once: a call's budget is microseconds."""
        enforced = self.declared and self.type not in (Any, object)
        limited = self.minimum is not None or self.maximum is not None
        if not (enforced or limited or self.choices or self.has_enum):
            return None
        own, full = self.type, self._check_fully
        if enforced and not limited and not self.choices and own in PLAIN_TYPES:
            return lambda value: value if type(value) is own else full(value)
        return full

    def _check_fully(self, value: Any) -> Any:
        if isinstance(value, bool) and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"must be {self._kind_of_bounds}, not {value}")
        if self.declared:
            value = self._validated(value)
        elif self.has_enum:
            value = own_member(self.type, value)
        if value is not None or not (self.declared or self.default is None):
            self.check_limits(value)
        return value

    def check_limits(self, value: Any) -> None:
        """Raise ValueError where a value of the right type is out of bounds or not among the choices.

        Example:
            >>> Parameter("size", default=4.2, maximum=10).check_limits(12)
            Traceback (most recent call last):
                ...
            ValueError: must be at most 10, not 12
        """
        if self.minimum is not None or self.maximum is not None:
            if self._is_range:
                self._check_ends(value)
            else:
                self._check_bounds(value)
        # The choices of an inferred Enum are a help for forms; its type is not enforced.
        if self.choices and not self.free_choice and (self.declared or not self.has_enum):
            self._check_choice(value)

    @cached_property
    def _is_range(self) -> bool:
        return ends_of(self.type, self.default) is not None

    @cached_property
    def _sure(self) -> list[Callable[[Any], bool]]:
        return [sure for part in alternatives(self.type) if (sure := quick_check(part)) is not None]

    @cached_property
    def _validator(self) -> Callable[[Any], Any] | None:
        from pydantic import ConfigDict, TypeAdapter  # here, since most calls never need it

        try:
            return TypeAdapter(self.type, config=ConfigDict(arbitrary_types_allowed=True)).validate_python
        except Exception:  # noqa: BLE001  (a type that pydantic has no idea of is not enforced)
            return None

    @cached_property
    def _has_zones(self) -> bool:
        return may_have_zones(self.type)

    def _validated(self, value: Any) -> Any:
        if self.type in (Any, object):
            return value
        try:
            if any(sure(value) for sure in self._sure):
                return value
            if getattr(value, "shape", None) == () and value.dtype.kind in "biufc":
                value = value.item()  # a numpy scalar is as good as Python's own number
            validate = self._validator
            if validate is None:
                return value
            read = validate(value)
            return with_plain_zones(read) if self._has_zones else read
        except Exception as error:  # noqa: BLE001  (also what a strange object's own methods raise)
            raise ValueError(explain(error, value)) from None

    @property
    def _kind_of_bounds(self) -> str:
        bound = self.maximum if self.minimum is None else self.minimum
        return "a number" if isinstance(bound, int | float | complex) else f"a {type(bound).__name__.lower()}"

    def _check_ends(self, value: Any) -> None:
        try:
            ends = tuple(value) if len(value) == 2 else ()
        except TypeError:  # it is one value, or what only an iteration would tell
            ends = ()
        if not ends:
            raise ValueError(f"must be a pair, as (from, to), not {shorten(value)}")
        for word, end in zip(("from", "to"), ends, strict=True):
            try:
                self._check_bounds(end)
            except ValueError as error:
                raise ValueError(f"({word}) {error}") from None

    def _check_bounds(self, value: Any) -> None:
        try:
            number = made_like(value, self.maximum if self.minimum is None else self.minimum)
            below = self.minimum is not None and bool(number < self.minimum)
            above = self.maximum is not None and bool(number > self.maximum)
            nan = bool(number != number)  # noqa: PLR0124  (what is unequal to itself has no order)
        except Exception:  # noqa: BLE001  (text against a number, an array, a comparison of its own)
            raise ValueError(f"must be {self._kind_of_bounds}, not {shorten(value)}") from None
        if below or (nan and self.minimum is not None):
            raise ValueError(f"must be at least {self.minimum}, not {shorten(value)}")
        if above or nan:
            raise ValueError(f"must be at most {self.maximum}, not {shorten(value)}")

    def _check_choice(self, value: Any) -> None:
        choices = self.choices or ()
        if not any(is_same(value, choice) for choice in choices):
            told = ", ".join(map(shorten, choices[:12])) + (", …" if len(choices) > 12 else "")
            raise ValueError(f"must be one of {told}, not {shorten(value)}")


def bind(
    parameters: Mapping[str, Parameter],
    values: Mapping[str, Any],
    notebook: str,
    *,
    read: Callable[[Parameter, Any], Any] | None = None,
) -> dict[str, Any]:
    """Check the values of a call, and coerce them to what the Model gets.

    Args:
        parameters: the Model's parameters by name.
        values: the given values by name; names are normalised (NFKC) as Python does it.
        notebook: the name of the Model, for the error.
        read: makes of a given value what the Model gets; None is for Python objects.

    Returns:
        The given values only, coerced, by normalised name.

    Raises:
        ParameterError: with every problem of the call: names that are no parameters, missing values,
            values that do not fit.

    Example:
        >>> width = Parameter("width", type=int, default=3)
        >>> bind({"width": width}, {"width": 4}, "area.ipynb")
        {'width': 4}
        >>> bind({"width": width}, {"widht": 4}, "area.ipynb")
        Traceback (most recent call last):
            ...
        restified_magics.errors.ParameterError: area.ipynb: widht is not a parameter. Did you mean 'width'? \
Known: width
    """
    bound: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for given, value in values.items():
        if len(problems) == _MOST_TOLD:
            problems["…"] = f"and perhaps more of the {len(values):,} values are wrong"
            break
        name = given
        if given not in parameters:
            name = unicodedata.normalize("NFKC", str(given))
            if name not in parameters:
                # a suggestion for each of thousands would take long, and nobody would read them
                problems[str(given)] = unknown(name, parameters, suggest=len(problems) < 100)
                continue
        if name in bound or name in problems:  # two spellings of one name
            problems[name] = "is given twice. Leave one out"
            continue
        try:
            bound[name] = parameters[name].coerce(value) if read is None else read(parameters[name], value)
        except ValueError as error:
            problems[name] = str(error)
    for name, parameter in parameters.items():
        if parameter.required and name not in bound and name not in problems:
            problems[name] = "is required"
    if problems:
        raise ParameterError(notebook, problems)
    return bound


def unknown(name: str, parameters: Mapping[str, Parameter], *, suggest: bool = True) -> str:
    """What is wrong with a name that is no parameter, as a sentence that reads after the name."""
    if not parameters:
        return "is not a parameter: the notebook has none. Tag the cell that assigns it with `parameters`"
    close = nearest(name, parameters) if suggest else None
    hint = f" Did you mean {close!r}?" if close else ""
    return f"is not a parameter.{hint} Known: {', '.join(parameters)}"
