"""A Parameter: which values it takes, what it makes of them, and how it refuses the others."""

from __future__ import annotations

import datetime
import decimal
import math
import pathlib
import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, Flag, IntEnum
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import pytest
from annotated_types import Ge, Gt, Len, Lt, MultipleOf
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AwareDatetime, HttpUrl, Json, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from restified_magics.core.telling import shorten
from restified_magics.errors import ParameterError
from restified_magics.signature.enums import notebook_enum, revive
from restified_magics.signature.parameters import MISSING, Parameter, bind


class Person(TypedDict):
    """What a parameter may be."""

    name: str
    age: int


def declared(type_: Any, **more: Any) -> Parameter:
    return Parameter("x", type=type_, declared=True, **more)


def refusal(parameter: Parameter, value: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  (the message is what is tested)
        parameter.coerce(value)
    return str(caught.value)


# --- without a declared type -----------------------------------------------------------------------


@pytest.mark.parametrize("value", [[1], {"a": 1}, pd.DataFrame({"a": [1]}), print, "text", None, object()])
def test_without_a_declaration_the_object_itself_is_handed_over(value: Any) -> None:
    """An inferred type is not enforced, and nothing is copied."""
    assert Parameter("x", type=int, default=15).coerce(value) is value


def test_an_inferred_int_takes_a_float_also_within_bounds() -> None:
    """`alpha = 1` often means 1.0."""
    parameter = Parameter("alpha", type=int, default=1, minimum=0, maximum=2)
    assert parameter.coerce(1.5) == 1.5


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-1, "must be at least 0, not -1"),
        (10.5, "must be at most 10, not 10.5"),
        (math.nan, "must be at least 0, not nan"),
        ("5", "must be a number, not '5'"),
        (True, "must be a number, not True"),
        (None, "must be a number, not None"),
        ([1], "must be a number, not [1]"),
        (np.array([1, 2]), "must be a number, not array([1, 2])"),
        (3j, "must be a number, not 3j"),
    ],
)
def test_declared_bounds_are_enforced_whatever_the_type(value: Any, said: str) -> None:
    """What cannot be compared is refused, and so are NaN and a bool; nothing is clamped."""
    assert refusal(Parameter("x", type=int, default=5, minimum=0, maximum=10), value) == said


@pytest.mark.parametrize("value", [0, 10, 5.5, np.int64(3), np.float32(2), decimal.Decimal("1.5")])
def test_numbers_of_any_kind_within_bounds_are_handed_over(value: Any) -> None:
    """Bounds are included, and the object is not converted."""
    assert Parameter("x", type=int, default=5, minimum=0, maximum=10).coerce(value) is value


def test_one_bound_alone_is_enough() -> None:
    """Open ranges."""
    assert refusal(Parameter("x", default=1, maximum=3), math.nan) == "must be at most 3, not nan"
    assert Parameter("x", default=1, maximum=3).coerce(-1e9) == -1e9


def test_none_is_taken_where_it_is_the_default() -> None:
    """`x = None` with bounds is an optional number."""
    parameter = Parameter("x", default=None, minimum=0)
    assert parameter.coerce(None) is None
    assert refusal(parameter, -1) == "must be at least 0, not -1"


def test_choices_are_enforced_unless_they_are_suggestions() -> None:
    """With free input any value is taken."""
    parameter = Parameter("x", default="a", choices=("a", "b"))
    assert parameter.coerce("b") == "b"
    assert refusal(parameter, "c") == "must be one of 'a', 'b', not 'c'"
    assert replace(parameter, free_choice=True).coerce("c") == "c"


@pytest.mark.parametrize("value", [True, "1", [1], np.array([1, 2]), pd.DataFrame({"a": [1]})])
def test_a_choice_is_compared_safely(value: Any) -> None:
    """True is not 1, and objects with comparisons of their own are refused, not raised about."""
    assert refusal(Parameter("x", default=1, choices=(1, 2)), value).startswith("must be one of 1, 2, not ")


def test_many_choices_are_told_shortly() -> None:
    """The message stays readable."""
    assert "…, not 'x'" in refusal(Parameter("x", choices=tuple(range(100))), "x")


