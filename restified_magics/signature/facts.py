"""A type → what it says about its values: bounds, choices, step."""

from __future__ import annotations

import enum
import types
import typing
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from restified_magics.signature.enums import NotebookEnumType

if typing.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = [
    "Annotated",
    "Described",
    "Facts",
    "Literal",
    "Union",
    "facts",
    "kinds",
    "with_metadata",
    "without_bounds",
]

Union: Any = typing.Union


Literal: Any = typing.Literal


# At run time these take a computed tuple of arguments, for which type checkers have no notation.
Annotated: Any = typing.Annotated


@dataclass(frozen=True, eq=False)  # compared by identity: the metadata of a type must be hashable
class Described:
    """What ``pydantic.Field`` or a text in ``Annotated`` says to people; pydantic itself skips it."""

    title: str = ""
    description: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What a type tells a form: bounds (both included), step, choices and the words of its author."""

    minimum: Any = None
    maximum: Any = None
    step: Any = None
    choices: tuple[Any, ...] | None = None
    unit: str = ""
    label: str = ""
    help: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


_BOUNDS = (("gt", "minimum", 1), ("ge", "minimum", 0), ("lt", "maximum", -1), ("le", "maximum", 0))


def facts(annotation: Any) -> Facts:
    """Extract bounds, choices and words from a type, also from inside ``Optional``.

    Example:
        >>> from typing import Annotated
        >>> from annotated_types import Gt, Le
        >>> found = facts(Annotated[int, Gt(0), Le(90)] | None)
        >>> found.minimum, found.maximum
        (1, 90)
    """
    base, metadata = _unwrapped(annotation)
    found: dict[str, Any] = {}
    for item in metadata:
        if isinstance(item, Described):
            told = {"label": item.title, "help": item.description, "options": item.options}
            found |= {key: words for key, words in told.items() if words}
            continue
        for key, name, one in _BOUNDS:
            if (bound := getattr(item, key, None)) is not None:
                # An excluded bound has a neighbour among whole numbers only; else the type refuses it.
                found[name] = bound + one if base is int and isinstance(bound, int) else bound
        for key, name in (("multiple_of", "step"), ("unit", "unit")):
            if (value := getattr(item, key, None)) is not None:
                found[name] = value
    if get_origin(base) is Literal:
        found["choices"] = get_args(base)
    elif isinstance(base, NotebookEnumType) and not issubclass(base, enum.Flag):
        found["choices"] = tuple(typing.cast("Any", base))
    return Facts(**found)


def without_bounds(annotation: Any) -> Any:
    """The same type without its bounds, where others that rank higher replace them."""
    if metadata := getattr(annotation, "__metadata__", None):
        kept = [
            item
            for item in metadata
            if all(getattr(item, key, None) is None for key in ("ge", "gt", "le", "lt"))
        ]
        return with_metadata(without_bounds(annotation.__origin__), kept)
    if _is_union(annotation):
        return Union[tuple(map(without_bounds, get_args(annotation)))]
    return annotation


def kinds(annotation: Any) -> set[Any]:
    """The plain classes of a type: ``{int, float}`` for ``Annotated[int, Ge(1)] | float | None``."""
    base, _ = _unwrapped(annotation)
    if _is_union(base):
        return set().union(*(kinds(part) for part in get_args(base) if part is not type(None)))
    if get_origin(base) is Literal:
        return {type(choice) for choice in get_args(base)}
    return {get_origin(base) or base}


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    metadata: list[Any] = []
    while True:
        parts = [part for part in get_args(annotation) if part is not type(None)]
        if found := getattr(annotation, "__metadata__", None):
            metadata.extend(found)
            annotation = annotation.__origin__
        elif _is_union(annotation) and len(parts) == 1:
            annotation = parts[0]
        else:
            return annotation, metadata


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def with_metadata(base: Any, metadata: Sequence[Any]) -> Any:
    """``Annotated[base, *metadata]``, or the base alone where there is none."""
    if not metadata:
        return base
    if _is_union(base) and type(None) in get_args(base):
        # Bounds concern the value that is there: None is beyond comparison.
        inner = Union[tuple(part for part in get_args(base) if part is not type(None))]
        return Union[with_metadata(inner, metadata), None]
    return Annotated[(base, *metadata)]
