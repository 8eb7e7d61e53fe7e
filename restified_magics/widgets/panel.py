"""The part of a form that the browser draws: accessible controls of plain HTML, in one widget.

Its traits go to the page as JSON; the page sends raw values and commands. What they mean is the form's.
"""

from __future__ import annotations

import pathlib
from typing import Any

import anywidget
import traitlets

__all__ = ["Panel"]

_HERE = pathlib.Path(__file__).parent


class Panel(anywidget.AnyWidget):
    """Fields of a form, its bar with Run and Cancel, or both.

    Attributes:
        group: what the panels of one form have in common.
        name: what the form is called, for a screen reader and for what the browser keeps.
        fields: the description of each field, by `Field.spec`.
        values: raw values by field.
        errors: what is wrong with a value, by field.
        typed: how often the page has changed the values.
        checked: up to which of these changes `errors` is true.
        bar: what Run and Cancel, status, error, downloads and history show; None is without them.
    """

    # read once for the process: every form has a panel
    _esm = (_HERE / "panel.js").read_text(encoding="utf-8")
    _css = (_HERE / "panel.css").read_text(encoding="utf-8")

    group = traitlets.Unicode().tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    fields = traitlets.List().tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    errors = traitlets.Dict().tag(sync=True)
    typed = traitlets.Int().tag(sync=True)
    checked = traitlets.Int().tag(sync=True)
    bar = traitlets.Dict(None, allow_none=True).tag(sync=True)

    def give_file(self, name: str, media_type: str, content: bytes) -> None:
        """Let the browser save a file under a name."""
        self.send({"do": "save", "name": name, "type": media_type}, [content])

    def tell_of_upload(self, name: str) -> None:
        """Tell the page that a field's file is there, or could not be had: now its error can be shown."""
        self.send({"do": "there", "field": name})

    def answer(self) -> None:
        """Tell the page, which asked, that the kernel is there."""
        self.send({"do": "pong"})

    def _repr_keys(self) -> Any:
        return ("name",)
