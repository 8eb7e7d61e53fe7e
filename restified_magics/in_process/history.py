"""What IPython keeps of a session, for cells that look back at it: ``In``, ``Out``, ``_``, ``_1`` …"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["History", "looks_back"]

_NAMES = re.compile(r"In|Out|_ih|_oh|_i{0,3}|__|___|_i?[1-9][0-9]*")


def looks_back(name: str) -> bool:
    """Whether a name is IPython's for what was run or shown before."""
    return _NAMES.fullmatch(name) is not None


class History:
    """The history of one call, in the names of its cells.

    Numbers are those of Jupyter's "Restart and run all", where every cell with code counts. As in IPython, a
    name such as ``_`` that the cells have used for something else stays theirs.

    Args:
        names: the globals of the cells.

    Example:
        >>> names = {}
        >>> history = History(names)
        >>> history.begin(3, "x * 2")
        >>> history.shown(84)
        >>> names["Out"], names["_3"], names["_"], names["In"][3]
        ({3: 84}, 84, 84, 'x * 2')
    """

    __slots__ = ("_count", "_names", "_recent", "_sources")

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._count = 0
        self._recent: dict[str, Any] = dict.fromkeys(("_", "__", "___"), "")
        self._sources: dict[str, str] = dict.fromkeys(("_i", "_ii", "_iii"), "")
        names.update(_ih=[""], _oh={}, **self._recent, **self._sources)
        names.update(In=names["_ih"], Out=names["_oh"])

    def begin(self, count: int, source: str) -> None:
        """A cell begins, of which Jupyter says ``In [count]``."""
        self._count = count
        names = self._names
        before = names["_ih"][-1] if len(names["_ih"]) > 1 else ""
        names["_ih"] += [""] * (count - len(names["_ih"])) + [source]
        sources = self._sources
        sources.update(_iii=sources["_ii"], _ii=sources["_i"], _i=before)
        names.update(sources)
        names[f"_i{count}"] = source

    def shown(self, value: Any) -> None:
        """The cell's last expression has a value that Jupyter would show."""
        names, recent = self._names, self._recent
        names["_oh"][self._count] = names[f"_{self._count}"] = value
        if all(names.get(name, held) is held for name, held in recent.items()):
            recent.update(___=recent["__"], __=recent["_"], _=value)
            names.update(recent)
