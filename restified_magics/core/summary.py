"""What a Model shows of itself, as text for ``help`` and as HTML for notebooks."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from restified_magics.core.notebook import Notebook
from restified_magics.core.source import parse, python_source
from restified_magics.core.telling import shorten
from restified_magics.signature.parameters import Parameter

if TYPE_CHECKING:
    from restified_magics.core.model import Model

__all__ = ["Expression", "html", "signature", "text"]

_ROLES = {"parameters": "parameters", "code": "", "return": "return", "skip": "skip", "text": "text"}


class Expression:
    """The default of a parameter that only a call evaluates: shows as its author wrote it."""

    def __init__(self, source: str) -> None:
        self.source = source

    def __repr__(self) -> str:
        return self.source

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.source == other.source

    def __hash__(self) -> int:
        return hash(self.source)


def signature(notebook: Notebook) -> inspect.Signature:
    """The notebook as a function: every parameter by keyword, with the types that are enforced."""
    return inspect.Signature([_argument(field) for field in notebook.fields.parameters.values()])


def _argument(field: Parameter) -> inspect.Parameter:
    default: Any = field.default
    if field.required:
        default = inspect.Parameter.empty
    elif field.expression is not None:
        default = Expression(field.expression)
    annotation = field.type if field.declared else field.annotation or inspect.Parameter.empty
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def text(model: Model, *, cells: bool = False, problems: Sequence[str] | None = None) -> str:
    """What ``help(model)`` and ``model?`` show; with the `cells`, what a terminal shows of a Model.

    Args:
        model: the Model.
        cells: list the cells, too.
        problems: what its author should know; None is what the Model tells by itself.
    """
    notebook = model.notebook
    lines = [notebook.title, "", f"{_call_name(notebook)}{_arguments(notebook)}"]
    about = _about(notebook)
    if about:
        lines += ["", about]
    if notebook.fields.parameters:
        lines += ["", "Parameters:"]
        section = ""
        for field in notebook.fields.parameters.values():
            if field.section != section:
                section = field.section
                lines += ["", f"    {section}", ""]
            lines.append(f"    {_declared(field)}")
            lines += [f"        {line}" for line in _explained(field)]
    value, remark = _returned(notebook)
    lines += ["", f"Returns: {value}{remark}", f"Notebook: {notebook.path or notebook.name}"]
    if cells:
        lines += ["", "Cells:"]
        lines += [
            f"    {cell.number:>3}  {_ROLES[cell.role] or 'code':<10}  {_first_line(cell.source)}"
            for cell in notebook.cells
            if cell.role != "text"
        ]
    for title, entries in _remarks(model, model.problems if problems is None else problems):
        lines += ["", f"{title}:", *(f"    {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def html(model: Model) -> str:
    """What a notebook shows of a Model: signature, parameters, cells by role, problems."""
    notebook = model.notebook
    fields = "".join(_rows(notebook))
    cells = "".join(
        f"<tr><td>{cell.number}</td><td style='text-align:left'>{escape(_ROLES[cell.role])}</td>"
        f"<td style='text-align:left'><code>{escape(_first_line(cell.source))}</code></td></tr>"
        for cell in notebook.cells
        if cell.role != "text"
    )
    remarks = "".join(
        f"<p><b>{escape(title)}</b></p><ul>{''.join(f'<li>{_marked(entry)}</li>' for entry in entries)}</ul>"
        for title, entries in _remarks(model, model.problems)
    )
    value, remark = _returned(notebook)
    parts = [
        f"<p><b>{escape(notebook.title)}</b><br>",
        f"<code>{escape(_call_name(notebook) + _arguments(notebook))}</code>",
        f"<br>{escape(str(notebook.path or notebook.name))}</p>",
        f"<table>{fields}</table>" if fields else "<p>No parameters.</p>",
        f"<details><summary>Cells</summary><table><tr><th>cell</th><th>role</th><th></th></tr>{cells}</table></details>",
        f"<p>Returns <code>{escape(value)}</code>{_marked(remark)}</p>",
        remarks,
    ]
    return "".join(parts)


def _marked(text: str) -> str:
    """The HTML of a sentence, with what stands in backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _rows(notebook: Notebook) -> Iterator[str]:
    """The parameters as rows of a table, sections as rows between them."""
    left = "style='text-align:left;vertical-align:top'"
    section = ""
    for field in notebook.fields.parameters.values():
        if field.section != section:
            section = field.section
            yield f"<tr><td colspan='2' {left}><b>{escape(section)}</b></td></tr>"
        explained = "<br>".join(escape(line) for line in _explained(field))
        yield f"<tr><td {left}><code>{escape(_declared(field))}</code></td><td {left}>{explained}</td></tr>"


