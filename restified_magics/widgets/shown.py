"""What a form shows of a run: its value and what its cells put out, as nbformat outputs of bounded size."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from html import escape
from typing import Any

from restified_magics.core.notebook import Notebook
from restified_magics.core.telling import shorten
from restified_magics.in_process.shell import shell
from restified_magics.signature.languages import language_of

__all__ = ["LARGEST", "cell_outputs", "shown_value"]

#: Characters that one output may have on a page.
LARGEST = 1_000_000

_TEXT = 100_000  # characters of printed text: more is cut in the middle
_ROWS = 60  # rows of a table that pandas shows whole

Output = dict[str, Any]

_log = logging.getLogger("restified_magics.forms")


def shown_value(value: Any, notebook: Notebook, outputs: list[list[Output]]) -> list[Output]:
    """The value of a call as outputs: nothing for None.

    Args:
        value: the value.
        notebook: the notebook of the call.
        outputs: its outputs by cell: where the `return` cell put its value out, that is how it is shown.
    """
    if value is None:
        return []
    found = _returned(notebook, outputs)
    made = found if found is not None else _formatted(value)
    return [*_bounded([made]), *_remark(value)]


def cell_outputs(
    notebook: Notebook, outputs: list[list[Output]], *, value_is_shown: bool, tracebacks: bool
) -> list[Output]:
    """What the cells put out, but for the value of the call and the error that ended it.

    Args:
        notebook: the notebook of the call.
        outputs: by cell.
        value_is_shown: the value stands elsewhere, so that the `return` cell need not show it.
        tracebacks: whether an exception that a cell may raise is shown with its traceback.
    """
    returned = _returned(notebook, outputs) if value_is_shown else None
    language = language_of(notebook.language)
    printed = value_is_shown and language is not None and language.prints_value
    listed: list[Output] = []
    for cell, found in zip(notebook.cells, outputs, strict=False):
        for output in found:
            if output is returned or (printed and cell.role == "return" and output.get("name") == "stdout"):
                continue
            if output["output_type"] == "error":
                if cell.raises:
                    listed.append(output if tracebacks else {**output, "traceback": [_said(output)]})
                continue
            last = listed[-1] if listed else None
            if output["output_type"] == "stream" and last and last.get("name") == output["name"]:
                listed[-1] = {**last, "text": last["text"] + output["text"]}
            else:
                listed.append(output)
    return list(_bounded(listed))


def _said(output: Output) -> str:
    return f"{output['ename']}: {output['evalue']}" if output["evalue"] else str(output["ename"])


def _returned(notebook: Notebook, outputs: list[list[Output]]) -> Output | None:
    """The output in which the `return` cell showed its value."""
    for cell, found in zip(notebook.cells, outputs, strict=False):
        if cell.role == "return":
            for output in reversed(found):
                if output["output_type"] == "execute_result":
                    return output
    return None


def _formatted(value: Any) -> Output:
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    if _can_repr(value):
        instance = shell()
        if "matplotlib.figure" in sys.modules:
            from IPython.core.pylabtools import select_figure_formats

            select_figure_formats(instance, {"png"})
        data, metadata = instance.display_formatter.format(value)
    if not data:
        data = {"text/plain": shorten(value)}
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def _can_repr(value: Any) -> bool:
    """Whether a repr of a notebook's own works: IPython would print its traceback who knows where."""
    if type(value).__module__.partition(".")[0] in ("builtins", "numpy", "pandas"):
        return True
    try:
        repr(value)
    except Exception:  # noqa: BLE001 - it is the notebook's code
        _log.warning("the repr of a %s raises", type(value).__name__)
        return False
    return True


def _remark(value: Any) -> Iterator[Output]:
    """Of a long table only a part is shown, and it says so."""
    shape = getattr(value, "shape", None)
    if hasattr(value, "to_csv") and isinstance(shape, tuple) and len(shape) in (1, 2) and shape[0] > _ROWS:
        yield _note(f"The first and the last rows of {shape[0]:,}. The download has all of them.")


def _bounded(outputs: list[Output]) -> Iterator[Output]:
    for output in outputs:
        if output["output_type"] == "stream":
            yield {**output, "text": _cut(_as_terminal(output["text"]))}
        elif output["output_type"] == "error":
            yield output
        else:
            yield from _bounded_data(output)


def _bounded_data(output: Output) -> Iterator[Output]:
    data = {kind: content for kind, content in output["data"].items() if _size(content) <= LARGEST}
    left = output["data"].keys() - data.keys()
    if left:
        size = max(_size(output["data"][kind]) for kind in left) / 1_000_000
        plain = data.get("text/plain")
        if set(data) <= {"text/plain"}:
            data = {} if plain is None else {"text/plain": _cut(plain)}
        yield _note(f"An output of {size:.1f} MB is too large for this page. The notebook of the run has it.")
    if "text/plain" in data and len(data) == 1:
        data = {"text/plain": _cut(data["text/plain"])}
    if data:
        yield {"output_type": "display_data", "data": data, "metadata": output.get("metadata", {})}


def _size(content: Any) -> int:
    return len(content) if isinstance(content, (str, bytes)) else len(str(content))


def _cut(text: str) -> str:
    if len(text) <= _TEXT:
        return text
    half = _TEXT // 2
    return f"{text[:half]}\n\n… {len(text) - _TEXT:,} characters are left out here …\n\n{text[-half:]}"


def _as_terminal(text: str) -> str:
    """What a terminal would show of lines that a progress bar wrote over each other."""
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _note(text: str) -> Output:
    shown = {"text/html": f"<p class='restified-note'>{escape(text)}</p>", "text/plain": text}
    return {"output_type": "display_data", "data": shown, "metadata": {}}