# --- with a declared type --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "value", "result"),
    [
        (int, "5", 5),
        (int, 5.0, 5),
        (float, 5, 5.0),
        (float, "1e3", 1000.0),
        (bool, "yes", True),
        (str, "5", "5"),
        (datetime.date, "2026-01-31", datetime.date(2026, 1, 31)),
        (datetime.timedelta, "PT1H", datetime.timedelta(hours=1)),
        (pathlib.Path, "a/b", pathlib.Path("a/b")),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (uuid.UUID, "12345678123456781234567812345678", uuid.UUID("12345678123456781234567812345678")),
        (list[int], ("1", 2), [1, 2]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (int | None, None, None),
        (Literal["a", 1], 1, 1),
        (Any, "x", "x"),
        (int, np.int64(5), 5),
        (float, np.float32(0.5), 0.5),
        (int | float, np.int64(5), 5),
        (bool, np.bool_(True), True),
    ],
)
def test_a_declared_type_coerces(type_: Any, value: Any, result: Any) -> None:
    """pydantic's lax mode, and numpy's scalars as Python's own."""
    got = declared(type_).coerce(value)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize("type_", [datetime.datetime, AwareDatetime, datetime.datetime | None])
def test_a_moment_has_a_time_zone_of_the_standard_library(type_: Any) -> None:
    """pydantic reads text with a zone of its own, which no other process could be sent."""
    got = declared(type_).coerce("2024-02-29T10:00:00+02:00")
    assert repr(got.tzinfo) == "datetime.timezone(datetime.timedelta(seconds=7200))"
    assert declared(type_).coerce("2024-02-29T10:00:00Z").tzinfo is datetime.UTC
    inside = declared(dict[str, list[type_]]).coerce({"a": ["2024-02-29T10:00:00Z"]})["a"][0]
    assert inside.tzinfo is datetime.UTC
    assert declared(datetime.time).coerce("10:00Z").tzinfo is datetime.UTC


@pytest.mark.parametrize(
    ("type_", "value", "said"),
    [
        (int, "abc", "must be a whole number, not 'abc'"),
        (int, 1.5, "must be a whole number, not 1.5"),
        (float, "x", "must be a number, not 'x'"),
        (bool, "x", "must be true or false, not 'x'"),
        (str, 5, "must be text, not 5"),
        (datetime.date, "x", "must be a date such as 2026-01-31, not 'x'"),
        (datetime.datetime, "x", "must be a date and time such as 2026-01-31T12:00, not 'x'"),
        (pathlib.Path, 5, "must be a path, not 5"),
        (Literal["a", "b"], "c", "must be 'a' or 'b', not 'c'"),
        (int | str, [], "must be a whole number or text, not []"),
        (int | None, "x", "must be a whole number, not 'x'"),
        (list[int], 5, "must be a list, not 5"),
        (list[int], [1, "x"], "at [1] must be a whole number, not 'x'"),
        (dict[str, list[int]], {"a": ["x"]}, "at ['a'][0] must be a whole number, not 'x'"),
        (Annotated[int, Ge(1)], 0, "must be at least 1, not 0"),
        (Annotated[float, Gt(0)], 0, "must be more than 0.0, not 0"),
        (Annotated[int, Lt(5)], 5, "must be less than 5, not 5"),
        (Annotated[int, MultipleOf(5)], 7, "must be a multiple of 5, not 7"),
        (Annotated[str, Len(1)], "", "must be at least 1 characters long, not ''"),
        (Annotated[list[int], Len(0, 1)], [1, 2], "must be at most 1 items long, not [1, 2]"),
        (type(None), 5, "must be None, not 5"),
        (range, 5, "must be an instance of range, not 5"),
        (Json, [1], "must be JSON text, not [1]"),
        (list[Person], [{"a": 1}], "at [0] must be a value with 'name' and 'age', not {'a': 1}"),
        (HttpUrl, "x", "must be a valid URL, relative URL without a base, not 'x'"),
        (
            int | list[int],
            [1, "x"],
            "must be a whole number, not [1, 'x']; at [1] must be a whole number, not 'x'",
        ),
    ],
)
def test_a_refusal_reads_after_the_name(type_: Any, value: Any, said: str) -> None:
    """One plain sentence: what the value must be, where inside it, and what it was."""
    assert refusal(declared(type_), value) == said


