"""Matplotlib figures of a call: its own, shown once after the cell that made them, and closed."""

from __future__ import annotations

import collections
import sys
from collections.abc import Callable, Iterator
from typing import Any

from restified_magics.core.model import Call, current_call

__all__ = ["claim_figures", "close_figures", "flush_figures"]


class _FiguresByCall(collections.OrderedDict[int, Any]):
    """pyplot's table of open figures, one for each running call.

    pyplot keeps a single table for the process, so that two calls in two threads draw into each
    other's figures, and a Model into those of its View. This one is, for code of a call, that
    call's own table, and the table that was there for everybody else.
    """

    def __init__(self, outside: collections.OrderedDict[int, Any]) -> None:
        super().__init__()
        self._outside = outside

    def _mine(self) -> collections.OrderedDict[int, Any]:
        call = current_call()
        if call is None:
            return self._outside
        if call.figures is None:
            call.figures = collections.OrderedDict()
        figures: collections.OrderedDict[int, Any] = call.figures
        return figures

    def adopt(self) -> None:
        """Hand the figures outside over to the current call."""
        if self._mine() is not self._outside:
            self._mine().update(self._outside)
            self._outside.clear()

    def __getitem__(self, key: int) -> Any:
        return self._mine()[key]

    def __setitem__(self, key: int, value: Any) -> None:
        self._mine()[key] = value

    def __delitem__(self, key: int) -> None:
        del self._mine()[key]

    def __contains__(self, key: object) -> bool:
        return key in self._mine()

    def __iter__(self) -> Iterator[int]:
        return iter(self._mine())

    def __reversed__(self) -> Any:
        return reversed(self._mine())

    def __len__(self) -> int:
        return len(self._mine())

    def __bool__(self) -> bool:
        return bool(self._mine())

    def get(self, key: int, default: Any = None) -> Any:
        return self._mine().get(key, default)

    def pop(self, key: int, *default: Any) -> Any:
        return self._mine().pop(key, *default)

    def popitem(self, last: bool = True) -> tuple[int, Any]:
        return self._mine().popitem(last)

    def setdefault(self, key: int, default: Any = None) -> Any:
        return self._mine().setdefault(key, default)

    def keys(self) -> Any:
        return self._mine().keys()

    def values(self) -> Any:
        return self._mine().values()

    def items(self) -> Any:
        return self._mine().items()

    def clear(self) -> None:
        self._mine().clear()

    def move_to_end(self, key: int, last: bool = True) -> None:
        self._mine().move_to_end(key, last)


def _gcf() -> Any:
    """pyplot's register of figures with our table in it, or None where pyplot is not in use."""
    if "matplotlib.pyplot" not in sys.modules:
        return None
    register = sys.modules["matplotlib._pylab_helpers"].Gcf
    if not isinstance(register.figs, _FiguresByCall):
        register.figs = _FiguresByCall(register.figs)
    return register


def claim_figures() -> None:
    """Keep the figures of calls apart from those that are open; at the start of a call."""
    _gcf()


def flush_figures(show: Callable[[Any], None], *, shown: object = None) -> None:
    """Show and close the figures that a cell of the current call left open.

    Args:
        show: displays one figure.
        shown: a figure that is displayed already, as the cell's value.
    """
    helpers = sys.modules.get("matplotlib._pylab_helpers")
    if helpers is None:
        return
    # Where pyplot was imported by this very cell, all figures that there are come from it.
    first = not isinstance(helpers.Gcf.figs, _FiguresByCall)
    register = _gcf()
    if register is None:
        return
    if first:
        register.figs.adopt()
    for manager in list(register.figs.values()):
        if getattr(manager.canvas, "required_interactive_framework", None):
            continue  # a window on the user's screen, which is the user's to close
        figure = manager.canvas.figure
        register.destroy(manager)
        if figure is not shown:
            show(figure)


def close_figures(call: Call) -> None:
    """Forget the figures of a call that ends; windows on the screen go over to the caller."""
    left, call.figures = call.figures, None
    if not left:
        return
    register = _gcf()
    for manager in list(left.values()):
        if getattr(manager.canvas, "required_interactive_framework", None):
            manager.num = max(register.figs, default=0) + 1
            register.figs[manager.num] = manager
        else:
            manager.destroy()
