"""``%restify --replay``: a failed call, run again in the View up to the cell that failed."""

from __future__ import annotations

import os
import pathlib
from typing import Any

from IPython.core.error import UsageError

from restified_magics.core.notebook_json import load_json, read_notebook, upgraded
from restified_magics.in_process.python_model import PythonModel
from restified_magics.ipython.arguments import Arguments

__all__ = ["replay"]


def replay(arguments: Arguments, shell: Any) -> None:
    """Run a saved call in the namespace of a shell, up to the first cell with an error that ended it.

    That cell becomes the shell's next input, where somebody is asked for one.

    Args:
        arguments: the line of the magic; its target is the notebook.
        shell: IPython.

    Raises:
        UsageError: there is no such notebook, or no cell of it has failed.
        CellError: an earlier cell fails this time.
    """
    __tracebackhide__ = True  # IPython shows the user's lines only
    if not arguments.target:
        raise UsageError("which call? Write its notebook, as in %restify --replay failed.ipynb")
    path = pathlib.Path(arguments.target).expanduser()
    try:
        node = load_json(path.read_bytes(), str(path))
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read: {error.strerror or error}. "
            "--replay takes the notebook of a failed call, as --save writes it"
        ) from None
    notebook = read_notebook(node, str(path), path.absolute())
    if node["nbformat"] < 4:
        node = upgraded(node, str(path))
    outputs = [cell.get("outputs", ()) for cell in node["cells"]]
    failing = next(
        (
            cell
            for cell, told in zip(notebook.cells, outputs, strict=True)
            if not cell.raises and any(output.get("output_type") == "error" for output in told)
        ),
        None,
    )
    if failing is None:
        raise UsageError(
            f"{path}: no cell of it has failed. --replay takes the notebook of a failed call, as --save "
            "writes it"
        )
    before = {**node, "cells": node["cells"][: failing.number - 1]}
    folder = os.fspath(path.absolute().parent)
    model = PythonModel(before, scope="share", cwd=folder, timeout=arguments.options.timeout, name=str(path))
    model.execute()
    in_next_cell = ""
    if _asks_for_input(shell):
        shell.set_next_input(failing.source)
        in_next_cell = " and is in your next cell"
    left = sum(cell.number > failing.number for cell in notebook.to_run)
    not_run = f"; {left} more {'cell was' if left == 1 else 'cells were'} not run" if left else ""
    where = f"{path} up to cell {failing.number}"
    print(f"Ran {where}, which failed{in_next_cell}{not_run}. Its names are here")  # noqa: T201 - a magic tells


def _asks_for_input(shell: Any) -> bool:
    """Whether a next input can be set: a script has none, and ``ipython --simple-prompt`` shows none."""
    return not getattr(shell, "simple_prompt", False) and getattr(shell.parent, "interact", True)
