"""Fields without a browser: which control a parameter has, and what its raw value means."""

from __future__ import annotations

import datetime as dt
import math
import pathlib
from enum import Enum
from typing import Annotated, Any, Literal

import pandas as pd
import pytest
from annotated_types import Ge, Le
from conftest import named
from pydantic import AwareDatetime, SecretStr

from restified_magics import Parameter
from restified_magics.signature.enums import IsoDate, notebook_enum
from restified_magics.signature.parameters import MISSING
from restified_magics.widgets.entries import FieldEntry
from restified_magics.widgets.fields import make_field
from restified_magics.widgets.raw_values import Upload

Color = notebook_enum("Color", (Enum,), {"RED": 1, "DARK_BLUE": 2})


def declared(type_, name="x", **options):
    return Parameter(name, type=type_, declared=True, **options)


def inferred(default, name="x", **options):
    return Parameter(name, type=Any if default is None else type(default), default=default, **options)


NOON = dt.datetime(2026, 1, 31, 12, 0)
ZONE = dt.timezone(dt.timedelta(hours=1))

# parameter, kind, what it begins with, another raw value, what that means
FIELDS = [
    (declared(Annotated[int, Ge(1), Le(90)], default=15, minimum=1, maximum=90), "slider", "15", "20", 20),
    (inferred(4.2, minimum=0, maximum=10, step=0.1), "slider", "4.2", "7.5", 7.5),
    (inferred(-5, minimum=-10, maximum=0), "slider", "-5", "0", 0),
    (inferred(1), "number", "1", "0.5", 0.5),
    (inferred(1e-9), "number", "1e-09", "2e-9", 2e-9),
    (inferred(5, minimum=0), "number", "5", "0", 0),
    (declared(int), "number", "", str(10**30), 10**30),
    (inferred(True), "checkbox", True, False, False),
    (declared(bool), "select", None, "1", False),
    (declared(bool | None, default=None), "select", None, "0", True),
    (declared(Literal["a", "b"], default="a", choices=("a", "b")), "select", "0", "1", "b"),
    (declared(Color, default=Color.RED, choices=tuple(Color)), "select", "0", "1", Color.DARK_BLUE),
    (inferred(1, choices=(1, 2, True)), "select", "0", "1", 2),
    (inferred("a", choices=("a", "b"), free_choice=True), "suggest", "a", "other", "other"),
    (declared(set[Literal["l", "r"]], default={"l"}), "several", ["0"], ["0", "1"], {"l", "r"}),
    (declared(list[Color], default=[Color.RED]), "several", ["0"], [], []),
    (inferred("a"), "text", "a", "", ""),
    (inferred("ä <b>"), "text", "ä <b>", "None", "None"),
    (inferred("two\nlines"), "textarea", "two\nlines", "x", "x"),
    (inferred("", options={"widget": "password"}), "password", "", "geheim", "geheim"),
    (declared(SecretStr, default=""), "password", "", "s", SecretStr("s")),
    (declared(str, name="password"), "password", "", "geheim", "geheim"),
    (declared(str | None, name="db_password", default=None), "password", None, "", ""),
    (inferred("", name="apiKey"), "password", "", "geheim", "geheim"),
    (inferred(None, name="access_token"), "password", None, "geheim", "geheim"),
    (Parameter("api_key", expression="os.environ['KEY']"), "password", None, "geheim", "geheim"),
    (declared(str, name="token"), "password", "", "geheim", "geheim"),
    (inferred("[PAD]", name="pad_token"), "text", "[PAD]", "</s>", "</s>"),
    (inferred("a.txt", name="password_file"), "text", "a.txt", "b.txt", "b.txt"),
    (inferred("", name="api_key", options={"widget": "string"}), "text", "", "seen", "seen"),
    (inferred(3, name="max_auth"), "number", "3", "4", 4),
    (inferred("#ff8800"), "color", "#ff8800", "#000000", "#000000"),
    (declared(str | None, default=None), "text", None, "", ""),
    (declared(dt.date), "date", "", "2026-02-01", dt.date(2026, 2, 1)),
    (
        declared(Annotated[str, IsoDate()], default="2026-01-31"),
        "date",
        "2026-01-31",
        "2026-02-01",
        "2026-02-01",
    ),
    (inferred(dt.time(12, 30)), "time", "12:30:00", "13:00", dt.time(13)),
    (inferred(NOON), "datetime", "2026-01-31T12:00:00", "2026-01-31T13:00", NOON.replace(hour=13)),
    (
        inferred(NOON.replace(tzinfo=ZONE)),
        "moment",
        ["2026-01-31T12:00:00", "+01:00"],
        ["2026-01-31T12:00", "z"],
        NOON.replace(tzinfo=dt.UTC),
    ),
    (declared(AwareDatetime), "moment", ["", ""], ["2026-01-31T12:00", "+01:00"], NOON.replace(tzinfo=ZONE)),
    (inferred(dt.timedelta(minutes=90)), "text", "01:30:00", "PT2H", dt.timedelta(hours=2)),
    (inferred((1.5, 3.0)), "pair", ["1.5", "3.0"], ["0", "-1"], (0.0, -1.0)),
    (declared(tuple[int, int]), "pair", ["", ""], ["1", "2"], (1, 2)),
    (
        declared(tuple[dt.date, dt.date]),
        "pair",
        ["", ""],
        ["2026-01-31", "2026-02-01"],
        (dt.date(2026, 1, 31), dt.date(2026, 2, 1)),
    ),
    (inferred([1, 2, 3]), "text", "1, 2, 3", "4, 5.5", [4, 5.5]),
    (inferred(["a", "b c"]), "text", "a, b c", "d", ["d"]),
    (inferred(["1", "x,y"]), "text", '["1", "x,y"]', "[]", []),
    (inferred([[1], [2]]), "json", "[\n  [\n    1\n  ],\n  [\n    2\n  ]\n]", "[[3]]", [[3]]),
    (declared(list[dict[str, Any]] | None, default=None), "json", None, '[{"k": 1}]', [{"k": 1}]),
    (declared(list[list[int]], default=[]), "json", "[]", "[[3, 4]]", [[3, 4]]),
    (inferred({1: 2}), "json", "{1: 2}", "{3: (4, 5)}", {3: (4, 5)}),
    (inferred({"k": (1, 2)}), "json", "{'k': (1, 2)}", "{}", {}),
    (declared(set[Literal["l", "r"]]), "several", [], ["1"], {"r"}),
    (declared(pathlib.Path | None, default=None), "text", None, "a", pathlib.Path("a")),
    (inferred({"k": 1}), "json", '{\n  "k": 1\n}', '{"k": 2}', {"k": 2}),
    (
        declared(pathlib.Path, default=pathlib.Path("a.csv")),
        "text",
        "a.csv",
        "b c.csv",
        pathlib.Path("b c.csv"),
    ),
    (declared(bytes, default=b""), "file", None, Upload("a.bin", b"\x00\xff"), b"\x00\xff"),
    (inferred(None), "text", None, "5", 5),
    (declared(float | None, default=None), "number", None, "nan", math.nan),
]