def test_many_faults_in_one_value_are_told_shortly() -> None:
    """The first three are told, the others counted."""
    said = refusal(declared(list[int]), list("abcde"))
    assert said.count("must be") == 3
    assert said.endswith("; and 2 more problems")


def test_bounds_of_a_comment_hold_beside_a_declared_type() -> None:
    """The coerced value is compared."""
    parameter = declared(int, minimum=1, maximum=5)
    assert parameter.coerce("3") == 3
    assert refusal(parameter, "9") == "must be at most 5, not 9"
    assert refusal(parameter, True) == "must be a number, not True"
    assert declared(int | None, minimum=1).coerce(None) is None


def test_a_type_that_pydantic_cannot_check_is_not_enforced() -> None:
    """It is shown, and the object is handed over."""
    from typing import Self

    assert declared(Self).coerce("x") == "x"


class Hostile:
    """An object whose own methods raise."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no ==")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "parameter",
    [
        declared(str),
        declared(list[int]),
        Parameter("x", default=1, minimum=0),
        Parameter("x", choices=(1, 2)),
    ],
)
def test_an_object_whose_methods_raise_is_refused_as_any_other(parameter: Parameter) -> None:
    """Only ValueError comes out of coerce, whatever goes in."""
    assert "Hostile" in refusal(parameter, Hostile())


@given(
    st.one_of(
        st.text(), st.integers(), st.floats(), st.lists(st.integers()), st.dictionaries(st.text(), st.text())
    )
)
def test_coerce_gives_a_value_of_the_type_or_a_sentence(value: Any) -> None:
    """For any value: an int within bounds, or a ValueError in our words."""
    parameter = declared(int, minimum=-5, maximum=5)
    said = "must be "
    try:
        result = parameter.coerce(value)
    except ValueError as error:
        result, said = 0, str(error)
    assert said.startswith("must be ")
    assert len(said) < 200
    assert type(result) is int
    assert -5 <= result <= 5


@pytest.mark.parametrize(
    "type_",
    [
        int,
        float,
        bool,
        str,
        int | float,
        float | None,
        list[int] | int,
        Literal["a", 1, True, None],
        Annotated[int, Ge(1), Lt(5)],
        Annotated[float, Gt(0)] | None,
        Annotated[int, MultipleOf(2), Ge(0)],
    ],
)
@pytest.mark.parametrize(
    "value",
    [0, 1, 2, 4, 5, -1, 0.0, 1.0, 2.5, math.nan, math.inf, True, False, None, "a", "1", "", [1], b"1"],
)
def test_what_is_not_asked_of_pydantic_is_what_it_would_say(type_: Any, value: Any) -> None:
    """The short way for values of the right type gives what the long one gives."""
    try:
        expected = repr(TypeAdapter(type_).validate_python(value))
    except ValidationError:
        expected = "refused"
    try:
        result = repr(declared(type_).coerce(value))
    except ValueError:
        result = "refused"
    assert result == expected


def test_declared_plain_values_and_undeclared_ones_do_not_need_pydantic() -> None:
    """A call with values of the right type does not import pydantic, nor does reading plain parameters."""
    script = (
        "import sys\n"
        "from restified_magics.signature.grammar import ParameterCell, read_parameters\n"
        "from restified_magics.signature.parameters import bind\n"
        "source = 'a: int = 1\\nb = 2  # B (0..9)\\nc: Annotated[int, Ge(1)] = 3\\nd: Optional[date] = None\\n'\n"
        "source += 'e: Literal[0, 1] = 0\\nf: float | None = None\\ng = 1 #@param {type:\"number\"}'\n"
        "ps = read_parameters([ParameterCell(0, source, True)]).parameters\n"
        "given = {'a': 5, 'b': 6, 'c': 7, 'd': None, 'e': 1, 'f': 2.5, 'g': 8}\n"
        "assert bind(ps, given, 'm') == given\n"
        "print(sorted({'pydantic', 'IPython', 'nbformat', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- a call's values -------------------------------------------------------------------------------

PARAMETERS = {
    "width": Parameter("width", type=int, default=3),
    "mode": Parameter("mode", default="a", choices=("a", "b")),
    "since": Parameter("since", type=datetime.date, declared=True),
    "fi": Parameter("fi", default=1),
}


def test_bind_gives_the_given_values_only() -> None:
    """Defaults are the notebook's own business."""
    assert bind(PARAMETERS, {"since": "2026-01-31"}, "m") == {"since": datetime.date(2026, 1, 31)}


