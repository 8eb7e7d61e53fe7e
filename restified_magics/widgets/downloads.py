"""What can be saved of a run: its value, as the files that it can be, and the run itself as a notebook."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass

from restified_magics.core.media import CSV, JSON, PNG, SVG, TEXT, offered, render
from restified_magics.core.model import Model
from restified_magics.core.runs import Run

__all__ = ["Download", "downloads"]

# In the order in which they are offered: media type, label, suffix.
_FILES = (
    (CSV, "CSV", ".csv"),
    (JSON, "JSON", ".json"),
    (PNG, "PNG", ".png"),
    (SVG, "SVG", ".svg"),
    (TEXT, "Text", ".txt"),
    ("application/pdf", "PDF", ".pdf"),
    ("image/jpeg", "JPEG", ".jpg"),
    ("application/octet-stream", "File", ".bin"),
)


@dataclass(frozen=True)
class Download:
    """A file that a form offers.

    Attributes:
        what: its key, for the page.
        label: what its button says.
        name: the file's name.
        media_type: its media type.
        content: makes its bytes.
    """

    what: str
    label: str
    name: str
    media_type: str
    content: Callable[[], bytes]


def downloads(model: Model, run: Run, *, source: bool) -> list[Download]:
    """What can be saved of a run that has ended.

    Args:
        model: the Model.
        run: the run.
        source: also the notebook of the run, which has the source of the Model.
    """
    notebook = run.notebook
    stem = notebook.path.stem if notebook.path is not None else model.name.strip("<>").removesuffix(".ipynb")
    found = []
    value = run.result.value
    if run.state == "done" and value is not None:
        available = offered(value)
        # JSON of a figure, or bytes of a table, is nothing that anybody asks for
        found = [
            Download(
                label,
                f"Download {label}",
                f"{stem}{suffix}",
                media_type,
                functools.partial(render, value, media_type),
            )
            for media_type, label, suffix in _FILES
            if media_type in available and (media_type != JSON or CSV in available or _is_json(value))
        ]
    if not source:
        return found
    executed = Download(
        "notebook",
        "Download the run as a notebook",
        f"{stem}_run.ipynb",
        "application/x-ipynb+json",
        lambda: json.dumps(run.result.node, indent=1, ensure_ascii=False).encode(),
    )
    return [*found, executed]


def _is_json(value: object) -> bool:
    """Whether a value can be written as JSON, as a thing of a class of the notebook's own cannot."""
    try:
        render(value, JSON)
    except Exception:  # noqa: BLE001 - ours, or what the value's own methods raise
        return False
    return True
