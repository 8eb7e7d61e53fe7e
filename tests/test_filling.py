"""The way back: the values of a call, written at the assignments of its parameters."""

from __future__ import annotations

import ast
import datetime
import decimal
import math
import pathlib
import subprocess
import sys
import uuid

import numpy as np
import pandas as pd
import pytest
from conftest import cell, node, parameters, returns

from restified_magics import PythonModel
from restified_magics.core.filling import written
from restified_magics.core.spelling import spelled_out
from restified_magics.signature.languages import language_of

MOMENT = datetime.datetime(2026, 2, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


def filled(source, **params):
    """The parameters cell of the executed copy."""
    return PythonModel(node(parameters(source), returns("1"))).run(params).notebook.cells[0].source


@pytest.mark.parametrize(
    ("source", "params", "expected"),
    [
        ("n = 15  # Terms", {"n": 20}, "n = 20  # Terms"),
        ("n: int = 15", {"n": 20}, "n: int = 20"),
        ("n: int", {"n": 20}, "n: int = 20"),
        ("n: int  # How many", {"n": 20}, "n: int = 20  # How many"),
        ("a = b = 1", {"a": 2}, "a = b = 1; a = 2"),
        ("a, b = 1, 2", {"a": 3, "b": 4}, "a, b = 3, 4"),
        ("a, b = 1, 2", {"b": 4}, "a, b = 1, 2; b = 4"),
        ("a = 1; b = 2", {"b": 3, "a": "ü"}, "a = 'ü'; b = 3"),
        ("ä = 'ü'; b = 2", {"b": 3}, "ä = 'ü'; b = 3"),
        ("n = 1\nn = 2", {"n": 5}, "n = 5\nn = 5"),
        ("o = {\n    'k': 1,  # one\n}\nm = 2", {"o": {"k": 2}}, "o = {'k': 2}\nm = 2"),
        ("n = 15 #@param {type: \"integer\"}", {"n": 20}, "n = 20 #@param {type: \"integer\"}"),
        ("from datetime import date\nd = date(2026, 1, 31)", {"d": datetime.date(2026, 2, 1)}, "from datetime import date\nd = date(2026, 2, 1)"),
        ("import datetime as dt\nt = dt.datetime(2026, 1, 31)", {"t": MOMENT}, "import datetime as dt\nt = dt.datetime(2026, 2, 1, 0, 0, tzinfo=dt.timezone(dt.timedelta(seconds=7200)))"),
        ("from datetime import datetime\nt = datetime(2026, 1, 31)", {"t": MOMENT.astimezone(datetime.UTC)}, "from datetime import datetime\nt = datetime(2026, 1, 31, 22, 0, tzinfo=__import__('datetime').timezone.utc)"),
        ("files = !echo a\nn = 1", {"files": ["b"], "n": 2}, "files = ['b']\nn = 2"),
    ],
)  # fmt: skip
def test_a_value_takes_the_place_of_the_assigned_one(source, params, expected):
    """Each way to assign a parameter keeps its form, its comments and its neighbours."""
    assert filled(source, **params) == expected


VALUES = [
    1,
    -0.0,
    float("inf"),
    "a\n'\"{x}$(rm)",
    b"\0",
    None,
    (1, [2], {"k": {3}}),
    set(),
    datetime.date(2026, 1, 31),
    datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC),
    datetime.time(12, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-2), "'); import os #")),
    datetime.timedelta(hours=1),
    decimal.Decimal("1.10"),
    pathlib.Path("a/b"),
    uuid.UUID(int=5),
    [datetime.date(2026, 1, 31)],
    np.arange(3),
    np.float64(1.5),
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_filled_notebook_runs_in_a_plain_python_and_gives_the_value(value, tmp_path):
    """Every value that can be written is the same again, of the same type, in a Python that knows nothing of us."""
    model = PythonModel(node(parameters("value = 1\nagain = [value]"), returns("again[0]")))
    result = model.run({"value": value})
    assert repr(PythonModel(result.notebook)()) == repr(value)
    program = result.notebook.cells[0].source + "\nprint(type(again[0]).__name__, repr(again[0]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"{type(value).__name__} {value!r}\n"


