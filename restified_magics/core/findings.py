"""What the author of a notebook should know: the rule, the place, and what to do; and how it is silenced."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from restified_magics.core.telling import nearest

__all__ = ["RULES", "Finding", "kept"]

#: The rules by name: what each finds.
RULES: Mapping[str, str] = {
    "declaration": "what a `parameters` cell says is not understood, or its default does not fit it",
    "expression-default": "a default that only a call can work out, so that no form and no request shows it",
    "free-name": "a name that no cell defines before it is read: it would be taken from the calling notebook",
    "ignore": "a `# restified: ignore[…]` that names no rule",
    "no-help": "a parameter with neither label nor help",
    "no-return": "no cell has the tag `return`",
    "secret": "a default that looks like a password, a token or a key",
    "syntax": "a cell that is not valid Python",
    "tag": "a tag that has no effect where it is",
    "unreachable": "a cell that no call runs, since another one returns before it",
    "unreadable": "a file that is not a notebook, or of which no function can be made",
    "unused-parameter": "a parameter whose value nothing in the notebook reads",
    "widget": "widget code, which belongs into the notebook that calls the Model",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something in a notebook that its author should know.

    Attributes:
        rule: which of :data:`RULES` found it.
        text: what is wrong, and what to do.
        cell: position of the cell, counted from 1, or None where it is about the notebook.
        line: the line in the cell, counted from 1, or None where it is about the cell.

    Example:
        >>> print(Finding("tag", "the tag `retrun` has no effect. Did you mean `return`?", cell=3))
        cell 3: the tag `retrun` has no effect. Did you mean `return`?
    """

    rule: str
    text: str
    cell: int | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" if self.place else self.text

    @property
    def place(self) -> str:
        """The cell and the line as they are told, or nothing."""
        if self.cell is None:
            return ""
        return f"cell {self.cell}" if self.line is None else f"cell {self.cell}, line {self.line}"


class _Cell(Protocol):
    @property
    def number(self) -> int: ...
    @property
    def source(self) -> str: ...


# in code a comment, in text one of HTML
_IGNORED = re.compile(r"(?:\#|//|<!--)\s*restified:\s*ignore\b(?:\[(?P<rules>[^\]]*)\])?", re.IGNORECASE)


def kept(findings: Iterable[Finding], cells: Sequence[_Cell]) -> list[Finding]:
    """The findings that no comment silences, in the order of the cells; and what is wrong with the comments.

    ``# restified: ignore[rule]`` at the end of a line silences a rule for that line; on a line of its own,
    for its cell, and for what is about the whole notebook. Without a rule it silences all of them.

    Args:
        findings: what was found.
        cells: all cells of the notebook.

    Example:
        >>> from types import SimpleNamespace
        >>> cell = SimpleNamespace(number=1, source="n = f()  # restified: ignore[expression-default]")
        >>> kept([Finding("expression-default", "…", 1, 1), Finding("no-help", "…", 1, 1)], [cell])
        [Finding(rule='no-help', text='…', cell=1, line=1)]
    """
    silent: set[tuple[str, int | None, int | None]] = set()
    wrong: list[Finding] = []
    for cell in cells:
        for number, line in enumerate(cell.source.splitlines(), 1):
            if "restified" not in line or not (found := _IGNORED.search(line)):
                continue
            alone = not line[: found.start()].strip()
            named = [name.strip() for name in (found["rules"] or "").split(",") if name.strip()]
            wrong += [_unknown(name, cell.number, number) for name in named if name not in RULES]
            for rule in named or RULES:
                silent.add((rule, cell.number, None if alone else number))
                if alone:
                    silent.add((rule, None, None))
    left = [each for each in findings if not silent & {_key(each), (each.rule, each.cell, None)}]
    return sorted([*left, *wrong], key=lambda each: (each.cell or 0, each.line or 0, each.rule))


def _key(finding: Finding) -> tuple[str, int | None, int | None]:
    # what is about a cell as a whole is silenced at its first line too
    return (finding.rule, finding.cell, finding.line or (1 if finding.cell else None))


def _unknown(name: str, cell: int, line: int) -> Finding:
    close = nearest(name, RULES)
    hint = f"Did you mean `{close}`?" if close else f"The rules are {', '.join(RULES)}"
    return Finding("ignore", f"there is no rule `{name}`. {hint}", cell, line)
