"""Tables ⇄ JSON and buffers: pandas, polars, and those of other languages.

An addition to :mod:`~restified_magics.wire.encoding`, and executed in kernels as that is.
"""

from __future__ import annotations

import importlib
import io

from .encoders import Unencodable, extend, importable, register

__all__: list[str] = []  # importing it registers them


# --------------------------------------------------------------------- pandas


def _pandas(value, encoder, pd):  # noqa: PLR0911 - as many kinds as there are
    if isinstance(value, pd.DataFrame):
        columns = []
        for position in range(value.shape[1]):
            try:
                columns.append(_column(value.iloc[:, position].array, encoder, pd))
            except Unencodable as error:
                error.where = f"[{value.columns[position]!r}]{error.where}"
                raise
        return {
            "$": "pd.DataFrame",
            "columns": columns,
            "names": _index(value.columns, encoder, pd),
            "index": _index(value.index, encoder, pd),
            "attrs": encoder.encode(dict(value.attrs)),
        }
    if isinstance(value, pd.Series):
        return {
            "$": "pd.Series",
            "values": _column(value.array, encoder, pd),
            "index": _index(value.index, encoder, pd),
            "name": encoder.encode(value.name),
            "attrs": encoder.encode(dict(value.attrs)),
        }
    if isinstance(value, pd.Index):
        return {"$": "pd.Index", **_index(value, encoder, pd)}
    if value is pd.NaT:
        return {"$": "pd.NaT"}
    if value is pd.NA:
        return {"$": "pd.NA"}
    if isinstance(value, pd.Timestamp):
        moment = value.tz_convert("UTC").tz_localize(None) if value.tzinfo else value
        zone = encoder.encode(value.tzinfo)
        return {"$": "pd.Timestamp", "moment": encoder.encode(moment.to_datetime64()), "zone": zone}
    if isinstance(value, pd.Timedelta):
        return {"$": "pd.Timedelta", "span": encoder.encode(value.to_timedelta64())}
    if isinstance(value, pd.Period):
        return {"$": "pd.Period", "ordinal": value.ordinal, "freq": value.freqstr}
    if isinstance(value, pd.Interval):
        ends = encoder.encode([value.left, value.right])
        return {"$": "pd.Interval", "ends": ends, "closed": value.closed}
    if isinstance(value, pd.offsets.BaseOffset):
        return {"$": "pd.Offset", "freq": value.freqstr}
    if isinstance(value, pd.api.extensions.ExtensionArray):
        return {"$": "pd.array", "values": _column(value, encoder, pd)}
    return None


def _column(array, encoder, pd):  # noqa: PLR0911 - as many kinds as there are
    """The values of a column."""
    kind, dtype = type(array).__name__, array.dtype
    if kind in ("NumpyExtensionArray", "PandasArray"):
        return {"kind": "numpy", "values": encoder.encode(array.to_numpy())}
    if kind == "Categorical":
        return {
            "kind": "category",
            "codes": encoder.encode(array.codes),
            "categories": _index(array.categories, encoder, pd),
            "ordered": bool(array.ordered),
        }
    if kind == "DatetimeArray" and getattr(dtype, "tz", None) is not None:
        moments = array.tz_convert("UTC").tz_localize(None).to_numpy()
        return {"kind": "zoned", "values": encoder.encode(moments), "zone": encoder.encode(dtype.tz)}
    if kind in ("DatetimeArray", "TimedeltaArray"):
        return {"kind": "numpy", "values": encoder.encode(array.to_numpy())}
    if kind in ("IntegerArray", "FloatingArray", "BooleanArray"):
        return {
            "kind": kind,
            "values": encoder.encode(array.to_numpy(dtype=dtype.numpy_dtype, na_value=0)),
            "mask": encoder.encode(pd.isna(array)),
        }
    if kind == "PeriodArray":
        return {"kind": "period", "values": encoder.encode(array.asi8), "dtype": str(dtype)}
    if kind == "IntervalArray":
        left, right = _index(array.left, encoder, pd), _index(array.right, encoder, pd)
        return {"kind": "interval", "left": left, "right": right, "closed": array.closed}
    if kind == "SparseArray":
        fill = encoder.encode(dtype.fill_value)
        return {"kind": "sparse", "values": encoder.encode(array.to_dense()), "fill": fill}
    if isinstance(dtype, pd.StringDtype):
        items = array.to_numpy(dtype=object, na_value=None).tolist()
        missing = getattr(dtype, "na_value", pd.NA) is pd.NA
        return {"kind": "string", "items": encoder.encode(items), "storage": dtype.storage, "na": missing}
    if kind == "ArrowExtensionArray":
        return {"kind": "arrow", "buffer": encoder.buffer(_arrow_bytes(array))}
    raise Unencodable(str(dtype), "Convert it, for instance by astype(object)")


