"""The OpenAPI document of a server's Models: made of their Parameters, and of nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

import restified_magics
from restified_magics.in_process.free_names import free_names
from restified_magics.in_process.program import compiled
from restified_magics.rest.problems import PROBLEMS
from restified_magics.rest.request_values import RESERVED
from restified_magics.rest.served import Served
from restified_magics.rest.service import Listed
from restified_magics.signature.json_schema import json_schema, object_schema
from restified_magics.signature.parameters import Parameter

__all__ = ["all_described", "described", "document", "url_of"]

_PYTHON = (None, "python", "ipython")

# in which of them a value can be had is known once it is there
_MEDIA_TYPES = (
    "application/json",
    "text/csv",
    "text/html",
    "text/plain",
    "image/png",
    "image/svg+xml",
    "application/octet-stream",
)


def url_of(path: str, base_url: str = "/") -> str:
    """The URL at which a notebook is called."""
    return f"{base_url}restified/{quote(path)}"


def described(served: Served, base_url: str) -> dict[str, Any]:
    """A Model as JSON: what it is, what it takes, what its author should know."""
    notebook = served.notebook
    return {
        "path": served.path,
        "url": url_of(served.path, base_url),
        "title": notebook.title,
        "parameters": object_schema(notebook.fields.parameters),
        "problems": notebook.problems,
        # over the network there is no View to take them from
        "free_names": list(free_names(compiled(notebook))) if notebook.language in _PYTHON else [],
    }


def all_described(models: Sequence[Served], base_url: str) -> list[dict[str, Any]]:
    """Models as JSON; one that cannot be described, for its odd values, keeps nobody from the others."""
    told = []
    for served in models:
        try:
            described_one = described(served, base_url)
            json.dumps(described_one)
        except Exception as error:  # noqa: BLE001 - whatever its values do
            why = f"It cannot be described ({type(error).__name__}: {error})"
            described_one = {"path": served.path, "url": url_of(served.path, base_url), "problems": [why]}
        told.append(described_one)
    return told


def document(listed: Listed, base_url: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document.

    Args:
        listed: the Models.
        base_url: where Jupyter is, ``/`` or ``/user/name/``.
    """
    about = "Each notebook is a function. A call runs it in a process of its own."
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Notebooks",
            "version": restified_magics.__version__,
            "description": f"{about} {listed.missing}" if listed.missing else about,
        },
        "x-missing": listed.missing,
        "servers": [{"url": base_url.rstrip("/") or "/"}],
        "security": [{"header": []}, {"query": []}],
        "paths": dict(_paths(listed.models)),
        "components": {
            "schemas": {"Problem": _PROBLEM},
            "responses": {f"Problem{status}": _response(told) for status, told in PROBLEMS.items()},
            "securitySchemes": {
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`token …` or `Bearer …`, with Jupyter's token",
                },
                "query": {"type": "apiKey", "in": "query", "name": "token"},
            },
        },
    }


def _paths(models: Sequence[Served]) -> Iterator[tuple[str, dict[str, Any]]]:
    for model in models:
        try:
            operations = _operations(model)
            json.dumps(operations)
        except Exception:  # noqa: BLE001, S112 - odd values of one Model; `all_described` says which
            continue
        yield url_of(model.path), operations


_PROBLEM = {
    "type": "object",
    "description": "What went wrong: RFC 9457",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "parameters": {"type": "object", "additionalProperties": {"type": "string"}},
        "cell": {"type": "integer", "description": "Position of the cell that failed, from 1"},
        "line": {"type": "integer", "description": "Line in that cell, from 1"},
    },
    "required": ["type", "title", "status", "detail", "request_id"],
}


def _response(told: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": told, "content": {"application/problem+json": {"schema": schema}}}


def _operations(model: Served) -> dict[str, Any]:
    parameters = model.notebook.fields.parameters
    common: dict[str, Any] = {
        "summary": model.notebook.title,
        "tags": [model.path.rpartition("/")[0] or "/"],
        "responses": _responses(),
    }
    body = {
        "required": any(parameter.required for parameter in parameters.values()),
        "content": {"application/json": {"schema": object_schema(parameters)}},
    }
    prefer = {"name": "Prefer", "in": "header", "schema": {"type": "string", "enum": ["respond-async"]}}
    operations: dict[str, Any] = {
        "post": {**common, "operationId": f"call {model.path}", "parameters": [prefer], "requestBody": body}
    }
    # one that is required and called as a credential can only be given in a body
    if not any(parameter.required for name, parameter in parameters.items() if name in RESERVED):
        listed = [_in_query(each) for name, each in parameters.items() if name not in RESERVED]
        operations["get"] = {**common, "operationId": f"get {model.path}", "parameters": [*listed, prefer]}
    return operations


def _in_query(parameter: Parameter) -> dict[str, Any]:
    schema = json_schema(parameter)
    told: dict[str, Any] = {"name": parameter.name, "in": "query", "required": parameter.required}
    if schema.get("description"):
        told["description"] = schema["description"]
    if schema.get("type") in ("array", "object"):  # as JSON text
        return {**told, "content": {"application/json": {"schema": schema}}}
    return {**told, "schema": schema}


def _responses() -> dict[str, Any]:
    answers: dict[str, Any] = {
        "200": {
            "description": "The value of the `return` cell, bare",
            "content": {media_type: {} for media_type in _MEDIA_TYPES},
        },
        "202": {
            "description": "The call runs as a job",
            "headers": {"Location": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": {"type": "object"}}},
        },
    }
    return answers | {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in PROBLEMS}
