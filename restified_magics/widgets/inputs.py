"""The entries of a form, all together: made, filled, read, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ipywidgets

from restified_magics.core.model import Model
from restified_magics.errors import ParameterError
from restified_magics.signature.parameters import MISSING, unknown
from restified_magics.signature.parameters import bind as check
from restified_magics.widgets.controller import Reading
from restified_magics.widgets.entries import (
    Entry,
    FieldEntry,
    FixedEntry,
    LinkedEntry,
    WidgetEntry,
    make_entry,
)

__all__ = ["Inputs"]


class Inputs(dict[str, Entry]):
    """The entries of a form by parameter, in the Model's order.

    Args:
        model: the Model.
        overrides: what entries are to be, as for ``ipywidgets.interact``.
        values: what they begin with. One that no field can show is handed over as it is.

    Raises:
        ParameterError: a name is no parameter, or a value or an override does not fit.
    """

    def __init__(self, model: Model, overrides: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        super().__init__()
        self._model = model
        self.check_names(overrides)
        shown, kept = self._beginning(values)
        problems: dict[str, str] = {}
        for name, parameter in model.parameters.items():
            try:
                self[name] = make_entry(parameter, kept.get(name, overrides.get(name)))
                if name in shown:
                    self[name].set(shown[name])  # as an override has bounds of its own
            except ValueError as error:
                problems[name] = str(error)
        if problems:
            raise ParameterError(model.name, problems)

    def check_names(self, names: Iterable[str]) -> None:
        """Raise a ParameterError where there is no such parameter."""
        known = self._model.parameters
        problems = {name: unknown(name, known) for name in names if name not in known}
        if problems:
            raise ParameterError(self._model.name, problems)

    def _beginning(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values to begin with, checked: those that a field can show, and those that none can, as a table."""
        try:
            values = check(self._model.parameters, values, self._model.name)
        except ParameterError as error:
            wrong = {name: problem for name, problem in error.problems.items() if name in values}
            if wrong:
                raise ParameterError(error.notebook, wrong) from None
        shown: dict[str, Any] = {}
        kept: dict[str, Any] = {}
        for name, value in values.items():
            try:
                make_entry(self._model.parameters[name]).set(value)
            except ValueError:
                kept[name] = ipywidgets.fixed(value)
            else:
                shown[name] = value
        return shown, kept

    def fill(self, values: Mapping[str, Any]) -> list[str]:
        """Fill entries, and tell which cannot hold their value, and why.

        Raises:
            ParameterError: there is no such parameter. Nothing is filled.
        """
        self.check_names(values)
        problems = []
        for name, value in values.items():
            try:
                self[name].set(value)
            except ValueError as error:
                problems.append(f"{name} {error}")
        return problems

    def checked_preset(self, preset: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a preset, checked as far as that changes nothing: not those for widgets.

        Raises:
            ParameterError: a name is no parameter, or a value does not fit.
        """
        self.check_names(values)
        problems = {}
        for name, value in values.items():
            entry = self[name]
            try:
                if isinstance(entry, FieldEntry):
                    type(entry)(entry.field).set(value)
                elif isinstance(entry, FixedEntry):
                    entry.set(value)
            except ValueError as error:
                problems[name] = f"{error} (in the preset {preset!r})"
        if problems:
            raise ParameterError(self._model.name, problems)
        return dict(values)

    def take_kept(self, values: Mapping[str, Any]) -> list[str]:
        """Take values that the browser kept, perhaps of a former version; tell which are none any more."""
        problems = []
        for name, kept in values.items():
            entry = self.get(name)
            if isinstance(entry, FieldEntry) and not entry.field.secret:
                try:
                    entry.take(entry.field.raw_of_kept(kept))
                except ValueError as error:
                    problems.append(f"{entry.parameter.label} {error}")
        return problems

    def take(self, raws: Mapping[str, Any]) -> bool:
        """Take raw values of fields, whatever they mean; tell whether any of them is another one."""
        changed = False
        for name, raw in raws.items():
            entry = self.get(name)
            if isinstance(entry, FieldEntry) and entry.raw != raw:
                entry.take(raw)
                changed = True
        return changed

    def reset(self) -> None:
        """Put all entries back to what they began with."""
        for entry in self.values():
            entry.reset()

    def link(self, name: str, origin: str) -> LinkedEntry:
        """Have a parameter get the results of another form, instead of what it was given by."""
        former = self[name]
        if isinstance(former, WidgetEntry):
            former.close()
        made = LinkedEntry(former.parameter, origin)
        self[name] = made
        return made

    def read(self) -> Reading:
        """The values that a run would be given, and what is wrong."""
        values: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name, entry in self.items():
            try:
                value = entry.current()
            except ValueError as error:
                problems[name] = str(error)
            else:
                if value is not MISSING:
                    values[name] = value
        return Reading(values, problems)

    def untold(self) -> dict[str, str]:
        """What is wrong with values that have no field, where it could be told."""
        problems = self.read().problems
        return {name: why for name, why in problems.items() if not isinstance(self[name], FieldEntry)}

    def keepsake(self) -> dict[str, Any]:
        """The raw values by which a later page can be filled again: without those that are secret."""
        return {
            name: entry.raw
            for name, entry in self.items()
            if isinstance(entry, FieldEntry) and not entry.field.secret
        }

    def on_change(self, changed: Callable[[], object]) -> None:
        """Hear of every change in the author's own widgets."""
        for entry in self._widgets():
            entry.on_change(changed)

    def close(self) -> None:
        """Let go of the author's own widgets."""
        for entry in self._widgets():
            entry.close()

    def _widgets(self) -> list[WidgetEntry]:
        return [entry for entry in self.values() if isinstance(entry, WidgetEntry)]