@pytest.mark.parametrize(("parameter", "kind", "initial", "raw", "value"), FIELDS, ids=named)
def test_a_field_of_each_type(parameter, kind, initial, raw, value):
    """Each type has its control, begins with the default, and reads what is set as the right Python type."""
    field = make_field(parameter)
    assert (field.kind, field.initial) == (kind, initial)
    read = field.read(raw)
    assert type(read) is type(value)
    assert read == value or (read != read and value != value)  # noqa: PLR0124 - NaN
    if kind != "file":
        assert field.read(field.raw_of(value)) == read or value != value  # noqa: PLR0124


@pytest.mark.parametrize(("parameter", "kind", "initial", "raw", "value"), FIELDS, ids=named)
def test_what_nobody_touched_is_not_given(parameter, kind, initial, raw, value):
    """A field as it began leaves the call to the notebook's own default, or says that a value is required."""
    field = make_field(parameter)
    if parameter.required:
        with pytest.raises(ValueError, match="is required"):
            field.read(field.initial)
    else:
        assert field.read(field.initial) is MISSING


WRONG = [
    (inferred(4.2, minimum=0, maximum=10), "12", "must be at most 10, not 12.0"),
    (inferred(4.2, minimum=0, maximum=10), "nan", "must be at least 0, not nan"),
    (declared(int, default=1), "1.5", "must be a whole number, not '1.5'"),
    (declared(int, default=1), "", "is required"),
    (declared(pathlib.Path, default=pathlib.Path("a.csv")), "", "is required"),
    (inferred(1), "9" * 5000, "must have at most 4300 digits"),
    (declared(dt.date, default=dt.date(2026, 1, 31)), "", "is required"),
    (
        declared(AwareDatetime),
        ["2026-01-31T12:00", ""],
        "must have an offset from UTC such as +01:00, or Z for UTC itself",
    ),
    (declared(tuple[int, int]), ["1", ""], "(to) is required"),
    (declared(tuple[int, int]), ["a", "2"], "(from) must be a whole number, not 'a'"),
    (inferred((2, 8), minimum=0, maximum=10), ["-1", "8"], "(from) must be at least 0, not -1"),
    (declared(tuple[float, float], maximum=10), ["2", "10.5"], "(to) must be at most 10, not 10.5"),
    (declared(dict[str, int], default={}), '{"a": "x"}', "at ['a'] must be a whole number, not 'x'"),
    (inferred({}), "{", "must be a dict, not '{'"),
    (declared(list[int], default=[1]), "1, x", "at [1] must be a whole number, not 'x'"),
    (declared(bytes), "text", "needs a file. Choose one"),
]


