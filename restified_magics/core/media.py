"""A returned value → media types and their bytes: what leaves a Model for a browser, a file or a pipe.

JSON, CSV and HTML for tables, PNG, SVG and PDF for figures, text, bytes, and whatever a value says of itself
by the methods that IPython asks for. A library is asked for what is its own only where it is imported
already: what is not cannot have made the value.
"""

from __future__ import annotations

import base64
import csv
import datetime
import html
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, NamedTuple
from uuid import UUID

from restified_magics.core.plain_json import framed, of_library, plain, to_json
from restified_magics.errors import MediaError
from restified_magics.wire.encoding import Unencodable

__all__ = ["CSV", "HTML", "JSON", "PNG", "SVG", "TEXT", "offered", "render"]

BYTES = "application/octet-stream"
CSV = "text/csv"
HTML = "text/html"
JSON = "application/json"
PDF = "application/pdf"
PNG = "image/png"
SVG = "image/svg+xml"
TEXT = "text/plain"

# What says by a method of its own how it looks, as IPython asks for it.
_REPRS = {
    "_repr_html_": HTML,
    "_repr_svg_": SVG,
    "_repr_png_": PNG,
    "_repr_jpeg_": "image/jpeg",
    "_repr_pdf_": PDF,
    "_repr_markdown_": "text/markdown",
    "_repr_latex_": "text/latex",
    "_repr_json_": JSON,
}

_BY_TEXT = (
    int,
    float,
    complex,
    Decimal,
    UUID,
    PurePath,
    Enum,
    datetime.date,
    datetime.time,
    datetime.timedelta,
)


def offered(value: object) -> list[str]:
    """The media types in which a value can be had, the best first.

    Args:
        value: what a Model returned.

    Returns:
        Media types without parameters; at least one.

    Example:
        >>> offered("hello"), offered([{"x": 1}]), offered(b"abc")
        (['application/json', 'text/plain'], ['application/json', 'text/csv', 'text/html'], \
['application/octet-stream', 'application/json'])
    """
    return list(_renderers(value))


def render(value: object, media_type: str = JSON) -> bytes:
    """The bytes of a value in one of the media types that are offered for it. Text is in UTF-8.

    Args:
        value: what a Model returned.
        media_type: one of :func:`offered`, without parameters.

    Raises:
        MediaError: it is not offered, or something in the value cannot be written so.

    Example:
        >>> render({"n": 1, "rate": float("nan"), "tags": {"a"}})
        b'{"n":1,"rate":null,"tags":["a"]}'
        >>> print(render([{"x": 1, "y": 2.5}, {"x": 3}], CSV).decode())
        x,y
        1,2.5
        3,
        <BLANKLINE>
        >>> render(4, PNG)
        Traceback (most recent call last):
            ...
        restified_magics.errors.MediaError: a value of type int cannot be had as image/png, \
only as application/json, text/plain
    """
    renderers = _renderers(value)
    if media_type not in renderers:
        told = ", ".join(renderers)
        kind = type(value).__name__
        raise MediaError(
            f"a value of type {kind} cannot be had as {media_type}, only as {told}", list(renderers)
        )
    try:
        return renderers[media_type]()
    except Unencodable as error:
        others = [each for each in renderers if each != media_type]
        raise MediaError(str(error), others) from None


def _renderers(value: Any) -> dict[str, Callable[[], bytes]]:
    """The functions that render a value, by media type, the best first."""
    picture = _picture(value)
    if picture is not None:
        return picture
    if isinstance(value, bytes | bytearray | memoryview):
        return {_sniffed(bytes(value)): lambda: bytes(value), JSON: lambda: to_json(value)}
    found: dict[str, Callable[[], bytes]] = {}
    table = _table(value)
    own = {} if table is not None else _own(value)
    if JSON not in own and (not own or _plain_kind(value)):
        found[JSON] = lambda: to_json(value)
    if table is not None:
        found[CSV] = lambda: _csv(table())
        found[HTML] = lambda: _html(table())
    elif isinstance(value, list) and not value:  # no rows; a page of them would be empty
        found[CSV] = lambda: b""
    found.update(own)
    if isinstance(value, (str, *_BY_TEXT)):
        found[TEXT] = lambda: _text(value)
    return found


# --------------------------------------------------------------------- tables


class _Rows(NamedTuple):
    """A table that is of no library."""

    rows: list[dict[str, Any]]
    columns: list[str]


def _rows(rows: Any, columns: Sequence[Any] = ()) -> _Rows:
    """Rows under names; the columns are told for where there is no row."""
    made = plain(rows, 0)
    return _Rows(made, list(dict.fromkeys(name for row in made for name in row)) or [*map(str, columns)])


def _table(value: Any) -> Callable[[], Any] | None:
    """How to have a value as a table: a DataFrame, or rows under names; None where it is none."""
    np, pd, pl = (sys.modules.get(name) for name in ("numpy", "pandas", "polars"))
    if pd is not None and isinstance(value, pd.DataFrame | pd.Series):
        return lambda: framed(value)
    if pl is not None and isinstance(value, pl.DataFrame):
        return lambda: value
    if pl is not None and isinstance(value, pl.Series):
        return lambda: value.to_frame(value.name or "value")
    if np is not None and isinstance(value, np.ndarray) and 1 <= value.ndim <= 2:
        if value.dtype.names is not None or value.ndim == 1:
            rows = of_library(value)
            named = rows if value.dtype.names is not None else [{"value": item} for item in rows]
            return lambda: _rows(named, value.dtype.names or ("value",))
        return lambda: _rows([dict(enumerate(row)) for row in of_library(value)], range(value.shape[1]))
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return lambda: _rows(value)
    return None


