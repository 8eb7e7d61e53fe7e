"""Enum classes of a notebook: a copy made without running it, and the way back to the notebook's own."""

from __future__ import annotations

import copyreg
import itertools
import types
from enum import Enum, EnumType, Flag
from typing import TYPE_CHECKING, Any, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["IsoDate", "NotebookEnumType", "mentions_enum", "notebook_enum", "own_member", "revive"]


class NotebookEnumType(EnumType):
    """The class of Enum classes that stand for those of a notebook, made without running it."""


def notebook_enum(name: str, bases: tuple[type, ...], members: Mapping[str, Any]) -> NotebookEnumType:
    """Make an Enum class that stands for the one that a notebook defines by the same name.

    A value of the class is found by a member's value, by its name, and by a member of an Enum class
    of the same name, since the View may have its own copy of it. Its members can be pickled.

    Args:
        name: the name that the notebook binds the class to.
        bases: for instance ``(Enum,)`` or ``(str, Enum)``.
        members: values by name, in order; ``enum.auto()`` is a value too.

    Example:
        >>> from enum import Enum
        >>> Color = notebook_enum("Color", (Enum,), {"RED": 1, "BLUE": 2})
        >>> Color(1), Color("RED")
        (<Color.RED: 1>, <Color.RED: 1>)
    """

    def missing(cls: Any, value: Any) -> Any:
        key = value
        if isinstance(value, Enum) and type(value).__name__ == cls.__name__:
            key, value = value.name, value.value
        if isinstance(key, str) and key in cls.__members__:
            return cls.__members__[key]
        # Flag's own way makes combinations such as READ | WRITE of their number
        return cast("Any", Flag)._missing_.__func__(cls, value) if issubclass(cls, Flag) else None

    def fill(body: dict[str, Any]) -> None:
        body["__module__"] = "__main__"
        body["_missing_"] = classmethod(missing)
        body.update(members)

    return cast("NotebookEnumType", types.new_class(name, bases, {"metaclass": NotebookEnumType}, fill))


def _reduce_enum(cls: NotebookEnumType) -> tuple[Any, ...]:
    values = {name: member.value for name, member in cast("Any", cls).__members__.items()}
    return notebook_enum, (cls.__name__, cls.__bases__, values)


# The class is in no module, so that pickle's own way, by import, would fail in another process.
copyreg.pickle(NotebookEnumType, _reduce_enum)


def revive(value: Any, namespace: Mapping[str, Any]) -> Any:
    """Swap members of a notebook's Enum for those of the class that the running Model has defined.

    Looks into lists, tuples, sets and dicts; hands back the same object where there is nothing to
    swap. Where the Model has not defined the class (yet), the member stays as it is.

    Example:
        >>> from enum import Enum
        >>> class Color(Enum):
        ...     RED = 1
        >>> read = notebook_enum("Color", (Enum,), {"RED": 1})
        >>> revive([read.RED], {"Color": Color}) == [Color.RED]
        True
    """
    cls = type(value)
    if isinstance(cls, NotebookEnumType):
        own = namespace.get(cls.__name__)
        return own_member(own, value) if isinstance(own, EnumType) else value
    if cls not in (dict, list, tuple, set, frozenset):
        return value
    spaces = itertools.repeat(namespace)  # by map, since a comprehension is one more frame for each level
    items = list(map(revive, value, spaces))
    if cls is dict:
        pairs = list(zip(items, map(revive, value.values(), spaces), strict=True))
        changed = any(a is not c or b is not d for (a, b), (c, d) in zip(pairs, value.items(), strict=True))
        return dict(pairs) if changed else value
    return cls(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value


def own_member(cls: Any, value: Any) -> Any:
    """The member of `cls` that `value` is or names, else the value itself."""
    try:
        if isinstance(value, Enum) and type(value).__name__ == cls.__name__:
            member = cls.__members__.get(value.name)
            return cls(value.value) if member is None else member
        return cls(value)
    except Exception:  # noqa: BLE001  (not an Enum class, or no such member)
        return value


def mentions_enum(annotation: Any) -> bool:
    """Whether values of this type may hold members of an Enum of the notebook's own."""
    return isinstance(annotation, NotebookEnumType) or any(map(mentions_enum, get_args(annotation)))


class IsoDate:
    """Marks ``Annotated[str, IsoDate()]``: a date as text, as Colab's date field writes it.

    Example:
        >>> from datetime import date
        >>> from typing import Annotated
        >>> from restified_magics.signature.parameters import Parameter
        >>> since = Parameter("since", type=Annotated[str, IsoDate()], declared=True)
        >>> since.coerce(date(2026, 1, 31)), since.coerce("2026-01-31")
        ('2026-01-31', '2026-01-31')
    """

    def __repr__(self) -> str:
        return "IsoDate()"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IsoDate)

    def __hash__(self) -> int:
        return hash(IsoDate)

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core import core_schema  # pydantic calls this, so it is there

        date = core_schema.date_schema()
        return core_schema.no_info_after_validator_function(lambda day: day.isoformat(), date)
