"""The grammar: what is written in parameters cells → the Parameters that every face shows."""

from __future__ import annotations

import ast
import collections.abc
import datetime
import decimal
import math
import pathlib
import pickle
import re
import sys
import textwrap
import typing
import uuid
import warnings
from enum import Enum
from typing import Annotated, Any, Literal

import pydantic
import pytest
from annotated_types import Ge, Gt, Le, MinLen
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from restified_magics.signature.annotations import AnnotationReader
from restified_magics.signature.assignments import ParameterCell
from restified_magics.signature.colab import read_param, read_title
from restified_magics.signature.facts import facts, without_bounds
from restified_magics.signature.grammar import ParameterSet, read_parameters
from restified_magics.signature.known_names import UnreadableError
from restified_magics.signature.parameters import MISSING, Parameter


def read(*sources: str, untagged: tuple[str, ...] = ()) -> ParameterSet:
    """The parameters of tagged cells, after cells that are not tagged."""
    cells = [ParameterCell(at, textwrap.dedent(text)) for at, text in enumerate(untagged)]
    first = len(cells)
    return read_parameters(
        cells + [ParameterCell(first + at, textwrap.dedent(text), True) for at, text in enumerate(sources)]
    )


def one(source: str, *untagged: str) -> Parameter:
    """The last parameter of a cell, which had no problems."""
    found = read(source, untagged=untagged)
    assert found.problems == []
    return list(found.parameters.values())[-1]


def problems(source: str, *untagged: str) -> str:
    return "\n".join(map(str, read(source, untagged=untagged).problems))


# --- which statements are parameters ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("n = 15", ["n"]),
        ("n: int = 15", ["n"]),
        ("n: int", ["n"]),
        ("(n): int = 15", ["n"]),
        ("a = b = 1", ["a", "b"]),
        ("a, b = 1, 2", ["a", "b"]),
        ("(a, [b, c]), d = (1, [2, 3]), 4", ["a", "b", "c", "d"]),
        ("first, *rest = 1, 2, 3", ["first", "rest"]),
        ("a = 1; b = 2", ["a", "b"]),
        ("a.x = b = 1", ["b"]),
        ("a[0], b = 1, 2", ["b"]),
        ("_a = 1\n__b__ = 2", []),
        ("n += 1", []),
        ("if x:\n    n = 1\nelse:\n    m = 2", []),
        ("for i in y:\n    n = 1", []),
        ("with f() as g:\n    n = 1\ntry:\n    m = 2\nfinally:\n    pass", []),
        ("def f(a=1):\n    b = 2\nclass C:\n    c = 3", []),
        ("import os\nfrom a import b", []),
        ("print(n := 3)\nf(x=1)\nn == 3", []),
        ("get_ipython().run_line_magic('matplotlib', 'inline')\nn = 1", ["n"]),
        ("x = await f()", ["x"]),
        ("", []),
        ("# only a comment", []),
    ],
)
def test_parameters_are_top_level_assignments_to_plain_public_names(source: str, names: list[str]) -> None:
    """A parameter is a top-level assignment to a plain name without a leading underscore."""
    assert list(read(source).parameters) == names


def test_each_name_of_a_tuple_gets_its_own_value() -> None:
    """`a, b = 1, 2` are two parameters with the values 1 and 2."""
    found = read("(a, b), c = (1, 'x'), [3]").parameters
    assert [p.default for p in found.values()] == [1, "x", [3]]


@pytest.mark.parametrize("source", ["a, b = f()", "a, *b = 1, 2, 3", "a, b = *x, 2", "(a, b), c = t, 3"])
def test_what_is_unpacked_is_an_expression(source: str) -> None:
    """Where the value of a name is not written beside it, it is an expression with a reason."""
    parameter = read(source).parameters["a"]
    assert parameter.expression is not None
    assert parameter.expression in source
    assert parameter.reason
    assert not parameter.required


def test_a_name_assigned_twice_is_one_parameter_with_its_last_value_and_all_sites() -> None:
    """The last top-level value counts; every statement that assigns the name is a site."""
    found = read("n: int = 1\nm = 5\nif m:\n    n = 3\nn = 2  # Count").parameters
    assert list(found) == ["n", "m"]
    assert (found["n"].default, found["n"].type, found["n"].label) == (2, int, "Count")
    assert found["n"].sites == {(0, 1, 0), (0, 5, 0)}


def test_parameters_come_from_every_tagged_cell_and_only_from_those() -> None:
    """Any number of cells may be tagged; sites tell the cell by its position in the notebook."""
    found = read("a = 1", "b = 2\na = 3", untagged=("x = 1", "y = 2")).parameters
    assert list(found) == ["a", "b"]
    assert found["a"].sites == {(2, 1, 0), (3, 2, 0)}
    assert found["a"].default == 3


def test_columns_of_sites_are_those_of_ast() -> None:
    """The call finds the assignment by line and column, counted in bytes as `ast` does."""
    source = "é = 'ü'; n = 2\nx = (\n1)"
    tree = ast.parse(source)
    sites = {site for p in read(source).parameters.values() for site in p.sites}
    assert sites == {(0, s.lineno, s.col_offset) for s in tree.body}


def test_names_are_normalised_as_python_does_it() -> None:
    """NFKC: the ligature `ﬁ` and the letters `fi` are one name."""
    found = read("ﬁ = 1\nfi = 2").parameters
    assert {name: p.default for name, p in found.items()} == {"fi": 2}


@pytest.mark.parametrize(
    ("source", "required"),
    [
        ("n: int", True),
        ("n: int\nn = 3", False),
        ("n = 3\nn: int", False),
        ("n = f()", False),
        ("n = None", False),
    ],
)
def test_a_declaration_without_a_value_is_required(source: str, required: bool) -> None:
    """Only a parameter that nothing gives a value to is required."""
    assert read(source).parameters["n"].required is required


# --- defaults --------------------------------------------------------------------------------------

LITERALS: list[tuple[str, Any]] = [
    ("-5", -5),
    ("1_000", 1000),
    ("1e-3", 0.001),
    ("2 - 3j", 2 - 3j),
    ("b'x'", b"x"),
    ("'a' \"b\"", "ab"),
    ("f'abc'", "abc"),
    ("'# = \"'", '# = "'),
    ("'''a\n# b\n'''", "a\n# b\n"),
    ("None", None),
    ("not True", False),
    ("[1, [2, (3,)]]", [1, [2, (3,)]]),
    ("{'a': {1, 2}}", {"a": {1, 2}}),
    ("60 * 60", 3600),
    ("2 ** 10", 1024),
    ("10 / 4 + 1", 3.5),
    ("[0.0] * 3", [0.0] * 3),
    ("[1] + [2]", [1, 2]),
    ("'a' + 'b'", "ab"),
    ("'-' * 3", "---"),
    ("float('inf')", math.inf),
    ("set()", set()),
    ("dict(a=1)", {"a": 1}),
    ("tuple([1, 2])", (1, 2)),
    ("Decimal('1.5')", decimal.Decimal("1.5")),
    ("date(2020, 1, 31)", datetime.date(2020, 1, 31)),
    ("timedelta(days=3)", datetime.timedelta(days=3)),
    ("Path('a') / 'b.csv'", pathlib.Path("a/b.csv")),
    ("0xff", 255),
]


