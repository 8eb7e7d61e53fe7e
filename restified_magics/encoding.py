"""Values ⇄ ASCII JSON and binary buffers, so that they can go to another process and come back whole.

The source of this module is also executed in kernels (as ``_restified_encoding``), whose Python may
be 3.8 and have none of our packages: only the standard library is imported. Nothing is pickled and
nothing is executed by decoding. JSON stands for itself; what JSON has no notion of is an object
with the key ``$``, the tag of its kind. Arrays and tables are in :mod:`~restified_magics.encoding_tables`.
"""

from __future__ import annotations

import array
import base64
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import importlib
import ipaddress
import json
import math
import pathlib
import re
import sys
import types
import uuid
from typing import Any

__all__ = ["Decoder", "Encoder", "Unencodable", "extend", "pack", "register", "unpack"]

_LARGEST = 10_000  # bits: an integer of more is written in hexadecimal, which Python reads at any length
_MANY = 1000  # numbers or texts: more of them go as binary data
_END, _NONE = "\0", "\1"  # between texts, and in the place of None
_PLAIN = {str, bool, type(None)}
_BASES: Any = (bool, int, float, str, bytes, dict, list, tuple, set, frozenset)


class Unencodable(TypeError):  # noqa: N818 - it is said of the value
    """A value, or something in it, that cannot leave its process.

    Attributes:
        where: the way to it from the value that was returned, for instance ``['rows'][3]``.
        kind: the name of its type.
        hint: what to return instead.
    """

    def __init__(self, kind: str, hint: str, verb: str = "cannot leave its process") -> None:
        super().__init__(kind, hint, verb)
        self.where = ""
        self.kind = kind
        self.hint = hint
        self.verb = verb

    def __str__(self) -> str:
        article = "an" if self.kind[:1].lower() in "aeio" else "a"
        return f"{self.where or 'it'} is {article} {self.kind}, which {self.verb}. {self.hint}"


def pack(value: Any) -> tuple[bytes, list[Any]]:
    """A value → JSON and buffers.

    Args:
        value: None, numbers, text, bytes, dates, containers, Enum members, dataclasses, pydantic models,
            named tuples, paths, arrays and tables of numpy, pandas and polars, figures and images.

    Returns:
        The JSON, ASCII bytes; and the buffers that it refers to.

    Raises:
        Unencodable: it, or something in it, is of another kind, or contains itself.

    Example:
        >>> from restified_magics.encoding import pack, unpack
        >>> data, buffers = pack({"n": 1, "big": 2 ** 70, "pair": (1, b"x")})
        >>> unpack(data, buffers)
        {'n': 1, 'big': 1180591620717411303424, 'pair': (1, b'x')}
    """
    encoder = Encoder()
    try:
        return json.dumps(encoder.encode(value), allow_nan=False).encode("ascii"), encoder.buffers
    except RecursionError:
        hint = "Return something flatter"
        raise Unencodable(_kind(value), hint, "contains itself or is nested too deep") from None


def unpack(data: Any, buffers: Any = (), names: Any = None) -> Any:
    """What :func:`pack` made → the value.

    Args:
        data: the JSON.
        buffers: the buffers, bytes or memoryviews.
        names: a namespace in which Enums and dataclasses are looked for before anywhere else. A class that
            is found nowhere is stood for by one of the same name, members and fields.

    Raises:
        ValueError: it is not what :func:`pack` made.
    """
    try:
        return Decoder(buffers, names).decode(json.loads(bytes(data)))
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"not an encoded value: {type(error).__name__}: {error}") from error