def test_bind_tells_no_more_than_anybody_reads() -> None:
    """A request may have a hundred thousand wrong names; it says that there are more, and seeks what a few of them meant."""
    known = {"width": Parameter("width", default=1)}
    with pytest.raises(ParameterError) as caught:
        bind(known, {f"width{number}": 1 for number in range(100_000)}, "area.ipynb")
    assert sum("Did you mean 'width'?" in problem for problem in caught.value.problems.values()) == 100
    assert len(caught.value.problems) == 1001
    assert caught.value.problems["…"] == "and perhaps more of the 100,000 values are wrong"


def test_bind_tells_all_problems_at_once() -> None:
    """Unknown names with a suggestion, missing values, values that do not fit: one error."""
    with pytest.raises(ParameterError) as caught:
        bind(PARAMETERS, {"widht": 1, "mode": "c"}, "area.ipynb")
    assert caught.value.notebook == "area.ipynb"
    assert caught.value.problems == {
        "widht": "is not a parameter. Did you mean 'width'? Known: width, mode, since, fi",
        "mode": "must be one of 'a', 'b', not 'c'",
        "since": "is required",
    }


def test_a_required_value_that_does_not_fit_is_told_once() -> None:
    """It was given, so it is not missing."""
    with pytest.raises(ParameterError) as caught:
        bind(PARAMETERS, {"since": "soon"}, "m")
    assert list(caught.value.problems) == ["since"]
    assert "a date such as" in caught.value.problems["since"]


def test_names_are_normalised_and_given_once() -> None:
    """NFKC, as Python does it; two spellings of one name are an error."""
    given_since = {"since": "2026-01-31"}
    assert bind(PARAMETERS, {"ﬁ": 2, **given_since}, "m")["fi"] == 2
    with pytest.raises(ParameterError, match="fi is given twice"):
        bind(PARAMETERS, {"fi": 1, "ﬁ": 2, **given_since}, "m")


def test_a_notebook_without_parameters_says_how_to_get_some() -> None:
    """The error tells what to do next."""
    with pytest.raises(ParameterError, match="Tag the cell that assigns it"):
        bind({}, {"x": 1}, "m")


@pytest.mark.parametrize("name", ["self", "parameters", "values", "notebook", "class"])
def test_a_parameter_may_bear_any_name(name: str) -> None:
    """No name is special."""
    assert bind({name: Parameter(name)} | {}, {name: 1}, "m") == {name: 1}


# --- the Parameter itself --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        (Parameter("n", type=int, default=15), "n = 15"),
        (Parameter("n", type=int, declared=True, annotation="int", default=15), "n: int = 15"),
        (Parameter("n", annotation="int"), "n: int"),
        (Parameter("n", default=[1, "a"]), "n = [1, 'a']"),
        (Parameter("n", expression="f(1)"), "n = f(1)"),
        (Parameter("n", default=10**5000), "n = <int object>"),
    ],
)
def test_a_parameter_is_shown_as_it_is_written(parameter: Parameter, text: str) -> None:
    """name: type = default."""
    assert str(parameter) == text


def test_options_given_in_code_go_over_what_the_notebook_says() -> None:
    """dataclasses.replace makes another Parameter, with checks of its own."""
    parameter = Parameter("x", type=int, default=5, maximum=10)
    assert refusal(parameter, 20) == "must be at most 10, not 20"
    assert replace(parameter, maximum=50).coerce(20) == 20
    assert replace(parameter, default=[1]).default == [1]