@pytest.mark.parametrize(("text", "value"), LITERALS, ids=[text for text, _ in LITERALS])
def test_literals_and_constants_are_defaults(text: str, value: Any) -> None:
    """What is constant in the source is a value, of the type that it has."""
    parameter = one(f"x = {text}")
    assert parameter.default == value
    assert type(parameter.default) is type(value)
    assert parameter.expression is None
    assert not parameter.declared


@pytest.mark.parametrize(
    "text",
    [
        "f()",
        "np.zeros(3)",
        "a",
        "[1, a]",
        "{**a}",
        "f'{a}'",
        "lambda: 1",
        "1 if a else 2",
        "[i for i in range(3)]",
        "date.today()",
        "Path.home()",
        "time.time()",
        "__import__('os').system('exit 3')",
        "10 ** 10 ** 10",
        "1 << 10 ** 9",
        "[[0] * 9999] * 9999",
        "'x' * 10 ** 9",
        "list(range(10 ** 9))",
        "bytes(10 ** 10)",
        "Decimal('x')",
        "1 / 0",
        "{[]: 1}",
        "int('9' * 5000)",
        "a.b[0](1)",
        "...  + 1",
        "(lambda: 0)()",
    ],
)
def test_everything_else_is_an_expression_with_its_text_and_a_reason(text: str) -> None:
    """A default that is not a literal is kept as text, and is neither worked out nor run."""
    parameter = one(f"x = {text}")
    assert parameter.default is MISSING
    assert parameter.expression == text
    assert parameter.reason is not None
    assert parameter.type is Any
    assert not parameter.required


def test_an_expression_of_several_lines_is_kept_as_written() -> None:
    """The text of an expression is that of the source, also where it has bytes and lines."""
    source = "x = f('é',\n      1)  # Label\n"
    assert one(source).expression == "f('é',\n      1)"


@pytest.mark.parametrize("name", ["math", "numpy"])
def test_constants_of_mathematics_need_no_import(name: str) -> None:
    """`np.pi` and `math.inf` are numbers, known without importing numpy."""
    assert one("x = m.pi", f"import {name} as m").default == math.pi


def test_none_is_an_optional_field_of_any_type() -> None:
    """`x = None` says nothing about the type; a declared type takes None too, since that is the default."""
    assert one("x = None").type is Any
    declared = one("x: int = None")
    assert declared.type == int | None
    assert declared.coerce(None) is None
    assert declared.coerce("3") == 3


def test_a_mutable_default_cannot_be_changed_by_its_readers() -> None:
    """Each reader of a list or dict gets a copy of its own."""
    parameter = one("x = {'a': [1]}")
    parameter.default["a"].append(2)
    assert parameter.default == {"a": [1]}


# --- comments --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comment", "label", "unit", "low", "high", "step"),
    [
        ("# Width [mm] (0..10 step 0.1)", "Width", "mm", 0, 10, 0.1),
        ("# Width (0..10) [mm]", "Width", "mm", 0, 10, None),
        ("#Width", "Width", "", None, None, None),
        ("# [mm]", "x", "mm", None, None, None),
        ("# (0..10)", "x", "", 0, 10, None),
        ("# Size (step 5)", "Size", "", None, None, 5),
        ("# Size (0..)", "Size", "", 0, None, None),
        ("# Size (..10, step 2)", "Size", "", None, 10, 2),
        ("# Size (0..inf)", "Size", "", 0, None, None),
        ("# Size (-1.5..+.5e1)", "Size", "", -1.5, 5.0, None),
        ("# Size (1e-9..1_000)", "Size", "", 1e-9, 1000, None),
        ("# Size (−5 .. +5)", "Size", "", -5, 5, None),
        ("# Share [%]", "Share", "%", None, None, None),
        ("# Ratio [-]", "Ratio", "-", None, None, None),
        ("# Speed [m s^-1]", "Speed", "m s^-1", None, None, None),
        ("# Width (outer)", "Width (outer)", "", None, None, None),
        ("# Width (outer) [mm]", "Width (outer)", "mm", None, None, None),
        ("# Weights [0, 1]", "Weights [0, 1]", "", None, None, None),
        ("# see [1]", "see [1]", "", None, None, None),
        ("# from 0..10 up", "from 0..10 up", "", None, None, None),
        ("# issue #12", "issue #12", "", None, None, None),
        ("# Terms  # noqa: E501", "Terms", "", None, None, None),
        ("# noqa", "x", "", None, None, None),
        ("# pylint: disable=invalid-name", "x", "", None, None, None),
        ("# type: ignore[assignment]  # Terms", "Terms", "", None, None, None),
        ("# fmt: skip", "x", "", None, None, None),
        ("# ----------", "x", "", None, None, None),
        ("# x = 10", "x", "", None, None, None),
        ("#: Terms", "Terms", "", None, None, None),
        ("# Größe [µm] (0..1)", "Größe", "µm", 0, 1, None),
    ],
)
def test_a_trailing_comment_is_label_unit_and_range(
    comment: str, label: str, unit: str, low: Any, high: Any, step: Any
) -> None:
    """label [unit] (low..high step s), each part optional; other brackets stay in the label."""
    p = one(f"x = 1  {comment}")
    assert (p.label, p.unit, p.minimum, p.maximum, p.step) == (label, unit, low, high, step)


def test_bounds_are_never_invented() -> None:
    """A number without declared bounds has none."""
    p = one("x = 5  # Width")
    assert (p.minimum, p.maximum, p.step, p.choices) == (None, None, None, None)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1  # Width (0...10)", "(0...10) is not understood"),
        ("x = 1  # Width (a..10)", "(a..10) is not understood"),
        ("x = 1  # Width (10..1)", "10 and 1 are not in order"),
        ("x = 1  # Width (1..2020-01-01)", "1 and 2020-01-01 are not in order"),
        ("x = 'a'  # Pages (1..10)", "bounds are ignored, since str"),
        ("x = [1]  # Pages (1..10)", "bounds are ignored, since list"),
        ("x = True  # Flag (0..1)", "bounds are ignored, since bool"),
        ("x = 50  # Width (0..10)", "the default must be at most 10, not 50"),
        ("x = 1  # type: flaot  Width", "`flaot` is not understood"),
        ("x: int = 'a'", "the default 'a' is not of the declared type int"),
        ("x = 5 #@param {type:'slider', min:3, max:1}", "wrong order"),
    ],
)
def test_what_cannot_be_meant_is_told_and_has_no_effect(source: str, said: str) -> None:
    """A comment that is not understood leaves a problem with its cell and line, and the parameter works."""
    told = problems(source)
    assert said in told
    assert told.startswith("cell 1, line 1: x: ")
    assert "x" in read(source).parameters


@pytest.mark.parametrize(
    "source",
    [
        "x = (2, 8)  # Window [s] (0..10)",
        "x: tuple[int, int] = (2, 8)  # Window [s] (0..10)",
        "x: tuple[int, int] | None = None  # Window [s] (0..10)",
        "from typing import Annotated\nfrom annotated_types import Ge, Le\nx: Annotated[tuple[int, int], Ge(0), Le(10)] = (2, 8)",
    ],
)
def test_bounds_of_a_range_are_those_of_its_ends(source: str) -> None:
    """A pair of numbers has them for both ends, wherever it is called from."""
    assert problems(source) == ""
    p = one(source)
    assert (p.minimum, p.maximum) == (0, 10)
    assert p.coerce((0, 10)) == (0, 10)
    for value, said in (((-1, 5), "(from) must be at least 0"), ((0, 11), "(to) must be at most 10")):
        with pytest.raises(ValueError, match=re.escape(said)):
            p.coerce(value)


