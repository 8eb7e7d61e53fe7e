"""What the notebooks are called with and what they give. Workers import this, so it is light."""

from __future__ import annotations

import json
import os
from typing import Any

__all__ = ["WORKLOADS", "Workload"]

#: By name: the values of a call, what it returns, and what it returns without values.
WORKLOADS: dict[str, tuple[dict[str, Any], object, object]] = {
    "trivial": ({"n": 20}, 6765, 610),
    "many": ({"start": 7}, 123_760, 123_753),
    "work": ({"tables": 23}, 1_159_633_924, 1_109_170_189),
    "longer": ({"tables": 38}, 1_915_319_310, 1_109_170_189),
    "large": ({"x": 5}, 5, 1),
    "figure": ({"points": 60}, 60, 50),
}


class Workload:
    """A notebook on disk. Its ``return`` cell is the bare name ``answer``, so that any tool can ask for it.

    Args:
        folder: where the notebooks are.
        name: one of `WORKLOADS`.

    Attributes:
        path: the notebook's file.
        params: the values of a call.
        value: what the call returns.
        default: what a call without values returns, for the tools that take none.
    """

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(folder, f"{name}.ipynb")
        self.params, self.value, self.default = WORKLOADS[name]

    def code_cells(self) -> list[tuple[str, list[str]]]:
        """Source and tags of the code cells that a call runs, in order."""
        return [
            ("".join(cell["source"]), cell["metadata"].get("tags", []))
            for cell in self.cells()
            if cell["cell_type"] == "code" and "skip" not in cell["metadata"].get("tags", [])
        ]

    def cells(self) -> list[dict[str, Any]]:
        """All cells as they are in the file."""
        with open(self.path, encoding="utf-8") as file:
            cells: list[dict[str, Any]] = json.load(file)["cells"]
        return cells
