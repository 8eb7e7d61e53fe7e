"""How far a call is, cell by cell: the same for a run, a bar in a terminal, a form and a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from restified_magics.core.calls import Call

__all__ = ["Progress", "progress_of"]


class Progress(NamedTuple):
    """How far a call is.

    Attributes:
        done: how many cells have run.
        total: how many there are to run: those after the one that ends the call are not among them.
        cell: position of the cell that runs, counted from 1 over all cells, or None.
    """

    done: int
    total: int
    cell: int | None

    def completed(self) -> Progress:
        """The same of a call that went well."""
        return self._replace(done=self.total)


def progress_of(call: Call) -> Progress:
    """How far a call is that runs."""
    cells = call.notebook.to_run
    number = None if call.cell is None else call.cell.number
    return Progress(0 if number is None else sum(cell.number < number for cell in cells), len(cells), number)