def test_dates_can_be_the_bounds_of_a_range() -> None:
    """As those of a single date; what is no pair is told as such."""
    p = one("x = (date(2026, 1, 1), date(2026, 2, 1))  # Days (2026-01-01..2026-12-31)")
    day = datetime.date(2026, 1, 1)
    with pytest.raises(ValueError, match=r"\(to\) must be at most 2026-12-31"):
        p.coerce((day, datetime.date(2027, 1, 1)))
    for value in (day, (day,), 5):
        with pytest.raises(ValueError, match=r"must be a pair, as \(from, to\)"):
            p.coerce(value)


def test_dates_can_be_bounds() -> None:
    """A range of dates bounds a date, and a text that is a date."""
    for default in ("'2020-05-01'", "date(2020, 5, 1)"):
        p = one(f"x = {default}  # From (2020-01-01..2020-12-31)")
        assert (p.minimum, p.maximum) == (datetime.date(2020, 1, 1), datetime.date(2020, 12, 31))
        p.coerce("2020-06-01")
        with pytest.raises(ValueError, match="at most 2020-12-31"):
            p.coerce("2021-06-01")
        with pytest.raises(ValueError, match="must be a date"):
            p.coerce("soon")


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ("x = [  # opening\n  1,  # inner\n]  # closing", "closing"),
        ("x = [  # opening\n  # alone\n  1,  # inner\n]", "opening"),
        ("x = [\n  1,  # inner\n  # alone\n]", "x"),
        ("x = '''a # no\n# nor this'''  # Text", "Text"),
        ("x = 'a # no'  # Text", "Text"),
        ("x = 1;  # Text", "Text"),
        ("y = 1; x = 2  # Text", "Text"),
        ("x = 1; y = 2  # Text", "x"),
        ("x = 1; print(x)  # Text", "x"),
        ("x = \\\n  1  # Text", "Text"),
        ("x = (1 +  # one\n     2)  # two", "two"),
    ],
)
def test_the_label_of_a_long_statement_is_at_its_end_or_its_first_line(source: str, label: str) -> None:
    """Comments inside a literal are its own; of several statements on a line, the last is commented."""
    assert read(source).parameters["x"].label == label


def test_the_label_without_a_comment_is_the_name() -> None:
    """Underscores as spaces, and never empty."""
    assert one("learning_rate = 1").label == "learning rate"
    assert one("lambda_ = 1").label == "lambda"


@pytest.mark.parametrize("source", ["a = b = 1  # Both [m] (0..5)", "a, b = 1, 2  # Both [m] (0..5)"])
def test_the_comment_of_several_names_is_help_for_each(source: str) -> None:
    """One label for several fields would tell nobody which is which; unit and bounds hold for all."""
    for name, p in read(source).parameters.items():
        assert (p.label, p.help, p.unit, p.minimum, p.maximum) == (name, "Both", "m", 0, 5)


def test_a_comment_above_one_parameter_is_its_help() -> None:
    """Several lines are joined; a blank line, another comment or statement ends what belongs together."""
    found = read(
        "# How many\n# of them.\na = 1  # Count\n\n# Not this\n\nb = 2\n# Last one.\nc = 3"
    ).parameters
    assert [p.help for p in found.values()] == ["How many\nof them.", "", "Last one."]
    assert [p.section for p in found.values()] == ["", "", ""]


def test_a_comment_above_several_parameters_is_their_section() -> None:
    """The section ends with the run: at a blank line, a comment or another statement."""
    found = read("# Size\na = 1\nb = 2  # B\n\nc = 3\n# Mass\nd = 4; e = 5\nprint(d)\nf = 6").parameters
    assert {name: p.section for name, p in found.items()} == {
        "a": "Size",
        "b": "Size",
        "c": "",
        "d": "Mass",
        "e": "Mass",
        "f": "",
    }
    assert not any(p.help for p in found.values())


@pytest.mark.parametrize(
    "heading",
    [
        "# ## Geometry",
        "# # Geometry",
        "# #### Geometry",
        "#@markdown ### Geometry",
        "# @markdown ## Geometry",
        "# --- Geometry ---",
        "# ==== Geometry ====",
        "#--- Geometry ---#",
        "##### Geometry #####",
    ],
)
def test_a_heading_begins_a_section_that_lasts_to_the_next(heading: str) -> None:
    """Blank lines do not end it, a new cell does; under it, a comment above is help for the one below."""
    found = read(f"a = 1\n{heading}\n# Help.\nb = 2\nc = 3\n\nd = 4\n# ## Next\n\ne = 5", "f = 6").parameters
    assert [p.section for p in found.values()] == ["", "Geometry", "Geometry", "Geometry", "Next", ""]
    assert found["b"].help == "Help."
    assert found["c"].help == ""


@pytest.mark.parametrize(
    "comment",
    [
        "# x = 5",
        "# x: int = 5",
        "# x['a'] = [1]",
        "# import os",
        "# plt.show()",
        "# noqa",
        "# fmt: off",
        "# %%",
        "# -------",
        "# pylint: disable=all",
        "# type: ignore",
        "# !pip install x",
        "# %matplotlib inline",
    ],
)
def test_code_that_was_taken_out_and_notes_to_tools_are_no_help(comment: str) -> None:
    """What is above a parameter helps only if it is written for people."""
    assert one(f"{comment}\nx = 1").help == ""


@pytest.mark.parametrize(
    "comment", ["# mode = fast", "# Terms (count)", "# a.b = c (not code", "# Is x = 5 enough?", "# a == b"]
)
def test_words_that_look_like_code_are_help_all_the_same(comment: str) -> None:
    """Only what is valid Python and does something counts as code."""
    assert one(f"{comment}\nx = 1").help == comment.removeprefix("# ")


def test_comments_inside_a_block_are_not_those_of_the_next_parameter() -> None:
    """An indented comment belongs to the block above."""
    assert one("if x:\n    pass\n    # inner\nn = 1").help == ""


# --- types -----------------------------------------------------------------------------------------

IMPORTS = """\
import datetime, typing
import datetime as dt
import typing as t
from annotated_types import Ge, Le, Len, Interval, MultipleOf, Unit
from pydantic import Field, conint, PositiveInt
from typing import *
import collections.abc, os, pydantic
import typing_extensions as te
import pandas as pd
from colors import Paint
"""

