"""Values ⇄ ASCII JSON and binary buffers, so that they can go to another process and come back whole.

What there is to encode is in `encoders` (the machine), `encoding_kinds` (the standard library),
`encoding_classes` (classes of a notebook's own), `encoding_arrays`, `encoding_tables` and `encoding_pictures`
(those of libraries, each of which is asked only where it is imported already).
"""

from __future__ import annotations

import json
from typing import Any

from . import encoding_classes, encoding_kinds  # noqa: F401 - they register what they know
from .encoders import Decoder, Encoder, Unencodable, kind_of

__all__ = ["Unencodable", "pack", "unpack"]


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
        >>> from restified_magics.wire.encoding import pack, unpack
        >>> data, buffers = pack({"n": 1, "big": 2 ** 70, "pair": (1, b"x")})
        >>> unpack(data, buffers)
        {'n': 1, 'big': 1180591620717411303424, 'pair': (1, b'x')}
    """
    encoder = Encoder()
    try:
        return json.dumps(encoder.encode(value), allow_nan=False).encode("ascii"), encoder.buffers
    except RecursionError:
        hint = "Return something flatter"
        raise Unencodable(kind_of(value), hint, "contains itself or is nested too deep") from None


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
