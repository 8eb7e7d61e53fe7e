"""REST: whatever is sent, what is not a call of a Model is refused in order, and nothing breaks."""

from __future__ import annotations

import json
import string

import pytest
import schemathesis
from conftest import node, parameters, returns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_server import TOKEN, serving

MODELS = {
    "plain.ipynb": [
        parameters("n: int = 3  # How many (0..100)\nratio = 0.5\nname = 'a'\nflag = False"),
        returns("[n, ratio, name, flag]"),
    ],
    "dates.ipynb": [
        parameters(
            "since: date = None\ndays: list[int] = [1]\nkind: Literal['a', 'b'] = 'a'\nopts: dict = {}"
        ),
        returns("[since, days, kind, opts]"),
    ],
    "any.ipynb": [parameters("x = None"), returns("x")],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    for name, cells in MODELS.items():
        (root / name).write_text(
            json.dumps(node("from datetime import date\nfrom typing import Literal", *cells))
        )
    config = {"RestifiedApp": {"show_messages": True, "show_tracebacks": True}}
    with serving(root, tmp_path_factory.mktemp("state"), config) as running:
        yield running


_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)

_NAMES = st.one_of(st.sampled_from(["x", "y", "token", "_xsrf", "__class__"]), st.text(max_size=10))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


def _is_in_order(answer):
    """An answer to a fuzzed request: success, or a problem of the caller's that is well told."""
    assert answer.status in (200, 400, 413, 415, 422), answer.body
    if answer.status != 200:
        assert answer.kind == "application/problem+json"
        assert answer.json["status"] == answer.status


@_SETTINGS
@given(value=_VALUES)
def test_any_json_value_arrives(server, value):
    """What JSON can say arrives as it is, and comes back as it is."""
    answer = server.post("any.ipynb", json.dumps({"x": value}).encode())
    assert answer.status == 200
    assert answer.json == value


@_SETTINGS
@given(values=st.dictionaries(_NAMES, _VALUES, max_size=4), model=st.sampled_from(sorted(MODELS)))
def test_any_names_and_values(server, values, model):
    """Names and values of any kind are taken, or refused with the reason."""
    _is_in_order(server.post(model, json.dumps(values).encode()))


@_SETTINGS
@given(
    body=st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0019nulltrue ', max_size=60).map(str.encode)
)
def test_any_body(server, body):
    """Bodies of any bytes are refused in order, but for JSON objects."""
    _is_in_order(server.post("any.ipynb", body))


@_SETTINGS
@given(query=st.dictionaries(_NAMES, st.text(max_size=20), max_size=5), model=st.sampled_from(sorted(MODELS)))
def test_any_query(server, query, model):
    """Queries of any text are taken, or refused with the reason."""
    query.pop("token", None)
    _is_in_order(server.get(f"/restified/{model}", query))


@_SETTINGS
@given(path=st.text(alphabet=string.ascii_letters + "./\\%~: \0\n;é", max_size=30))
def test_any_path(server, path):
    """Paths of any text find a notebook, or there is none."""
    answer = server.call(path + ".ipynb")
    assert answer.status in (400, 404)
    assert answer.kind == "application/problem+json"


def test_the_openapi_document(server):
    """The document is valid, and answers are what it says, for requests made of its schemas and for wrong ones."""
    schema = schemathesis.openapi.from_dict(server.get("/api/restified/openapi.json").json)
    schema.config.update(base_url=f"http://127.0.0.1:{server.port}")
    schema.config.generation.update(max_examples=20)
    operations = [each.ok() for each in schema.get_all_operations()]
    assert len(operations) == 2 * len(MODELS)
    checks = (
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
    )
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @settings(
                max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                headers = {"Authorization": f"token {TOKEN}"}
                answer = case.call(headers=headers)
                case.validate_response(answer, checks=checks)

            ask()
