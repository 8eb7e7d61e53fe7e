"""A Parameter → JSON Schema: what values it takes, for OpenAPI and for whoever checks them beforehand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from restified_magics.signature.parameters import MISSING, Parameter
from restified_magics.signature.plain_types import ends_of

__all__ = ["json_schema", "object_schema"]


def json_schema(parameter: Parameter) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a Parameter's values, complete in itself, without references.

    Example:
        >>> json_schema(Parameter("n", type=int, declared=True, default=15, minimum=1, help="How many."))
        {'type': 'integer', 'minimum': 1, 'default': 15, 'title': 'n', 'description': 'How many.'}
    """
    schema = _of_type(parameter)
    if parameter.choices and not parameter.free_choice:
        choices = [plain for choice in parameter.choices if (plain := _plain(choice)) is not MISSING]
        if len(choices) == len(parameter.choices):
            schema = {"enum": choices}
    found = {"minimum": parameter.minimum, "maximum": parameter.maximum}
    bounds = {name: bound for name, bound in found.items() if isinstance(bound, int | float)}
    ends = ends_of(parameter.type, parameter.default) if bounds else None
    schema |= bounds if ends is None else _of_ends(parameter, ends, bounds)
    default = _plain(parameter.default)
    if default is not MISSING:
        schema["default"] = default
    schema["title"] = parameter.label
    if told := _description(parameter):
        schema["description"] = told
    return schema


def object_schema(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The JSON Schema of an object that holds the values of a call by name."""
    return {
        "type": "object",
        "properties": {name: json_schema(parameter) for name, parameter in parameters.items()},
        "required": [name for name, parameter in parameters.items() if parameter.required],
        "additionalProperties": False,
    }


def _description(parameter: Parameter) -> str:
    parts = [parameter.help]
    if parameter.unit:
        parts.append(f"Unit: {parameter.unit}.")
    if parameter.expression is not None:
        parts.append(f"By default the value of: {parameter.expression}")
    for word, bound in (("At least", parameter.minimum), ("At most", parameter.maximum)):
        if bound is not None and not isinstance(bound, int | float):
            parts.append(f"{word} {bound}.")
    return " ".join(part for part in parts if part)


def _of_type(parameter: Parameter) -> dict[str, Any]:
    if parameter.type in (Any, object):
        return {}
    if parameter.type is int and not parameter.declared:
        return {"type": "number"}  # `alpha = 1` often means 1.0
    from pydantic import ConfigDict, TypeAdapter  # slow to import, and only who describes a Model needs it

    try:
        # what another library's type takes is not known, and so not told
        adapter = TypeAdapter(parameter.type, config=ConfigDict(arbitrary_types_allowed=True))
        made = adapter.json_schema()
    except Exception:  # noqa: BLE001 - pydantic's own errors, and those of types with a schema of their own
        return {}
    definitions = made.pop("$defs", {})
    schema: dict[str, Any] = _inlined(made, definitions, frozenset())
    schema.pop("title", None)
    return schema


def _of_ends(parameter: Parameter, ends: tuple[Any, Any], bounds: dict[str, Any]) -> dict[str, Any]:
    """What bounds say of a range, whose ends are numbers though its type may say nothing of them."""
    parts = [_of_type(replace(parameter, type=end, declared=True)) | bounds for end in ends]
    return {"prefixItems": parts, "minItems": 2, "maxItems": 2}


def _inlined(schema: Any, definitions: Mapping[str, Any], inside: frozenset[str]) -> Any:
    """The schema with every definition in the place of its references; one inside itself takes anything."""
    if isinstance(schema, list):
        return [_inlined(part, definitions, inside) for part in schema]
    if not isinstance(schema, dict):
        return schema
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    if name:
        return {} if name in inside else _inlined(definitions[name], definitions, inside | {name})
    return {key: _inlined(part, definitions, inside) for key, part in schema.items()}


def _plain(value: Any) -> Any:
    """The value as JSON has it, or MISSING where it has none."""
    if value is MISSING:
        return MISSING
    value = getattr(value, "value", value) if hasattr(type(value), "__members__") else value
    if isinstance(value, tuple | set | frozenset):
        value = list(value)
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return MISSING
