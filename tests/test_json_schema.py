"""Parameters as JSON Schema: what a schema takes, a call takes, and the other way round."""

from __future__ import annotations

import datetime
import enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from annotated_types import Ge
from conftest import named, parameters, returns

from restified_magics import PythonModel
from restified_magics.signature.json_schema import json_schema, object_schema
from restified_magics.signature.parameters import Parameter
from restified_magics.signature.reading import read_json


class Color(enum.Enum):
    """As a notebook may define one."""

    RED = "red"
    BLUE = "blue"


CASES = [
    (Parameter("n", type=int, declared=True, default=1), [1, -5], ["x", 1.5, None]),
    (Parameter("n", type=int, default=1), [1, 0.5], ["x", [1]]),
    (Parameter("s", type=str, default="a"), ["b", ""], [1, None]),
    (Parameter("b", type=bool, default=True), [False], ["perhaps"]),
    (Parameter("k", default="a", type=str, choices=("a", "b")), ["a", "b"], ["c"]),
    (Parameter("k", default="a", type=str, choices=("a", "b"), free_choice=True), ["a", "c"], [1]),
    (Parameter("k", type=Literal["a", 1], declared=True), ["a", 1], ["b", 2]),
    (Parameter("x", type=float, default=1.0, minimum=0, maximum=10), [0, 10, 2.5], [-1, 11, "x"]),
    (Parameter("n", type=Annotated[int, Ge(1)], declared=True), [1], [0, "x"]),
    (
        Parameter("w", type=tuple, default=(2, 8), minimum=0, maximum=10),
        [[0, 10], [1.5, 2]],
        [[-1, 5], [0, 11], ["x", 1], [1], [1, 2, 3], 5],
    ),
    (
        Parameter("w", type=tuple[int, int] | None, declared=True, default=None, minimum=0),
        [[0, 10], None],
        [[-1, 5], [0, -1], [0.5, 1], [1], 5],
    ),
    (Parameter("l", type=list[int], declared=True), [[1], []], ["x", [1.5], [[1]]]),
    (Parameter("o", type=int | None, declared=True, default=None), [None, 1], ["x"]),
    (Parameter("c", type=Color, declared=True), ["red"], ["green"]),
    (Parameter("a", default=None), [None, 1, "x", [1, {"a": 2}]], []),
]


@pytest.mark.parametrize(("parameter", "good", "bad"), CASES, ids=named)
def test_schema_and_call_agree(parameter, good, bad):
    """What the schema takes, the call takes; what it refuses, the call refuses."""
    validator = jsonschema.Draft202012Validator(json_schema(parameter))
    jsonschema.Draft202012Validator.check_schema(validator.schema)
    for value in good:
        assert validator.is_valid(value), value
        read_json(parameter, value)
    for value in bad:
        assert not validator.is_valid(value), value
        with pytest.raises(ValueError, match="must be"):
            read_json(parameter, value)


def test_what_a_person_reads():
    """Label, help, unit and default are in the schema; a bound that is no number is told in words."""
    parameter = Parameter(
        "since",
        type=datetime.date,
        declared=True,
        default=datetime.date(2026, 1, 31),
        label="Since",
        help="The first day.",
        minimum=datetime.date(2026, 1, 1),
    )
    schema = json_schema(parameter)
    assert (schema["type"], schema["format"], schema["title"]) == ("string", "date", "Since")
    assert schema["description"] == "The first day. At least 2026-01-01."
    unit = json_schema(Parameter("w", type=float, default=float("nan"), unit="mm"))
    assert unit["description"] == "Unit: mm."
    assert "default" not in unit  # JSON has no NaN


def test_references_are_resolved():
    """A schema is complete in itself, so that it can stand anywhere in a document."""
    schema = json_schema(Parameter("c", type=list[Color], declared=True))
    assert "$ref" not in str(schema)
    assert schema["items"]["enum"] == ["red", "blue"]


def test_of_a_model(write):
    """A Model's object: its names and no others, the required ones named."""
    path = write("from datetime import date", parameters("since: date\nn: int = 3\nx = [1]"), returns("n"))
    schema = object_schema(PythonModel(path).parameters)
    assert list(schema["properties"]) == ["since", "n", "x"]
    assert schema["required"] == ["since"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["x"]["default"] == [1]


def test_an_unknown_type_takes_anything():
    """A type that pydantic has no idea of is not told, and never an error."""

    class Strange:
        pass

    assert json_schema(Parameter("x", type=Strange, declared=True)) == {"title": "x"}
    assert json_schema(Parameter("x", type=Any)) == {"title": "x"}