class Encoder:
    """Turns values into what `json` writes; collects the buffers."""

    def __init__(self):
        self.buffers = []

    def buffer(self, data) -> int:
        """Keep binary data, and return the number that it is known by."""
        self.buffers.append(data)
        return len(self.buffers) - 1

    # One function with few frames a level, since Python's stack limits how deep values may be nested.
    def encode(self, value):
        """The value as JSON has it, or tagged."""
        cls = type(value)
        if cls in _PLAIN:
            return value
        if cls is int:
            return value if value.bit_length() <= _LARGEST else {"$": "int", "hex": hex(value)}
        if cls is float:
            return value if math.isfinite(value) else {"$": "float", "text": repr(value)}
        if cls is list or cls is tuple:
            items = []
            many = self._many(value) if len(value) > _MANY else None
            if many is not None:
                items = many
            elif _is_plain(value):
                items = list(value)
            else:
                try:
                    for item in value:
                        items.append(self.encode(item))
                except Unencodable as error:
                    error.where = f"[{len(items)}]{error.where}"
                    raise
            return items if cls is list else {"$": "tuple", "items": items}
        if cls is dict and "$" not in value and set(map(type, value)) <= {str}:
            if _is_plain(value.values()):
                return value
            encoded = {}
            key = None
            try:
                for key, item in value.items():
                    encoded[key] = self.encode(item)
            except Unencodable as error:
                error.where = f"[{key!r}]{error.where}"
                raise
            return encoded
        found = _encoders.get(cls)
        if found is not None:
            tag, to = found
            return {"$": tag, **to(value, self)}
        return self._of_a_kind(value)

    def _many(self, values):
        """Many numbers or texts as binary data, which is several times faster than JSON; or None."""
        kinds = set(map(type, values))
        numbers = None
        if kinds == {float}:
            numbers = array.array("d", values)
        elif kinds == {int}:
            with contextlib.suppress(OverflowError):
                numbers = array.array("q", values)
        if numbers is not None:
            buffer = self.buffer(numbers.tobytes())
            return {"$": "numbers", "type": numbers.typecode, "buffer": buffer, "order": sys.byteorder}
        if kinds == {str} or kinds == {str, type(None)}:
            missing = values.count(None)
            text = _END.join([_NONE if value is None else value for value in values] if missing else values)
            if text.count(_END) == len(values) - 1 and text.count(_NONE) == missing:
                return {"$": "texts", "buffer": self.buffer(text.encode("utf-8", "surrogatepass"))}
        return None

    def _items(self, values):
        encoded = []
        for index, item in enumerate(values):
            try:
                encoded.append(self.encode(item))
            except Unencodable as error:
                error.where = f"[{index}]{error.where}"
                raise
        return encoded

    def _of_a_kind(self, value):
        _load_tables()
        for extension in _extensions:
            found = extension(value, self)
            if found is not None:
                return found
        for tag, is_kind, to in _kinds:
            if is_kind(value):
                return {"$": tag, **to(value, self)}
        for base in _BASES:
            if isinstance(value, base):  # a subclass of the notebook's own
                return self.encode(base(value))
        raise Unencodable(_kind(value), _hint(value))


class Decoder:
    """Turns what `json` has read into values."""

    def __init__(self, buffers=(), names=None):
        self.buffers = buffers
        self.names = names or {}

    def decode(self, value):
        """The value that was encoded."""
        cls = type(value)
        if cls is list:
            if _is_plain(value):
                return value
            items = []
            for item in value:  # and no comprehension, which would be one more frame a level
                items.append(self.decode(item))
            return items
        if cls is not dict:
            return value
        tag = value.get("$")
        if tag is None:
            made = {}
            for key, item in value.items():
                made[key] = self.decode(item)
            return made
        if tag not in _decoders:
            _load_tables()
        decode = _decoders.get(tag)
        if decode is None:
            raise ValueError(f"not an encoded value: {tag!r} is no kind of value")
        return decode(value, self)

    def decoded(self, value, *fields):
        """The decoded values of these fields of a tagged object."""
        return [self.decode(value[name]) for name in fields]

    def binary(self, got):
        """The bytes of a tagged object: of a buffer, or, from kernels that send none, in base64."""
        return base64.b64decode(got["base64"]) if "base64" in got else bytes(self.buffers[got["buffer"]])

    def find(self, described, is_kind):
        """The class that `describe` named, where it is known here and of the kind, else None."""
        qualname = described["name"].split(".")
        module = sys.modules.get(described["module"])
        if module is None and _is_standard(described["module"]):
            module = importlib.import_module(described["module"])
        for start in (self.names.get(qualname[0]), getattr(module, qualname[0], None)):
            found = start
            for name in qualname[1:]:
                found = getattr(found, name, None)
            if isinstance(found, type) and is_kind(found):
                return found
        return None