ANNOTATIONS: list[tuple[str, Any]] = [
    ("int", int),
    ("list[dict[str, int]]", list[dict[str, int]]),
    ("tuple[int, ...]", tuple[int, ...]),
    ("Optional[int]", int | None),
    ("t.Optional[int]", int | None),
    ("typing.Union[int, str]", int | str),
    ("int | None", int | None),
    ("Literal['a', -1, None]", Literal["a", -1, None]),
    ("dt.date", datetime.date),
    ("datetime.datetime", datetime.datetime),
    ("'int'", int),
    ("\"list['int | None']\"", list[int | None]),
    ("Annotated[int, Ge(1), Le(90)]", Annotated[int, Ge(1), Le(90)]),
    ("Annotated[Optional[int], Ge(1)]", Annotated[int, Ge(1)] | None),
    ("PositiveInt | None", Annotated[int, Gt(0)] | None),
    ("conint(ge=1, le=90)", Annotated[int, Ge(1), Le(90)]),
    ("Path", pathlib.Path),
    ("UUID", uuid.UUID),
    ("Decimal", decimal.Decimal),
    ("Final[int]", int),
    ("Final", Any),
    ("te.Literal['a']", Literal["a"]),
    ("pydantic.fields.PositiveInt", Annotated[int, Gt(0)]),
    ("conlist(int, min_length=1)", Annotated[list[int], MinLen(1)]),
    ("condecimal(ge=1)", Annotated[decimal.Decimal, Ge(1)]),
    ("pydantic.StrictInt", pydantic.StrictInt),
    ("Any", Any),
    ("object", object),
    ("None", type(None)),
    ("List[int]", typing.List[int]),  # noqa: UP006  (that is what is read)
    ("Callable[[int], str]", typing.Callable[[int], str]),
    ("collections.abc.Sequence[int]", collections.abc.Sequence[int]),
]


@pytest.mark.parametrize(("text", "meant"), ANNOTATIONS, ids=[text for text, _ in ANNOTATIONS])
def test_annotations_are_read_without_running_the_notebook(text: str, meant: Any) -> None:
    """Builtins, typing, the standard library, annotated_types, pydantic; dotted, quoted and nested."""
    p = one(f"x: {text} = f()", IMPORTS)
    assert p.type == meant
    assert p.declared
    assert p.annotation == text.strip('"' if text.startswith('"') else "'" if text == "'int'" else "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pd.DataFrame", "comes from pandas"),
        ("list[pd.DataFrame]", "comes from pandas"),
        ("Paint", "comes from colors"),
        ("MyType", "known only when the notebook runs"),
        ("'not a type!'", "is not a type"),
        ("Iterable[int]", "using the value up"),
        ("f()", "known only when the notebook runs"),
        ("int[3]", "is not a type"),
        ("datetime.nothing", "is not a type"),
        ("datetime.datetime.now", "known only when the notebook runs"),
        ("os.getcwd", "not a type"),
        ("os.system('false')", "not a type"),
        ("x[0] if y else z", "not a type"),
        ("{'a': 1}", "not a type"),
        ("3", "not a type"),
        ("Mine", "class of the notebook"),
        ("Size.BIG", "is a member, not a type"),
        ("te.nothing", "not a type"),
        ("conint(**limits)", "given by **"),
        ("condate()", "known only when the notebook runs"),
        ("pydantic.condate()", "without running the notebook"),
        ("pydantic.EmailStr", "pydantic cannot check it here"),
        ("Union[()]", "no types"),
        ("Loop", "refers to itself"),
    ],
)
def test_an_annotation_that_would_need_the_notebook_to_run_is_shown_and_not_enforced(
    text: str, reason: str
) -> None:
    """Type Any, not declared, the text kept, the reason told; no type is dropped silently."""
    defined = "\nclass Mine:\n    pass\nLoop = list['Loop']\nclass Size(Enum):\n    BIG = 1"
    p = one(f"x: {text} = 1", IMPORTS + defined)
    assert (p.type, p.declared, p.annotation) == (Any, False, text.strip("'") if "!" in text else text)
    assert p.reason is not None
    assert reason in p.reason
    assert p.coerce(obj := object()) is obj


def test_reading_executes_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No module of the notebook is imported and no call is made, wherever it stands."""
    (tmp_path / "spy_module.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    found = read(
        "a: spy_module.T = spy_module.x\nb: T = T(1)\nc: exit() = exit()\nd: Annotated[int, exit()] = 1",
        untagged=("import spy_module\nfrom spy_module import *\nfrom spy_module import T",),
    )
    assert list(found.parameters) == ["a", "b", "c", "d"]
    assert "spy_module" not in sys.modules


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("Annotated[int, Ge(1), Le(90)]", {"minimum": 1, "maximum": 90}),
        ("Annotated[int, Gt(0), Lt(10)]", {"minimum": 1, "maximum": 9}),
        ("Annotated[float, Interval(ge=0, le=1)]", {"minimum": 0, "maximum": 1}),
        ("Annotated[int, Ge(1), MultipleOf(5)] | None", {"minimum": 1, "step": 5}),
        ("Annotated[date, Ge(date(2020, 1, 1))]", {"minimum": datetime.date(2020, 1, 1)}),
        ("Annotated[int, Field(ge=-1, lt=9, multiple_of=2)]", {"minimum": -1, "maximum": 8, "step": 2}),
        ("Annotated[int, Field(title='T', description='D')]", {"label": "T", "help": "D"}),
        ("Annotated[float, 'learning rate', Unit('1/s')]", {"help": "learning rate", "unit": "1/s"}),
        ("Annotated[float, typing_extensions.Doc('learning rate')]", {"help": "learning rate"}),
        ("Annotated[str, Field(examples=['a'])]", {"options": {"examples": ["a"]}}),
        ("Literal['a', 'b']", {"choices": ("a", "b")}),
        ("Optional[Literal['a', 'b']]", {"choices": ("a", "b")}),
        ("conint(ge=1)", {"minimum": 1}),
        ("NonNegativeFloat", {"minimum": 0}),
        ("list[Annotated[int, Ge(1)]]", {"minimum": None}),
        ("bool", {"choices": None}),
    ],
)
def test_bounds_choices_and_words_come_from_the_annotation(annotation: str, expected: dict[str, Any]) -> None:
    """annotated_types, pydantic.Field and Literal say what a form needs, also inside Optional."""
    p = one(f"x: {annotation}")
    assert {name: getattr(p, name) for name in expected} == expected


def test_comments_say_label_help_and_unit_before_the_annotation_does() -> None:
    """The annotation's words count where no comment gives them; its bounds count before the comment's."""
    p = one("# From above.\nx: Annotated[int, Field(title='T', description='D', ge=1)] = 5  # Label (0..9)")
    assert (p.label, p.help, p.minimum, p.maximum) == ("Label", "From above.", 1, 9)


def test_metadata_that_is_not_read_is_told() -> None:
    """What is in Annotated and not enforced is a problem, and the type remains."""
    source = "x: Annotated[int, MyRule(3), Predicate(lambda v: v)] = 1"
    assert read(source).parameters["x"].type is int
    assert "`MyRule(3)` in Annotated is not read" in problems(source)


def test_constraints_that_only_pydantic_knows_are_enforced() -> None:
    """Field(pattern=...) is kept for pydantic."""
    p = one("x: Annotated[str, Field(pattern='a+')] = 'a'")
    assert p.coerce("aaa") == "aaa"
    with pytest.raises(ValueError, match=r"must be text that matches a\+, not 'b'"):
        p.coerce("b")


@pytest.mark.parametrize(
    ("definition", "text", "meant"),
    [
        ("Rate = Annotated[float, Ge(0)]", "Rate", Annotated[float, Ge(0)]),
        ("Rate: TypeAlias = 'float | None'", "Rate", float | None),
        ("UserId = NewType('UserId', int)", "list[UserId]", list[int]),
        ("Rate = Base\nBase = float", "Rate", float),
        ("if TYPE_CHECKING:\n    from datetime import date as Day", "Day", datetime.date),
        (
            "try:\n    from typing import Optional as Maybe\nexcept ImportError:\n    pass",
            "Maybe[int]",
            int | None,
        ),
        # a statement of Python 3.12 and later
        *([("type Rate = float | None", "Rate", float | None)] if sys.version_info >= (3, 12) else []),
    ],
)
def test_aliases_of_the_notebook_are_resolved(definition: str, text: str, meant: Any) -> None:
    """Type aliases, NewType, and imports under `if` and `try`."""
    assert one(f"x: {text} = None", definition).type in (meant, meant | None)


def test_a_name_of_the_notebook_goes_over_a_well_known_one() -> None:
    """`date` is datetime's only where the notebook does not mean something else by it."""
    assert one("x: date").declared
    assert not one("x: date", "def date(): ...").declared
    assert not one("x: date", "from mine import date").declared


