"""What a Parameter is: one input of a Model, its type and default, and what a form shows of it.

Every face of a Model hands values over by :func:`bind`, so that a call, a form, a request and a
command accept the same values and report the same errors. Nothing is clamped or rounded: a value is
taken as it is, coerced to a type that the author declared, or refused with the reason.
"""

from __future__ import annotations

import copy
import copyreg
import operator
import reprlib
import types
import unicodedata
from dataclasses import dataclass, field, fields
from enum import Enum, EnumType, Flag
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, Union, cast, get_args, get_origin

from restified_magics.errors import ParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "MISSING",
    "IsoDate",
    "NotebookEnumType",
    "Parameter",
    "bind",
    "notebook_enum",
    "revive",
    "shorten",
]


class _Missing(Enum):
    REQUIRED = "<required>"

    def __repr__(self) -> str:
        return str(self.value)


MISSING: Final = _Missing.REQUIRED
"""The default of a parameter that has none. It is one object also after a pickle there and back."""

# Plain types whose own instances pydantic would hand back as they are, so that it need not be asked.
_PLAIN = frozenset({int, float, str, bool, bytes, complex, list, tuple, dict, set, frozenset})
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
        minimum, maximum: the least and greatest value, both included. Never invented.
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
    def has_enum(self) -> bool:
        """Values may hold members of an Enum of the notebook's own: :func:`revive` them before use."""
        return _mentions_enum(self.type)

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
        if enforced and not limited and not self.choices and own in _PLAIN:
            return lambda value: value if type(value) is own else full(value)
        return full

    def _check_fully(self, value: Any) -> Any:
        if isinstance(value, bool) and (self.minimum is not None or self.maximum is not None):
            raise ValueError(f"must be {self._kind_of_bounds}, not {value}")
        if self.declared:
            value = self._validated(value)
        elif self.has_enum:
            value = _own_member(self.type, value)
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
            self._check_bounds(value)
        # The choices of an inferred Enum are a help for forms; its type is not enforced.
        if self.choices and not self.free_choice and (self.declared or not self.has_enum):
            self._check_choice(value)

    @cached_property
    def _sure(self) -> list[Callable[[Any], bool]]:
        return [sure for part in _alternatives(self.type) if (sure := _surely(part)) is not None]

    @cached_property
    def _validator(self) -> Callable[[Any], Any] | None:
        from pydantic import ConfigDict, TypeAdapter  # here, since most calls never need it

        try:
            return TypeAdapter(self.type, config=ConfigDict(arbitrary_types_allowed=True)).validate_python
        except Exception:  # noqa: BLE001  (a type that pydantic has no idea of is not enforced)
            return None

    def _validated(self, value: Any) -> Any:
        if self.type in (Any, object):
            return value
        try:
            if any(sure(value) for sure in self._sure):
                return value
            if getattr(value, "shape", None) == () and value.dtype.kind in "biufc":
                value = value.item()  # a numpy scalar is as good as Python's own number
            validate = self._validator
            return value if validate is None else validate(value)
        except Exception as error:  # noqa: BLE001  (also what a strange object's own methods raise)
            raise ValueError(_explain(error, value)) from None

    @property
    def _kind_of_bounds(self) -> str:
        bound = self.maximum if self.minimum is None else self.minimum
        return "a number" if isinstance(bound, int | float | complex) else f"a {type(bound).__name__.lower()}"

    def _check_bounds(self, value: Any) -> None:
        try:
            number = _like(value, self.maximum if self.minimum is None else self.minimum)
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
        if not any(_same(value, choice) for choice in choices):
            told = ", ".join(map(shorten, choices[:12])) + (", …" if len(choices) > 12 else "")
            raise ValueError(f"must be one of {told}, not {shorten(value)}")


