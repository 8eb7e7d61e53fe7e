"""A notebook → its cells with their roles in a call."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from restified_magics.core.endings import ends_without_value
from restified_magics.core.findings import Finding
from restified_magics.core.source import parse, python_source
from restified_magics.errors import NotebookError
from restified_magics.signature.assignments import ParameterCell
from restified_magics.signature.comments import PARAM_MARK
from restified_magics.signature.grammar import ParameterSet, read_parameters

if TYPE_CHECKING:
    from restified_magics.signature.languages import Language

__all__ = [
    "Cell",
    "Notebook",
    "Role",
    "load_json",
    "notebook_file",
    "read_notebook",
    "refuse_itself",
    "told_of",
    "upgraded",
    "write_notebook",
]

_OF_PYTHON = ("%%capture", "%%time")  # magics of which the lines are Python, and run in the notebook

Role = Literal["text", "code", "parameters", "return", "skip"]

#: The languages of well-known kernelspecs, for notebooks that name no language.
_LANGUAGES = {"ir": "r", "bash": "bash", "deno": "typescript", "julia": "julia"}
_VERSION = re.compile(r"-\d[\d.]*\Z")  # as in ``julia-1.10``

_PYTHON = ("python", "ipython", "python2", "python3", "ipython3", "sage")

#: The tags that mean something, and what people write instead of them.
TAGS = ("parameters", "skip", "return", "raises-exception", "injected-parameters")


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
    """One cell of a notebook.

    Attributes:
        number: position in the notebook, counted from 1 over all cells.
        source: the text of the cell.
        role: what a call does with it.
        tags: the tags in the cell's metadata.
        id: the cell's id in the file, or None in notebooks older than nbformat 4.5.
        raises: whether the cell may raise and the call goes on (tag ``raises-exception``).
        count: the number that Jupyter gives it when it runs all cells; 0 where it does not run it.
    """

    number: int
    source: str
    role: Role
    tags: frozenset[str] = frozenset()
    id: str | None = None
    count: int = 0

    @property
    def raises(self) -> bool:
        return "raises-exception" in self.tags


@dataclasses.dataclass(frozen=True, eq=False)
class Notebook:
    """One version of a notebook, read once and never changed.

    Attributes:
        name: how messages call it: the path, or ``<notebook>`` for one that is not a file.
        path: the file, absolute, or None.
        folder: where its cells run, or None for the current folder.
        cells: all cells in order.
        node: the notebook as nbformat 4 JSON, without its outputs.
    """

    name: str
    path: pathlib.Path | None
    folder: pathlib.Path | None
    cells: tuple[Cell, ...]
    node: dict[str, Any]

    @property
    def language(self) -> str | None:
        """The kernelspec's language in lower case, or None where the notebook does not tell."""
        metadata = self.node.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        for key, field in (("kernelspec", "language"), ("language_info", "name")):
            described = metadata.get(key)
            if isinstance(described, dict) and isinstance(described.get(field), str):
                return str(described[field]).lower()
        return _LANGUAGES.get(_VERSION.sub("", self.kernel_name or ""))

    @property
    def kernel_name(self) -> str | None:
        """The name of the kernelspec that it was written with, or None where it does not tell."""
        metadata = self.node.get("metadata")
        described = metadata.get("kernelspec") if isinstance(metadata, dict) else None
        name = described.get("name") if isinstance(described, dict) else None
        return name if isinstance(name, str) and name else None

    def with_role(self, *roles: Role) -> list[Cell]:
        """The cells of these roles, in order."""
        return [cell for cell in self.cells if cell.role in roles]

    @functools.cached_property
    def to_run(self) -> tuple[Cell, ...]:
        """The cells that a call runs, unless it fails: up to the ``return`` cell that ends it."""
        cells = self.with_role("code", "parameters", "return")
        ends = [cell.number for cell in cells if cell.role == "return" and not cell.raises]
        return tuple(cell for cell in cells if not ends or cell.number <= ends[0])

    @functools.cached_property
    def fields(self) -> ParameterSet:
        """The parameters with the form's title and what could not be read, by the grammar."""
        other = self.other_language
        if other is not None:
            tagged = self.with_role("parameters")
            return other.fields([(cell.number - 1, cell.source) for cell in tagged])
        return read_parameters(
            [
                ParameterCell(cell.number - 1, python_source(cell.source), cell.role == "parameters")
                for cell in self.with_role("code", "parameters", "return")
            ]
        )

    @functools.cached_property
    def title(self) -> str:
        """The first heading of the notebook, or the form's title, or the file's name."""
        if self.fields.title:
            return self.fields.title
        for cell in self.with_role("text"):
            for line in cell.source.splitlines():
                if line.startswith("#") and line.strip("# "):
                    return line.strip("# ")
        return self.path.stem if self.path else self.name

    @property
    def is_python(self) -> bool:
        """Whether its cells are Python, as far as it tells."""
        return self.language in (None, *_PYTHON)

    @property
    def other_language(self) -> Language | None:
        """How its cells are read where they are not Python, or None; an unknown language is not read."""
        if self.is_python:
            return None  # and nothing of the others needs to be imported
        from restified_magics.signature.languages import language_of

        return language_of(self.language)

    @functools.cached_property
    def findings(self) -> list[Finding]:
        """All that its author should know and that can be seen at once: cells, tags, and declarations."""
        found = [*self._without_effect]
        ends = self.with_role("return")
        if not ends:
            text = (
                "no cell has the tag `return`, so a call returns None. Tag the cell that ends in the result"
            )
            found.append(Finding("no-return", text))
        elif not ends[0].raises:
            text = (
                "comes after the `return` cell and is never run. Move it before, delete it, or tag it `skip`"
            )
            found += [
                Finding("unreachable", text, cell.number)
                for cell in self.with_role("code")
                if cell.number > ends[0].number
            ]
        return found + self._declarations

    @property
    def warnings(self) -> list[str]:
        """What who makes a Model of it is warned of: what has no effect, though its author may think so."""
        return [str(finding) for finding in [*self._without_effect, *self._declarations]]

    @property
    def problems(self) -> list[str]:
        """All of :attr:`findings`, in words."""
        return [str(finding) for finding in self.findings]

    @functools.cached_property
    def _declarations(self) -> list[Finding]:
        if not self.is_python and self.other_language is None:
            return []  # it has no parameters that could be read
        return [
            Finding("declaration", problem.text, problem.cell + 1, problem.line)
            for problem in self.fields.problems
        ]

    @functools.cached_property
    def _without_effect(self) -> list[Finding]:
        """The tags and cells that have no effect in a call."""
        found = []
        for cell in self.cells:
            if cell.role == "text" and cell.tags & {"return", "parameters"}:
                tags = " and ".join(f"`{tag}`" for tag in sorted(cell.tags & {"return", "parameters"}))
                text = (
                    f"the tag {tags} has no effect on a cell that is not code. Tag a code cell, or remove it"
                )
                found.append(Finding("tag", text, cell.number))
            for tag in sorted(cell.tags - set(TAGS)):
                import difflib

                close = difflib.get_close_matches(tag.lower(), TAGS, 1, 0.8)
                if close:
                    text = f"the tag `{tag}` has no effect. Did you mean `{close[0]}`?"
                    found.append(Finding("tag", text, cell.number))
            magic = cell.source.split(maxsplit=1)[:1]
            if (
                self.is_python
                and magic
                and magic[0].startswith("%%")
                and self._is_for_parameters(cell, magic[0])
            ):
                text = (
                    f"begins with `{magic[0]}`, whose lines are not read, so that it has no parameters. "
                    "Move the magic to another cell"
                )
                found.append(Finding("tag", text, cell.number))
        both = "has the tags `parameters` and `return`, and is only the `return` cell. Make two cells of it"
        found += [
            Finding("tag", both, cell.number)
            for cell in self.with_role("return")
            if "parameters" in cell.tags
        ]
        ends = self.with_role("return")
        if ends and not ends[0].raises:
            text = (
                f"its parameters have no effect: cell {ends[0].number} returns before it. Move it before that"
            )
            found += [
                Finding("unreachable", text, cell.number)
                for cell in self.with_role("parameters")
                if cell.number > ends[0].number
            ]
            text = f"is never reached, since cell {ends[0].number} returns before it. Keep one tag `return`"
            found += [Finding("unreachable", text, cell.number) for cell in ends[1:]]
        return found

    def _is_for_parameters(self, cell: Cell, magic: str) -> bool:
        """Whether what stands below a cell magic is meant as parameters: by the tag, or by Colab's marks."""
        if cell.role == "code" and magic in _OF_PYTHON:
            return not self.with_role("parameters") and bool(PARAM_MARK.search(cell.source))
        return cell.role == "parameters"


