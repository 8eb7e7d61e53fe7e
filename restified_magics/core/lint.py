"""What could be better in a Model: found in its source, without running anything."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from restified_magics.core.findings import Finding, kept
from restified_magics.core.name_uses import first_definition, first_use, overwritten, unread
from restified_magics.core.notebook import Cell, Notebook
from restified_magics.core.source import parse, python_source
from restified_magics.signature.credentials import credentials
from restified_magics.signature.layout import UNPARSABLE
from restified_magics.signature.parameters import Parameter

__all__ = ["is_model", "lint", "seen_at_once"]


def is_model(notebook: Notebook) -> bool:
    """Whether somebody made a Model of this notebook, by a tag; one that is slightly misspelled, too.

    ``raises-exception`` and ``skip`` are tags of ordinary notebooks as well.
    """
    return bool(
        notebook.with_role("parameters", "return") or any(each.rule == "tag" for each in notebook.findings)
    )


def lint(
    notebook: Notebook, *, free: Sequence[str] = (), broken: Mapping[int, SyntaxError] | None = None
) -> list[Finding]:
    """What the author of a Model should look at, in the order of its cells.

    Args:
        notebook: the Model.
        free: the names that it takes from its View.
        broken: the cells that do not compile, by their position, with what the compiler says.

    Example:
        >>> from restified_magics.core.notebook_json import read_notebook
        >>> tagged = {"metadata": {"tags": ["parameters"]}, "cell_type": "code"}
        >>> node = {"nbformat": 4, "metadata": {}, "cells": [{**tagged, "source": "password = 'hunter2'"}]}
        >>> [found.rule for found in lint(read_notebook(node, "model.ipynb", None))]
        ['no-return', 'no-help', 'secret', 'unused-parameter']
    """
    broken = broken or {}
    findings = seen_at_once(notebook, broken)
    findings += _about_parameters(notebook)
    findings += _free(notebook, [name for name in free if not _may_bind(notebook, broken, name)])
    if notebook.other_language is None:
        findings += (each for cell in notebook.to_run for each in _widgets(cell))
    return kept(findings, notebook.cells)


def seen_at_once(notebook: Notebook, broken: Mapping[int, SyntaxError]) -> list[Finding]:
    """What the notebook itself tells, and which of its cells do not compile; each cell is told once.

    Args:
        notebook: the Model.
        broken: the cells that do not compile, by their position, with what the compiler says.
    """
    found = [each for each in notebook.findings if not (each.rule == "declaration" and each.cell in broken)]
    for cell, error in broken.items():
        text = f"{error.msg or type(error).__name__}. No call can run it: correct it"
        found.append(Finding("syntax", text, cell, error.lineno))
    return found


# ----------------------------------------------------------------- parameters


def _about_parameters(notebook: Notebook) -> Iterator[Finding]:
    parameters = notebook.fields.parameters
    language = notebook.other_language
    unused = unread(list(parameters), notebook.to_run, language)
    again = overwritten(list(parameters), notebook.to_run) if language is None else {}
    for name, parameter in parameters.items():
        index, line, _ = max(parameter.sites)
        cell = index + 1
        if name in unused:
            text = f"`{name}` is never used. Delete it, or use it: a value for it changes nothing"
            yield Finding("unused-parameter", text, cell, line)
        elif name in again:
            where = "cell {}, line {}".format(*again[name])
            text = (
                f"`{name}` is assigned anew in {where}, before anything reads it, so that a value for it "
                "changes nothing. Delete that line, or give it another name"
            )
            yield Finding("unused-parameter", text, cell, line)
        for text in _secrets(parameter):
            yield Finding("secret", text, cell, line)
        if parameter.expression is not None:
            yield Finding("expression-default", _worked_out(parameter), cell, line)
        elif not (parameter.help or parameter.unit) and parameter.label == _bare_label(name):
            text = (
                f"`{name}` has neither label nor help. Write a comment behind it, for instance "
                f"`# {_bare_label(name).capitalize()} [unit]`, or one above it"
            )
            yield Finding("no-help", text, cell, line)


def _bare_label(name: str) -> str:
    return Parameter(name).label


def _worked_out(parameter: Parameter) -> str:
    name, annotation = parameter.name, parameter.annotation
    declared = f" (`{name}: {annotation}`)" if annotation else ""
    return (
        f"the default of `{name}` is not a literal, so that forms, REST and the shell cannot show it. Write "
        f"its value, or declare its type and no value{declared}, or move the line to a cell without the tag "
        "`parameters` if no call should give it"
    )


def _secrets(parameter: Parameter) -> Iterator[str]:
    """What looks like a secret; the text does not show it."""
    name = parameter.name
    variable = re.sub(r"\W", "_", name).upper()
    if parameter.expression is None:
        found = list(credentials(name, None if parameter.required else parameter.default))
    else:
        # only by its form: `os.environ["TOKEN"]` has a text in it that is none
        found = list(credentials("", _constants(parameter.expression)))
    holds_others = isinstance(parameter.default, dict | list | tuple | set)
    kind = parameter.annotation or (type(parameter.default).__name__ if holds_others else "str")
    for told in found[:1]:
        yield (
            f"`{name}`: {told}. Declare it without a value (`{name}: {kind}`), or read it in a cell from "
            f'os.environ["{variable}"]. Whoever has the file, or its history, knows it: make it invalid'
        )


def _constants(expression: str) -> list[str]:
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except UNPARSABLE:
        return []
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


# ---------------------------------------------------------------- names, code


def _free(notebook: Notebook, free: Sequence[str]) -> Iterator[Finding]:
    for name in free:
        place = first_use(name, notebook.to_run) or (None, None)
        later = first_definition(name, notebook.to_run)
        if later is None:
            told, advice = f"no cell defines `{name}`", "Import or define it, or make it a parameter"
        else:
            told = "`{}` is read before cell {}, line {} defines it".format(name, *later)
            advice = "Move that up, or this down"
        text = (
            f"{told}, so that it is taken from the notebook that calls, and neither REST nor the shell can "
            f"call this Model. {advice}"
        )
        yield Finding("free-name", text, *place)


def _may_bind(notebook: Notebook, broken: Mapping[int, SyntaxError], name: str) -> bool:
    """Whether a cell that nobody can read may define a name."""
    return any(name in cell.source for cell in notebook.cells if cell.number in broken)


_WIDGETS = ("ipywidgets", "IPython.html.widgets", "ipympl")
_WIDGET_MAGIC = re.compile(r"(?:widget|ipympl|notebook|nbagg)\b")


def _widgets(cell: Cell) -> Iterator[Finding]:
    if not any(word in cell.source for word in ("widgets", "ipympl", "matplotlib", "pylab")):
        return
    try:
        tree = parse(python_source(cell.source))
    except UNPARSABLE:
        return
    text = (
        "{} is widget code, and a Model that is called shows none. Move it to the notebook that calls: "
        "`model.form()` makes a form of the parameters"
    )
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if f"{name}.".startswith(tuple(f"{module}." for module in _WIDGETS)):
                yield Finding("widget", text.format(f"`{name}`"), cell.number, getattr(node, "lineno", None))
                break
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "run_line_magic"
        ):
            said = [str(each.value) for each in node.args if isinstance(each, ast.Constant)]
            if said[:1] in (["matplotlib"], ["pylab"]) and _WIDGET_MAGIC.match("".join(said[1:2])):
                yield Finding("widget", text.format(f"`%{said[0]} {said[1]}`"), cell.number, node.lineno)
