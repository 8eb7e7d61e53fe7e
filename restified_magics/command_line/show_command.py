"""``restified show``: what a notebook is as a function, for people and for programs."""

from __future__ import annotations

from typing import Any

import click

from restified_magics.command_line.shell_completion import complete_notebook
from restified_magics.command_line.strict_report import broken_cells, told_strictly
from restified_magics.core import summary
from restified_magics.core.lint import seen_at_once
from restified_magics.core.media import JSON, render
from restified_magics.core.model import Model
from restified_magics.engines import open_model
from restified_magics.errors import NotebookError
from restified_magics.signature.parameters import Parameter

__all__ = ["command", "described"]


@click.command("show")
@click.argument("notebooks", nargs=-1, required=True, metavar="NOTEBOOK...", shell_complete=complete_notebook)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option(
    "--strict", is_flag=True, help="Tell only what could be better; exit with 1 where something is."
)
@click.pass_context
def command(ctx: click.Context, notebooks: tuple[str, ...], *, as_json: bool, strict: bool) -> None:
    """Show NOTEBOOK as a function: signature, parameters, cells, problems, and names that it does not define.

    Nothing of it is run.

    With --strict it looks for what could be better in Models, and passes over notebooks in which no cell has
    the tag parameters or return. A comment "# restified: ignore[rule]" at the end of a line silences a rule
    for that line; on a line of its own, for its cell.

    \b
    restified show area.ipynb
    restified show --strict models/*.ipynb
    """
    if strict:
        ctx.exit(1 if told_strictly(notebooks, as_json=as_json) else 0)
    models: list[Model] = []
    refused: list[NotebookError] = []
    for notebook in notebooks:
        try:
            models.append(open_model(notebook))
        except NotebookError as error:
            refused.append(error)
    if as_json:
        found = [described(model) for model in models]
        if found:
            click.echo(render(found[0] if len(notebooks) == 1 else found, JSON))
    else:
        texts = (summary.text(model, cells=True, problems=_problems(model)) for model in models)
        told = "\n".join(texts).encode("utf-8", "backslashreplace")  # half a character has no bytes
        click.echo(told.decode("utf-8"), nl=False)
    for refusal in refused[:-1]:
        click.echo(f"Error: {refusal}", err=True)
    if refused:
        raise refused[-1]


def described(model: Model) -> dict[str, Any]:
    """What ``--json`` tells of a Model."""
    notebook = model.notebook
    return {
        "name": model.name,
        "path": None if notebook.path is None else str(notebook.path),
        "title": notebook.title,
        "language": notebook.language,
        "kernel": notebook.kernel_name,
        "parameters": [_parameter(parameter) for parameter in model.parameters.values()],
        "cells": [
            {"number": cell.number, "id": cell.id, "role": cell.role, "tags": sorted(cell.tags)}
            for cell in notebook.cells
        ],
        "problems": _problems(model),
        "free_names": list(getattr(model, "free_names", ())),
    }


def _problems(model: Model) -> list[str]:
    notebook = model.notebook
    return [str(finding) for finding in seen_at_once(notebook, broken_cells(notebook))]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    """A parameter with what is known of it: what is not is left out."""
    told = {
        "name": parameter.name,
        "type": parameter.annotation or getattr(parameter.type, "__name__", str(parameter.type)),
        "declared": parameter.declared,
        "required": parameter.required,
        "expression": parameter.expression,
        "label": parameter.label,
        "help": parameter.help,
        "unit": parameter.unit,
        "section": parameter.section,
        "choices": parameter.choices,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "step": parameter.step,
    }
    known = {name: value for name, value in told.items() if value not in (None, "")}
    if not parameter.required and parameter.expression is None:
        known["default"] = parameter.default
    return known