def _arrow_bytes(array):
    pyarrow = importlib.import_module("pyarrow")
    table = pyarrow.table({"values": pyarrow.chunked_array(array.__arrow_array__())})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return memoryview(sink.getvalue())


def _index(index, encoder, pd):
    names = encoder.encode(list(index.names))
    if isinstance(index, pd.MultiIndex):
        levels = [_index(level, encoder, pd) for level in index.levels]
        return {"kind": "multi", "levels": levels, "codes": encoder.encode(list(index.codes)), "names": names}
    if isinstance(index, pd.RangeIndex):
        return {"kind": "range", "range": [index.start, index.stop, index.step], "names": names}
    freq = (
        getattr(index, "freqstr", None) if isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) else None
    )
    return {"kind": "values", "values": _column(index.array, encoder, pd), "freq": freq, "names": names}


def _of_column(got, decoder):  # noqa: PLR0911 - as many kinds as there are
    np, pd = importlib.import_module("numpy"), importlib.import_module("pandas")
    kind = got["kind"]
    if kind == "numpy":
        return decoder.decode(got["values"])
    if kind == "category":
        codes, categories = decoder.decode(got["codes"]), _of_index(got["categories"], decoder)
        return pd.Categorical.from_codes(codes, categories=categories, ordered=got["ordered"])
    if kind == "zoned":
        moments, zone = decoder.decoded(got, "values", "zone")
        return pd.DatetimeIndex(moments).tz_localize("UTC").tz_convert(zone).array
    if kind in ("IntegerArray", "FloatingArray", "BooleanArray"):
        return getattr(pd.arrays, kind)(*decoder.decoded(got, "values", "mask"))
    if kind == "period":
        return pd.arrays.PeriodArray(
            decoder.decode(got["values"]), dtype=pd.api.types.pandas_dtype(got["dtype"])
        )
    if kind == "interval":
        left, right = _of_index(got["left"], decoder), _of_index(got["right"], decoder)
        return pd.arrays.IntervalArray.from_arrays(left, right, closed=got["closed"])
    if kind == "sparse":
        values, fill = decoder.decoded(got, "values", "fill")
        return pd.arrays.SparseArray(values, fill_value=fill)
    if kind == "string":
        items = decoder.decode(got["items"])
        storage = got["storage"] if got["storage"] != "pyarrow" or importable("pyarrow") else "python"
        if got["na"]:
            return pd.array(items, dtype=pd.StringDtype(storage))
        items = [np.nan if item is None else item for item in items]
        try:
            return pd.array(items, dtype=pd.StringDtype(storage, na_value=np.nan))
        except TypeError:  # pandas before 3 has no such dtype
            return pd.array(items, dtype=object)
    if kind == "arrow":
        pyarrow = importlib.import_module("pyarrow")
        reader = pyarrow.ipc.open_stream(pyarrow.py_buffer(decoder.buffers[got["buffer"]]))
        return pd.arrays.ArrowExtensionArray(reader.read_all().column(0))
    raise ValueError(f"not an encoded column: {kind!r}")


def _of_index(got, decoder):
    pd = importlib.import_module("pandas")
    names = decoder.decode(got["names"])
    if got["kind"] == "multi":
        levels = [_of_index(level, decoder) for level in got["levels"]]
        return pd.MultiIndex(levels, decoder.decode(got["codes"]), names=names, verify_integrity=True)
    if got["kind"] == "range":
        return pd.RangeIndex(*got["range"], name=names[0])
    values = _of_column(got["values"], decoder)
    made = pd.Index(values, dtype=values.dtype, name=names[0])
    if got["freq"]:
        made.freq = pd.tseries.frequencies.to_offset(got["freq"])
    return made


