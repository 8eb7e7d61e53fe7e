"""The JSON of a notebook file → a `Notebook`, or what is wrong with it."""

from __future__ import annotations

import ast
import itertools
import json
import pathlib
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from restified_magics.core.endings import ends_without_value
from restified_magics.core.notebook import Cell, Notebook, Role
from restified_magics.core.source import parse, python_source
from restified_magics.errors import NotebookError

if TYPE_CHECKING:
    from restified_magics.signature.languages import Language

__all__ = ["load_json", "read_notebook", "upgraded"]


def load_json(content: bytes, name: str) -> dict[str, Any]:
    """The JSON of a notebook file, or an error that says what the file is instead."""
    if not content.strip():
        raise NotebookError(name, f"is empty ({len(content)} bytes). Save it again in Jupyter, or restore it")
    try:
        node = json.loads(content)
    except UnicodeDecodeError as error:
        raise NotebookError(
            name, "is not a notebook: it is not text in UTF-8. Name a file that Jupyter opens as one"
        ) from error
    except RecursionError as error:
        raise NotebookError(name, "is not a notebook: its JSON is nested too deep") from error
    except ValueError as error:
        if any(line.startswith((b"<<<<<<< ", b">>>>>>> ")) for line in content.splitlines()):
            reason = "has unresolved git conflict markers. Resolve the merge, for example with nbdime"
        elif content.lstrip()[:1] != b"{":
            reason = f"is not a notebook: it is not JSON ({error})"
        else:
            reason = (
                f"is not valid JSON, perhaps cut off or half written ({error}). Save it again, or restore it"
            )
        raise NotebookError(name, reason) from error
    if not isinstance(node, dict):
        raise NotebookError(name, f"is not a notebook: its JSON is a {type(node).__name__}, not an object")
    return node


def read_notebook(node: dict[str, Any], name: str, path: pathlib.Path | None) -> Notebook:
    """The JSON of a notebook → `Notebook`, or a NotebookError that says what is wrong with it."""
    major = node.get("nbformat")
    if not isinstance(major, int) or not ("cells" in node or "worksheets" in node):
        raise NotebookError(name, "is not a notebook: it has no cells, or does not say its nbformat")
    if major > 4:
        raise NotebookError(
            name, f"is in nbformat {major}, and this package knows up to 4. Is there a newer version of it?"
        )
    if major < 4:
        node = upgraded(node, name)
    listed = node.get("cells")
    if not isinstance(listed, list) or not all(isinstance(cell, dict) for cell in listed):
        raise NotebookError(name, "is not a valid notebook: its cells are not a list of objects")
    bare = [_without_outputs(cell) for cell in listed]
    count = itertools.count(1)
    cells = tuple(_cell(number, cell, name, count) for number, cell in enumerate(bare, 1))
    notebook = Notebook(name, path, path.parent if path else None, cells, {**node, "cells": bare})
    other = notebook.other_language
    for cell in notebook.with_role("return"):
        _check_return(cell, name, other)
    return notebook


def upgraded(node: dict[str, Any], name: str) -> dict[str, Any]:
    """The JSON of a notebook of an older nbformat, as that of nbformat 4."""
    import nbformat  # slow to import, and only notebooks from before 2014 need it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(nbformat.convert(nbformat.reader.reads(json.dumps(node)), 4))
    except Exception as error:  # nbformat raises whatever its converters trip over
        raise NotebookError(
            name,
            f"is in nbformat {node['nbformat']} and cannot be converted: {error}. Save it in Jupyter",
        ) from error


def _without_outputs(cell: dict[str, Any]) -> dict[str, Any]:
    return {**cell, "outputs": [], "execution_count": None} if cell.get("cell_type") == "code" else cell


def _cell(number: int, cell: dict[str, Any], name: str, count: Iterator[int]) -> Cell:
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(name, f"is not a valid notebook: the source of cell {number} is not text")
    metadata = cell.get("metadata")
    tags = metadata.get("tags", ()) if isinstance(metadata, dict) else ()
    tags = frozenset(tag for tag in ([tags] if isinstance(tags, str) else tags or ()) if isinstance(tag, str))
    identity = cell.get("id")
    role = _role(cell.get("cell_type"), tags)
    return Cell(
        number,
        source,
        role,
        tags,
        identity if isinstance(identity, str) else None,
        next(count) if role != "text" and source.strip() else 0,
    )


def _role(kind: object, tags: frozenset[str]) -> Role:
    if kind != "code":
        return "text"
    if tags & {"skip", "injected-parameters"}:
        return "skip"
    if "return" in tags:
        return "return"
    return "parameters" if "parameters" in tags else "code"


def _check_return(cell: Cell, name: str, other: Language | None) -> None:
    """Refuse a `return` cell without a value, while its author still looks at the notebook."""
    if other is not None:
        _refuse(cell, name, other.without_value(cell.source))
        return
    try:
        body: Sequence[ast.stmt] = parse(python_source(cell.source)).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # the call will raise it, at the cell and the line
    if not body:
        _refuse(cell, name, "")
    else:
        _refuse(cell, name, ends_without_value(body[-1]))


def _refuse(cell: Cell, name: str, ends: str | None) -> None:
    """Raise where a `return` cell ends in a statement without a value, or is empty."""
    if ends == "":
        raise NotebookError(
            name, f"cell {cell.number} has the tag `return` and is empty. Write what to return"
        )
    if ends is not None:
        mended = (
            "Tag a cell below it that ends in the value"
            if ends.startswith("%")
            else "End it in an expression or an assignment"
        )
        # its first word alone: callers over HTTP and visitors of a page are not to see the source
        first, *more = ends.split(maxsplit=1)
        shown = f"{first} …" if more else first
        raise NotebookError(
            name,
            f"cell {cell.number} has the tag `return` and ends in `{shown}`, which has no value. {mended}",
        )
