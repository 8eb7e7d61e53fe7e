"""A row of the table: what was measured, what was to be reached, who stands beside."""

from __future__ import annotations

import dataclasses
import itertools
import operator
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from benchmarks.harness import Sample

__all__ = ["Row", "Target", "render"]

_UNITS = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((1e6, "MB"), (1e3, "kB"), (1.0, "B")),
}


def amount(value: float, unit: str) -> str:
    """A figure in a unit that suits it: ``24.1 µs``, ``1.2 kB``."""
    for scale, name in _UNITS[unit]:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {name}"
    scale, name = _UNITS[unit][-1]
    return f"{value / scale:.2g} {name}"


def times(ratio: float) -> str:
    """A ratio: ``1.03 x``, ``190 x``."""
    return f"{ratio:.3f} x" if ratio < 2 else f"{ratio:.3g} x" if ratio < 1000 else f"{ratio:,.0f} x"


@dataclasses.dataclass(frozen=True)
class Target:
    """What is to be reached, at most.

    Attributes:
        kind: ``"ratio"``, so many times the floor; ``"over"``, so much more than the floor;
            ``"alone"``, so much, whatever the floor takes.
        limit: how many times, or how much.
    """

    kind: Literal["ratio", "over", "alone"]
    limit: float

    def measured(self, ours: Sample, floor: Sample) -> float | None:
        """The figure that the limit is about."""
        if self.kind == "alone":
            return ours.median
        return ours.compared(floor, operator.truediv if self.kind == "ratio" else operator.sub)


@dataclasses.dataclass
class Row:
    """One line of the table.

    Attributes:
        what: what was measured.
        target: what is to be reached, or None where the design names nothing.
        floor: the name of the system that ratios are to.
        ours: the name of this project's system.
        samples: all systems by name, floor and ours included.
        peers: the names of the columns beside, a system in `samples` or not.
        unit: ``"s"`` or ``"B"``.
    """

    what: str
    target: Target | None
    floor: str
    ours: str
    samples: dict[str, Sample]
    peers: tuple[str, ...]
    unit: Literal["s", "B"] = "s"

    @property
    def measured(self) -> float | None:
        """The figure that the target is about."""
        if self.target is None:
            return None
        return self.target.measured(self.samples[self.ours], self.samples[self.floor])

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None where it was not measured or names nothing."""
        measured = self.measured
        return None if self.target is None or measured is None else measured <= self.target.limit

    def ratio(self, name: str) -> float | None:
        """How many times the floor a system took. Of bytes there is no sensible one."""
        sample = self.samples.get(name)
        if sample is None or self.unit == "B":
            return None
        return sample.compared(self.samples[self.floor], operator.truediv)

    def record(self) -> dict[str, Any]:
        """The row for JSON."""
        target = dataclasses.asdict(self.target) if self.target else None
        return {
            "what": self.what,
            "unit": self.unit,
            "target": target,
            "floor": self.floor,
            "ours": self.ours,
            "measured": self.measured,
            "reached": self.reached,
            "systems": {
                name: {**dataclasses.asdict(sample), "median": sample.median, "ratio": self.ratio(name)}
                for name, sample in self.samples.items()
            },
        }

    def cells(self) -> tuple[list[str], list[str]]:
        """Two lines: figures, and below them how many times the floor they are."""
        names = [self.floor, self.ours, *self.peers]
        reached = {None: "-", True: "yes", False: "NO"}[self.reached]
        upper = [self.what, self._to_reach(), self._measured(), reached]
        ratios = ["" if ratio is None else times(ratio) for ratio in map(self.ratio, names[1:])]
        return upper + [self._figure(name) for name in names], ["", "", "", "", self.floor, *ratios]

    def _to_reach(self) -> str:
        if self.target is None:
            return "-"
        if self.target.kind == "ratio":
            return f"{self.target.limit:g} x floor"
        limit = amount(self.target.limit, self.unit)
        return limit if self.target.kind == "alone" else f"floor + {limit}"

    def _measured(self) -> str:
        measured = self.measured
        if self.target is None or measured is None:
            return "-"
        if self.target.kind == "ratio":
            return times(measured)
        sign = {"alone": "", "over": "- " if measured < 0 else "+ "}[self.target.kind]
        return sign + amount(abs(measured) if sign else measured, self.unit)

    def _figure(self, name: str) -> str:
        sample = self.samples.get(name)
        if sample is None:
            return "-"
        return sample.status if sample.median is None else amount(sample.median, self.unit)


def render(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of the table; rows with other peers begin another one."""
    failures: dict[str, None] = {}
    for peers, group in itertools.groupby(rows, key=lambda row: row.peers):
        lines = [["what", "to reach", "measured", "reached", "floor", "this project", *peers]]
        for row in group:
            lines += [[""] * len(lines[0]), *row.cells()]
            for name, sample in row.samples.items():
                if sample.status == "fails":
                    failures[f"{row.what}: {name} fails: {sample.why}"] = None
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            left = [cell.ljust(width) for cell, width in zip(line[:4], widths[:4], strict=True)]
            right = [cell.rjust(width) for cell, width in zip(line[4:], widths[4:], strict=True)]
            yield "  ".join(left + right).rstrip()
        yield ""
    yield from failures
