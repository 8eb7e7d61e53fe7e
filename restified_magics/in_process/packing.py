"""A notebook with its compiled cells as bytes, for a process that then neither reads nor compiles it."""

from __future__ import annotations

import io
import marshal
import pickle
import types
from typing import Any

from restified_magics.core.notebook import Notebook
from restified_magics.core.notebook_json import read_notebook
from restified_magics.in_process.program import adopt, compiled

__all__ = ["packed", "unpacked"]


def packed(notebook: Notebook) -> bytes:
    """The notebook, for :func:`unpacked` in another process of the same Python."""
    sink = io.BytesIO()
    notebook.fields  # noqa: B018 - read here, it is there already
    try:
        _Pickler(sink, protocol=5).dump((notebook, compiled(notebook)))
    except Exception:  # noqa: BLE001 - a type of a parameter, such as a pattern of pydantic: it is read there
        return pickle.dumps((notebook.node, notebook.name, notebook.path), protocol=5)
    return sink.getvalue()


def unpacked(content: bytes) -> Notebook:
    """The notebook that was packed by a process of ours."""
    notebook, *more = pickle.loads(content)  # noqa: S301
    if not isinstance(notebook, Notebook):
        return read_notebook(notebook, *more)
    adopt(notebook, *more)
    return notebook


class _Pickler(pickle.Pickler):
    """Also takes code, which a process of the same Python can read."""

    def reducer_override(self, value: Any, /) -> Any:
        if isinstance(value, types.CodeType):
            return marshal.loads, (marshal.dumps(value),)
        return NotImplemented