@pytest.mark.parametrize(
    ("comment", "meant", "label"),
    [
        ("# type: float  learning rate", float, "learning rate"),
        ("# type: float", float, "x"),
        ("# type: float # learning rate", float, "learning rate"),
        ("#type:float", float, "x"),
        ("# type: Optional[int] how many", int | None, "how many"),
        ("# type: Dict[str, int] weights", typing.Dict[str, int], "weights"),  # noqa: UP006
        ("# type: int | None  how many [m] (0..5)", int | None, "how many"),
        ("# type: list[ int ]", list[int], "x"),
    ],
)
def test_papermills_type_comment(comment: str, meant: Any, label: str) -> None:
    """`# type: float  text`: the type is declared; the text is label, and help as in papermill."""
    p = read(f"x = f()  {comment}").parameters["x"]
    assert (p.type, p.declared, p.label) == (meant, True, label)
    assert p.help == (label if label != "x" else "")


def test_precedence_of_types() -> None:
    """`#@param` goes over the annotation, that over `# type:`, that over the value's type."""
    assert one("x = 1").type is int
    assert one("x = 1  # type: float").type is float
    assert one("x: int = 1  # type: float").type is int
    both = read("x: str = 'a'  #@param {type:'integer'}")
    assert both.parameters["x"].type is int
    assert "goes over the annotation `str`" in str(both.problems[0])


@pytest.mark.parametrize(
    ("source", "meant", "bounds"),
    [
        ("x: int = 5 #@param {type:'number'}", int, (None, None)),
        ("x: Path = 'a' #@param {type:'string'}", pathlib.Path, (None, None)),
        ("x: list[int] = [5] #@param {type:'raw'}", list[int], (None, None)),
        ("x: Annotated[int, Ge(1), Le(5)] = 5 #@param {type:'slider', min:0, max:10}", int, (0, 10)),
        (
            "x: Annotated[int, Ge(1), Le(5)] = 5 #@param {type:'integer'}",
            Annotated[int, Ge(1), Le(5)],
            (1, 5),
        ),
        ("x: Optional[int] = 5 #@param {type:'integer'}", int | None, (None, None)),
        ("x: int | float = 5 #@param {type:'slider', min:0, max:9}", int | float, (0, 9)),
        ("x: list = [] #@param {type:'string'}", str, (None, None)),
        ("x: Literal['a'] = 'a' #@param ['a', 'b']", str, (None, None)),
        ("x: Literal['a', 'b'] = 'a' #@param ['a', 'b']", Literal["a", "b"], (None, None)),
    ],
)
def test_an_annotation_that_agrees_with_colab_is_the_finer_of_the_two(
    source: str, meant: Any, bounds: Any
) -> None:
    """Colab's types are coarse: where an annotation fits in, it stays; Colab's bounds replace its own."""
    p = read(source).parameters["x"]
    assert p.type == meant
    assert (p.minimum, p.maximum) == bounds
    if bounds == (0, 10):
        assert p.coerce(10) == 10


# --- Enum classes of the notebook ------------------------------------------------------------------

COLOR = "from enum import Enum, auto\nclass Color(Enum):\n    'doc'\n    RED = 'red'\n    BLUE = 'blue'\n"


@pytest.mark.parametrize(
    "source", ["x: Color = Color.RED", "x = Color.RED", "x: 'Optional[Color]' = Color.RED"]
)
def test_an_enum_of_the_notebook_gives_choices(source: str) -> None:
    """A static class stands for it; the default is its member."""
    p = one(source, COLOR)
    assert p.has_enum
    assert [c.value for c in p.choices or ()] == ["red", "blue"]
    assert p.default is (p.choices or ())[0]


@pytest.mark.parametrize(
    ("definition", "values"),
    [
        ("class E(Enum):\n    A = auto()\n    B = auto()", [1, 2]),
        ("class E(enum.IntEnum):\n    A = 3\n    B = -4", [3, -4]),
        ("class E(StrEnum):\n    A = auto()", ["a"]),
        ("class E(str, Enum):\n    A = 'x'\n    def shout(self): return self.upper()", ["x"]),
        ("@unique\nclass E(Enum):\n    A = 60 * 60\n    B = (1, 2)", [3600, (1, 2)]),
        ("class E(Enum):\n    A = 1\n    ALSO = A", [1]),
        ("E = Enum('E', 'A B')", [1, 2]),
        ("E = Enum('E', ['A', 'B'])", [1, 2]),
        ("E = Enum('E', {'A': 5})", [5]),
        ("E = Enum('E', [('A', 5)])", [5]),
    ],
)
def test_all_usual_enum_definitions_are_read(definition: str, values: list[Any]) -> None:
    """Classes, mixins, auto() and the call of Enum."""
    p = one("x: E", "import enum\n" + definition)
    assert [c.value for c in p.choices or ()] == values


@pytest.mark.parametrize(
    "definition",
    [
        "class E(Enum):\n    A = f()",
        "class E(Enum):\n    def __new__(cls, v): return 1\n    A = 1",
        "class E(Enum, metaclass=M):\n    A = 1",
        "class E(Base):\n    A = 1",
        "class E(Enum):\n    mro = 1",
        "E = Enum('E', names)",
        "E = Enum('E', 'A B', start=5)",
    ],
)
def test_an_enum_that_is_only_known_at_run_time_is_not_enforced(definition: str) -> None:
    """Whatever its members depend on, reading says why and goes on."""
    p = one("x: E = 1", definition)
    assert (p.declared, p.type, p.annotation) == (False, Any, "E")


def test_a_flag_takes_combinations_and_so_has_no_choices() -> None:
    """The members of a Flag do not exclude each other."""
    p = one("x: Mode", "class Mode(Flag):\n    R = auto()\n    W = auto()")
    assert p.choices is None
    assert p.coerce(3).value == 3


def test_values_of_an_enum_survive_a_pickle() -> None:
    """A coerced member crosses processes, though its class is in no module."""
    p = one("x: Color", COLOR)
    there = pickle.loads(pickle.dumps(p.coerce("red")))
    assert isinstance(there, Enum)
    assert p.coerce(there) is p.coerce("RED")
    assert pickle.loads(pickle.dumps(p)).coerce("blue").name == "BLUE"


