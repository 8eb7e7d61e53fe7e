"""``restified view``: write the View of a Model, a notebook to go on from."""

from __future__ import annotations

import ast
import os
import pathlib
import shlex
from typing import Any

import click

from restified_magics.core.model import Model
from restified_magics.core.notebook_files import notebook_file, write_notebook
from restified_magics.engines import open_model
from restified_magics.signature.parameters import Parameter

__all__ = ["command", "view_notebook"]


def view_notebook(model: Model, path: str) -> dict[str, Any]:
    """A notebook that shows a Model as a form, and calls it, as a person would write it.

    Args:
        model: the Model.
        path: where the Model is, as seen from the View.

    Returns:
        A notebook, as the JSON of nbformat 4.

    Example:
        >>> import restified_magics
        >>> view = view_notebook(restified_magics.PythonModel("examples/fibonacci.ipynb"), "fibonacci.ipynb")
        >>> print(view["cells"][1]["source"])
        from restified_magics import PythonModel
        <BLANKLINE>
        model = PythonModel("fibonacci.ipynb")
        form = model.form()
        form
    """
    kind = type(model).__name__
    quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
    cells = [
        _cell(
            "title", "markdown", f"# {model.notebook.title}\n\nA form for `{path}`. The Model has the logic."
        ),
        _cell(
            "form",
            "code",
            f"from restified_magics import {kind}\n\nmodel = {kind}({quoted})\nform = model.form()\nform",
        ),
        _cell("about-result", "markdown", "What becomes of a result: this is called after each run."),
        _cell("result", "code", _ON_RESULT),
    ]
    if not any(parameter.required for parameter in model.parameters.values()):
        cells += [
            _cell("about-call", "markdown", "The same Model, called as a function:"),
            _cell("call", "code", f"model({_argument(model)})"),
        ]
    return {
        "cells": cells,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


# In a label: what is printed in the thread of a run belongs to no cell, and is shown nowhere.
_ON_RESULT = """\
import ipywidgets

latest = ipywidgets.Label("No result yet.")


@form.on_result
def show(value):
    latest.value = f"The latest result is {value!r:.100}."


latest"""


def _cell(name: str, kind: str, source: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "id": name, "metadata": {}, "source": source}
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def _argument(model: Model) -> str:
    """The first parameter with its default, where that has a literal."""
    shown = [f"{parameter.name}={_literal(parameter)}" for parameter in model.parameters.values()]
    return shown[0] if shown and not shown[0].endswith("=") else ""


def _literal(parameter: Parameter) -> str:
    """The default as source text that means it again, or empty."""
    text = repr(parameter.default)
    try:
        return text if ast.literal_eval(text) == parameter.default and len(text) < 40 else ""
    except (ValueError, SyntaxError):
        return ""


@click.command("view", short_help="Write a notebook that shows a Model as a form.")
@click.argument("model", type=click.Path())
@click.option("--output", "-o", metavar="FILE", type=click.Path(), help="The notebook to write.")
@click.option("--force", is_flag=True, help="Replace the notebook if it is there already.")
def command(*, model: str, output: str | None, force: bool) -> None:
    """Write a View of the notebook MODEL: a form, what becomes of a result, a call.

    It works as it is, and is yours to go on from. Without --output it is written beside the Model, as
    MODEL_view.ipynb.

    \b
    restified view model.ipynb
    restified view model.ipynb --output dashboards/model.ipynb
    """
    made = open_model(model)
    source = made.notebook.path
    if source is None:
        raise click.UsageError(f"{model}: a View is made of a file. Download it first")
    beside = pathlib.Path(model).expanduser()
    target = notebook_file(output or beside.with_name(f"{beside.stem}_view.ipynb"), made.notebook)
    if target.exists() and not force:
        raise click.UsageError(f"{target} is there already. Give another --output, or --force to replace it")
    if not made.parameters:
        click.echo(f"Warning: {model}: no cell has the tag `parameters`, so the form has no field", err=True)
    seen = pathlib.PurePath(os.path.relpath(source, target.absolute().parent)).as_posix()
    write_notebook(view_notebook(made, seen), target)
    click.echo(f"Wrote {target}. Open it with: jupyter lab {shlex.quote(str(target))}")