def _remarks(model: Model, problems: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    free = getattr(model, "free_names", ())
    if free:
        yield "Names that no cell defines", [", ".join(free)]
    if problems:
        yield "Problems", problems


def _call_name(notebook: Notebook) -> str:
    name = (
        (notebook.path.stem if notebook.path else notebook.name.strip("<>%"))
        .replace("-", "_")
        .replace(" ", "_")
    )
    return name if name.isidentifier() else "model"


def _arguments(notebook: Notebook) -> str:
    """The parameters with their defaults; their types stand below."""
    arguments = [
        field.name if field.required else f"{field.name}={_default(field)}"
        for field in notebook.fields.parameters.values()
    ]
    return f"({', '.join(arguments)})"


def _declared(field: Parameter) -> str:
    declared = f"{field.name}: {field.annotation}" if field.annotation else field.name
    return declared if field.required else f"{declared} = {_default(field)}"


def _default(field: Parameter) -> str:
    if field.expression is not None:
        return field.expression
    return shorten(field.default).removeprefix("datetime.")


def _explained(field: Parameter) -> list[str]:
    """What is to be said of a parameter besides its declaration, a few short lines."""
    label = field.label if field.label != field.name.replace("_", " ") else ""
    facts = [
        f"{label or field.name} [{field.unit}]" if field.unit else label,
        _limits(field),
        "" if field.step is None else f"in steps of {field.step}",
        "required" if field.required else "",
    ]
    lines = [", ".join(fact for fact in facts if fact)]
    if field.help != field.label:
        lines.append(" ".join(field.help.split()))
    if field.choices is not None and "Literal" not in field.annotation:
        others = ", or another value" if field.free_choice else ""
        lines.append(f"one of {', '.join(shorten(choice) for choice in field.choices)}{others}")
    lines.append(field.reason or "")
    return [line for line in lines if line]


def _limits(field: Parameter) -> str:
    if field.minimum is None:
        return "" if field.maximum is None else f"at most {field.maximum}"
    return (
        f"at least {field.minimum}" if field.maximum is None else f"from {field.minimum} to {field.maximum}"
    )


def _returned(notebook: Notebook) -> tuple[str, str]:
    """The last statement of the `return` cell, and a remark on where it stands."""
    ends = notebook.with_role("return")
    if not ends:
        return "None", ", since no cell has the tag `return`"
    lines = ends[0].source.split("\n")
    try:
        shown = lines[parse(python_source(ends[0].source)).body[-1].lineno - 1 :]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shown = lines  # which the call will say of it
    return _first_line("\n".join(shown)), f"  (cell {ends[0].number})"


def _about(notebook: Notebook) -> str:
    """The first paragraph under the notebook's first heading."""
    for cell in notebook.with_role("text"):
        paragraphs = [part.strip() for part in cell.source.replace("\r\n", "\n").split("\n\n")]
        prose = [
            "\n".join(line for line in part.split("\n") if not line.startswith("#")) for part in paragraphs
        ]
        return next((part.strip() for part in prose if part.strip()), "")
    return ""


def _first_line(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip()]
    return lines[0] + (" …" if len(lines) > 1 else "") if lines else ""
