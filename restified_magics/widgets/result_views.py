"""Where a form shows the result of a run and what its cells put out: two output areas."""

from __future__ import annotations

from typing import Any

import ipywidgets

from restified_magics.core.runs import Run
from restified_magics.widgets.shown import cell_outputs, shown_value

__all__ = ["ResultViews"]


class ResultViews:
    """The result above, what the cells put out below.

    Outputs are set as nbformat outputs: ``with Output()`` loses them in a thread.

    Args:
        tracebacks: show the tracebacks of exceptions that cells may raise.

    Attributes:
        widgets: the output areas.
    """

    def __init__(self, *, tracebacks: bool) -> None:
        self._tracebacks = tracebacks
        self.widgets = (ipywidgets.Output(), ipywidgets.Output())
        for widget, name in zip(self.widgets, ("result", "outputs"), strict=True):
            widget.add_class(f"restified-{name}")
        self._shown: list[Any] = [[], []]
        self._final: Run | None = None

    def show(self, run: Run) -> None:
        """Show what there is of a run; what is shown already is not sent again."""
        if run is self._final:
            return
        ended = run.wait(0)
        done = run.state == "done"
        outputs = run.outputs()
        parts = (
            shown_value(run.result.value, run.notebook, outputs) if done else [],
            cell_outputs(run.notebook, outputs, value_is_shown=done, tracebacks=self._tracebacks),
        )
        for index, part in enumerate(parts):
            if part != self._shown[index]:
                self._shown[index] = part
                self.widgets[index].outputs = tuple(part)
        self._final = run if ended else None