def bind(parameters: Mapping[str, Parameter], values: Mapping[str, Any], notebook: str) -> dict[str, Any]:
    """Check the values of a call, and coerce them to what the Model gets.

    Args:
        parameters: the Model's parameters by name.
        values: the given values by name; names are normalised (NFKC) as Python does it.
        notebook: the name of the Model, for the error.

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
        name = given
        if given not in parameters:
            name = unicodedata.normalize("NFKC", str(given))
            if name not in parameters:
                problems[str(given)] = _unknown(name, parameters)
                continue
        if name in bound or name in problems:  # two spellings of one name
            problems[name] = "is given twice"
            continue
        try:
            bound[name] = parameters[name].coerce(value)
        except ValueError as error:
            problems[name] = str(error)
    for name, parameter in parameters.items():
        if parameter.required and name not in bound and name not in problems:
            problems[name] = "is required"
    if problems:
        raise ParameterError(notebook, problems)
    return bound


def _unknown(name: str, parameters: Mapping[str, Parameter]) -> str:
    import difflib  # here, since only an error needs it

    if not parameters:
        return "is not a parameter: the notebook has none. Tag the cell that assigns it with `parameters`"
    close = difflib.get_close_matches(name, parameters, 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"is not a parameter.{hint} Known: {', '.join(parameters)}"


# --- Enum classes of the notebook -------------------------------------------------------------------


class NotebookEnumType(EnumType):
    """The class of Enum classes that stand for those of a notebook, made without running it."""


def notebook_enum(name: str, bases: tuple[type, ...], members: Mapping[str, Any]) -> NotebookEnumType:
    """Make an Enum class that stands for the one that a notebook defines by the same name.

    A value of the class is found by a member's value, by its name, and by a member of an Enum class
    of the same name, since the View may have its own copy of it. Its members can be pickled.

    Args:
        name: the name that the notebook binds the class to.
        bases: for instance ``(Enum,)`` or ``(str, Enum)``.
        members: values by name, in order; ``enum.auto()`` is a value too.

    Example:
        >>> from enum import Enum
        >>> Color = notebook_enum("Color", (Enum,), {"RED": 1, "BLUE": 2})
        >>> Color(1), Color("RED")
        (<Color.RED: 1>, <Color.RED: 1>)
    """

    def missing(cls: Any, value: Any) -> Any:
        key = value
        if isinstance(value, Enum) and type(value).__name__ == cls.__name__:
            key, value = value.name, value.value
        if isinstance(key, str) and key in cls.__members__:
            return cls.__members__[key]
        # Flag's own way makes combinations such as READ | WRITE of their number
        return cast("Any", Flag)._missing_.__func__(cls, value) if issubclass(cls, Flag) else None

    def fill(body: dict[str, Any]) -> None:
        body["__module__"] = "__main__"
        body["_missing_"] = classmethod(missing)
        body.update(members)

    return cast("NotebookEnumType", types.new_class(name, bases, {"metaclass": NotebookEnumType}, fill))


def _reduce_enum(cls: NotebookEnumType) -> tuple[Any, ...]:
    values = {name: member.value for name, member in cast("Any", cls).__members__.items()}
    return notebook_enum, (cls.__name__, cls.__bases__, values)


# The class is in no module, so that pickle's own way, by import, would fail in another process.
copyreg.pickle(NotebookEnumType, _reduce_enum)


def revive(value: Any, namespace: Mapping[str, Any]) -> Any:
    """Swap members of a notebook's Enum for those of the class that the running Model has defined.

    Looks into lists, tuples, sets and dicts; hands back the same object where there is nothing to
    swap. Where the Model has not defined the class (yet), the member stays as it is.

    Example:
        >>> from enum import Enum
        >>> class Color(Enum):
        ...     RED = 1
        >>> read = notebook_enum("Color", (Enum,), {"RED": 1})
        >>> revive([read.RED], {"Color": Color}) == [Color.RED]
        True
    """
    cls = type(value)
    if isinstance(cls, NotebookEnumType):
        own = namespace.get(cls.__name__)
        return _own_member(own, value) if isinstance(own, EnumType) else value
    if cls is dict:
        pairs = [(revive(key, namespace), revive(item, namespace)) for key, item in value.items()]
        changed = any(a is not c or b is not d for (a, b), (c, d) in zip(pairs, value.items(), strict=True))
        return dict(pairs) if changed else value
    if cls in (list, tuple, set, frozenset):
        items = [revive(item, namespace) for item in value]
        return cls(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def _own_member(cls: Any, value: Any) -> Any:
    """The member of `cls` that `value` is or names, else the value itself."""
    try:
        if isinstance(value, Enum) and type(value).__name__ == cls.__name__:
            member = cls.__members__.get(value.name)
            return cls(value.value) if member is None else member
        return cls(value)
    except Exception:  # noqa: BLE001  (not an Enum class, or no such member)
        return value


def _mentions_enum(annotation: Any) -> bool:
    return isinstance(annotation, NotebookEnumType) or any(map(_mentions_enum, get_args(annotation)))


class IsoDate:
    """Marks ``Annotated[str, IsoDate()]``: a date as text, as Colab's date field writes it.

    Example:
        >>> from datetime import date
        >>> from typing import Annotated
        >>> since = Parameter("since", type=Annotated[str, IsoDate()], declared=True)
        >>> since.coerce(date(2026, 1, 31)), since.coerce("2026-01-31")
        ('2026-01-31', '2026-01-31')
    """

    def __repr__(self) -> str:
        return "IsoDate()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IsoDate)

    def __hash__(self) -> int:
        return hash(IsoDate)

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema  # pydantic calls this, so it is there

        date = core_schema.date_schema()
        return core_schema.no_info_after_validator_function(lambda day: day.isoformat(), date)


# --- types that need no pydantic -------------------------------------------------------------------

_COMPARISONS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
# Metadata of Annotated that is told by these comparisons, or that enforces nothing.
_SIMPLE = frozenset(
    [("annotated_types", name) for name in ("Ge", "Gt", "Le", "Lt", "Interval", "Unit")]
    + [("restified_magics.annotations", "Described")]
)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _surely(annotation: Any) -> Callable[[Any], bool] | None:
    """A test that is true only of values that pydantic would hand back as they are, or None.

    It spares most calls the import of pydantic, which takes longer than the rest of a first call.
    """
    if annotation is type(None):
        return lambda value: value is None
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return lambda value: any(type(value) is type(choice) and value == choice for choice in choices)
    metadata = getattr(annotation, "__metadata__", ())
    base = annotation.__origin__ if metadata else annotation
    if not (base in _PLAIN or isinstance(base, NotebookEnumType)):
        return None
    if any((type(item).__module__, type(item).__name__) not in _SIMPLE for item in metadata):
        return None
    limits = [
        (compare, bound)
        for item in metadata
        for key, compare in _COMPARISONS.items()
        if (bound := getattr(item, key, None)) is not None
    ]
    return lambda value: type(value) is base and all(compare(value, bound) for compare, bound in limits)


# --- comparing and telling -------------------------------------------------------------------------


def _like(value: Any, bound: Any) -> Any:
    """The value as it compares with the bound: a date may come as text or as a datetime."""
    from datetime import date, datetime  # here: most Models have no date among their bounds

    if isinstance(bound, date):
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime) and not isinstance(bound, datetime):
            value = value.date()
    return value


def _same(value: Any, choice: Any) -> bool:
    try:
        # True == 1, but nobody who offers 1 and 2 means True
        both_bool = isinstance(value, bool) == isinstance(choice, bool)
        return value is choice or (both_bool and bool(value == choice))
    except Exception:  # noqa: BLE001  (an array or an object with a comparison of its own)
        return False


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = 12


def shorten(value: Any) -> str:
    """One line of at most 80 characters that shows a value, whatever its ``repr`` does.

    Example:
        >>> shorten("ab"), len(shorten("x" * 1000))
        ("'ab'", 80)
    """
    try:
        text = " ".join(_SHORT.repr(value).split())
    except Exception:  # noqa: BLE001  (a repr that raises, an integer of too many digits)
        text = f"<{type(value).__name__} object>"
    return text if len(text) <= 80 else text[:79] + "…"


# What a value must be, by the start of pydantic's error type; the first that fits counts.
_MUST_BE = {
    "int_": "a whole number",
    "float_": "a number",
    "bool_": "true or false",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern": "text that matches {pattern}",
    "string_": "text",
    "datetime_": "a date and time such as 2026-01-31T12:00",
    "date_": "a date such as 2026-01-31",
    "time_delta_": "a duration such as PT1H30M, or seconds",
    "time_": "a time such as 12:30",
    "decimal_type": "a decimal number",
    "decimal_parsing": "a decimal number",
    "uuid_": "a UUID",
    "path_": "a path",
    "list_": "a list",
    "tuple_": "a tuple",
    "dict_": "a dict",
    "mapping_": "a mapping",
    "set_": "a set",
    "frozen_set_": "a set",
    "bytes_type": "bytes",
    "complex_": "a complex number",
    "sequence_str": "a sequence, not text",
    "callable_": "callable",
    "finite_number": "a finite number",
    "none_required": "None",
    "is_instance_of": "an instance of {class}",
    "is_subclass_of": "a subclass of {class}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "multiple_of": "a multiple of {multiple_of}",
    "too_short": "at least {min_length} items long",
    "too_long": "at most {max_length} items long",
}


def _explain(error: Exception, value: Any) -> str:
    """Pydantic's errors as one sentence that reads after the name of the parameter."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"is not accepted ({type(error).__name__}): {shorten(value)}"
    places: dict[str, tuple[list[str], Any]] = {}  # the branches of a union fail at one place
    for problem in error.errors(include_url=False):
        wanted, _ = places.setdefault(_place(problem["loc"], value), ([], problem["input"]))
        if (needed := _needed(problem)) not in wanted:
            wanted.append(needed)
    told = [f"{at}must be {' or '.join(wanted)}, not {shorten(got)}" for at, (wanted, got) in places.items()]
    return "; ".join(told[:3]) + (f"; and {len(told) - 3} more problems" if len(told) > 3 else "")


def _needed(problem: Mapping[str, Any]) -> str:
    for start, words in _MUST_BE.items():
        if problem["type"].startswith(start):
            return words.format_map(problem.get("ctx", {}))
    said = str(problem["msg"]).removeprefix("Value error, ")
    return said.removeprefix("Input should be ")


def _place(location: tuple[Any, ...], value: Any) -> str:
    """Where inside the value, as ``at [0]['a'] ``: of a location, the steps that lead into the value."""
    steps = ""
    for step in location:
        if not isinstance(value, dict | list | tuple):
            break
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):  # no step into the value but a branch of a union
            continue
        steps += f"[{shorten(step)}]"
    return f"at {steps} " if steps else ""