def test_a_parameter_can_be_pickled_after_use() -> None:
    """Its cached validator stays behind, its sentinel stays itself."""
    parameter = declared(list[int])
    parameter.coerce(["1"])
    there = pickle.loads(pickle.dumps(parameter))
    assert there == parameter
    assert there.default is MISSING
    assert repr(there.default) == "<required>"
    assert there.coerce(["2"]) == [2]


def test_a_default_that_is_no_container_is_not_copied() -> None:
    """Options in code may give any object."""
    frame = pd.DataFrame({"a": [1]})
    assert Parameter("x", default=frame).default is frame


@pytest.mark.parametrize(
    "make",
    [
        lambda: "x" * 10**6,
        lambda: list(range(10**6)),
        Hostile,
        lambda: "a\nb",
        lambda: 10**5000,
        lambda: {1: {2: {3: {4: 5}}}},
    ],
)
def test_shorten_gives_one_short_line(make: Callable[[], Any]) -> None:
    """Whatever the repr is or does."""
    text = shorten(make())
    assert 0 < len(text) <= 80
    assert "\n" not in text


# --- Enum classes of the notebook ------------------------------------------------------------------


class Color(Enum):
    """As the running Model, or the View, has defined it."""

    RED = "red"
    BLUE = "blue"


class Mode(Flag):
    """As the running Model has defined it."""

    R = 1
    W = 2


READ = notebook_enum("Color", (Enum,), {"RED": "red", "BLUE": "blue"})


@pytest.mark.parametrize("value", ["red", "RED", Color.RED, READ("red")])
def test_an_enum_takes_members_values_and_names(value: Any) -> None:
    """Also a member of the View's own copy of the class."""
    assert declared(READ).coerce(value) is READ("red")
    assert declared(list[READ]).coerce([value]) == [READ("red")]


def test_an_enum_refuses_others() -> None:
    """A member of another class of the same value is no member."""
    other = Enum("Other", {"RED": "red"})
    assert refusal(declared(READ), other.RED).startswith("must be 'red' or 'blue', not <Other.RED")
    assert refusal(declared(READ), "green") == "must be 'red' or 'blue', not 'green'"


def test_an_inferred_enum_is_helpful_and_not_enforced() -> None:
    """What is a member becomes one; anything else is handed over as it is."""
    parameter = Parameter("x", type=READ, default=READ("red"), choices=tuple(READ))  # type: ignore[call-overload]
    assert parameter.coerce(Color.BLUE) is READ("blue")
    assert parameter.coerce("green") == "green"


def test_revive_gives_members_of_the_models_own_class() -> None:
    """In containers too; `is` works in the Model."""
    member = READ("red")
    revived = revive({"a": [member, (member, 1)], member: {member}}, {"Color": Color})
    assert revived == {"a": [Color.RED, (Color.RED, 1)], Color.RED: {Color.RED}}
    assert revive(member, {"Color": Color}) is Color.RED


@pytest.mark.parametrize(
    "value", [1, "a", [1, [2]], {"a": (1,)}, {1}, frozenset({1}), pd.DataFrame(), Color.RED]
)
def test_revive_hands_back_everything_else_untouched(value: Any) -> None:
    """The same object, not a copy."""
    assert revive(value, {"Color": Color}) is value


@pytest.mark.parametrize(
    "namespace", [{}, {"Color": 5}, {"Color": int}, {"Color": IntEnum("Color", {"OTHER": 1})}]
)
def test_revive_leaves_a_member_that_the_model_does_not_have(namespace: dict[str, Any]) -> None:
    """A class that is defined later, or otherwise, is no reason to fail."""
    member = READ("red")
    assert revive(member, namespace) is member


def test_combinations_of_flags_are_revived() -> None:
    """R | W has no name of its own."""
    read = notebook_enum("Mode", (Flag,), {"R": 1, "W": 2})
    both = declared(read).coerce(Mode.R | Mode.W)
    assert revive(both, {"Mode": Mode}) == Mode.R | Mode.W


def test_has_enum_is_true_where_revive_is_needed() -> None:
    """A cheap flag for the call."""
    assert Parameter("x", type=list[READ] | None).has_enum
    assert not Parameter("x", type=list[int] | None).has_enum
    assert not Parameter("x", type=Color).has_enum