@pytest.mark.parametrize(("parameter", "raw", "message"), WRONG, ids=named)
def test_wrong_input_is_refused(parameter, raw, message):
    """What a field holds is never clamped or rounded: it is a value, or the field says why not."""
    with pytest.raises(ValueError, match=r".+") as caught:
        make_field(parameter).read(raw)
    assert str(caught.value) == message


def test_a_duration_says_what_can_be_typed():
    """Field and error tell it in plain words, and each of their examples is read."""
    field = make_field(inferred(dt.timedelta(minutes=90)))
    with pytest.raises(ValueError, match=r"must be a duration such as 1:30:00, 2 days or PT1H30M") as caught:
        field.read("soon")
    for told, examples in (
        (field.spec()["hint"], ["1:30:00", "2 days", "90"]),
        (str(caught.value), ["1:30:00", "2 days", "PT1H30M", "90"]),
    ):
        for text in examples:
            assert text in told
            assert isinstance(field.read(text), dt.timedelta)
    assert field.read("2 days 01:30:00") == dt.timedelta(days=2, minutes=90)


@pytest.mark.parametrize("text", ["#12", "#gggggg", "#1234567", "12", " "])
def test_what_can_be_no_colour_is_refused(text):
    """Too few digits, or others than hexadecimal ones; names are those of whoever draws."""
    field = make_field(inferred("#ff8800"))
    with pytest.raises(ValueError, match="must be a colour as #336699, or a name such as red, not"):
        field.read(text)
    assert [field.read(each) for each in ("#abc", "#11223344", "tab:blue")] == [
        "#abc",
        "#11223344",
        "tab:blue",
    ]


def test_a_colour_may_be_a_name():
    """The picker knows `#rrggbb` only; the notebook may know more, and the field says that it gets them."""
    field = make_field(inferred("#336699"))
    assert "a name such as red is given as it is" in field.spec()["hint"]
    assert [field.read(text) for text in ("red", "tab:blue", "#000000")] == ["red", "tab:blue", "#000000"]


def test_bounds_are_never_invented():
    """A slider only where both bounds are declared."""
    assert make_field(inferred(5)).kind == "number"
    assert make_field(inferred(5, maximum=9)).kind == "number"
    assert make_field(declared(float, minimum=0.0, maximum=1.0)).kind == "number"  # nothing to begin with


@pytest.mark.parametrize(
    ("parameter", "step"),
    [
        (declared(Annotated[int, Ge(1), Le(90)], default=15, minimum=1, maximum=90), "1"),
        (declared(int, default=15, minimum=1, maximum=90), "1"),
        (inferred(15, minimum=0, maximum=90), "1"),
        (inferred(15, minimum=0, maximum=90, step=5), "5"),
        (inferred(15, minimum=0, maximum=90.0), "1"),
        (inferred(4.2, minimum=0, maximum=10), "0.1"),
        (inferred(0.1, minimum=0.0, maximum=0.5), "0.005"),
        (inferred(4.2, minimum=-2000, maximum=4000), "50"),
        (inferred(2e-9, minimum=1e-9, maximum=1e-8), "0.0000000001"),
        (inferred(1.0, minimum=1, maximum=1), "1"),
    ],
    ids=named,
)
def test_the_step_of_a_slider(parameter, step):
    """Whole numbers where type or default and bounds are; else about a hundredth of the range."""
    field = make_field(parameter)
    assert (field.kind, field.spec()["step"]) == ("slider", step)


def test_no_slider_without_end():
    """Infinity is no end of a slider."""
    assert make_field(inferred(1.0, minimum=0, maximum=math.inf)).kind == "number"


def test_a_table_is_uploaded_as_csv():
    """`table: pd.DataFrame` is a field for a CSV file, and the Model gets a DataFrame."""
    field = make_field(Parameter("table", annotation="pd.DataFrame", default=None))
    assert field.kind == "table"
    pd.testing.assert_frame_equal(
        field.read(Upload("t.csv", b"a,b\n1,x\n")), pd.DataFrame({"a": [1], "b": ["x"]})
    )
    with pytest.raises(ValueError, match="cannot be read as CSV"):
        field.read(Upload("t.csv", b""))
    assert field.read(None) is MISSING