# --- Colab -----------------------------------------------------------------------------------------

COLAB = """\
#@title Example form { run: "auto", display-mode: "form" }
#@markdown Forms support many types of fields.

no_type_checking = ''  #@param
string_type = 'example'  #@param {type: "string"}
slider_value = 142  #@param {type: "slider", min: 100, max: 200}
number = 102  #@param {type: "number"}
date = '2010-11-05'  #@param {type: "date"}
pick_me = "monday"  #@param ['monday', 'tuesday']
select_or_input = "apples" #@param ["apples", "bananas"] {allow-input: true}
#@markdown ---
#@markdown ### Advanced
#@markdown What it does.
boolean = True  #@param {type: "boolean"}
raw = None  #@param {type: "raw"}
not_a_field = 5
_hidden = 3
"""


def test_a_colab_notebook_works_unchanged() -> None:
    """Without tags, the lines marked `#@param` are the parameters, and they alone."""
    found = read_parameters([ParameterCell(0, "import os\nn = 1"), ParameterCell(1, COLAB)])
    ps = found.parameters
    assert found.problems == []
    assert list(ps) == (
        [
            "no_type_checking",
            "string_type",
            "slider_value",
            "number",
            "date",
            "pick_me",
            "select_or_input",
            "boolean",
            "raw",
        ]
    )
    assert (found.title, found.title_options) == ("Example form", {"run": "auto", "display-mode": "form"})
    assert found.description == "Forms support many types of fields."
    assert (ps["slider_value"].type, ps["slider_value"].minimum, ps["slider_value"].maximum) == (
        int,
        100,
        200,
    )
    assert (ps["pick_me"].choices, ps["pick_me"].free_choice) == (("monday", "tuesday"), False)
    assert ps["select_or_input"].free_choice
    assert (ps["boolean"].section, ps["boolean"].help) == ("Advanced", "What it does.")
    assert (ps["raw"].type, ps["raw"].declared, ps["raw"].options) == (Any, False, {"widget": "raw"})
    assert ps["pick_me"].sites == {(1, 9, 0)}


def test_with_a_tagged_cell_colabs_marks_elsewhere_are_no_parameters() -> None:
    """The tag says which cells count."""
    found = read_parameters([ParameterCell(0, "a = 1 #@param"), ParameterCell(1, "b = 2", True)])
    assert list(found.parameters) == ["b"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 5 #@param {type:'slider', min:0, max:10, step:1}", {"type": int, "step": 1, "declared": True}),
        ("x = 5 #@param {type:'slider', min:0, max:10, step:0.5}", {"type": float, "default": 5}),
        ("x = 5 #@param {type:'slider'}", {"minimum": None, "maximum": None}),
        ("x = 5 #@param {type:'integer'}", {"type": int, "annotation": "int"}),
        ("x = 5 #@param {type:'number'}", {"type": int | float}),
        ("x = 5. #@param {type:'number'}", {"type": float}),
        ("x = None #@param {type:'integer'}", {"type": int | None}),
        ("x = f() #@param {type:'integer'}", {"type": int, "expression": "f()"}),
        (
            "x = '' #@param {type:'string', placeholder:'a name'}",
            {"options": {"placeholder": "a name", "widget": "string"}},
        ),
        (
            "x = '' #@param {isTemplate: true}",
            {"options": {"isTemplate": True}, "type": str, "declared": False},
        ),
        ("x = 1 #@param [1, 2]", {"choices": (1, 2), "type": int}),
        ("x = 1 #@param [1, 2.5,]", {"choices": (1, 2.5), "type": int | float}),
        ("x = 1 #@param ['1', '2'] {type:'raw'}", {"choices": (1, 2), "free_choice": False}),
        ("x = 1 #@param ['1', '2'] {type:'integer'}", {"choices": (1, 2), "type": int}),
        ("x = '3' #@param [1, 2, 3] {type:'string'}", {"choices": ("1", "2", "3"), "type": str}),
        ("x = '1.5' #@param [1.5, null] {type:'string'}", {"choices": ("1.5", None), "type": str}),
        ("x = f() #@param [1, 2] {type:'string'}", {"choices": ("1", "2"), "type": str}),
        ("x = 3 #@param [1, 2, 3] {type:'string'}", {"choices": (1, 2, 3), "type": int}),
        ("x = 'a' # @param ['a', 'b']", {"choices": ("a", "b"), "type": str}),
        ("x = 'a' #@param ['a', null, True]", {"choices": ("a", None, True), "type": Any}),
        ("# @param {type:'integer'}\nx = 5", {"type": int, "help": ""}),
        ("# Help.\n#@param {type:'integer'}\nx = 5", {"type": int, "help": "Help."}),
        ("x = 5 # Width [mm] #@param {type:'integer'}", {"type": int, "label": "Width", "unit": "mm"}),
        ("x = 5 #@param {type:'integer'} Width [mm]", {"type": int, "label": "Width", "unit": "mm"}),
        ("x = 5 #@param", {"type": int, "declared": False}),
        ("x = date(2020, 1, 1) #@param {type:'date'}", {"type": datetime.date}),
        ("x = [ #@param {type:'raw'}\n1]", {"type": Any, "default": [1]}),
    ],
)
def test_colabs_fields(source: str, expected: dict[str, Any]) -> None:
    """Every type of field, with the types of the values that Colab itself would write."""
    p = one(source)
    assert {name: getattr(p, name) for name in expected} == expected


def test_colabs_number_keeps_whole_numbers_whole() -> None:
    """What is typed as 12 stays an int, as it does in Colab, so that range(n) works."""
    p = one("n = 10 #@param {type:'number'}")
    assert [type(p.coerce(v)) for v in (12, 2.5, "12", "2.5")] == [int, float, int, float]


def test_colabs_date_is_text() -> None:
    """The notebook's code expects the text that Colab's field writes; a date is taken too."""
    p = one("since = '2020-01-01' #@param {type:'date'}")
    assert p.coerce(datetime.date(2021, 5, 6)) == "2021-05-06"
    assert p.coerce("2021-05-06") == "2021-05-06"
    with pytest.raises(ValueError, match="must be a date such as"):
        p.coerce("soon")


