"""Types whose values are checked without pydantic, which takes a tenth of a second to import."""

from __future__ import annotations

import operator
import types
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Callable
from restified_magics.signature.enums import NotebookEnumType

__all__ = ["PLAIN_TYPES", "alternatives", "bare", "ends_of", "is_json_text", "origin", "quick_check"]

# Plain types whose own instances pydantic would hand back as they are, so that it need not be asked.
PLAIN_TYPES = frozenset({int, float, str, bool, bytes, complex, list, tuple, dict, set, frozenset})


_COMPARISONS = {"ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt}
# Metadata of Annotated that is told by these comparisons, or that enforces nothing.
_SIMPLE = frozenset(
    [("annotated_types", name) for name in ("Ge", "Gt", "Le", "Lt", "Interval", "Unit")]
    + [("restified_magics.signature.annotations", "Described")]
)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type that it is."""
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def bare(kind: Any) -> Any:
    """The type without what ``Annotated`` says of it."""
    while getattr(kind, "__metadata__", None) is not None:
        kind = kind.__origin__
    return kind


def is_json_text(kind: Any) -> bool:
    """Whether a value is given as JSON text, which pydantic reads: its ``Json``, alone or of another type.

    Example:
        >>> import pydantic
        >>> is_json_text(pydantic.Json), is_json_text(pydantic.Json[list[int]]), is_json_text(list[int])
        (True, True, False)
    """
    said = (kind, *(type(item) for item in getattr(kind, "__metadata__", ())))
    # by its name, since most notebooks need no pydantic
    return any(
        getattr(cls, "__module__", "") == "pydantic.types" and getattr(cls, "__name__", "") == "Json"
        for cls in said
    )


def origin(kind: Any) -> Any:
    """The class of a type: ``list`` for ``Annotated[list[int], …]``."""
    plain = bare(kind)
    return get_origin(plain) or plain


def ends_of(kind: Any, default: Any) -> tuple[Any, Any] | None:
    """The types of the two ends of a range, a pair of numbers or dates; None for what is no such pair.

    Args:
        kind: the type of a parameter.
        default: its default, which tells of a plain ``tuple`` what is in it.

    Example:
        >>> ends_of(tuple[int, int] | None, None), ends_of(tuple, (0.5, 2.0)), ends_of(tuple, ("a", "b"))
        ((<class 'int'>, <class 'int'>), (<class 'float'>, <class 'float'>), None)
    """
    found = [each for each in alternatives(kind) if each is not type(None)]
    if len(found) != 1 or origin(found[0]) is not tuple:
        return None
    items = get_args(bare(found[0]))
    if not items and isinstance(default, tuple):
        items = tuple(int | float if type(item) is int else type(item) for item in default)
    fits = len(items) == 2 and all(item == int | float or _is_end(origin(item)) for item in items)
    return (items[0], items[1]) if fits else None


def _is_end(cls: Any) -> bool:
    # by their names, since most notebooks need neither of their modules
    return cls in (int, float) or (getattr(cls, "__module__", ""), getattr(cls, "__name__", "")) in _ENDS


_ENDS = frozenset([("decimal", "Decimal"), ("datetime", "date"), ("datetime", "datetime")])


def quick_check(annotation: Any) -> Callable[[Any], bool] | None:
    """A test that is true only of values that pydantic would hand back as they are, or None.

    It spares most calls the import of pydantic, which takes longer than the rest of a first call.
    """
    if annotation is type(None):
        return lambda value: value is None
    if get_origin(annotation) is Literal:
        choices = get_args(annotation)
        return lambda value: any(type(value) is type(choice) and value == choice for choice in choices)
    metadata = getattr(annotation, "__metadata__", ())
    base = annotation.__origin__ if metadata else annotation
    if not (base in PLAIN_TYPES or isinstance(base, NotebookEnumType)):
        return None
    if any((type(item).__module__, type(item).__name__) not in _SIMPLE for item in metadata):
        return None
    limits = [
        (compare, bound)
        for item in metadata
        for key, compare in _COMPARISONS.items()
        if (bound := getattr(item, key, None)) is not None
    ]
    return lambda value: type(value) is base and all(compare(value, bound) for compare, bound in limits)
