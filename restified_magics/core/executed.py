"""A notebook, the outputs of a call and its values → the executed notebook."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from restified_magics.core.filling import filled
from restified_magics.core.notebook import Cell, Notebook
from restified_magics.core.spelling import spelled_out

__all__ = ["executed"]


def executed(
    notebook: Notebook,
    outputs: Sequence[list[dict[str, Any]]],
    params: Mapping[str, Any],
    error: BaseException | None = None,
    last: int | None = None,
) -> dict[str, Any]:
    """The JSON of an executed notebook, nbformat 4.

    The values stand at the assignments of the parameters.

    Args:
        notebook: the version that was called.
        outputs: those of every cell, or nothing.
        params: the values that were given.
        error: what ended the call, or None.
        last: position of the cell that ran last, where it is known.
    """
    last = getattr(error, "cell", None) or last if error is not None else _returning(notebook)
    cells: list[dict[str, Any]] = []
    language = notebook.other_language
    sites = _sites(notebook)
    count = 0
    for cell, node in zip(notebook.cells, notebook.node["cells"], strict=True):
        if "injected-parameters" in cell.tags:
            continue
        copied = json.loads(json.dumps(node))
        if copied.get("cell_type") == "code":
            if language is None and cell.number in sites:
                copied["source"] = filled(cell.source, sites[cell.number], params)
            elif language is not None and cell.role == "parameters":
                copied["source"] = spelled_out(cell.source, language, params)
            ran = cell.role != "skip" and (error is None if last is None else cell.number <= last)
            count += ran
            copied["execution_count"] = count if ran else None
            copied["outputs"] = _outputs(outputs[cell.number - 1] if outputs else [], count)
            if error is not None and cell.number == last:
                _add_error(copied["outputs"], error, cell)
        cells.append(copied)
    return {**notebook.node, "cells": cells}


def _returning(notebook: Notebook) -> int | None:
    """The cell that ends a call that goes well, or None where all cells run."""
    last = notebook.to_run[-1:]
    return last[0].number if last and last[0].role == "return" else None


def _sites(notebook: Notebook) -> dict[int, dict[tuple[int, int], list[str]]]:
    """The parameters that are assigned at (line, column), by the cell's position."""
    found: dict[int, dict[tuple[int, int], list[str]]] = {}
    for name, parameter in notebook.fields.parameters.items():
        for index, line, column in parameter.sites:
            found.setdefault(index + 1, {}).setdefault((line, column), []).append(name)
    return found


def _outputs(outputs: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    counted = {"execution_count": count}
    return [
        {**output, **(counted if output["output_type"] == "execute_result" else {})} for output in outputs
    ]


def _add_error(outputs: list[dict[str, Any]], error: BaseException, cell: Cell) -> None:
    """Add what ended the call, unless the cell has said so itself."""
    if not cell.raises and any(output["output_type"] == "error" for output in outputs):
        return
    told = getattr(error, "traceback", None)
    output = {
        "output_type": "error",
        "ename": getattr(error, "ename", type(error).__name__),
        "evalue": getattr(error, "evalue", str(error)),
        "traceback": list(told) if told else traceback.format_exception_only(error),
    }
    outputs.append(output)
