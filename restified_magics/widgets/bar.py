"""What the bar of a form shows: the state in words, progress, what went wrong, the history. As JSON."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Mapping
from typing import Any

from restified_magics.core.telling import shorten
from restified_magics.errors import CellError
from restified_magics.widgets.controller import Controller, Past
from restified_magics.widgets.cutting import LONGEST_LINE, cut
from restified_magics.widgets.entries import Entry, FieldEntry, FixedEntry, WidgetEntry
from restified_magics.widgets.without_source import without_folders

__all__ = ["bar_state"]

# The states as a person reads them, with the seconds that the run took.
_MESSAGES = {
    "idle": "",
    "done": "Done in {seconds:.1f} s",
    "failed": "Failed after {seconds:.1f} s",
    "cancelled": "Cancelled after {seconds:.1f} s",
}
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def bar_state(
    controller: Controller, entries: Mapping[str, Entry], *, tracebacks: bool, unfolded: bool
) -> dict[str, Any]:
    """The state of a form for its bar.

    Args:
        controller: the form's state machine.
        entries: by the names of the parameters, for the words of the history.
        tracebacks: show tracebacks and source lines.
        unfolded: show them at once.
    """
    run, state, progress = controller.run, controller.state, controller.progress
    running = state == "running"
    seconds = 0.0 if run is None or running else run.elapsed
    return {
        "state": state,
        "number": controller.number,
        "message": _message(controller, seconds, entries),
        "seconds": seconds,
        "done": progress.done if progress is not None else 0,
        "total": progress.total if progress is not None else 0,
        "stale": controller.stale and state == "done",  # of no other run there is a result
        "problems": dict(controller.problems),
        "error": _error(controller, tracebacks=tracebacks, unfolded=unfolded),
        "complaints": list(controller.complaints),
        "history": [{"number": past.number, "text": _past(past, entries)} for past in controller.history],
    }


def _message(controller: Controller, seconds: float, entries: Mapping[str, Entry]) -> str:
    if controller.problems:
        count = len(controller.problems)
        said = "1 field needs attention" if count == 1 else f"{count} fields need attention"
        # what has no field of the panel has no other place where it can be told
        elsewhere = [
            f"{entries[name].parameter.label} {problem}"
            for name, problem in controller.problems.items()
            if isinstance(entries.get(name), WidgetEntry | FixedEntry)
        ]
        return cut(": ".join([said, "; ".join(elsewhere)] if elsewhere else [said]), LONGEST_LINE)
    if controller.state != "running":
        return _MESSAGES[controller.state].format(seconds=seconds)
    progress = controller.progress
    if progress is None or progress.cell is None:
        return "Running"
    return f"Running, cell {min(progress.done + 1, progress.total)} of {progress.total}"


def _error(controller: Controller, *, tracebacks: bool, unfolded: bool) -> dict[str, Any] | None:
    error = controller.failure
    if error is None or controller.state != "failed":
        return None
    name = controller.model.name
    # a visitor learns the file's name, and not in which folder of the server it is
    shown_name = name if tracebacks else os.path.basename(name)
    if not isinstance(error, CellError):
        title = str(error).replace(name, shown_name)
        if not tracebacks:
            title = without_folders(title)
        return {"title": cut(title, LONGEST_LINE), "where": type(error).__name__}
    line = f", line {error.line}" if error.line else ""
    where = f"{error.notebook.replace(name, shown_name)}, cell {error.cell}{line}"
    title = f"{error.ename}: {error.evalue}" if error.evalue else error.ename
    told = {"title": cut(title, LONGEST_LINE), "where": where}
    if not tracebacks:
        return told
    shown = "\n".join(error.traceback) or "".join(traceback.format_exception(error))
    return {
        **told,
        "line": cut(error.source_line or "", LONGEST_LINE),
        "traceback": cut(_COLORS.sub("", shown)),
        "open": unfolded,
    }


def _past(past: Past, entries: Mapping[str, Entry]) -> str:
    changed = [
        f"{entry.parameter.label} {_words(entry, raw)}"
        for name, raw in past.keepsake.items()
        if isinstance(entry := entries.get(name), FieldEntry) and raw != entry.field.initial
    ]
    values = ", ".join(changed) or "all as in the notebook"
    return f"{past.ended:%H:%M:%S}, {past.state}, {past.seconds:.1f} s: {values}"


def _words(entry: FieldEntry, raw: Any) -> str:
    try:
        return shorten(entry.field.read(raw))
    except ValueError:
        return shorten(raw)
