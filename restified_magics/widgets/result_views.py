"""Where a form shows the result of a run and what its cells put out: two output areas."""

from __future__ import annotations

import time
from typing import Any

import ipywidgets

from restified_magics.core.runs import Run
from restified_magics.widgets.shown import cell_outputs, shown_value

__all__ = ["ResultViews"]

_RATE = 1_000_000  # characters a second that a run may send to the page


class ResultViews:
    """The result above, what the cells put out below.

    Outputs are set as nbformat outputs: ``with Output()`` loses them in a thread.

    Args:
        tracebacks: show the tracebacks of exceptions that cells may raise.
        live: the cells run in this process, so that a page can show their widgets.

    Attributes:
        widgets: the output areas.
    """

    def __init__(self, *, tracebacks: bool, live: bool) -> None:
        self._tracebacks = tracebacks
        self._live = live
        self.widgets = (ipywidgets.Output(), ipywidgets.Output())
        for widget, name in zip(self.widgets, ("result", "outputs"), strict=True):
            widget.add_class(f"restified-{name}")
        self._shown: list[Any] = [[], []]
        self._seen: Any = None
        self._pause = 0.0
        self._final: Run | None = None

    def show(self, run: Run) -> None:
        """Show what there is of a run; what is shown already is not sent again.

        While it runs, much is sent less often than little.
        """
        ended = run.wait(0)
        if run is self._final or (not ended and time.monotonic() < self._pause):
            return
        done = run.state == "done"
        outputs = run.outputs()
        if not ended and outputs == self._seen:
            return
        self._seen = outputs
        if ended:
            self._final, self._seen = run, None  # it is looked at once, also where that raises
        value = shown_value(run.result.value, run.notebook, outputs, live=self._live) if done else []
        parts = (
            value,
            cell_outputs(
                run.notebook,
                outputs,
                value_is_shown=done,
                value=value,
                tracebacks=self._tracebacks,
                live=self._live,
            ),
        )
        for index, part in enumerate(parts):
            if part != self._shown[index]:
                self._shown[index] = part
                self.widgets[index].outputs = tuple(part)
                self._pause = time.monotonic() + len(str(part)) / _RATE
