"""Matplotlib figures of a call: its own, shown once, by `show` or after the cell that made them, closed."""

from __future__ import annotations

import collections
import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from restified_magics.core.calls import Call, current_call
from restified_magics.in_process.shell import display, running_shell, shell

__all__ = ["claim_figures", "close_figures", "draw_figures", "flush_figures"]


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
    """The loader of a module of matplotlib, which makes it ours before anybody can use it."""

    def __init__(self, loader: Any, claim: Callable[[Any], object]) -> None:
        self._loader = loader
        self._claim = claim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        module.__spec__.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._claim(module)


class _Finder:
    """Stands before Python's own finders until a module is imported, which may be in a cell of a call."""

    def __init__(self, name: str, claim: Callable[[Any], object]) -> None:
        self.name = name
        self.claim = claim

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        if name != self.name:
            return None
        with contextlib.suppress(ValueError):  # another thread has just done it
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            spec.loader = _Claiming(spec.loader, self.claim)  # type: ignore[assignment]  # it stands for one
        return spec


def _claim(module: Any) -> Any:
    register = module.Gcf
    if not isinstance(register.figs, _FiguresByCall):
        register.figs = _FiguresByCall(register.figs)
    return register


def _claim_show(module: Any) -> None:
    """Let ``pyplot.show`` show and close what a call has drawn, as in Jupyter, whatever the backend."""
    inner = module.show
    if hasattr(inner, "_restified"):
        return

    @functools.wraps(inner)
    def show(*args: Any, **options: Any) -> Any:
        if current_call() is not None:
            flush_figures()
        return inner(*args, **options)

    show._restified = True  # type: ignore[attr-defined]
    module.show = show


_REGISTER = "matplotlib._pylab_helpers"
_finders = (_Finder(_REGISTER, _claim), _Finder("matplotlib.pyplot", _claim_show))


def claim_figures() -> None:
    """Keep the figures of calls apart, also from those that are open already; at the start of a call."""
    for finder in _finders:
        module = sys.modules.get(finder.name)
        if module is None:
            if finder not in sys.meta_path:
                sys.meta_path.insert(0, finder)
        elif hasattr(module, "Gcf" if finder.name == _REGISTER else "show"):  # else another thread imports it
            finder.claim(module)


def flush_figures(*, shown: object = None) -> None:
    """Show and close the figures of the current call that are open: after a cell, and by ``pyplot.show``.

    Args:
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
            _show(figure)


def _show(figure: Any) -> None:
    """Display a figure where the cell's outputs go: in plain Python there is no such place."""
    call = current_call()
    if running_shell() is None:
        if call is None or call.sink is None:
            return
        draw_figures(shell())
    display(figure)


def draw_figures(instance: Any) -> None:
    """Let a shell that was made by us draw figures, as that of Jupyter does."""
    from IPython.core.pylabtools import select_figure_formats  # slow to import, and few Models draw

    select_figure_formats(instance, {"png"})


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