def _is_plain(values) -> bool:
    """Whether all are what JSON has, found out at the speed of C: lists can be long."""
    kinds = set(map(type, values))
    if kinds <= _PLAIN:
        return True
    if kinds == {float}:
        return all(map(math.isfinite, values))
    if kinds <= {int, bool}:
        return all(end(values).bit_length() <= _LARGEST for end in (min, max))
    return False


# ------------------------------------------------------------------ the kinds

_encoders: dict[Any, Any] = {}
_decoders: dict[str, Any] = {}
_kinds: list[Any] = []
_extensions: list[Any] = []


def register(tag, cls, to, of) -> None:
    """A kind of value.

    Args:
        tag: its name in the JSON.
        cls: a type that is it exactly, or a function that tells whether a value is of the kind, or None.
        to: ``(value, encoder)`` → a dict of fields, encoded.
        of: ``(dict of fields, decoder)`` → the value.
    """
    if isinstance(cls, type):
        _encoders[cls] = tag, to
    elif cls is not None:
        _kinds.append((tag, cls, to))
    _decoders[tag] = of


def _load_tables() -> None:
    """Add the kinds that libraries make, once one is met: by the module beside this one."""
    if not _extensions:
        importlib.import_module(__name__ + "_tables").install(sys.modules[__name__])


def extend(extension) -> None:
    """Ask a function of value and encoder, which returns what is encoded or None, for other types."""
    _extensions.append(extension)


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


def _of_factory(got, decoder):
    factories = {"list": list, "dict": dict, "set": set, "int": int, "str": str, "float": float}
    return collections.defaultdict(factories.get(got["factory"]), _of_pairs(got, decoder))


def _of_float(got, _):
    return float(got["text"])


def _of_numbers(got, decoder):
    numbers = array.array({"d": "d", "q": "q"}[got["type"]])
    numbers.frombytes(decoder.buffers[got["buffer"]])
    if got["order"] != sys.byteorder:
        numbers.byteswap()
    return numbers.tolist()


def _of_texts(got, decoder):
    texts = bytes(decoder.buffers[got["buffer"]]).decode("utf-8", "surrogatepass").split(_END)
    return [None if text == _NONE else text for text in texts] if _NONE in texts else texts


register("int", None, None, lambda got, _: int(got["hex"], 16))
register("float", None, None, _of_float)
register("texts", None, None, _of_texts)
register("numbers", None, None, _of_numbers)
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
    lambda got, _: (
        datetime.timezone(datetime.timedelta(seconds=got["seconds"]), got["name"])
        if got["seconds"] or got["name"] != "UTC"
        else datetime.UTC
    ),
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


# ----------------------------------------------- classes of a notebook's own

_stand_ins: dict[Any, Any] = {}


def _described(cls):
    return {"module": cls.__module__, "name": cls.__qualname__}


def _stand_in(shape, make):
    """One class for each shape, so that two values of a class are of one class here too."""
    if shape not in _stand_ins:
        _stand_ins[shape] = make()
        _stand_ins[shape].__module__ = "__main__"
    return _stand_ins[shape]


def _to_enum(value, encoder):
    cls = type(value)
    members = {name: encoder.encode(member.value) for name, member in cls.__members__.items()}
    mixed = next((base.__name__ for base in (int, str, float) if issubclass(cls, base)), "")
    base = next(b.__name__ for b in (enum.IntFlag, enum.Flag, enum.Enum) if issubclass(cls, b))
    return {
        "class": _described(cls),
        "member": value.name if value.name in members else None,
        "value": encoder.encode(value.value),
        "members": members,
        "base": base,
        "mixed": "" if base == "IntFlag" else mixed,
    }


def _of_enum(got, decoder):
    described, name = got["class"], got["member"]
    cls = decoder.find(described, lambda found: issubclass(found, enum.Enum))
    value = decoder.decode(got["value"])
    if cls is None or (name is not None and name not in cls.__members__):
        members = {key: decoder.decode(item) for key, item in got["members"].items()}

        def make():
            mixed = {"int": int, "str": str, "float": float}.get(got["mixed"])
            bases: Any = {"IntFlag": enum.IntFlag, "Flag": enum.Flag, "Enum": enum.Enum}
            short = described["name"].rpartition(".")[2]
            return bases[got["base"]](short, list(members.items()), **({"type": mixed} if mixed else {}))

        cls = _stand_in(("enum", json.dumps([described, got["members"], got["base"]])), make)
    return cls.__members__[name] if name is not None else cls(value)