@pytest.mark.parametrize(
    ("source", "said", "expected"),
    [
        (
            "x = 5 #@param {type:'slider', color:'red'}",
            "no option 'color'",
            {"options": {"widget": "slider", "color": "red"}},
        ),
        ("x = 5 #@param {type:'color'}", "no type 'color'", {"options": {"widget": "color"}, "type": int}),
        ("x = 5 #@param {type:'slider", "not understood: a quote is not closed", {"type": int}),
        ("x = 5 #@param {type 5}", "a colon is missing", {"type": int}),
        ("x = 5 #@param ['a'", "its end is missing", {"choices": None}),
        ("x = 5 #@param []", "empty", {"choices": None}),
        ("x = 5 #@param ['a' 'b']", "a comma is missing before", {"choices": None}),
        ("x = 5 #@param {type:'slider', min:'1__0'}", "min is no number", {"minimum": None}),
        ("x = 5 #@param {type:'slider', min:'a'}", "min is no number", {"minimum": None}),
        ("x = 5 #@param {min:1e999}", "min is no number", {"minimum": None}),
        ("x = 'q' #@param ['a', 'b']", "'q' was not among the choices", {"choices": ("q", "a", "b")}),
        ("x = 1 #@param ['1', 'np.sin'] {type:'raw'}", "choices of #@param are code", {"free_choice": True}),
        ("x = 5 #@param " + "[" * 30, "nested too deep", {"choices": None}),
        (
            "x = 'a' #@param {type:'integer'}",
            "the default 'a' is not of the declared type int",
            {"type": int},
        ),
    ],
)
def test_what_colab_would_not_understand_is_told_and_kept(
    source: str, said: str, expected: dict[str, Any]
) -> None:
    """Unknown options warn and are kept; nothing fails."""
    assert said in problems(source)
    p = read(source).parameters["x"]
    assert {name: getattr(p, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "choices", "options"),
    [
        ('{"placeholder": "a"}', None, {"placeholder": "a"}),
        ("{placeholder: 'it\\'s', }", None, {"placeholder": "it's"}),
        ("{a-b_c: [1, {d: -2.5e3}], e: null}", None, {"a-b_c": [1, {"d": -2500.0}], "e": None}),
        ("{'\\u0041': \"\\n\"}", None, {"A": "\n"}),
        ('["a, b", "c]"]', ("a, b", "c]"), {}),
        ("[a, b]", ("a", "b"), {}),
        ("{placeholder: ''} ['a']", ("a",), {"placeholder": ""}),
        ("  : ['a']", ("a",), {}),
    ],
)
def test_relaxed_json(text: str, choices: Any, options: Any) -> None:
    """Single quotes, words without quotes, keys with dashes, trailing commas, escapes, nesting."""
    found = read_param(text)
    assert (found.choices, found.options) == (choices, options)


@pytest.mark.parametrize(
    ("text", "title", "options"),
    [
        ("Fibonacci", "Fibonacci", {}),
        ("Set {1, 2} of things", "Set {1, 2} of things", {}),
        ("The {x} form { vertical-output: true }", "The {x} form", {"vertical-output": True}),
        ("{run: 'auto'}", "", {"run": "auto"}),
    ],
)
def test_titles(text: str, title: str, options: dict[str, Any]) -> None:
    """The options are the last braces of the line, if they are options."""
    found = read_title(text)
    assert (found.text, found.options) == (title, options)


def test_the_title_of_a_later_cell_is_a_section() -> None:
    """In Colab each cell is a form of its own; here the first gives the title."""
    found = read("#@title First\na = 1", "#@title Second\n#@markdown Text.\nb = 2")
    assert found.title == "First"
    assert (found.parameters["b"].section, found.parameters["b"].help) == ("Second", "Text.")


# --- real notebooks --------------------------------------------------------------------------------


def test_the_example_of_the_design() -> None:
    """All styles at once."""
    found = read("""\
        #@title Fibonacci { run: "auto" }
        # ## Geometry
        # How many terms to compute.
        n: Annotated[int, Ge(1), Le(90)] = 15  # Terms [count]
        size = 4.2  # Width [mm] (0..10 step 0.1)
        mode: Literal["a", "b"] = "a"
        rate = 1.5  # type: float  learning rate
        kind = "x"  #@param ["x", "y"] {allow-input: true}
        since: date
        """)
    n, size, mode, rate, kind, since = found.parameters.values()
    assert found.problems == []
    assert (found.title, found.title_options) == ("Fibonacci", {"run": "auto"})
    assert {p.section for p in found.parameters.values()} == {"Geometry"}
    assert (n.label, n.unit, n.help, n.minimum, n.maximum) == (
        "Terms",
        "count",
        "How many terms to compute.",
        1,
        90,
    )
    assert (size.label, size.unit, size.minimum, size.maximum, size.step) == ("Width", "mm", 0, 10, 0.1)
    assert (mode.choices, mode.label, mode.help) == (("a", "b"), "mode", "")
    assert (rate.type, rate.declared, rate.label) == (float, True, "learning rate")
    assert (kind.choices, kind.free_choice, kind.default) == (("x", "y"), True, "x")
    assert (since.type, since.required) == (datetime.date, True)


def test_a_scientific_notebook() -> None:
    """Imports, a function, a magic, derived values and rulers in one parameters cell."""
    found = read("""\
        get_ipython().run_line_magic('matplotlib', 'inline')
        import numpy as np
        from pathlib import Path

        # ------------------------------------------------
        # Input
        # ------------------------------------------------
        data_dir = Path("data")          # folder with the runs
        pattern = "run_*#1.csv"          # which files, e.g. "a=1"
        seed = 42

        # ---- Model ----
        alpha, beta = 0.5, 1e-3          # priors (0..1)
        grid = np.linspace(0, 1, 50)     # grid points
        weights = {                      # per class
            "a": 1.0,  # common
            "b": 2.0,
        }
        # old = 3
        n_steps = 10 * 60                # steps [s]

        def helper(x):
            y = x  # not a parameter
            return y
        """)
    ps = found.parameters
    assert list(ps) == ["data_dir", "pattern", "seed", "alpha", "beta", "grid", "weights", "n_steps"]
    assert [p.section for p in ps.values()] == ["Input"] * 3 + ["Model"] * 5
    assert (ps["data_dir"].type, ps["data_dir"].label) == (pathlib.Path, "folder with the runs")
    assert ps["pattern"].label == 'which files, e.g. "a=1"'
    assert (ps["alpha"].help, ps["alpha"].maximum, ps["beta"].default) == ("priors", 1, 1e-3)
    assert ps["grid"].expression == "np.linspace(0, 1, 50)"
    assert ps["weights"].label == "per class"
    assert (ps["n_steps"].default, ps["n_steps"].unit, ps["n_steps"].help) == (600, "s", "")


# --- nothing fails ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a = 1\nb = (\nc = 3  # C", ["a", "c"]),
        ("a = 1\nif x:\n    b = 2\nelse:\n    d = 4\n%foo\nc = [1,\n 2]  # C", ["a", "c"]),
        ("a = 1\n? what\nc = '''\n# no\n'''  # C", ["a", "c"]),
        ("def f(:\n  a = 1\nc = 3  # C", ["c"]),
        ("a = 1\nb = " + "9" * 5000 + "\nc = 3  # C", ["a", "c"]),
        ("a = 1\nb = '\ud800'\nc = 3  # C", ["a", "c"]),
        ("a = 1\nb = 2\x00\nc = 3  # C", ["a", "c"]),
        ("a = 1\nb = " + "(" * 500 + ")" * 500 + "\nc = 3  # C", ["a", "c"]),
        ("a = 1\n  b = 2\nc = 3  # C", ["a", "c"]),
    ],
)
def test_a_cell_that_is_not_python_is_read_as_far_as_it_goes(source: str, names: list[str]) -> None:
    """Each statement that is valid on its own counts, with its own lines and comments."""
    found = read_parameters([ParameterCell(0, source, True)])
    assert list(found.parameters) == names
    assert found.parameters["c"].label == "C"
    line = next(at for at, text in enumerate(source.split("\n"), 1) if text.startswith("c = "))
    assert found.parameters["c"].sites == {(0, line, 0)}
    assert "not valid Python" in str(found.problems[0])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n", "\x0c"])
