"""Matplotlib figures of a call: its own, shown once after the cell that made them, and closed."""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from restified_magics.core.calls import Call, current_call

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


class _Claiming:
    """The loader of pyplot's register, which puts our table into it before anybody can open a figure."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        _claim(module)


class _Finder:
    """Stands before Python's own finders until the register is imported, which may be in a cell of a call."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        if name != _REGISTER:
            return None
        with contextlib.suppress(ValueError):  # another thread has just done it
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader = _Claiming(spec.loader)  # type: ignore[assignment]  # it stands for one
        return spec


_REGISTER = "matplotlib._pylab_helpers"
_finder = _Finder()


def _claim(module: Any) -> Any:
    register = module.Gcf
    if not isinstance(register.figs, _FiguresByCall):
        register.figs = _FiguresByCall(register.figs)
    return register


def claim_figures() -> None:
    """Keep the figures of calls apart, also from those that are open already; at the start of a call."""
    module = sys.modules.get(_REGISTER)
    if module is None:
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
    elif hasattr(module, "Gcf"):  # else another thread imports it
        _claim(module)


def flush_figures(show: Callable[[Any], None], *, shown: object = None) -> None:
    """Show and close the figures that a cell of the current call left open.

    Args:
        show: displays one figure.
        shown: a figure that is displayed already, as the cell's value.
    """
    module = sys.modules.get(_REGISTER)
    if module is None or not hasattr(module, "Gcf"):
        return
    register = _claim(module)
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
    register = _claim(sys.modules[_REGISTER])
    for manager in list(left.values()):
        if getattr(manager.canvas, "required_interactive_framework", None):
            manager.num = max(register.figs, default=0) + 1
            register.figs[manager.num] = manager
        else:
            manager.destroy()
