"""The time zones that pydantic reads → those of the standard library, which travel and print well."""

from __future__ import annotations

import datetime
from typing import Any, get_args

__all__ = ["may_have_zones", "with_plain_zones"]


def may_have_zones(kind: Any) -> bool:
    """Whether values of a type may be moments or times of day, or hold them.

    Example:
        >>> may_have_zones(list[datetime.time]), may_have_zones(datetime.date)
        (True, False)
    """
    parts = get_args(kind)
    if parts:
        return any(map(may_have_zones, parts))
    return (
        str(getattr(kind, "__name__", "")).lower().endswith("time")
    )  # also pydantic's own, as AwareDatetime


def with_plain_zones(value: Any) -> Any:
    """The value with `datetime.timezone` where pydantic has put a zone of its own, also in collections.

    Example:
        >>> from pydantic import TypeAdapter
        >>> read = TypeAdapter(datetime.datetime).validate_python("2024-02-29T10:00:00+02:00")
        >>> with_plain_zones(read).tzinfo
        datetime.timezone(datetime.timedelta(seconds=7200))
    """
    if isinstance(value, datetime.datetime | datetime.time):
        zone = value.tzinfo
        if type(zone).__module__.partition(".")[0] != "pydantic_core" or zone is None:
            return value
        return value.replace(tzinfo=datetime.timezone(zone.utcoffset(None) or datetime.timedelta()))
    # and of no other class, which may mean something else by its items
    if type(value) is dict:
        return {with_plain_zones(key): with_plain_zones(item) for key, item in value.items()}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(with_plain_zones, value))
    return value
