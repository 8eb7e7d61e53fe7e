"""The panels of a form, all together: where its fields stand on the page, and what they show."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets

from restified_magics.widgets.entries import FieldEntry, LinkedEntry, WidgetEntry
from restified_magics.widgets.inputs import Inputs
from restified_magics.widgets.panel import Panel

__all__ = ["Panels"]

_groups = itertools.count(1)


class Panels:
    """One panel for all fields and the bar; an author's own widgets stand between panels.

    Args:
        inputs: what the fields show.
        name: what the form is called.
        bar: what Run and Cancel show at first.
        places_widgets: the author's own widgets are to be shown here, and not where the author lays them out.
        on_change: called when the page has changed a value.
        on_message: called with the panel, the message and its buffers when the page commands something.

    Attributes:
        children: the widgets in the order of the page.
    """

    def __init__(
        self,
        inputs: Inputs,
        *,
        name: str,
        bar: Mapping[str, Any],
        places_widgets: bool,
        on_change: Callable[[], object],
        on_message: Callable[[Any, Any, Any], object],
    ) -> None:
        self._inputs = inputs
        self._name = name
        self._group = f"{os.getpid()}-{next(_groups)}"
        self._on_change = on_change
        self._on_message = on_message
        self._panels: list[Panel] = []
        self.children: list[Any] = []
        names: list[str] = []
        for each, entry in inputs.items():
            if isinstance(entry, FieldEntry | LinkedEntry):
                names.append(each)
            elif isinstance(entry, WidgetEntry) and places_widgets:
                if names:
                    self._add(names)
                    names = []
                self.children.append(_labelled(entry))
        self._add(names, bar=bar)

    def _add(self, names: Iterable[str], **more: Any) -> None:
        made = Panel(group=self._group, name=self._name, **self._state(names), **more)
        made.observe(self._take, ["values", "typed"])
        made.on_msg(self._on_message)
        self._panels.append(made)
        self.children.append(made)

    @property
    def last(self) -> Panel:
        """The panel with the bar."""
        return self._panels[-1]

    def refresh(self) -> None:
        """Show what the entries hold."""
        for panel in self._panels:
            panel.values = self._state(_names(panel))["values"]
        self.check()

    def respecify(self) -> None:
        """A field has become another kind of entry."""
        for panel in self._panels:
            state = self._state(_names(panel))
            with panel.hold_sync():
                panel.fields = state["fields"]
                panel.values = state["values"]
        self.check()

    def check(self) -> None:
        """Show what is wrong beside each field."""
        problems = self._inputs.read().problems
        for panel in self._panels:
            own = {name: problems[name] for name in _names(panel) if name in problems}
            with panel.hold_sync():
                panel.errors = own
                panel.checked = panel.typed

    def _take(self, change: Any) -> None:
        panel = change["owner"]
        changed = self._inputs.take(panel.values)
        # a page that had not heard of the newest file, or result of another form, has sent the one before
        panel.values = self._state(_names(panel))["values"]
        if changed or change["name"] == "typed":
            self.check()
        if changed:
            self._on_change()

    def _state(self, names: Iterable[str]) -> dict[str, Any]:
        specs, values = [], {}
        for name in names:
            entry = self._inputs[name]
            if isinstance(entry, FieldEntry):
                specs.append(entry.field.spec())
                values[name] = entry.raw
            elif isinstance(entry, LinkedEntry):
                specs.append(entry.spec())
                values[name] = entry.shown()
        return {"fields": specs, "values": values}


def _names(panel: Panel) -> list[str]:
    return [spec["name"] for spec in panel.fields]


def _labelled(entry: WidgetEntry) -> Any:
    """The author's widget with the parameter's label, unless it has a description of its own.

    A description is tied to its control, which a label beside it is not.
    """
    widget, label = entry.widget, entry.parameter.label
    if getattr(widget, "description", None) == "":
        widget.description = label
        if hasattr(widget, "style") and hasattr(widget.style, "description_width"):
            widget.style.description_width = "initial"
    shown = [] if getattr(widget, "description", None) else [ipywidgets.Label(label)]
    return ipywidgets.VBox([*shown, widget])
