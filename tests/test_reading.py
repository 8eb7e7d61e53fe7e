"""Values from text and from JSON: every type, and the words where it is none."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import json
import math
import pathlib
import uuid
from enum import Enum, Flag
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Le
from conftest import named
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Json

from restified_magics import Parameter, ParameterError
from restified_magics.signature.enums import IsoDate, notebook_enum
from restified_magics.signature.reading import as_text, bind_json, bind_text, load_json, read_json, read_text
from restified_magics.widgets.fields import make_field

Color = notebook_enum("Color", (Enum,), {"RED": 1, "BLUE": "b"})
Access = notebook_enum("Access", (Flag,), {"READ": 1, "WRITE": 2})


def declared(type_, **options):
    return Parameter("x", type=type_, declared=True, **options)


def inferred(default, **options):
    return Parameter("x", type=Any if default is None else type(default), default=default, **options)


TEXTS = [
    (declared(int), "20", 20),
    (declared(int), " -7 ", -7),
    (declared(int), "123456789012345678901234567890", 123456789012345678901234567890),
    (inferred(1), "5", 5),
    (inferred(1), "5.0", 5.0),
    (inferred(1), "1e-9", 1e-9),
    (declared(float), "1e-9", 1e-9),
    (declared(float), "5", 5.0),
    (inferred(0.5), "inf", math.inf),
    (declared(bool), "Yes", True),
    (inferred(True), "off", False),
    (declared(str), "", ""),
    (declared(str), " ä 5 ", " ä 5 "),
    (inferred("a"), "None", "None"),
    (declared(str | None), "null", "null"),
    (declared(int | None), "", None),
    (declared(int | None), "None", None),
    (declared(int | str), "5", 5),
    (declared(int | str), "a", "a"),
    (declared(str | int), "5", "5"),
    (declared(int | float), "5.0", 5.0),
    (declared(int | list[int]), "[1]", [1]),
    (declared(dt.date), "2026-01-31", dt.date(2026, 1, 31)),
    (inferred(dt.date(2020, 1, 1)), "2026-01-31", dt.date(2026, 1, 31)),
    (declared(dt.datetime), "2026-01-31T12:00", dt.datetime(2026, 1, 31, 12)),
    (declared(dt.datetime), "2026-01-31T12:00Z", dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)),
    (declared(dt.time), "12:30", dt.time(12, 30)),
    (declared(dt.timedelta), "PT1H30M", dt.timedelta(minutes=90)),
    (declared(dt.timedelta), "1:30:00", dt.timedelta(minutes=90)),
    (declared(dt.timedelta), "2 days", dt.timedelta(days=2)),
    (declared(dt.timedelta), "2 days 1:30:00", dt.timedelta(days=2, minutes=90)),
    (declared(dt.timedelta), "90", dt.timedelta(seconds=90)),
    (declared(Annotated[str, IsoDate()]), "2026-01-31", "2026-01-31"),
    (declared(decimal.Decimal), "0.10", decimal.Decimal("0.10")),
    (declared(pathlib.Path), "a b/ä.csv", pathlib.Path("a b/ä.csv")),
    (declared(uuid.UUID), str(uuid.UUID(int=1)), uuid.UUID(int=1)),
    (declared(complex), "1+2j", 1 + 2j),
    (declared(bytes), "ä", "ä".encode()),
    (declared(Literal["a", 2, None]), "2", 2),
    (declared(Color, choices=tuple(Color)), "RED", Color.RED),
    (declared(Color, choices=tuple(Color)), "1", Color.RED),
    (declared(Color, choices=tuple(Color)), "b", Color.BLUE),
    (declared(Access), "WRITE", Access.WRITE),
    (declared(Access), "3", Access.READ | Access.WRITE),
    (inferred(2, choices=(1, 2)), "1", 1),
    (inferred("a", choices=("a", "b"), free_choice=True), "other", "other"),
    (declared(list[int]), "1, 2,3", [1, 2, 3]),
    (declared(list[int]), "[1, 2]", [1, 2]),
    (declared(list[int]), "", []),
    (declared(list[str]), 'a, "b, c", d', ["a", "b, c", "d"]),
    (declared(list[str]), "['a', 'b']", ["a", "b"]),
    (declared(list[dt.date]), "2026-01-31,2026-02-01", [dt.date(2026, 1, 31), dt.date(2026, 2, 1)]),
    (declared(list[Literal[1, "b"]]), "1, b", [1, "b"]),
    (declared(list[Color]), "RED, b", [Color.RED, Color.BLUE]),
    (declared(set[Literal["a", "b"]]), "a,b", {"a", "b"}),
    (declared(tuple[int, str]), "1, x", (1, "x")),
    (declared(tuple[float, ...]), "1, 2.5", (1.0, 2.5)),
    (inferred([1]), "1, a", [1, "a"]),
    (inferred((1, 2)), "(3, 4)", (3, 4)),
    (inferred({1}), "{3, 4}", {3, 4}),
    (declared(dict), '{"a": 1}', {"a": 1}),
    (declared(dict[str, int]), "{'a': 1}", {"a": 1}),
    (inferred({}), "", {}),
    (inferred(None), "", None),
    (inferred(None), "5", 5),
    (inferred(None), "007", "007"),
    (inferred(None), "nan", "nan"),
    (inferred(None), "[1, 'a']", [1, "a"]),
    (inferred(None), "text of words", "text of words"),
    (inferred(None), "__import__('os')", "__import__('os')"),
]


@pytest.mark.parametrize(("parameter", "text", "value"), TEXTS, ids=named)
def test_text(parameter, text, value):
    """Text is read by the type, declared or inferred; the value has exactly that type."""
    read = read_text(parameter, text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(("parameter", "text", "value"), TEXTS, ids=named)
def test_text_of_a_value_reads_back(parameter, text, value):
    """What as_text writes of a value is read as that value again."""
    assert read_text(parameter, as_text(value)) == value


BAD_TEXTS = [
    (declared(int), "2.5", "must be a whole number, not '2.5'"),
    (declared(int), "", "must be a whole number, not ''"),
    (inferred(1), "many", "must be a number, not 'many'"),
    (declared(Annotated[int, Ge(1), Le(9)], minimum=1, maximum=9), "10", "must be at most 9, not '10'"),
    (inferred(1, minimum=0), "-1", "must be at least 0, not -1"),
    (declared(float, minimum=0), "nan", "must be at least 0, not nan"),
    (declared(bool), "maybe", "must be true or false, not 'maybe'"),
    (declared(dt.date), "2026", "must be a date such as 2026-01-31, not '2026'"),
    (declared(dt.date), "2026-02-30", "must be a date such as 2026-01-31, not '2026-02-30'"),
    (declared(dt.datetime), "1.5", "must be a date and time such as 2026-01-31T12:00, not '1.5'"),
    (declared(Literal["a", "b"], choices=("a", "b")), "c", "must be 'a' or 'b', not 'c'"),
    (declared(list[int]), "1, a", "at [1] must be a whole number, not 'a'"),
    (declared(list[int]), "[1, 2", "must be a list, not '[1, 2'"),
    (declared(dict), "a=1", "must be a dict, not 'a=1'"),
    (declared(int | None), "x", "must be a whole number, not 'x'"),
    (declared(int), ["1", "2"], "is given twice"),
    (declared(int), [], "is given without a value"),
]


@pytest.mark.parametrize(("parameter", "text", "message"), BAD_TEXTS, ids=named)
def test_bad_text(parameter, text, message):
    """Text that is no value of the type is refused with what it must be; nothing is clamped."""
    with pytest.raises(ValueError, match=r".+") as caught:
        read_text(parameter, text)
    assert str(caught.value) == message


def test_several_texts_are_the_items_of_a_list():
    """A repeated key of a query string is one list; a single one is read as it would be alone."""
    assert read_text(declared(list[str]), ["a,b", "c"]) == ["a,b", "c"]
    assert read_text(declared(set[int]), ["1", "2"]) == {1, 2}
    assert read_text(declared(list[int]), ["[1, 2]"]) == [1, 2]
    assert read_text(declared(list[int]), ["1, 2"]) == [1, 2]
    assert read_text(declared(tuple[int, str]), ["1", "2"]) == (1, "2")
    assert read_text(declared(int), ["1"]) == 1


JSONS = [
    (declared(dt.date), "2026-01-31", dt.date(2026, 1, 31)),
    (inferred(1), 2.5, 2.5),
    (inferred(1), 10**30, 10**30),
    (declared(set[int]), [1, 2], {1, 2}),
    (declared(tuple[int, str]), [1, "x"], (1, "x")),
    (declared(Color), "RED", Color.RED),
    (declared(int | None), None, None),
    (inferred(None), {"a": [1]}, {"a": [1]}),
    (inferred({1}), [1, 2], {1, 2}),
    (declared(pathlib.Path), "a.csv", pathlib.Path("a.csv")),
]


@pytest.mark.parametrize(("parameter", "value", "read"), JSONS, ids=named)
def test_json(parameter, value, read):
    """JSON is checked by the type, and becomes what the Model gets."""
    got = read_json(parameter, value)
    assert got == read
    assert type(got) is type(read)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        (Json, "[1]", [1]),
        (Json, '"a"', "a"),
        (Json[list[int]], "[1, 2]", [1, 2]),
        (Json[dict[str, int]], '{"a": 1}', {"a": 1}),
        (Json[set[int]] | None, "[1]", {1}),
        (Json[list[int]] | None, "null", None),
    ],
)
def test_what_pydantic_takes_as_json_is_given_as_text(type_, text, value):
    """It is for pydantic to read it; a field of a form holds the same text."""
    parameter = declared(type_)
    assert read_text(parameter, text) == value
    assert read_text(parameter, [text]) == value
    field = make_field(declared(type_, default=None))
    assert (field.kind, field.read(text)) == ("text", value)
    assert field.raw_of(text) == text


@pytest.mark.parametrize(
    ("type_", "text", "message"),
    [
        (Json, "[1", "must be JSON (EOF while parsing a list at line 1 column 2), not '[1'"),
        (Json[tuple[int, int, int]], "[1]", "must be at least 3 items long, not [1]"),
        (tuple[int, int], "[1]", "must be at least 2 items long, not [1]"),
        (Json[int], '"x"', "must be a whole number, not 'x'"),
    ],
)
def test_bad_json_text(type_, text, message):
    """The words are those of every other value."""
    with pytest.raises(ValueError, match=r".+") as caught:
        read_text(declared(type_), text)
    assert str(caught.value) == message


def test_bad_json():
    """JSON of another type than the inferred one is refused: the default says what the Model expects."""
    for parameter, value, message in [
        (inferred("a"), 5, "must be text, not 5"),
        (inferred(1), "many", "must be a number, not 'many'"),
        (inferred([1]), 5, "must be a list, not 5"),
        (declared(int), None, "must be a whole number, not None"),
    ]:
        with pytest.raises(ValueError, match=r".+") as caught:
            read_json(parameter, value)
        assert str(caught.value) == message


def test_all_problems_at_once():
    """A call from text or JSON tells all that is wrong with it, in the words of every other call."""
    parameters = {"n": Parameter("n", type=int, default=1), "since": Parameter("since", type=dt.date)}
    expected = {
        "n": "must be a number, not 'x'",
        "m": "is not a parameter. Known: n, since",
        "since": "is required",
    }
    for binder in (bind_text, bind_json):
        with pytest.raises(ParameterError) as caught:
            binder(parameters, {"n": "x", "m": "1"}, "m.ipynb")
        assert caught.value.problems == expected


@given(st.text(max_size=60))
def test_any_text_is_a_value_or_a_clear_error(text):
    """No text makes reading fail in another way than by a ValueError, nor runs anything."""
    for parameter, _, _ in TEXTS:
        with contextlib.suppress(ValueError):
            read_text(parameter, text)


def test_a_number_that_is_too_long_is_refused():
    """Python reads no whole number of 5,000 digits from text; as a float it would be infinite."""
    for kind in (int, float, int | float):
        with pytest.raises(ValueError, match="at most 4300 digits"):
            read_text(Parameter("x", type=kind, default=1), "9" * 5000)
    assert read_text(Parameter("x", type=int, default=1), "9" * 4000) == int("9" * 4000)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (float, "1e400"),
        (float, " -1_0.5E+400 "),
        (float, "1" + "0" * 400),
        (int | float, "1e400"),
        (list[float], "1, 1e400"),
        (list[float], "[1, 1e400]"),
        (dict, '{"x": 1e400}'),
        (object, "1e400"),
        (object, "(1, 1e400)"),
    ],
)
def test_digits_that_would_be_infinite_are_refused(kind, text):
    """A number is never silently another one: only what is written as infinity is infinite."""
    with pytest.raises(ValueError, match="too large for a number of 64 bits"):
        read_text(Parameter("x", type=kind, declared=True), text)


def test_digits_that_would_be_infinite_in_json_are_refused():
    """In JSON as in text, and in text and whole numbers that JSON holds."""
    with pytest.raises(ValueError, match=r"1e400 is too large for a number of 64 bits"):
        load_json('{"x": [1.5, 1e400]}')
    wanted = Parameter("x", type=float, declared=True)
    for value in ("1e400", 10**400):
        with pytest.raises(ValueError, match=r"^is too large for a number of 64 bits"):
            read_json(wanted, value)
    assert read_json(wanted, load_json("1e300")) == 1e300


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (float, "1e-400"),
        (float, " -1_0.5E-400 "),
        (float, "0." + "0" * 400 + "1"),
        (int | float, "1e-400"),
        (list[float], "1, 1e-400"),
        (list[float], "[1, 1e-400]"),
        (object, "1e-400"),
        (object, "(1, 1e-400)"),
        (object, "[1e-400j]"),
    ],
)
def test_digits_that_would_be_zero_are_refused(kind, text):
    """A number that is not 0 never becomes 0 in silence."""
    with pytest.raises(ValueError, match="too close to 0 for a number of 64 bits"):
        read_text(Parameter("x", type=kind, declared=True), text)


def test_digits_that_would_be_zero_in_json_are_refused():
    """In JSON as in text, and in text that JSON holds."""
    with pytest.raises(ValueError, match=r"1e-400 is too close to 0 for a number of 64 bits"):
        load_json('{"x": [1.5, 1e-400]}')
    with pytest.raises(ValueError, match=r"^is too close to 0"):
        read_json(Parameter("x", type=float, declared=True), "1e-400")


@pytest.mark.parametrize("text", ["0", "0.0", "0e5", "-0.0", "0e-999", "5e-324", "2.2e-310", "00.00"])
def test_what_a_float_holds_is_read_down_to_the_smallest(text):
    """Zero may be written in any way, and the numbers next to it are numbers."""
    for kind in (float, int | float, object):
        assert read_text(Parameter("x", type=kind, declared=True), text) in (float(text), text)
    assert read_text(Parameter("x", type=float, declared=True), text) == float(text)


def test_infinity_can_be_written():
    """And what no float holds is exact as a whole number, and text beside `str`."""
    wanted = Parameter("x", type=float, declared=True)
    assert [read_text(wanted, text) for text in ("inf", "-Infinity", "1e308")] == [math.inf, -math.inf, 1e308]
    assert read_json(wanted, load_json("Infinity")) == math.inf
    assert read_text(Parameter("x", default=1, type=int), "1" + "0" * 400) == 10**400
    assert read_text(Parameter("x", type=float | str, declared=True), "1e400") == "1e400"


def test_an_item_that_is_too_long_says_what_to_write():
    """What the reader of commas cannot take is an error in words, and JSON has no such limit."""
    wanted = Parameter("x", type=list[str], declared=True)
    with pytest.raises(ValueError, match="Write JSON"):
        read_text(wanted, "a" * 200_000)
    assert read_text(wanted, json.dumps(["a" * 200_000])) == ["a" * 200_000]


@pytest.mark.parametrize("kind", [dt.date, dt.datetime, dt.time, dt.date | None])
@pytest.mark.parametrize("number", [0, 1.5, 1234567890, True])
def test_a_number_is_no_date(kind, number):
    """A schema says text, and so a number of JSON is refused, as it is in text."""
    with pytest.raises(ValueError, match=r"must be a (date|time)"):
        read_json(Parameter("since", type=kind, declared=True), number)
    assert read_json(Parameter("since", type=dt.date | int, declared=True), 5) == 5
