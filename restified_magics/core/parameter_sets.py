"""The sets of values of a sweep: as they were given, by all combinations of a grid; and whether they fit."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any

from restified_magics.core.notebook import Notebook
from restified_magics.core.telling import shorten
from restified_magics.errors import ParameterError
from restified_magics.signature.parameters import bind

__all__ = ["ParameterSets", "refuse_wrong_sets", "set_of"]


class ParameterSets:
    """The sets of values of a sweep.

    Args:
        params: mappings, one for each call; or a DataFrame, whose rows they are; or None.
        grid: values by name: all combinations, the last name varying fastest; each is added to `params`.

    Attributes:
        count: how many there are, or None where only a loop can tell.
        combinations: how many of them there are of each of `params`.

    Raises:
        TypeError: they are no sets of values, or a grid's are no list of them.
        ValueError: a name is in both; for what only a loop can tell, when it comes.

    Example:
        >>> sets = ParameterSets(None, {"x": range(2), "y": ["a", "b"]})
        >>> list(sets), sets.count
        ([{'x': 0, 'y': 'a'}, {'x': 0, 'y': 'b'}, {'x': 1, 'y': 'a'}, {'x': 1, 'y': 'b'}], 4)
    """

    def __init__(self, params: Any, grid: Mapping[str, Iterable[Any]] | None) -> None:
        if params is None and grid is None:
            raise TypeError("map needs sets of values: a list of dicts, a DataFrame, or grid={name: values}")
        if isinstance(params, Mapping):
            raise TypeError(
                "map takes a list of dicts, one for each call. For all combinations, write grid={…}"
            )
        if hasattr(params, "to_dict") and hasattr(params, "columns"):
            params = params.to_dict("records")
        self._base: Any = [{}] if params is None else params
        if not isinstance(self._base, Iterable):
            raise TypeError(f"map takes a list of dicts, one for each call, not {shorten(self._base)}")
        for name, each in (grid or {}).items():
            if not isinstance(each, Iterable) or isinstance(each, str | bytes | bytearray):
                raise TypeError(f"grid needs a list of values for {name}, as in [{shorten(each)}]")
        self._grid = {name: list(each) for name, each in (grid or {}).items()}
        self.combinations = math.prod(map(len, self._grid.values()))
        self.count = len(self._base) * self.combinations if isinstance(self._base, Sized) else None
        if self._grid and isinstance(self._base, Sequence):  # before anything runs
            collections.deque(self._given(), maxlen=0)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        if not self._grid:
            yield from self._base
            return
        for given in self._given():
            for combination in itertools.product(*self._grid.values()):
                yield {**given, **dict(zip(self._grid, combination, strict=True))}

    def _given(self) -> Iterator[Mapping[str, Any]]:
        """The sets that the grid is added to, as long as none has a name of it."""
        for number, given in enumerate(self._base, 1):
            twice = [name for name in self._grid if isinstance(given, Mapping) and name in given]
            if twice:
                raise ValueError(
                    f"{', '.join(twice)} is given twice: in set {number} and in grid=. Leave one of them out"
                )
            yield given

    def every_value(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Sets, by their numbers, that have every value at least once; none of what can be read only once."""
        if not self.count or isinstance(self._base, Iterator):
            return
        first = {name: values[0] for name, values in self._grid.items()}
        for number, given in enumerate(self._given() if self._grid else self._base):
            yield number * self.combinations, {**given, **first} if first else given
        beside = next(self._given()) if self._grid else {}
        step = self.combinations
        for name, values in self._grid.items():
            step //= len(values)
            for place, value in enumerate(values[1:], 1):
                yield place * step, {**beside, **first, name: value}


def set_of(values: Any, number: int) -> Mapping[str, Any]:
    """The values of one call of a sweep.

    Raises:
        TypeError: they are no values by name.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"map takes a dict of values for each call; call {number + 1} is {shorten(values)}")
    return values


def refuse_wrong_sets(notebook: Notebook, sets: ParameterSets) -> None:
    """Look at all sets before anything runs, where that can be: the last may be hours away.

    Raises:
        ParameterError: values that the Model does not take.
        TypeError: they are no values by name.
    """
    parameters = notebook.fields.parameters
    for number, given in sets.every_value():
        if any(isinstance(value, Iterator) for value in set_of(given, number).values()):
            continue  # who looks at it takes what the call should have
        try:
            bind(parameters, given, notebook.name)
        except ParameterError as error:
            error.add_note(f"In call {number + 1} of the sweep")
            raise
