"""Modules beside a notebook: two Models in two folders may each have a ``helpers.py``.

A kernel imports the one beside its notebook. In one process ``sys.modules`` has room for a single
module of a name, so the others step aside while a Model runs that has its own.
"""

from __future__ import annotations

import functools
import os
import site
import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import ModuleType

__all__ = ["swap_in"]

_beside: dict[str, tuple[int, frozenset[str]]] = {}
_aside: dict[str, dict[str, ModuleType]] = {}
_clear: dict[str, tuple[object, int]] = {}


def swap_in(folder: str, version: object) -> Callable[[], None] | None:
    """Let the modules beside a notebook be those that it imports.

    Modules of Python itself and installed packages stay: they are what a kernel has, too.

    Args:
        folder: the notebook's.
        version: what runs there; looked at again where it, or what is imported, is new.

    Returns:
        what puts the others back, or None where no module is in the way.
    """
    modules = sys.modules
    seen = version, len(modules)
    if _clear.get(folder) == seen:
        return None
    tops = [top for top in _names(folder) if top in modules and _is_stranger(modules[top], folder)]
    if not tops:
        _clear[folder] = seen
        return None
    strangers = {name: module for top in tops for name, module in _with_submodules(top)}
    for name in strangers:
        del sys.modules[name]
    sys.modules.update(_aside.pop(folder, {}))

    def swap_out() -> None:
        own = {name: module for top in tops for name, module in _with_submodules(top)}
        for name in own:
            del sys.modules[name]
        _aside[folder] = own
        sys.modules.update(strangers)

    return swap_out


def _names(folder: str) -> frozenset[str]:
    """The modules and packages that can be imported from a folder."""
    try:
        stamp = os.stat(folder).st_mtime_ns
        known = _beside.get(folder)
        if known is not None and known[0] == stamp:
            return known[1]
        with os.scandir(folder) as entries:
            names = frozenset(
                entry.name.removesuffix(".py")
                for entry in entries
                if entry.name.removesuffix(".py").isidentifier()
                and (entry.name.endswith(".py") or entry.is_dir())
            )
    except OSError:
        return frozenset()
    _beside[folder] = stamp, names
    return names


def _with_submodules(top: str) -> Iterator[tuple[str, ModuleType]]:
    for name, module in list(sys.modules.items()):
        if name == top or name.startswith(top + "."):
            yield name, module


def _is_stranger(module: ModuleType, folder: str) -> bool:
    """Whether a module comes from another folder of the user's own code."""
    file = getattr(module, "__file__", None)
    if not isinstance(file, str):
        return False
    return not file.startswith((folder + os.sep, *_installed()))


@functools.cache
def _installed() -> tuple[str, ...]:
    folders = {*sysconfig.get_paths().values(), site.getusersitepackages(), sys.prefix, sys.base_prefix}
    return tuple(os.path.join(folder, "") for folder in folders if folder and folder != os.sep)
