"""What ``restified map`` writes: a table of CSV, or an object of JSON a line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from restified_magics.command_line.command_values import Given
from restified_magics.command_line.terminal import Give
from restified_magics.core.plain_json import plain, to_json
from restified_magics.core.telling import in_words, shorten
from restified_magics.errors import RestifiedError
from restified_magics.signature.reading import as_text
from restified_magics.sweep.running import Outcome
from restified_magics.wire.encoding import Unencodable

__all__ = ["Lines", "Table"]


class Lines:
    """One JSON object a line: the values given, and the value returned or the error."""

    def __init__(self, give: Give) -> None:
        self._give = give

    def write(self, outcome: Outcome) -> None:
        """Write a line.

        Raises:
            Unencodable: the value has no form in JSON; nothing was written.
        """
        name, told = ("value", outcome.value) if outcome.error is None else ("error", _told(outcome.error))
        params, value = (to_json(each, compact=False) for each in (_params(outcome), told))
        self._give(b'{"params": %b, "%b": %b}\n' % (params, name.encode(), value))

    def end(self) -> None:
        """Nothing is left to be written."""

    def nothing(self, names: Sequence[str]) -> None:
        """Nothing is written of no calls."""


class Table:
    """CSV, with the columns that the first call that went well has; one with others is an error."""

    def __init__(self, give: Give, *, errors: bool) -> None:
        self._give = give
        self._errors = errors
        self._names: list[str] = []
        self._early: list[Outcome] = []

    def write(self, outcome: Outcome) -> None:
        """Write a row, once it is known which columns there are.

        Raises:
            Unencodable: the value has no form in a cell; nothing was written.
        """
        if self._names:
            self._row(outcome)
        elif outcome.error is not None:
            self._early.append(outcome)
        else:
            cells = self._cells(outcome)
            if self._errors and "error" in cells:
                raise RestifiedError("error is a column of this table, and --keep-going adds one. Add --json")
            self._begin(list(cells))
            self._row(outcome)

    def end(self) -> None:
        """Write what waits for a call that went well, though there is none."""
        if self._early and not self._names:
            self._begin([*self._early[0].params])

    def nothing(self, names: Sequence[str]) -> None:
        """Write the header of a table of no calls: what would be returned is not known."""
        self._begin([*names])

    def _begin(self, names: list[str]) -> None:
        self._names = [*names, *(["error"] if self._errors else [])]
        self._line(self._names)
        for outcome in self._early:
            self._row(outcome)

    def _row(self, outcome: Outcome) -> None:
        cells = self._cells(outcome)
        others = [name for name in cells if name not in self._names]
        if others:
            raise RestifiedError(
                f"call {outcome.number + 1} has {', '.join(others)}, and the columns of this table, those of "
                f"the first call, are {', '.join(self._names)}. Add --json: a line takes any value"
            )
        self._line([cells.get(name, "") for name in self._names])

    def _cells(self, outcome: Outcome) -> dict[str, str]:
        """What stands in the row of a call, by column."""
        given = {name: _cell(value) for name, value in _params(outcome).items()}
        if outcome.error is not None:
            return {**given, "error": _told(outcome.error)}
        if not isinstance(outcome.value, dict):
            if "value" in given:
                raise RestifiedError(
                    "a parameter is named value, as the column of what is returned. Add --json"
                )
            return {**given, "value": _cell(outcome.value)}
        returned = {str(name): _cell(value) for name, value in outcome.value.items()}
        for name in given.keys() & returned.keys():
            if given[name] != returned[name]:
                raise RestifiedError(
                    f"call {outcome.number + 1} returns {name}={shorten(returned[name])}, and a parameter of "
                    f"that name was given as {shorten(given[name])}: one column cannot have both. Add --json"
                )
        return {**given, **returned}

    def _line(self, cells: list[str]) -> None:
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerow(cells)
        self._give(sink.getvalue().encode())


def _params(outcome: Outcome) -> dict[str, Any]:
    """The values of a call; as they were given, where they could not be read, or where JSON has no such."""
    return {
        name: value.value if isinstance(value, Given) else _plain_or_text(value)
        for name, value in outcome.params.items()
    }


def _plain_or_text(value: Any) -> Any:
    try:
        return plain(value)
    except Unencodable:
        return as_text(value)


def _told(error: Exception) -> str:
    return in_words(error).encode(errors="backslashreplace").decode()


def _cell(value: Any) -> str:
    """A value as the text of a cell: text as it is, None as nothing, anything else as JSON."""
    flat = plain(value)
    if flat is None:
        return ""
    text = to_json(flat, compact=False).decode()
    return flat if isinstance(flat, str) else text
