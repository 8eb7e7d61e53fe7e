"""The kinds of values of the standard library: containers, numbers, dates, paths, addresses."""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import importlib
import ipaddress
import pathlib
import re
import types
import uuid

from .encoders import Encoder, Unencodable, register

__all__: list[str] = []  # importing it registers them


def _by_text(tag, cls, to_text=str, of_text=None) -> None:
    make = of_text or cls
    register(tag, cls, lambda value, _: {"text": to_text(value)}, lambda got, _: make(got["text"]))


def _by_items(tag, cls) -> None:
    register(
        tag,
        cls,
        lambda value, encoder: {"items": encoder._items(value)},
        lambda got, decoder: cls(decoder.decode(item) for item in got["items"]),
    )


def _pairs(value, encoder):
    pairs = []
    for key, item in value.items():
        pairs.append(encoder.encode(key))
        try:
            pairs.append(encoder.encode(item))
        except Unencodable as error:
            error.where = f"[{key!r}]{error.where}"
            raise
    return {"pairs": pairs}


def _of_pairs(got, decoder):
    items = [decoder.decode(item) for item in got["pairs"]]
    return zip(items[::2], items[1::2])  # noqa: B905 - Python 3.8


def _timezone(value):
    return None if value is None else Encoder().encode(value)


def _of_time(cls):
    def of(got, decoder):
        made = cls.fromisoformat(got["text"])
        zone = decoder.decode(got["zone"])
        return made.replace(tzinfo=zone, fold=got["fold"])

    return of


def _to_time(value, _):
    return {
        "text": value.replace(tzinfo=None).isoformat(),
        "zone": _timezone(value.tzinfo),
        "fold": value.fold,
    }


def _of_timezone(got, _):
    offset = datetime.timedelta(seconds=got["seconds"])
    made = datetime.timezone(offset)  # which has a name that it was not given
    return made if made.tzname(None) == got["name"] else datetime.timezone(offset, got["name"])


def _of_factory(got, decoder):
    factories = {"list": list, "dict": dict, "set": set, "int": int, "str": str, "float": float}
    return collections.defaultdict(factories.get(got["factory"]), _of_pairs(got, decoder))


register("tuple", None, None, lambda got, decoder: tuple(decoder.decode(got["items"])))
_by_items("set", set)
_by_items("frozenset", frozenset)
register("dict", dict, _pairs, lambda got, decoder: dict(_of_pairs(got, decoder)))
register(
    "OrderedDict",
    collections.OrderedDict,
    _pairs,
    lambda got, decoder: collections.OrderedDict(_of_pairs(got, decoder)),
)
register(
    "Counter",
    collections.Counter,
    _pairs,
    lambda got, decoder: collections.Counter(dict(_of_pairs(got, decoder))),
)
register(
    "defaultdict",
    collections.defaultdict,
    lambda value, encoder: {
        **_pairs(value, encoder),
        "factory": getattr(value.default_factory, "__name__", None),
    },
    _of_factory,
)
register(
    "deque",
    collections.deque,
    lambda value, encoder: {"items": encoder._items(value), "maxlen": value.maxlen},
    lambda got, decoder: collections.deque((decoder.decode(item) for item in got["items"]), got["maxlen"]),
)
register(
    "complex",
    complex,
    lambda value, _: {"real": repr(value.real), "imag": repr(value.imag)},
    lambda got, _: complex(float(got["real"]), float(got["imag"])),
)
register(
    "bytes",
    bytes,
    lambda value, encoder: {"buffer": encoder.buffer(value)},
    lambda got, decoder: decoder.binary(got),
)
register(
    "bytearray",
    bytearray,
    lambda value, encoder: {"buffer": encoder.buffer(bytes(value))},
    lambda got, decoder: bytearray(decoder.buffers[got["buffer"]]),
)
register("memoryview", memoryview, lambda value, encoder: encoder.encode(value.tobytes()), None)
register(
    "range",
    range,
    lambda value, encoder: {"items": encoder._items([value.start, value.stop, value.step])},
    lambda got, decoder: range(*map(decoder.decode, got["items"])),
)
register(
    "slice",
    slice,
    lambda value, encoder: {"items": encoder._items([value.start, value.stop, value.step])},
    lambda got, decoder: slice(*map(decoder.decode, got["items"])),
)
register("ellipsis", type(...), lambda _value, _: {}, lambda _got, _: ...)
register("datetime", datetime.datetime, _to_time, _of_time(datetime.datetime))
register("time", datetime.time, _to_time, _of_time(datetime.time))
_by_text("date", datetime.date, datetime.date.isoformat, datetime.date.fromisoformat)
register(
    "timedelta",
    datetime.timedelta,
    lambda value, _: {"parts": [value.days, value.seconds, value.microseconds]},
    lambda got, _: datetime.timedelta(*got["parts"]),
)
register(
    "timezone",
    datetime.timezone,
    lambda value, _: {"seconds": value.utcoffset(None).total_seconds(), "name": value.tzname(None)},
    _of_timezone,
)
_by_text("Decimal", decimal.Decimal)
_by_text("Fraction", fractions.Fraction)
_by_text("UUID", uuid.UUID)
for _class in (pathlib.PurePosixPath, pathlib.PureWindowsPath):
    _by_text(_class.__name__, _class)
# a path is of the other kind on the other system
register(
    "Path",
    type(pathlib.Path()),
    lambda value, _: {"text": str(value)},
    lambda got, _: pathlib.Path(got["text"]),
)
for _name in ("IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"):
    _by_text(_name, getattr(ipaddress, _name))
register(
    "Pattern",
    re.Pattern,
    lambda value, encoder: {"pattern": encoder.encode(value.pattern), "flags": value.flags},
    lambda got, decoder: re.compile(decoder.decode(got["pattern"]), got["flags"]),
)
register(
    "SimpleNamespace",
    types.SimpleNamespace,
    lambda value, encoder: {"fields": encoder.encode(vars(value))},
    lambda got, decoder: types.SimpleNamespace(**decoder.decode(got["fields"])),
)


def _is_zone(value) -> bool:
    return isinstance(value, datetime.tzinfo) and isinstance(
        getattr(value, "key", getattr(value, "zone", None)), str
    )


def _of_zone(got, _):
    zoneinfo = importlib.import_module("zoneinfo")
    return zoneinfo.ZoneInfo(got["key"])


register(
    "ZoneInfo",
    _is_zone,
    lambda value, _: {"key": getattr(value, "key", getattr(value, "zone", None))},
    _of_zone,
)


def _is_offset(value) -> bool:
    """Whether it is a zone of a library's own with one offset for ever, as those of pydantic."""
    if not isinstance(value, datetime.tzinfo):
        return False
    try:
        return value.utcoffset(None) is not None
    except Exception:  # a library's object may fail in any way
        return False


register(
    "offset",
    _is_offset,
    lambda value, encoder: encoder.encode(datetime.timezone(value.utcoffset(None))),
    None,
)
