"""Pictures and what is displayed ⇄ JSON and buffers: matplotlib, PIL, IPython.display.

An addition to :mod:`~restified_magics.wire.encoding`, and executed in kernels as that is.
"""

from __future__ import annotations

import importlib
import io

from .encoders import extend, importable, register

__all__: list[str] = []  # importing it registers them

_DISPLAYS = ("HTML", "Markdown", "Latex", "SVG", "JSON", "Math", "Javascript", "Pretty")


def _matplotlib(value, encoder, figures):
    artist = value
    if not isinstance(value, figures.Figure):
        try:
            artist = getattr(value, "figure", None)
        except Exception:  # a `__getattr__` of a notebook's own
            return None
    if not isinstance(artist, figures.Figure):
        return None
    sink = io.BytesIO()
    artist.savefig(sink, format="png", bbox_inches="tight")
    return {"$": "picture", "format": "png", "buffer": encoder.buffer(sink.getvalue())}


def _pil(value, encoder, images):
    if not isinstance(value, images.Image):
        return None
    sink = io.BytesIO()
    value.save(sink, format="PNG")
    return {"$": "picture", "format": "png", "buffer": encoder.buffer(sink.getvalue())}


def _displays(value, encoder, display):
    kind = type(value).__name__
    if type(value) is display.Image and isinstance(value.data, bytes):
        return {"$": "picture", "format": value.format, "buffer": encoder.buffer(value.data)}
    if kind in _DISPLAYS and type(value) is getattr(display, kind, None):
        return {"$": "display", "kind": kind, "data": encoder.encode(value.data)}
    return None


def _of_picture(got, decoder):
    data = decoder.binary(got)
    if not importable("IPython.display"):
        return data
    return importlib.import_module("IPython.display").Image(data, format=got["format"])


def _of_display(got, decoder):
    if got["kind"] not in _DISPLAYS:
        raise ValueError("not an encoded value: {!r} is nothing to display".format(got["kind"]))
    return getattr(importlib.import_module("IPython.display"), got["kind"])(decoder.decode(got["data"]))


extend("matplotlib.figure", _matplotlib)
extend("PIL.Image", _pil)
extend("IPython.display", _displays)
register("picture", None, None, _of_picture)
register("display", None, None, _of_display)
