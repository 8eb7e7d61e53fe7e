"""Values compared, shortened, and what is wrong with them in plain words."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


__all__ = ["explain", "in_words", "is_same", "made_like", "nearest", "shorten"]


def made_like(value: Any, bound: Any) -> Any:
    """The value as it compares with the bound: a date may come as text or as a datetime."""
    from datetime import date, datetime  # here: most Models have no date among their bounds

    if isinstance(bound, date):
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime) and not isinstance(bound, datetime):
            value = value.date()
    return value


def is_same(value: Any, choice: Any) -> bool:
    """Whether a value is this choice."""
    try:
        # True == 1, but nobody who offers 1 and 2 means True
        both_bool = isinstance(value, bool) == isinstance(choice, bool)
        return value is choice or (both_bool and bool(value == choice))
    except Exception:  # noqa: BLE001  (an array or an object with a comparison of its own)
        return False


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What somebody may have meant by a name that is not known; None where nothing is near.

    Example:
        >>> nearest("widht", ["width", "height"]), nearest("Width", ["width"]), nearest("n", ["no", "in"])
        ('width', 'width', None)
    """
    import difflib  # here, since only an error needs it

    if len(name) > 100:  # nobody mistypes that, and to compare it takes long
        return None
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_lower, 1, 0.7)
    return by_lower[close[0]] if close else None


class _Short(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > _LONGEST_INT:  # Python 3.14 tells where in memory it is
            raise ValueError("too many digits")
        return super().repr_int(x, level)


_LONGEST_INT = 14_000  # bits: Python makes no text of more than 4300 digits
_SHORT = _Short()
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


def in_words(error: BaseException) -> str:
    """An exception as text for a cell of a table: its message, and its notes that are one line.

    A note of several lines is a traceback, for who looks at one error alone.

    Example:
        >>> error = OSError("no such file: x.csv")
        >>> error.add_note("Name it by files=")
        >>> in_words(error)
        'no such file: x.csv. Name it by files='
    """
    notes = [note for note in getattr(error, "__notes__", ()) if "\n" not in note]
    told = str(error)
    return " ".join([told if told.endswith((".", "?", "!")) else f"{told}.", *notes]) if notes else told


# What a value must be, by the start of pydantic's error type; the first that fits counts.
_MUST_BE = {
    "json_type": "JSON text",
    "json_invalid": "JSON ({error})",
    "int_": "a whole number",
    "float_": "a number",
    "bool_": "true or false",
    "string_too_short": "at least {min_length} characters long",
    "string_too_long": "at most {max_length} characters long",
    "string_pattern": "text that matches {pattern}",
    "string_": "text",
    "datetime_": "a date and time such as 2026-01-31T12:00",
    "date_": "a date such as 2026-01-31",
    "time_delta_": "a duration such as 1:30:00, 2 days or PT1H30M, or seconds such as 90",
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


_EXPLAINED = 50  # of the problems inside one value are put into words; a long list may have one an item
_WORDED = 10_000  # problems that are looked at at all: a million of them take seconds


def explain(error: Exception, value: Any) -> str:
    """Pydantic's errors as one sentence that reads after the name of the parameter."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return f"is not accepted ({type(error).__name__}): {shorten(value)}"
    if error.error_count() > _WORDED:
        return f"has {error.error_count():,} problems inside: {shorten(value)}"
    places: dict[str, tuple[list[str], Any]] = {}  # the branches of a union fail at one place
    found = error.errors(include_url=False, include_context=True)
    lacking: dict[tuple[Any, ...], list[Any]] = {}  # all that one thing lacks is told as one
    for problem in found[:_EXPLAINED]:
        wanted, _ = places.setdefault(_place(problem["loc"], value), ([], problem["input"]))
        if problem["type"] == "missing" and problem["loc"]:
            names = lacking.setdefault(problem["loc"][:-1], [])
            if names:
                wanted.remove(_whole(names))
            names.append(problem["loc"][-1])
            wanted.append(_whole(names))
        elif (needed := _needed(problem)) not in wanted:
            wanted.append(needed)
    for wanted, _ in places.values():
        if "a number" in wanted and "a whole number" in wanted:
            wanted.remove("a whole number")  # which is a number
    told = [f"{at}must be {' or '.join(wanted)}, not {shorten(got)}" for at, (wanted, got) in places.items()]
    more = len(told) - 3 if len(found) <= _EXPLAINED else "many"
    return "; ".join(told[:3]) + (f"; and {more} more problems" if len(told) > 3 else "")


def _whole(lacking: list[Any]) -> str:
    """What a value must be that lacks these: fields by name, or the items of a tuple by place."""
    if isinstance(lacking[-1], int):
        return f"at least {lacking[-1] + 1} items long"
    return f"a value with {' and '.join(map(shorten, lacking))}"


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