def _to_fields(value, encoder, names):
    fields = {}
    for name in names:
        try:
            fields[name] = encoder.encode(getattr(value, name))
        except Unencodable as error:
            error.where = f".{name}{error.where}"
            raise
    return {"class": _described(type(value)), "fields": fields}


def _is_dataclass(value) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _of_dataclass(got, decoder):
    described = got["class"]
    fields = {name: decoder.decode(item) for name, item in got["fields"].items()}
    cls = decoder.find(
        described,
        lambda found: (
            dataclasses.is_dataclass(found)
            and {field.name for field in dataclasses.fields(found)} == set(fields)
        ),
    )
    if cls is None:
        short = described["name"].rpartition(".")[2]
        cls = _stand_in(
            ("dataclass", described["module"], described["name"], tuple(fields)),
            lambda: dataclasses.make_dataclass(short, list(fields)),
        )
    made = object.__new__(cls)
    for name, item in fields.items():
        object.__setattr__(made, name, item)
    return made


def _is_named_tuple(value) -> bool:
    return isinstance(value, tuple) and isinstance(getattr(value, "_fields", None), tuple)


def _of_named_tuple(got, decoder):
    described = got["class"]
    fields = {name: decoder.decode(item) for name, item in got["fields"].items()}
    cls = decoder.find(
        described, lambda found: issubclass(found, tuple) and getattr(found, "_fields", None) == tuple(fields)
    )
    if cls is None:
        short = described["name"].rpartition(".")[2]
        cls = _stand_in(
            ("namedtuple", described["module"], described["name"], tuple(fields)),
            lambda: collections.namedtuple(short, list(fields)),
        )
    return tuple.__new__(cls, fields.values())


def _is_pydantic(value) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, getattr(pydantic, "BaseModel", ()))


def _of_pydantic(got, decoder):
    pydantic = importlib.import_module("pydantic")
    described = got["class"]
    fields = {name: decoder.decode(item) for name, item in got["fields"].items()}
    cls = decoder.find(
        described,
        lambda found: issubclass(found, pydantic.BaseModel) and set(found.model_fields) == set(fields),
    )
    if cls is None:
        short = described["name"].rpartition(".")[2]
        cls = _stand_in(
            ("pydantic", described["module"], described["name"], tuple(fields)),
            lambda: pydantic.create_model(short, **dict.fromkeys(fields, (object, ...))),
        )
    return cls.model_construct(**fields)


register("Enum", lambda value: isinstance(value, enum.Enum), _to_enum, _of_enum)
register(
    "dataclass",
    _is_dataclass,
    lambda value, encoder: _to_fields(value, encoder, [field.name for field in dataclasses.fields(value)]),
    _of_dataclass,
)
register(
    "namedtuple",
    _is_named_tuple,
    lambda value, encoder: _to_fields(value, encoder, value._fields),
    _of_named_tuple,
)
register(
    "pydantic",
    _is_pydantic,
    lambda value, encoder: _to_fields(value, encoder, list(type(value).model_fields)),
    _of_pydantic,
)


# ---------------------------------------------------------- what cannot leave


def _is_standard(module: str) -> bool:
    known = getattr(sys, "stdlib_module_names", ())
    return module.partition(".")[0] in known and module not in ("antigravity", "this")


def _kind(value) -> str:
    cls = type(value)
    return (
        cls.__qualname__
        if cls.__module__ in ("builtins", "__main__")
        else f"{cls.__module__}.{cls.__qualname__}"
    )


_BOUND = "It works only where it was made: return the data that was read with it"


def _hint(value) -> str:
    if isinstance(value, types.ModuleType) or callable(value):
        return "Return what it gives, not the thing itself"
    if hasattr(value, "read") or hasattr(value, "acquire"):
        return _BOUND
    if hasattr(value, "__next__") or isinstance(value, (map, filter, zip)):
        return "Return a list of it"
    if hasattr(value, "close"):
        return _BOUND
    if isinstance(value, BaseException):
        return "Raise it, or return its message as text"
    return "Return plain data instead, for instance a dict, a list or a DataFrame"
