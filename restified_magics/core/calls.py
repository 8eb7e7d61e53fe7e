"""One call that runs, the calls around it, and which one is the current one in a thread or task."""

from __future__ import annotations

import contextvars
import json
import os
import threading
from collections.abc import Callable
from typing import Any

from restified_magics.core.notebook import Cell, Notebook
from restified_magics.core.result import Result
from restified_magics.errors import ModelRecursionError

__all__ = ["Call", "current_call", "reset_current_call", "set_current_call"]

#: Models may call Models this deep: far below Python's own recursion limit, whose error names no notebook.
MAX_DEPTH = 30


class Call:
    """One call that runs: what its cells, outputs and nested calls have in common.

    Attributes:
        notebook: the version of the Model that it runs.
        params: the values given, coerced.
        parent: the call that this one was made from, or None.
        shell: what `get_ipython()` finds in it, in plain Python too.
        sink: where its outputs go: None is where the caller's go.
        namespace: the globals of its cells, once it has them.
        cell: the cell that runs.
        follow: is told each cell that begins, or None.
        hold: what it needs of the process.
        figures: pyplot's open figures of this call, once it has some.
        history: what its cells have shown, where they look back at it.
        outer: the names of the calls around it in other processes, the outermost first.
        streams: what ``sys.stdout`` and ``sys.stderr`` were when it began.
        ended: threads and tasks that outlive it belong to its parent.
    """

    __slots__ = (
        "cell",
        "depth",
        "ended",
        "figures",
        "follow",
        "history",
        "hold",
        "namespace",
        "notebook",
        "outer",
        "params",
        "parent",
        "result",
        "shell",
        "sink",
        "streams",
    )

    def __init__(self, notebook: Notebook, params: dict[str, Any], parent: Call | None) -> None:
        self.notebook = notebook
        self.params = params
        self.parent = parent
        self.outer: list[str] = parent.outer if parent else _outer_chain()
        self.depth: int = parent.depth + 1 if parent else len(self.outer) + 1
        self.sink: Any = None
        self.namespace: dict[str, Any] = {}
        self.cell: Any = None
        self.follow: Callable[[Cell], object] | None = None
        self.hold: Any = None
        self.shell: Any = None
        self.history: Any = None
        self.ended = False
        self.figures: Any = None
        self.streams: Any = None
        self.result = Result(params=params, _source=notebook)
        if self.depth > MAX_DEPTH:
            raise ModelRecursionError([*self.outer, *(call.notebook.name for call in self.chain())])

    def chain(self) -> list[Call]:
        """The calls from the outermost to this one."""
        found: list[Call] = []
        call: Call | None = self
        while call is not None:
            found.append(call)
            call = call.parent
        return found[::-1]


def _outer_chain() -> list[str]:
    """The calls whose kernel this process is."""
    told = os.environ.get("RESTIFIED_MAGICS_CHAIN")
    return [str(name) for name in json.loads(told)] if told else []


_current: contextvars.ContextVar[Call | None] = contextvars.ContextVar("restified_magics_call", default=None)


def current_call() -> Call | None:
    """The call whose cells run in this thread or task; a thread that a cell started belongs to it."""
    call = _current.get()
    if call is None:
        call = getattr(threading.current_thread(), "_restified_call", None)
    while call is not None and call.ended:
        call = call.parent
    return call


def set_current_call(call: Call) -> contextvars.Token[Call | None]:
    """Make `call` the current one in this context."""
    return _current.set(call)


def reset_current_call(token: contextvars.Token[Call | None]) -> None:
    """Make the call current that was so before."""
    _current.reset(token)