def test_line_ends_marks_and_form_feeds(start: str, end: str) -> None:
    """The files of all systems read alike."""
    found = read_parameters(
        [ParameterCell(0, start + end.join(["a = 1  # A", "", "# Help.", "b = '''x", "y'''"]), True)]
    )
    assert found.problems == []
    a, b = found.parameters.values()
    assert (a.label, b.help, b.default) == ("A", "Help.", "x\ny")


def test_the_compilers_warnings_do_not_reach_the_user() -> None:
    """An invalid escape in the notebook is the notebook's business, also where warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert one("x = '\\d'  # Label").label == "Label"


@pytest.mark.parametrize(
    "source",
    [
        "x = 1 + " * 3000 + "1",
        "x = " + "-" * 3000 + "1",
        "x: " + "list[" * 150 + "int" + "]" * 150,
        "x: '" + "(" * 300 + "int" + ")" * 300 + "' = 1",
        "x = " + "[" * 90 + "]" * 90,
        "x = 1  # type: " + "[" * 5000,
        "x = 1  # " + " " * 50_000 + "y",
        "x = 1  # " + "-" * 50_000 + "y" + "-" * 50_000,
        "x = 1  # " + "(1.." * 10_000,
        "x = 1  #@param " + "{a:" * 10_000,
        "#@title " + "{a:1" * 10_000 + "\nx = 1",
        "\n" * 50_000 + "x: Foo = 1",
    ],
)
def test_hostile_sources_are_read_in_no_time(source: str) -> None:
    """Neither depth nor length makes reading fail or hang."""
    read_parameters([ParameterCell(0, source, True), ParameterCell(1, source)])


@pytest.mark.parametrize("count", [500])
def test_cells_without_the_tag_are_not_parsed_unless_they_can_matter(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many cells, those are parsed that may bind a name that an annotation needs."""
    from restified_magics.signature import layout

    parsed: list[str] = []
    real = layout.parse
    monkeypatch.setattr(layout, "parse", lambda text: parsed.append(text) or real(text))
    cells = [ParameterCell(at, f"y = {at}\nprint(y)") for at in range(count)]
    cells += [
        ParameterCell(count, "from datetime import date as Day"),
        ParameterCell(count + 1, "x: Day", True),
    ]
    assert read_parameters(cells).parameters["x"].type is datetime.date
    assert len(parsed) == 2


WORDS = st.sampled_from(
    [
        *(
            "x",
            "y",
            "n",
            "=",
            ":",
            "int",
            "1",
            "-2.5",
            "'a'",
            '"""',
            "(",
            ")",
            "[",
            "]",
            "{",
            "}",
            ",",
            "#",
            "\n",
        ),
        *(
            "\n\n",
            " ",
            "    ",
            ";",
            "\\",
            "..",
            "step",
            "#@param",
            "#@title",
            "#@markdown",
            "# ##",
            "# type:",
        ),
        *(
            "Literal",
            "Annotated",
            "Optional",
            "Enum",
            "class C(Enum):",
            "A = 1",
            "import",
            "from",
            "date",
            "Field",
        ),
        *(
            "|",
            "*",
            "**",
            "f'",
            "\r",
            "\t",
            "\x0c",
            "\ufeff",
            "\x00",
            "\ud800",
            "é",
            "ﬁ",
            "lambda",
            "await",
            "def f():",
        ),
        *(
            "type:",
            "slider",
            "min",
            "allow-input",
            "true",
            "None",
            "Color.RED",
            "auto()",
            "9" * 20,
            "1e999",
            "%%",
            "!ls",
        ),
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(WORDS, st.text(max_size=8)), max_size=40).map("".join), st.booleans())
@example("x: '\\' = 1", True)
@example("x = 1 # type: \ud800", True)
@example("x = 1 #@param {type:\ud800}", False)
@example("x: Literal[[]] = 1", True)
@example("x: Annotated[int] = 1", True)
@example("x: Annotated[()] = 1", True)
@example("x: Optional[int, str] = 1", True)
@example("x: Annotated[int, Ge()] = 1", True)
@example("x: Annotated[int, Interval(ge='a')] = 1", True)
@example("x: Annotated[int, Ge('a'), Le(3)] = 1  # (1..2)", True)
@example("class C(Enum):\n    A = []\n    A = 1\nx: C = 1", True)
@example("x = 1 # (9999-99-99..2)", True)
@example("x: conlist(int, min_length='a') = 1", True)
@example("x: Field(1) = 1", True)
@example("x: Annotated[int, Field(pattern=1)] = 1", True)
@example("x: tuple[()] = ()", True)
@example("x: Union[()] = ()", True)
@example("x = date(2020, 13, 1)", True)
@example("x: Literal[1, [2]] | Color = 1", True)
def test_no_text_makes_reading_fail(source: str, tagged: bool) -> None:
    """Whatever is in a cell, what can be read of it comes back, and every Parameter is complete."""
    found = read_parameters(
        [ParameterCell(0, source, tagged), ParameterCell(1, source + "\nz = 1 #@param", tagged)]
    )
    for name, parameter in found.parameters.items():
        assert name == parameter.name
        assert parameter.label
        assert str(parameter)
        assert parameter.sites
        assert parameter.required or parameter.expression is not None or parameter.default is not MISSING
        assert parameter.expression is None or parameter.reason
    assert all(str(problem) for problem in found.problems)


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(),
            st.binary(),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.text(max_size=3), inner, max_size=3),
            st.tuples(inner, inner),
        ),
        max_leaves=8,
    )
)
def test_every_literal_is_read_as_python_reads_it(value: Any) -> None:
    """The default is what the assignment would give, for any literal."""
    assert one(f"x = {value!r}  # Label").default == value


# --- the readers on their own ----------------------------------------------------------------------


def test_a_reader_of_annotations_says_why_it_cannot_read() -> None:
    """UnreadableError carries the reason, for the one who wrote the annotation."""
    reader = AnnotationReader([ast.parse("import pandas as pd")])
    with pytest.raises(
        UnreadableError, match=r"`pd\.Series` comes from pandas, which reading does not import"
    ):
        reader.read(ast.parse("pd.Series", mode="eval").body)
    with pytest.raises(UnreadableError, match="it calls `open`"):
        reader.literal(ast.parse("open('x')", mode="eval").body)


def test_depth_beyond_pythons_recursion_is_unreadable() -> None:
    """A tree that is too deep to walk is a reason like any other."""
    node: ast.expr = ast.Constant(1)
    for _ in range(sys.getrecursionlimit()):
        node = ast.UnaryOp(ast.USub(), node)
    with pytest.raises(UnreadableError, match="nested too deep"):
        AnnotationReader().literal(node)
    node = ast.Name("int")
    for _ in range(sys.getrecursionlimit()):
        node = ast.Subscript(ast.Name("list"), node)
    with pytest.raises(UnreadableError, match="nested too deep"):
        AnnotationReader().read(node)


def test_bounds_can_be_taken_off_a_type() -> None:
    """Other metadata stays."""
    bounded = Annotated[int, Ge(1), "words"] | None
    assert without_bounds(bounded) == Annotated[int, "words"] | None
    assert facts(without_bounds(bounded)).minimum is None
