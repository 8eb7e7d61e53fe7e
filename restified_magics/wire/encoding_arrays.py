"""Arrays and scalars of numpy ⇄ JSON and buffers.

An addition to :mod:`~restified_magics.wire.encoding`, and executed in kernels as that is.
"""

from __future__ import annotations

import importlib

from .encoders import extend, register

__all__: list[str] = []  # importing it registers them


def _numpy(value, encoder, np):
    if isinstance(value, np.ma.MaskedArray):
        return {
            "$": "np.ma",
            "data": encoder.encode(np.asarray(value.data)),
            "mask": encoder.encode(np.ma.getmaskarray(value)),
            "fill": encoder.encode(value.fill_value.item() if value.dtype.names is None else None),
        }
    if isinstance(value, np.ndarray):
        return {"$": "np.array", **_array(np.asarray(value), encoder, np)}
    if isinstance(value, np.generic):
        return {"$": "np.scalar", **_array(np.asarray(value), encoder, np)}
    if isinstance(value, np.dtype):
        return {"$": "np.dtype", "dtype": _dtype(value)}
    return None


def _dtype(dtype):
    return dtype.str if dtype.names is None else dtype.descr


def _array(array, encoder, np):
    if array.dtype.hasobject:
        if array.dtype.names is not None:
            return {
                "shape": list(array.shape),
                "items": encoder.encode(array.tolist()),
                "dtype": array.dtype.descr,
            }
        return {"shape": list(array.shape), "dtype": "O", **_objects(array.ravel().tolist(), encoder)}
    fortran = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
    flat = array.ravel(order="F" if fortran else "C")
    data = flat.view(np.uint8) if array.dtype.itemsize and flat.size else flat.tobytes()
    return {
        "shape": list(array.shape),
        "order": "F" if fortran else "C",
        "dtype": _dtype(array.dtype),
        "buffer": encoder.buffer(data if isinstance(data, bytes) else memoryview(data)),
    }


def _objects(items, encoder):
    """Objects of a column: mostly text, with NaN where there is none."""
    kinds = set(map(type, items))
    missing = []
    if float in kinds and kinds <= {str, float, type(None)}:
        missing = [index for index, item in enumerate(items) if item != item]  # noqa: PLR0124 - NaN
        for index in missing:
            items[index] = None
    return {"items": encoder.encode(items), "nan": missing}


def _of_objects(got, decoder):
    items = decoder.decode(got["items"])
    for index in got.get("nan", ()):
        items[index] = float("nan")
    return items


def _np_dtype(np, described):
    if isinstance(described, str):
        return np.dtype(described)
    return np.dtype(
        [tuple(tuple(part) if isinstance(part, list) else part for part in field) for field in described]
    )


def _of_array(got, decoder):
    np = importlib.import_module("numpy")
    dtype, shape = _np_dtype(np, got["dtype"]), tuple(got["shape"])
    if "items" in got:
        made = np.empty(int(np.prod(shape, dtype=int)), dtype)
        items = _of_objects(got, decoder)
        for index, item in enumerate(items):
            made[index] = item
        return made.reshape(shape)
    data = decoder.buffers[got["buffer"]]
    count = int(np.prod(shape, dtype=int))
    if not dtype.itemsize or not count:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype, count).reshape(shape, order=got["order"]).copy(order="K")


def _of_masked(got, decoder):
    np = importlib.import_module("numpy")
    data, mask, fill = decoder.decoded(got, "data", "mask", "fill")
    return np.ma.MaskedArray(data, mask=mask, fill_value=fill)


extend("numpy", _numpy)
register("np.array", None, None, _of_array)
register("np.scalar", None, None, lambda got, decoder: _of_array(got, decoder)[()])
register("np.ma", None, None, _of_masked)
register("np.dtype", None, None, lambda got, _: _np_dtype(importlib.import_module("numpy"), got["dtype"]))
