"""Values ⇄ what `json` writes, and binary buffers: the machine, to which every kind of value is registered.

This module and those of ``encoding`` are also executed in kernels (as the package ``_restified``), whose
Python may be 3.8 and have none of our packages: only the standard library is imported, and each other by
relative names. Nothing is pickled, and nothing is executed by decoding. JSON stands for itself; what JSON
has no notion of is an object with the key ``$``, the tag of its kind.
"""

from __future__ import annotations

import array
import base64
import contextlib
import importlib
import math
import sys
import types
from typing import Any

__all__ = ["Decoder", "Encoder", "Unencodable", "extend", "importable", "kind_of", "register"]

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


class Encoder:
    """Turns values into what `json` writes; collects the buffers."""

    def __init__(self) -> None:
        self.buffers: list[Any] = []

    def buffer(self, data) -> int:
        """Keep binary data, and return the number that it is known by."""
        self.buffers.append(data)
        return len(self.buffers) - 1

    # One function with few frames a level, since Python's stack limits how deep values may be nested.
    def encode(self, value: Any) -> Any:
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
        _load_libraries()
        for library, extension in _extensions:
            module = sys.modules.get(library)
            if module is not None:  # else it cannot have made the value
                found = extension(value, self, module)
                if found is not None:
                    return found
        for tag, is_kind, to in _kinds:
            if is_kind(value):
                return {"$": tag, **to(value, self)}
        for base in _BASES:
            if isinstance(value, base):  # a subclass of the notebook's own
                return self.encode(base(value))
        raise Unencodable(kind_of(value), _hint(value))


class Decoder:
    """Turns what `json` has read into values."""

    def __init__(self, buffers: Any = (), names: Any = None) -> None:
        self.buffers = buffers
        self.names = names or {}

    def decode(self, value: Any) -> Any:
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
            _load_libraries()
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
_has_libraries = False


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


def _load_libraries() -> None:
    """Add the kinds that libraries make, once one is met: by the modules beside this one."""
    global _has_libraries
    if not _has_libraries:
        for module in ("encoding_tables", "encoding_arrays", "encoding_pictures"):
            importlib.import_module(f".{module}", __package__)
        _has_libraries = True  # now, and not before: another thread may be here too


def extend(library, extension) -> None:
    """Ask about values of other types, where a library is imported that may have made them.

    Args:
        library: the module.
        extension: ``(value, encoder, module)`` → what is encoded, or None.
    """
    _extensions.append((library, extension))


def importable(module) -> bool:
    """Whether there is such a module here; it is imported."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


# ------------------------------------- what the machine itself writes in its own way


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


# ---------------------------------------------------------- what cannot leave


def kind_of(value) -> str:
    """The name of a value's type, as messages call it."""
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


def _is_standard(module: str) -> bool:
    known = getattr(sys, "stdlib_module_names", ())
    return module.partition(".")[0] in known and module not in ("antigravity", "this")