def _csv(table: Any) -> bytes:
    """Without columns there are no lines; without rows there is the header."""
    if not len(table.columns):
        return b""
    if hasattr(table, "write_csv"):
        return str(table.write_csv()).encode()
    if hasattr(table, "to_csv"):
        return str(table.to_csv(index=False, lineterminator="\n")).encode()
    sink = io.StringIO()
    writer = csv.DictWriter(sink, table.columns, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        writer.writerow({name: _field(item) for name, item in row.items()})
    return sink.getvalue().encode()


def _field(item: Any) -> Any:
    """What stands between the commas: JSON for what is neither text nor a number."""
    return json.dumps(item, ensure_ascii=False) if isinstance(item, dict | list | bool) else item


def _html(table: Any) -> bytes:
    if hasattr(table, "to_html"):
        return str(table.to_html(index=False)).encode()
    if not isinstance(table, _Rows):  # of polars
        table = _rows(table, table.columns)
    lines = ["".join(f"<th>{html.escape(str(name))}</th>" for name in table.columns)]
    for row in table.rows:
        shown = ("" if row.get(name) is None else str(_field(row[name])) for name in table.columns)
        lines.append("".join(f"<td>{html.escape(text)}</td>" for text in shown))
    return ("<table>\n" + "".join(f"<tr>{line}</tr>\n" for line in lines) + "</table>\n").encode()


# ------------------------------------------------------- pictures, displays, text


def _picture(value: Any) -> dict[str, Callable[[], bytes]] | None:
    """How to render a figure of matplotlib, or a thing that has one (axes), or an image of PIL."""
    figures, images = sys.modules.get("matplotlib.figure"), sys.modules.get("PIL.Image")
    if figures is not None:
        figure = value
        if not isinstance(value, figures.Figure):
            try:
                figure = getattr(value, "figure", None)
            except Exception:  # noqa: BLE001 - a `__getattr__` of a notebook's own
                figure = None
        if isinstance(figure, figures.Figure):
            return {
                media_type: lambda name=name: _saved(figure, name)  # type: ignore[misc]
                for media_type, name in ((PNG, "png"), (SVG, "svg"), (PDF, "pdf"))
            }
    if images is not None and isinstance(value, images.Image):
        return {
            PNG: lambda: _written(value, "PNG"),
            "image/jpeg": lambda: _written(value.convert("RGB"), "JPEG"),
        }
    return None


def _saved(figure: Any, name: str) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format=name, bbox_inches="tight")
    return sink.getvalue()


def _written(image: Any, name: str) -> bytes:
    sink = io.BytesIO()
    image.save(sink, format=name)
    return sink.getvalue()


def _plain_kind(value: object) -> bool:
    """Whether a thing with a look of its own is data all the same, as a library's own dict is."""
    return isinstance(value, Mapping | list | tuple | str | int | float) or hasattr(value, "model_fields")


def _own(value: Any) -> dict[str, Callable[[], bytes]]:
    """What the value says by its own methods, as IPython would ask for it."""
    if isinstance(value, type):
        return {}
    found: dict[str, Callable[[], bytes]] = {}
    bundle = _called(value, "_repr_mimebundle_")
    if isinstance(bundle, tuple):
        bundle = bundle[0]
    for media_type, data in bundle.items() if isinstance(bundle, Mapping) else ():
        if data is not None:
            found[media_type] = lambda data=data, of=media_type: _as_bytes(data, of)  # type: ignore[misc]
    for method, media_type in _REPRS.items():
        if media_type not in found and (shown := _called(value, method)) is not None:
            if isinstance(shown, tuple):
                shown = shown[0]  # its metadata do not travel
            found[media_type] = lambda shown=shown, of=media_type: _as_bytes(shown, of)  # type: ignore[misc]
    ranked = [*_REPRS.values(), TEXT]
    return dict(sorted(found.items(), key=lambda item: ranked.index(item[0]) if item[0] in ranked else -1))


def _called(value: Any, method: str) -> Any:
    ask = getattr(type(value), method, None)
    if ask is None:
        return None
    try:
        return ask(value)
    except Exception:  # noqa: BLE001 - as IPython does it: what cannot show itself so is not offered so
        return None


def _as_bytes(shown: Any, media_type: str) -> bytes:
    if isinstance(shown, bytes):
        return shown
    if not isinstance(shown, str):
        return to_json(shown)
    if media_type == PDF or (media_type.startswith("image/") and media_type != SVG):
        return base64.b64decode(shown)  # as Jupyter has binary data
    return shown.encode()


def _text(value: Any) -> bytes:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, datetime.date | datetime.time):
        value = value.isoformat()
    try:
        return str(value).encode("utf-8", "replace")
    except ValueError as error:  # an integer of more digits than Python writes
        raise Unencodable(type(value).__name__, str(error), "cannot be written as text") from None


_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": PNG,
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"%PDF-": PDF,
    b"PK\x03\x04": "application/zip",
}


def _sniffed(data: bytes) -> str:
    return next((media_type for start, media_type in _SIGNATURES.items() if data.startswith(start)), BYTES)
