"""A notebook → its cells with their roles in a call."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import re
from typing import TYPE_CHECKING, Any, Literal

from restified_magics.core.findings import Finding
from restified_magics.core.source import python_source
from restified_magics.signature.assignments import ParameterCell
from restified_magics.signature.comments import PARAM_MARK
from restified_magics.signature.grammar import ParameterSet, read_parameters

if TYPE_CHECKING:
    from restified_magics.signature.languages import Language

__all__ = [
    "Cell",
    "Notebook",
    "Role",
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
