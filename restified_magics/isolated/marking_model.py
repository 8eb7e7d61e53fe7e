"""A Model whose calls mark which cell runs, for who waits outside of their process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.notebook import Cell
from restified_magics.in_process.python_model import PythonModel
from restified_magics.isolated.isolated_child import marks

__all__ = ["MarkingModel"]


class MarkingModel(PythonModel):
    """A Model in an isolated process, which may end in the middle of a call.

    Attributes:
        call: the one that was begun last, or None.
    """

    call: Call | None = None

    def _begin(self, params: Mapping[str, Any] | None) -> Call:
        call = self.call = super()._begin(params)
        where = marks()

        def follow(cell: Cell) -> None:
            where[1] = cell.number
            call.cell = cell

        call.follow = follow
        return call