def test_nan_is_written():
    """NaN has no literal, and is written all the same."""
    assert ast.parse(written(math.nan))
    assert math.isnan(PythonModel(node(parameters("x = 1"), returns("x"))).run({"x": math.nan}).value)


def test_an_enum_of_the_notebooks_own_is_its_member():
    """A member is written by the class that the notebook defines."""
    model = PythonModel(
        node(
            "from enum import Enum\nclass Mode(Enum):\n    A = 1\n    B = 2",
            parameters("mode: Mode = Mode.A"),
            returns("mode.value"),
        )
    )
    result = model.run({"mode": 2})
    assert result.notebook.cells[1].source == "mode: Mode = Mode.B"
    assert PythonModel(result.notebook)() == 2


def test_what_cannot_be_written_is_told():
    """An object without a form in text leaves the author's line, and a comment that says what was given."""
    source = filled("connect = None  # How", connect=print)
    assert source.startswith(
        "connect = None  # How  # connect was given as an object that cannot be written here"
    )
    assert "builtin_function_or_method" in source
    huge = filled("x = 1", x=np.random.default_rng(0).random(100_000))
    assert huge.startswith("x = 1  # x was given as")
    assert len(huge) < 200


def test_a_hostile_value_stays_a_value():
    """No text of a value is ever code in the copy."""
    text = '\'; import os; os._exit(3) #\n"""'
    result = PythonModel(node(parameters("x = ''"), returns("x"))).run({"x": text})
    assert PythonModel(result.notebook)() == text


def test_the_copy_goes_through_papermill(tmp_path):
    """papermill finds the parameters cell of the copy, and puts its own values after it."""
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    result = PythonModel(node(cell("x = 1", "parameters"), returns("x"))).run({"x": 2})
    again = parameterize_notebook(load_notebook_node(str(result.save(tmp_path / "copy.ipynb"))), {"x": 3})
    assert [each.source for each in again.cells[:2]] == ["x = 2", "# Parameters\nx = 3\n"]


# ------------------------------------------------------------- other languages


@pytest.mark.parametrize(
    ("language", "source", "params", "expected"),
    [
        ("R", "n <- 15L  # Terms\nm = n", {"n": 20}, "n <- 20L  # Terms\nm = n"),
        ("R", 'kinds <- c("a",\n  "b")', {"kinds": ["x", 'y"']}, 'kinds <- c("x", "y\\"")'),
        ("R", "on <- TRUE; rate <- 0.5", {"on": False, "rate": 0.25}, "on <- FALSE; rate <- 0.25"),
        ("bash", "n=15  # Terms\nname='a'", {"n": 20, "name": "all $HOME"}, "n=20  # Terms\nname='all $HOME'"),
        ("bash", "name=a", {"name": "15"}, "name='15'"),
        ("typescript", "let n: number = 15; // Terms", {"n": 20}, "let n: number = 20; // Terms"),
        ("typescript", "let o = {a: 1};", {"o": {"b": [1, None]}}, 'let o = {"b": [1, null]};'),
    ],
)  # fmt: skip
def test_other_languages_are_filled_in_their_own_words(language, source, params, expected):
    """A value is a literal of the language, where reading it gives the value again."""
    assert spelled_out(source, language_of(language), params) == expected
    fields = language_of(language).fields([(0, expected)]).parameters
    assert {name: fields[name].default for name in params} == params


@pytest.mark.parametrize(("language", "sign"), [("R", "#"), ("bash", "#"), ("typescript", "//")])
def test_what_a_language_has_no_literal_for_is_told(language, sign):
    """A value that would not come back the same leaves the author's line, and a comment."""
    source = {"R": "x <- 1", "bash": "x=1", "typescript": "let x = 1;"}[language]
    text = spelled_out(source, language_of(language), {"x": datetime.date(2026, 1, 31)})
    assert text.startswith(source.rstrip(";"))
    assert f"{sign} x was given as date datetime.date(2026, 1, 31)" in text
