"""What a form shows of a run: its value and what its cells put out, as nbformat outputs of bounded size."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from restified_magics.core.notebook import Notebook
from restified_magics.core.telling import shorten
from restified_magics.in_process.shell import shell
from restified_magics.widgets.cutting import cut
from restified_magics.widgets.log import log
from restified_magics.widgets.plain_tables import ROWS, plain_table
from restified_magics.widgets.without_source import without_source

__all__ = ["LARGEST", "cell_outputs", "shown_value"]

#: Characters that one output may have on a page.
LARGEST = 1_000_000

_LARGEST_ALL = 4 * LARGEST  # characters of all outputs of the cells together
_MOST = 200  # outputs of the cells: of more there are the first and the last

_WIDGET = "application/vnd.jupyter.widget-view+json"
_REPRS_WITH_ARGUMENTS = ("_repr_mimebundle_", "_repr_pretty_")

Output = dict[str, Any]


def shown_value(
    value: Any, notebook: Notebook, outputs: list[list[Output]], *, live: bool = True
) -> list[Output]:
    """The value of a call as outputs: nothing for None.

    Args:
        value: the value.
        notebook: the notebook of the call.
        outputs: its outputs by cell: where the `return` cell put its value out, that is how it is shown.
            Where that is text alone, and the value is rows under names, there is a table of it, too.
        live: as for :func:`cell_outputs`.
    """
    if value is None:
        return []
    found = _returned(notebook, outputs)
    made = found if found is not None else _formatted(value)
    if made["data"].keys() == {"text/plain"} and (table := plain_table(value)) is not None:
        made = {**made, "data": {"text/html": table, **made["data"]}}
    return [*_bounded([made], live=live), *_remark(value)]


def cell_outputs(
    notebook: Notebook,
    outputs: list[list[Output]],
    *,
    value_is_shown: bool,
    value: Sequence[Output] = (),
    tracebacks: bool,
    live: bool = True,
) -> list[Output]:
    """What the cells put out, but for the value of the call and the error that ended it.

    Args:
        notebook: the notebook of the call.
        outputs: by cell.
        value_is_shown: the value stands elsewhere, so that the `return` cell need not show it.
        value: the outputs that show it there. A figure among them is not shown here, too, after the cell
            that made it.
        tracebacks: whether an exception that a cell may raise is shown with its traceback, and a warning
            with its line.
        live: the cells run in this process, so that a page can show their widgets.
    """
    returned = _returned(notebook, outputs) if value_is_shown else None
    language = notebook.other_language
    printed = value_is_shown and language is not None and language.prints_value
    pictures = [each["data"]["image/png"] for each in value if "image/png" in each["data"]]
    listed: list[Output] = []
    for cell, found in zip(notebook.cells, outputs, strict=False):
        for output in found:
            if output is returned or (printed and cell.role == "return" and output.get("name") == "stdout"):
                continue
            if output["output_type"] == "display_data" and output["data"].get("image/png") in pictures:
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
    if not tracebacks:
        listed = [_without_source(output) for output in listed]
    return list(_limited(list(_bounded(listed, live=live))))


def _without_source(output: Output) -> Output:
    text = without_source(output["text"]) if output["output_type"] == "stream" else None
    return output if text is None else {**output, "text": text}


def _limited(outputs: list[Output]) -> Iterator[Output]:
    """The first and the last outputs, as many as a page can bear."""
    sizes = [len(str(output)) for output in outputs]
    first = _fitting(sizes)
    last = _fitting(sizes[first:][::-1])
    left = len(outputs) - first - last
    yield from outputs[:first]
    if left:
        size = sum(sizes[first : first + left]) / 1_000_000
        yield _note(
            f"{left:,} outputs of {size:.1f} MB in all are left out here, which are too many for a page."
        )
    yield from outputs[len(outputs) - last :]


def _fitting(sizes: list[int]) -> int:
    """How many of the first outputs take half of the place."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > _LARGEST_ALL // 2 or count == _MOST // 2:
            return count
    return len(sizes)


def _said(output: Output) -> str:
    return f"{output['ename']}: {output['evalue']}" if output["evalue"] else str(output["ename"])


