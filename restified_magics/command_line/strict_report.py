"""``restified show --strict``: what could be better in Models, for people and for pre-commit."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Sequence

import click

from restified_magics.core.findings import Finding
from restified_magics.core.lint import is_model, lint
from restified_magics.core.media import JSON, render
from restified_magics.core.notebook import Notebook
from restified_magics.core.sources import open_source
from restified_magics.errors import NotebookError, NotebookWarning
from restified_magics.in_process.free_names import free_names
from restified_magics.in_process.program import compiled

__all__ = ["broken_cells", "told_strictly"]


def told_strictly(paths: Sequence[str], *, as_json: bool) -> bool:
    """Tell what could be better in these notebooks, and whether there is anything.

    Args:
        paths: notebooks; those that are no Models are passed over.
        as_json: write a list with an object for each notebook.

    Raises:
        NotebookError: there is no such file.
    """
    reports = [_report(path) for path in paths]
    if as_json:
        click.echo(render([dataclasses.asdict(report) for report in reports], JSON))
    else:
        for report in reports:
            for finding in report.findings:
                place = ", ".join(part for part in (report.path, finding.place) if part)
                click.echo(f"{place}: [{finding.rule}] {finding.text}")
        _tell_sum(reports)
    return any(report.findings for report in reports)


@dataclasses.dataclass(frozen=True)
class _Report:
    """What is found in one notebook."""

    path: str
    model: bool
    findings: list[Finding]


def _report(path: str) -> _Report:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotebookWarning)  # they are among the findings
            notebook = open_source(path).current()
    except NotebookError as error:
        if "://" in path or not os.path.isfile(os.path.expanduser(path)):
            raise  # wrong use, and nothing about a notebook
        return _Report(path, model=True, findings=[Finding("unreadable", error.reason)])
    if not is_model(notebook):
        return _Report(path, model=False, findings=[])
    return _Report(path, model=True, findings=_findings(notebook))


def _findings(notebook: Notebook) -> list[Finding]:
    if not notebook.is_python:
        return lint(notebook)
    return lint(notebook, free=free_names(compiled(notebook)), broken=broken_cells(notebook))


def broken_cells(notebook: Notebook) -> dict[int, SyntaxError]:
    """The cells of a notebook of Python that do not compile, by their position."""
    steps = compiled(notebook).steps if notebook.is_python else ()
    return {step.cell.number: step.error for step in steps if isinstance(step.error, SyntaxError)}


def _tell_sum(reports: Sequence[_Report]) -> None:
    passed_over = [report.path for report in reports if not report.model]
    if passed_over:
        click.echo(
            f"Passed over, since no cell has the tag `parameters` or `return`: {', '.join(passed_over)}",
            err=True,
        )
    if any(report.findings for report in reports):
        click.echo(
            "To silence a rule, write `# restified: ignore[rule]` at the end of the line, or on a line of "
            "its own for a cell or, where none is named, for the notebook",
            err=True,
        )