def _of_frame(got, decoder):
    pd = importlib.import_module("pandas")
    index = _of_index(got["index"], decoder)
    columns = {}
    for position, column in enumerate(got["columns"]):
        values = _of_column(column, decoder)
        columns[position] = pd.Series(values, index=index, dtype=values.dtype, copy=False)
    made = pd.DataFrame(columns, index=index, copy=False)
    made.columns = _of_index(got["names"], decoder)
    made.attrs.update(decoder.decode(got["attrs"]))
    return made


def _of_series(got, decoder):
    pd = importlib.import_module("pandas")
    values, index = _of_column(got["values"], decoder), _of_index(got["index"], decoder)
    made = pd.Series(values, index=index, dtype=values.dtype, name=decoder.decode(got["name"]), copy=False)
    made.attrs.update(decoder.decode(got["attrs"]))
    return made


def _of_timestamp(got, decoder):
    pd = importlib.import_module("pandas")
    moment, zone = decoder.decoded(got, "moment", "zone")
    made = pd.Timestamp(moment)
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def _of_pd(make):
    return lambda got, decoder: make(importlib.import_module("pandas"), got, decoder)


# ------------------------------------------------------ tables of other languages

_DTYPES = {"integer": "Int64", "logical": "boolean", "numeric": "float64", "character": "object"}
_PLAIN_DTYPES = {"integer": "int64", "logical": "bool"}  # where nothing is missing


def _of_table(got, decoder):
    """A table by columns: a DataFrame where pandas is here, else a list of rows."""
    names = decoder.decode(got["names"])
    columns = [decoder.decode(column["items"]) for column in got["columns"]]
    if not importable("pandas"):
        return [dict(zip(names, row)) for row in zip(*columns)]  # noqa: B905 - Python 3.8
    pd = importlib.import_module("pandas")
    index = None if got["rows"] is None else decoder.decode(got["rows"])
    made = {}
    for position, (column, items) in enumerate(zip(got["columns"], columns)):  # noqa: B905 - Python 3.8
        made[position] = _of_table_column(column, items, index, pd)
    frame = pd.DataFrame(made, index=index)
    frame.columns = names
    return frame


def _of_table_column(column, items, index, pd):
    kind = column["kind"]
    if kind == "factor":
        return pd.Series(pd.Categorical(items, categories=column["levels"]), index=index)
    if kind in ("Date", "POSIXct"):
        return pd.Series(pd.to_datetime(items), index=index)
    dtype = _DTYPES.get(kind)
    if None not in items:
        dtype = _PLAIN_DTYPES.get(kind, dtype)
    return pd.Series(items, index=index, dtype=dtype)


# --------------------------------------------------------------------- polars


def _polars(value, encoder, pl):
    if isinstance(value, (pl.DataFrame, pl.Series)):
        sink = io.BytesIO()
        frame = value if isinstance(value, pl.DataFrame) else value.to_frame()
        frame.write_ipc(sink)
        return {"$": "pl", "series": isinstance(value, pl.Series), "buffer": encoder.buffer(sink.getvalue())}
    return None


def _of_polars(got, decoder):
    frame = importlib.import_module("polars").read_ipc(io.BytesIO(bytes(decoder.buffers[got["buffer"]])))
    return frame.to_series() if got["series"] else frame


_OF = {
    "pd.DataFrame": _of_frame,
    "pd.Series": _of_series,
    "pd.Index": _of_index,
    "pd.array": lambda got, decoder: _of_column(got["values"], decoder),
    "pd.NaT": _of_pd(lambda pd, _got, _: pd.NaT),
    "pd.NA": _of_pd(lambda pd, _got, _: pd.NA),
    "pd.Timestamp": _of_timestamp,
    "pd.Timedelta": _of_pd(lambda pd, got, decoder: pd.Timedelta(decoder.decode(got["span"]))),
    "pd.Period": _of_pd(lambda pd, got, _: pd.Period(ordinal=got["ordinal"], freq=got["freq"])),
    "pd.Interval": _of_pd(
        lambda pd, got, decoder: pd.Interval(*decoder.decode(got["ends"]), closed=got["closed"])
    ),
    "pd.Offset": _of_pd(lambda pd, got, _: pd.tseries.frequencies.to_offset(got["freq"])),
    "pl": _of_polars,
    "table": _of_table,
}

extend("pandas", _pandas)
extend("polars", _polars)
for _tag, _of in _OF.items():
    register(_tag, None, None, _of)
