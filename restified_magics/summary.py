"""What a Model shows of itself, as text for ``help`` and as HTML for notebooks."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

from restified_magics.notebook import Notebook
from restified_magics.parameters import Parameter, shorten
from restified_magics.source import parse, python_source

if TYPE_CHECKING:
    from restified_magics.model import Model

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


def text(model: Model, *, cells: bool = False) -> str:
    """What ``help(model)`` and ``model?`` show; with the `cells`, what a terminal shows of a Model."""
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
            lines.append(f"    {_declaration(field)}")
            lines += [f"        {line}" for line in _explained(field)]
    lines += ["", f"Returns: {_returned(notebook)}", f"Notebook: {notebook.path or notebook.name}"]
    if cells:
        lines += ["", "Cells:"]
        lines += [
            f"    {cell.number:>3}  {_ROLES[cell.role] or 'code':<10}  {_first_line(cell.source)}"
            for cell in notebook.cells
            if cell.role != "text"
        ]
    for title, entries in _remarks(model):
        lines += ["", f"{title}:", *(f"    {entry}" for entry in entries)]
    return "\n".join(lines) + "\n"


def html(model: Model) -> str:
    """What a notebook shows of a Model: signature, parameters, cells by role, problems."""
    notebook = model.notebook
    fields = "".join(
        f"<tr><td style='text-align:left'><code>{escape(_declaration(field))}</code></td>"
        f"<td style='text-align:left'>{escape('; '.join(_explained(field)))}</td></tr>"
        for field in notebook.fields.parameters.values()
    )
    cells = "".join(
        f"<tr><td>{cell.number}</td><td style='text-align:left'>{escape(_ROLES[cell.role])}</td>"
        f"<td style='text-align:left'><code>{escape(_first_line(cell.source))}</code></td></tr>"
        for cell in notebook.cells
        if cell.role != "text"
    )
    remarks = "".join(
        f"<p><b>{escape(title)}</b></p><ul>{''.join(f'<li>{escape(entry)}</li>' for entry in entries)}</ul>"
        for title, entries in _remarks(model)
    )
    parts = [
        f"<p><b>{escape(notebook.title)}</b><br>",
        f"<code>{escape(_call_name(notebook) + _arguments(notebook))}</code>",
        f"<br>{escape(str(notebook.path or notebook.name))}</p>",
        f"<table><tr><th>parameter</th><th></th></tr>{fields}</table>" if fields else "<p>No parameters.</p>",
        f"<details><summary>Cells</summary><table><tr><th>cell</th><th>role</th><th></th></tr>{cells}</table></details>",
        f"<p>Returns {escape(_returned(notebook))}</p>",
        remarks,
    ]
    return "".join(parts)


def _remarks(model: Model) -> Iterator[tuple[str, list[str]]]:
    free = getattr(model, "free_names", ())
    if free:
        yield "Names that it takes from the View", [", ".join(free)]
    if model.problems:
        yield "Problems", model.problems


def _call_name(notebook: Notebook) -> str:
    name = (
        (notebook.path.stem if notebook.path else notebook.name.strip("<>%"))
        .replace("-", "_")
        .replace(" ", "_")
    )
    return name if name.isidentifier() else "model"


def _arguments(notebook: Notebook) -> str:
    arguments = [_declaration(field) for field in notebook.fields.parameters.values()]
    return f"({', '.join(arguments)})"


def _declaration(field: Parameter) -> str:
    declared = f"{field.name}: {field.annotation}" if field.annotation else field.name
    if field.required:
        return declared
    default = field.expression if field.expression is not None else shorten(field.default)
    return f"{declared} = {default}" if field.annotation else f"{declared}={default}"


def _explained(field: Parameter) -> list[str]:
    lines = []
    label = field.label if field.label != field.name.replace("_", " ") else ""
    if label or field.unit:
        lines.append(f"{label or field.name} [{field.unit}]" if field.unit else label)
    if field.help:
        lines.append(" ".join(field.help.split()))
    if field.minimum is not None or field.maximum is not None:
        low = "" if field.minimum is None else str(field.minimum)
        high = "" if field.maximum is None else str(field.maximum)
        lines.append(
            f"from {low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        )
    if field.step is not None:
        lines.append(f"in steps of {field.step}")
    if field.choices is not None:
        others = ", or another value" if field.free_choice else ""
        lines.append(f"one of {', '.join(shorten(choice) for choice in field.choices)}{others}")
    if field.required:
        lines.append("required")
    if field.reason:
        lines.append(field.reason)
    return lines


def _returned(notebook: Notebook) -> str:
    ends = notebook.with_role("return")
    if not ends:
        return "None, since no cell has the tag `return`"
    lines = ends[0].source.split("\n")
    try:
        shown = lines[parse(python_source(ends[0].source)).body[-1].lineno - 1 :]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        shown = lines  # which the call will say of it
    return f"`{_first_line(chr(10).join(shown))}` of cell {ends[0].number}"


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