# ------------------------------------------------------------------- reading


def refuse_itself(notebook: Notebook, path: str | os.PathLike[str]) -> None:
    """Refuse to write over the notebook that is called: its author has no other.

    Args:
        notebook: what is called.
        path: where something is to be written, also by a link that leads to the notebook.

    Raises:
        NotebookError: it is the same file.
    """
    if notebook.path is None:
        return
    try:
        same = os.path.samefile(os.path.expanduser(path), notebook.path)
    except OSError:  # one of them is not there
        return
    if same:
        raise NotebookError(os.fspath(path), "this is the notebook itself. Write to another file")


def notebook_file(path: str | os.PathLike[str], notebook: Notebook | None = None) -> pathlib.Path:
    """A file that a notebook can be written to.

    Args:
        path: the file.
        notebook: what is called, and must not be written over; or None.

    Raises:
        NotebookError: its folder is not there, it has not the ending of a notebook, or it is the notebook
            that is called.
    """
    name = os.fspath(path)
    target = pathlib.Path(path).expanduser()
    if target.suffix != ".ipynb":
        raise NotebookError(
            name, f"a notebook is written to a file that ends in .ipynb. Write {target.name + '.ipynb'!r}"
        )
    if not target.absolute().parent.is_dir():
        raise NotebookError(name, f"there is no folder {target.parent} to write it to. Make it first")
    if target.is_dir():
        raise NotebookError(name, "is a folder. Write the notebook under another name")
    if notebook is not None:
        refuse_itself(notebook, target)
    return target


def write_notebook(node: Mapping[str, Any], path: pathlib.Path) -> None:
    """Write a notebook's JSON to a file as Jupyter does, whole or not at all.

    Raises:
        OSError: the file cannot be written; what was there before is still there.
    """
    text = json.dumps(node, indent=1, ensure_ascii=False, default=str) + "\n"
    half = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with told_of(path):
        try:
            half.write_text(text, encoding="utf-8", errors="surrogatepass", newline="\n")
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


@contextlib.contextmanager
def told_of(path: pathlib.Path) -> Iterator[None]:
    """What goes wrong with a file names that file: not the one that is written first, and not none at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error


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
