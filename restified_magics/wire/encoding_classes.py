"""Values of classes that a notebook defines: Enums, dataclasses, named tuples, models of pydantic.

They go by the name of the class and their fields. Where the class is found on the other side, the value is
of that class; else a class of the same name, members and fields stands for it.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import importlib
import json
import sys
from typing import Any

from .encoders import Unencodable, register

__all__: list[str] = []  # importing it registers them

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