@pytest.mark.parametrize(
    "annotation", ["Optional[pd.DataFrame]", "pandas.DataFrame | None", "typing.Union[pd.DataFrame, None]"]
)
def test_a_table_that_may_be_none(annotation):
    """It is a file, too; a list of tables is none."""
    assert make_field(Parameter("table", annotation=annotation, default=None)).kind == "table"
    assert make_field(Parameter("table", annotation=f"list[{annotation}]", default=None)).kind == "text"


def test_what_is_emptied_is_none():
    """An optional path that is emptied is None, and not the present folder."""
    field = make_field(declared(pathlib.Path | None, default=pathlib.Path("a.csv")))
    assert field.read("") is None


def test_an_expression_stays_the_notebooks():
    """A default that the call works out is shown as such; blank means that it does so."""
    field = make_field(Parameter("until", expression="date.today()", type=dt.date, declared=True))
    assert field.initial is None
    assert field.blank == "date.today()"
    assert field.read("") is MISSING
    assert field.read("2026-01-31") == dt.date(2026, 1, 31)


@pytest.mark.parametrize(
    "parameter",
    [
        declared(dt.date | None, expression="date.today()"),
        declared(int | None, expression="len('abc')"),
        declared(bool | None, expression="bool(1)"),
        declared(Literal["a"] | None, expression="f()", choices=("a",)),
        declared(AwareDatetime | None, expression="f()"),
        declared(tuple[int, int] | None, expression="f()"),
        declared(pathlib.Path | None, expression="f()"),
        declared(list[int] | None, expression="f()"),
        declared(dict | None, expression="f()"),
        declared(Annotated[str, IsoDate()] | None, expression="f()"),
        Parameter("x", expression="f()"),
    ],
    ids=named,
)
def test_none_is_another_value_than_that_of_an_expression(parameter):
    """Where the call works the default out, None can be given; untouched is what the notebook says."""
    field = make_field(parameter)
    assert field.read(field.initial) is MISSING
    entry = FieldEntry(field)
    entry.set(None)
    assert entry.raw != field.initial
    assert entry.read() is None
    assert field.read(None) is MISSING


@pytest.mark.parametrize(
    "parameter",
    [
        declared(str | None, expression="f()"),
        declared(dt.date, expression="date.today()"),
        declared(bytes | None, expression="f()"),
        declared(set[Literal["a"]] | None, expression="f()"),
        Parameter("x", expression="f()", choices=("a", "b")),
    ],
    ids=named,
)
def test_none_is_refused_where_no_control_shows_it(parameter):
    """It is never taken for the expression of the notebook."""
    entry = FieldEntry(make_field(parameter))
    with pytest.raises(ValueError, match="cannot show None"):
        entry.set(None)
    assert entry.read() is MISSING


@pytest.mark.parametrize(
    ("parameter", "none"),
    [
        (declared(str | None), None),
        (declared(int | None), None),
        (declared(bool | None), "2"),
        (declared(Literal["a"] | None, choices=("a",)), "1"),
        (declared(dt.date | None), None),
        (declared(AwareDatetime | None), None),
        (declared(tuple[int, int] | None), None),
        (declared(pathlib.Path | None), None),
        (declared(set[Literal["a"]] | None), None),
        (declared(dict | None), None),
    ],
    ids=named,
)
def test_who_has_to_choose_may_choose_none(parameter, none):
    """An optional value without a default is required as any other: None is a choice, and untouched is none."""
    field = make_field(parameter)
    assert field.initial != none
    with pytest.raises(ValueError, match=r"is required|must have a date"):
        field.read(field.initial)
    entry = FieldEntry(field)
    entry.set(None)
    assert entry.raw == none
    assert entry.read() is None


def test_an_optional_file_that_is_required_has_to_be_there():
    """A control for files says no more than its file."""
    field = make_field(declared(bytes | None))
    assert field.blank == ""
    with pytest.raises(ValueError, match="is required"):
        field.read(field.initial)


def test_a_choice_that_is_none():
    """None among the choices is one of them, and no field is left blank by it."""
    field = make_field(Parameter("x", default=None, choices=(None, "a")))
    assert field.labels == ("none", "a")
    assert field.initial == "0"
    assert field.read("1") == "a"


def test_what_the_page_gets_is_json():
    """The description of each field is JSON, whatever its values are."""
    import json

    for parameter, *_ in FIELDS:
        json.dumps(make_field(parameter).spec(), allow_nan=False)
