"""What a returned value is for those who are not Python: JSON, CSV, HTML, pictures, text, bytes."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import io
import json
import pathlib
import threading
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import pytest
from IPython.display import HTML, JSON, SVG, Image, Markdown
from matplotlib.figure import Figure
from PIL import Image as Picture

from restified_magics.core.media import offered, render
from restified_magics.errors import MediaError

PNG = b"\x89PNG\r\n\x1a\n"


class Color(enum.Enum):
    """A member of an Enum."""

    RED = "red"


@dataclasses.dataclass
class Point:
    """A dataclass."""

    x: int
    y: Any


class Order(pydantic.BaseModel):
    """A model of pydantic."""

    id: int
    on: datetime.date


Pair = collections.namedtuple("Pair", "a b")


def as_json(value):
    return json.loads(render(value, "application/json"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (42, 42),
        (2**70, 2**70),
        ("ä", "ä"),
        (float("nan"), None),
        ([1.5, float("inf"), True], [1.5, None, True]),
        (datetime.date(2026, 1, 31), "2026-01-31"),
        (datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC), "2026-01-31T12:00:00Z"),
        (datetime.timedelta(hours=1), "PT1H"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (b"\xff\xfe", "//4="),
        (Color.RED, "red"),
        (Point(1, np.arange(2)), {"x": 1, "y": [0, 1]}),
        (Order(id=1, on=datetime.date(2026, 1, 31)), {"id": 1, "on": "2026-01-31"}),
        (Pair(1, {2}), [1, [2]]),
        (range(3), [0, 1, 2]),
        ({1: "a", (1, 2): "b", None: "c", datetime.date(2026, 1, 31): "d"}, {"1": "a", "[1,2]": "b", "null": "c", "2026-01-31": "d"}),
        (np.float32(1.5), 1.5),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.array(["2026-01-31"], "M8[ns]"), ["2026-01-31T00:00:00"]),
        (np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (np.array([(1, 2.5)], [("a", int), ("b", float)]), [{"a": 1, "b": 2.5}]),
        (pd.NaT, None),
        ([pd.NA, pd.Timestamp("2026-01-31")], [None, "2026-01-31T00:00:00"]),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, None]}), [{"a": 1, "b": 0.5}, {"a": 2, "b": None}]),
        (pd.DataFrame({"a": [1, 2, 3]}).query("a > 2"), [{"a": 3}]),
        (pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="key")), [{"key": "x", "a": 1}]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Series(["u", "v", "u"], name="k").value_counts(), [{"k": "u", "count": 2}, {"k": "v", "count": 1}]),
        (pd.DataFrame({("a", "x"): [1]}), [{"a x": 1}]),
        ({"table": pd.DataFrame({"a": [1]})}, {"table": [{"a": 1}]}),
        (JSON({"a": 1}), {"a": 1}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_json_is_bare(value, expected):
    """JSON is the value itself; what JSON has no notion of is the nearest thing that it has."""
    assert as_json(value) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            {"rows": [1, threading.Lock()]},
            r"\['rows'\]\[1\] is a _thread.lock, which cannot be written as JSON",
        ),
        ((n for n in range(3)), "a generator, .* Return a list of it"),
        (len, "Return what it gives, not the thing itself"),
        ("\ud800", "no Unicode text"),
        (10**5000, "digits"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_json(value, message):
    """The error tells the way to what cannot be written, and what to return instead."""
    with pytest.raises(MediaError, match=message):
        render(value, "application/json")


def test_a_value_that_contains_itself():
    """It ends in an error and not in Python's recursion limit."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(MediaError, match="contains itself"):
        render(loop)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), "a,b\n1,x\n2,\n"),
        (pd.Series([1], index=["k"], name="n"), "index,n\nk,1\n"),
        ([{"a": 1, "b": "x,y"}, {"c": [1]}], 'a,b,c\n1,"x,y",\n,,[1]\n'),
        (np.array([[1, 2], [3, 4]]), "0,1\n1,2\n3,4\n"),
        (np.arange(2), "value\n0\n1\n"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_tables_are_csv(value, expected):
    """A table, an array and a list of dicts are CSV with a header; cells in JSON where they are no text."""
    assert render(value, "text/csv").decode() == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], ""),
        (pd.DataFrame(), ""),
        (pd.DataFrame({"a": [], "b": []}), "a,b\n"),
        (pd.Series([], dtype=float, name="n"), "n\n"),
        (np.zeros((0, 2)), "0,1\n"),
        (np.zeros(0), "value\n"),
        (np.zeros(0, dtype=[("a", int), ("b", float)]), "a,b\n"),
        ([{}, {}], ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_empty_tables_are_csv(value, expected):
    """Where there are no rows there is the header, and nothing where there are no columns either."""
    assert render(value, "text/csv").decode() == expected


def test_an_empty_list_is_no_page():
    """A browser, which likes HTML best, shows the two brackets, and no empty page."""
    assert offered([]) == ["application/json", "text/csv"]


@pytest.mark.parametrize("value", [pd.DataFrame({"a": ["<b>"]}), [{"a": "<b>"}]])
def test_tables_are_html_and_escaped(value):
    """A table is HTML in which text stays text."""
    page = render(value, "text/html").decode()
    assert "<table" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_figures_are_pictures():
    """A figure, and what belongs to one, is first of all PNG, and SVG too; it is no JSON."""
    axes = Figure().add_subplot()
    for value in (axes.figure, axes):
        assert offered(value)[:2] == ["image/png", "image/svg+xml"]
        assert render(value, "image/png").startswith(PNG)
        assert b"<svg" in render(value, "image/svg+xml")
    with pytest.raises(MediaError, match="only as image/png, image/svg"):
        render(axes)


def test_images_are_pictures():
    """Images of PIL and of IPython.display, and bytes that are a PNG, are of its media type."""
    sink = io.BytesIO()
    Picture.new("RGB", (2, 2)).save(sink, "PNG")
    data = sink.getvalue()
    for value in (Picture.new("RGB", (2, 2)), Image(data), data):
        assert offered(value)[0] == "image/png"
        assert render(value, "image/png").startswith(PNG)


@pytest.mark.parametrize(
    ("value", "media_type", "expected"),
    [
        (HTML("<b>x</b>"), "text/html", b"<b>x</b>"),
        (Markdown("*x*"), "text/markdown", b"*x*"),
        (SVG("<svg xmlns='http://www.w3.org/2000/svg'/>"), "image/svg+xml", b"<svg"),
        ("x", "text/plain", b"x"),
        (1.5, "text/plain", b"1.5"),
        (datetime.datetime(2026, 1, 31), "text/plain", b"2026-01-31T00:00:00"),
        (b"\0\1", "application/octet-stream", b"\0\1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_displays_text_and_bytes(value, media_type, expected):
    """What shows itself is had as it shows itself, text as text, bytes as they are."""
    assert media_type in offered(value)
    assert render(value, media_type).startswith(expected)


def test_the_best_comes_first():
    """Data is JSON first; what only has a look is that first; something that cannot show itself is not."""

    class Broken:
        def _repr_html_(self):
            raise ValueError

    assert offered({"a": 1})[0] == offered("x")[0] == offered(pd.DataFrame())[0] == "application/json"
    assert offered(HTML("x")) == ["text/html"]
    assert offered(Broken()) == ["application/json"]


def test_what_is_not_offered_is_told_with_what_is():
    """The error names the media types that there are, also as a list for programs."""
    with pytest.raises(MediaError, match="only as application/json, text/plain") as caught:
        render(42, "image/png")
    assert caught.value.offered == ["application/json", "text/plain"]
