"""The pages of the documentation, taken apart: blocks of code with what is said of them, and tables.

A comment directly above a block says what the page does not show:

    <!-- docs-test: not run: why -->        the block is read, and not run
    <!-- docs-test: before                  Python that is run before the block
    names = {}
    -->
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterator

from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[^\n`]*)$")
_NOTE = re.compile(r"<!-- docs-test: (?P<what>.*?)-->[ \t]*\n\s*\Z", re.DOTALL)
_SHELL = ("apt-get", "curl", "dask", "echo", "eval", "git", "hatch", "jupyter", "pip", "python", "restified")


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: the file.
        line: where it begins, counted from 1.
        kind: its language: what the fence names, or what an unnamed one looks like.
        code: its text.
        before: Python to run before it.
        not_run: why it is not run, or empty.
    """

    page: pathlib.Path
    line: int
    kind: str
    code: str
    before: str = ""
    not_run: str = ""

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: pathlib.Path) -> str:
    """A page as seen from the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: pathlib.Path) -> list[Block]:
    """The blocks of a page, in order."""
    return [block for block in _fenced(page) if not block.kind.startswith("{")]


def directives(page: pathlib.Path) -> list[Block]:
    """What is in fences for Sphinx."""
    return [block for block in _fenced(page) if block.kind.startswith("{")]


def _fenced(page: pathlib.Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").split("\n")
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        number += 1
        if opened is None:
            continue
        first = number
        while lines[number].strip() != opened["fence"]:
            number += 1
        code = "\n".join(line.removeprefix(opened["indent"]) for line in lines[first:number])
        number += 1
        note = _NOTE.search("\n".join(lines[: first - 1]) + "\n")
        said = note["what"] if note else ""
        if said and not said.startswith(("not run: ", "before\n")):
            raise AssertionError(f"{name_of(page)}:{first}: a note that is none: {said!r}")
        reason = said.removeprefix("not run: ").strip() if said.startswith("not run: ") else ""
        before = said.removeprefix("before\n") if said.startswith("before\n") else ""
        yield Block(page, first + 1, opened["language"].strip() or _looks_like(code), code, before, reason)


def _looks_like(code: str) -> str:
    """What a block without a language is: magics, commands, or unknown."""
    first = next((line.strip() for line in code.split("\n") if line.strip()), "")
    if first.startswith("%") or re.match(r"\w+ = %\w", first):
        return "ipython"
    return "bash" if first.split(" ")[0] in _SHELL else ""


def prose(page: pathlib.Path) -> str:
    """A page without its blocks and comments."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", "", text, flags=re.DOTALL | re.MULTILINE)


def section(page: str, heading: str) -> str:
    """What follows a heading, up to the next one of its level or above."""
    text = prose(ROOT / "docs" / page)
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"docs/{page} has no heading {heading!r}"
    level = len(found[1])
    end = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(text, found.end())
    return text[found.end() : end.start() if end else len(text)]


def rows(text: str) -> list[list[str]]:
    """The rows of the first table, each a list of its cells, without the head."""
    found: list[list[str]] = []
    for line in text.split("\n"):
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append([cell.strip().replace("\\|", "|") for cell in cells])
        elif found:
            break
    return found[2:]


def code_in(text: str) -> list[str]:
    """What stands in backticks."""
    return [found[1] for found in re.finditer(r"(?<!`)`([^`\n]+)`(?!`)", text)]