def _returned(notebook: Notebook, outputs: list[list[Output]]) -> Output | None:
    """The output in which the `return` cell showed its value."""
    language = notebook.other_language
    kind = "execute_result" if language is None else language.shows_value
    for cell, found in zip(notebook.cells, outputs, strict=False):
        if cell.role == "return":
            for output in reversed(found):
                if output["output_type"] == kind and not (kind == "display_data" and _is_picture(output)):
                    return output
    return None


def _is_picture(output: Output) -> bool:
    return any(media_type.startswith("image/") for media_type in output["data"])


def _formatted(value: Any) -> Output:
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    if _can_repr(value):
        instance = shell()
        if "matplotlib.figure" in sys.modules:
            from IPython.core.pylabtools import select_figure_formats

            select_figure_formats(instance, {"png"})
        data, metadata = instance.display_formatter.format(value)
    else:
        data = {"text/plain": f"<{type(value).__name__} object>"}
    if not data:
        data = {"text/plain": shorten(value)}
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def _can_repr(value: Any) -> bool:
    """Whether a repr of a notebook's own works: IPython would print its traceback who knows where.

    Also where it raises what is no Exception, which would end the thread that shows it.
    """
    if type(value).__module__.partition(".")[0] in ("builtins", "numpy", "pandas"):
        return True
    try:
        repr(value)
        for name in dir(type(value)):
            if name.startswith("_repr_") and name.endswith("_") and name not in _REPRS_WITH_ARGUMENTS:
                getattr(value, name)()
    except BaseException:  # noqa: BLE001 - it is the notebook's code
        log().warning("the repr of a %s raises", type(value).__name__)
        return False
    return True


def _remark(value: Any) -> Iterator[Output]:
    """Of a long table only a part is shown, and it says so."""
    try:
        shape = getattr(value, "shape", None) if hasattr(value, "to_csv") else None
    except Exception:  # noqa: BLE001 - a `__getattr__` of the notebook's own
        return
    long = isinstance(shape, tuple) and len(shape) in (1, 2) and shape[0] > ROWS
    if long or (type(value) is list and len(value) > ROWS and plain_table(value) is not None):
        yield _note(f"The first and the last rows of {len(value):,}. The download has all of them.")


def _bounded(outputs: list[Output], *, live: bool) -> Iterator[Output]:
    for output in outputs:
        if output["output_type"] == "stream":
            yield {**output, "text": cut(_as_terminal(output["text"]))}
        elif output["output_type"] == "error":
            yield {
                **output,
                "evalue": cut(output["evalue"]),
                "traceback": [cut("\n".join(output["traceback"]))],
            }
        else:
            yield from _bounded_data(output, live=live)


def _bounded_data(output: Output, *, live: bool) -> Iterator[Output]:
    given = output["data"]
    if not live and len(given) > 1:  # a widget of a kernel that this page does not talk to
        given = {kind: content for kind, content in given.items() if kind != _WIDGET}
    data = {kind: content for kind, content in given.items() if _size(content) <= LARGEST}
    left = given.keys() - data.keys()
    if left:
        size = max(_size(given[kind]) for kind in left) / 1_000_000
        plain = data.get("text/plain")
        if set(data) <= {"text/plain"}:
            data = {} if plain is None else {"text/plain": cut(plain)}
        yield _note(f"An output of {size:.1f} MB is too large for this page.")
    if "text/plain" in data and len(data) == 1:
        data = {"text/plain": cut(data["text/plain"])}
    if data:
        yield {"output_type": "display_data", "data": data, "metadata": output.get("metadata", {})}


def _size(content: Any) -> int:
    return len(content) if isinstance(content, (str, bytes)) else len(str(content))


def _as_terminal(text: str) -> str:
    """What a terminal would show of lines that a progress bar wrote over each other."""
    if "\r" not in text:
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def _note(text: str) -> Output:
    shown = {"text/html": f"<p class='restified-note'>{escape(text)}</p>", "text/plain": text}
    return {"output_type": "display_data", "data": shown, "metadata": {}}
