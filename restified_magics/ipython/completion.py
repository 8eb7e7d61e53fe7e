"""What Tab offers on the lines of the magics: notebooks, flags, and the Model's parameters.

Nothing of a Model is run for it: the notebook's file is read.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import json
import keyword
import os
import pathlib
import re
import tokenize
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from IPython.core.completer import SimpleCompletion, context_matcher
from IPython.core.error import UsageError

from restified_magics.core.model import Model
from restified_magics.core.notebook_json import load_json, read_notebook
from restified_magics.core.source import parse
from restified_magics.ipython.arguments import FLAGS_OF, SCOPES, Head, cut_flags, parse_head
from restified_magics.ipython.expressions import Token, marks, tokens
from restified_magics.signature.parameters import Parameter

__all__ = ["Place", "add_completer", "place_in_body", "place_in_line", "remove_completer"]

_IDENTIFIER = "restified_magics"

# `%restify`, `x = %restify`, `%time %restify`; and `restify` alone, by automagic
_LINE = re.compile(
    r"(?:.*=\s*|\s*%\w+\s(?:.*\s)?|\s*)(?P<magic>%%?(?:call_notebook|restify))\s+(?P<line>.*)"
    r"|\s*(?P<name>call_notebook|restify)\s+(?P<named>.*)",
    re.DOTALL,
)
_LAST_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*\Z")
_LAST_CHOICE = re.compile(r"(?<![\w.])([^\W\d]\w*)\s*=\s*(\"[^\"]*|'[^']*|[\w.+-]*)\Z")
_LAST_FLAG = re.compile(r"(?<![^\s,])--?[\w-]*\Z")
_LAST_VALUE = re.compile(r"(?<![^\s,])--(scope|save|timeout)(?:=|\s+)([\"'].*|\S*)\Z")
_ASSIGNED = re.compile(r"^\s*([^\W\d]\w*)\s*(?::[^=]*)?=(?!=)", re.MULTILINE)
_NEEDS_QUOTES = re.compile(r"[\s;,\"'#]")


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the cursor is in the arguments of a magic.

    Attributes:
        kind: what belongs there: a notebook, a flag, a parameter's name, or the value of the flag
            ``--scope``, ``--save`` or ``--timeout``, or one of a parameter's choices.
        fragment: what of it is typed already.
        target: the notebook of the line, whose parameters may follow.
        quoted: that notebook stands in quotes.
        given: the flags, or the parameters, that stand there already.
        name: the parameter whose value belongs there.
    """

    kind: Literal["notebook", "flag", "name", "value", "scope", "save", "timeout"]
    fragment: str
    target: str = ""
    quoted: bool = False
    given: frozenset[str] = frozenset()
    name: str = ""


# --------------------------------------------------------------------- where


def place_in_line(line: str, magic: str) -> Place | None:
    """Tell where the cursor is at the end of `line`, which follows the name of a magic.

    Returns:
        The place, or None where something else belongs: inside a value it is Python.

    Example:
        >>> place = place_in_line("area.ipynb width=3 he", "%call_notebook")
        >>> place.kind, place.fragment, place.target, sorted(place.given)
        ('name', 'he', 'area.ipynb', ['width'])
    """
    ending = _LAST_VALUE.search(line) or _LAST_FLAG.search(line)
    before = line[: ending.start()] if ending else line
    flags: dict[str, str] = {}
    try:
        head = parse_head(before, magic, flags)
        rest, _ = cut_flags(before, head.end, flags)
    except UsageError:
        return _in_open_quote(before, magic)
    if ending is not None:
        if _is_open(rest, head.end, list(tokens(rest, head.end))):
            return None
        if ending.re is _LAST_FLAG:
            return Place("flag", ending[0], given=frozenset(flags))
        kind: Any = ending[1]  # one of the flags that the expression names
        return Place(kind, ending[2])
    if head.end == len(line):
        return None if head.quoted else Place("notebook", line[head.start :])
    return _in_values(rest, head) if head.target else None


def _in_values(rest: str, head: Head) -> Place | None:
    """The place at the end of the arguments that follow the notebook."""
    value = _LAST_CHOICE.search(rest, head.end)
    if value is not None:
        fragment, rest = value[2], rest[: value.start()]
    else:
        last = _LAST_NAME.search(rest, head.end)
        fragment = last[0] if last else ""
        rest = rest[: len(rest) - len(fragment)]
    found = list(tokens(rest, head.end))
    if rest[-1] not in " \t\n," or _is_open(rest, head.end, found) or not _ends_value(found):
        return None
    if value is not None:
        return Place("value", fragment, head.target, head.quoted, name=value[1])
    return Place("name", fragment, head.target, head.quoted, frozenset(mark.name for mark in marks(found)))


def place_in_body(first: str, before: Sequence[str], line: str) -> Place | None:
    """The same in the body of ``%%call_notebook``: its lines begin with the names of parameters.

    Args:
        first: what follows the magic on the first line.
        before: the lines of the body above the cursor's.
        line: the cursor's line up to the cursor.
    """
    name = re.fullmatch(r"\s*([^\W\d]\w*|)", line)
    value = _LAST_CHOICE.fullmatch(line.lstrip())
    if name is None and value is None:
        return None
    above = "\n".join(before)
    try:
        parse(above)  # else the line goes on with what an earlier one began
        head = parse_head(first, "%%call_notebook", {})
        rest, _ = cut_flags(first, head.end, {})
    except (UsageError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if not head.target:
        return None
    if value is not None:
        return Place("value", value[2], head.target, head.quoted, name=value[1])
    begun = name[1] if name is not None else ""
    given = {*_ASSIGNED.findall(above), *(mark.name for mark in marks(list(tokens(rest, head.end))))}
    return Place("name", begun, head.target, head.quoted, frozenset(given))


def _in_open_quote(line: str, magic: str) -> Place | None:
    """The notebook whose name is typed behind a quote."""
    for quote in ('"', "'"):
        try:
            head = parse_head(line + quote, magic, {})
        except UsageError:
            continue
        if head.quoted and head.end == len(line) + 1:
            return Place("notebook", line[head.start :])
    return None


def _is_open(line: str, start: int, found: Sequence[Token]) -> bool:
    """Whether a bracket, a string or a comment is open at the end of the line."""
    if line[found[-1].end if found else start :].strip():
        return True  # the tokenizer gave up on it
    if any(token.kind in (tokenize.ERRORTOKEN, tokenize.COMMENT) for token in found):
        return True
    return bool(found) and found[-1].depth + (found[-1].text in ("(", "[", "{")) > 0


def _ends_value(found: Sequence[Token]) -> bool:
    """Whether these tokens may be followed by another argument."""
    if not found or found[-1].text in (",", ")", "]", "}", "None", "True", "False"):
        return True
    return found[-1].kind != tokenize.OP and not keyword.iskeyword(found[-1].text)


# ---------------------------------------------------------------------- what


def _completions(place: Place, magic: str, names: Mapping[str, Any], following: str) -> Iterator[str]:
    """What belongs at the place.

    Args:
        place: the place.
        magic: the magic's name with its percent signs.
        names: the names of the View.
        following: the text behind the cursor.
    """
    match place.kind:
        case "notebook" if magic != "%%restify":
            yield from _paths(place.fragment, following)
            yield from (
                name
                for name, value in sorted(names.items())
                if isinstance(value, Model) and name.startswith(place.fragment) and not name.startswith("_")
            )
        case "save":
            yield from _paths(place.fragment, following)
        case "scope":
            yield from (scope for scope in SCOPES if scope.startswith(place.fragment))
        case "flag":
            flags = (f"--{flag}" for flag in FLAGS_OF[magic] if flag not in place.given)
            yield from (flag for flag in flags if flag.startswith(place.fragment))
        case "name" if magic.endswith("call_notebook"):
            known = _parameters(place, names)
            yield from (
                f"{name}=" for name in known if name.startswith(place.fragment) and name not in place.given
            )
        case "value" if magic.endswith("call_notebook"):
            yield from _choices(_parameters(place, names).get(place.name), place.fragment)


def _choices(parameter: Parameter | None, fragment: str) -> Iterator[str]:
    """The choices of a parameter as Python, in the quotes that are typed already."""
    if parameter is None:
        return
    for choice in parameter.choices or ((True, False) if parameter.type is bool else ()):
        plain = choice.value if isinstance(choice, enum.Enum) else choice
        if isinstance(plain, str):
            text = json.dumps(plain, ensure_ascii=False) if fragment.startswith('"') else repr(plain)
            typed = fragment[1:] if fragment[:1] in ("'", '"') else fragment
            if plain.startswith(typed) and ast.literal_eval(text) == plain:
                yield text
        elif (plain is None or isinstance(plain, int | float)) and repr(plain).startswith(fragment):
            yield repr(plain)


def _paths(fragment: str, following: str) -> Iterator[str]:
    """The notebooks and folders whose path begins with the fragment, in quotes where it needs them."""
    quote = fragment[:1] if fragment[:1] in ("'", '"') else ""
    typed = fragment[1:] if quote else fragment.replace("\\ ", " ")
    cut = max(typed.rfind(separator) for separator in {"/", os.sep}) + 1
    folder, base = typed[:cut], typed[cut:]
    with os.scandir(os.path.expanduser(folder) or ".") as listing:
        entries = sorted((entry.is_dir(), entry.name) for entry in listing if entry.name.startswith(base))
    for is_folder, name in entries:
        if not (is_folder or name.endswith(".ipynb")) or (name.startswith(".") and not base):
            continue
        path = f"{folder}{name}/" if is_folder else f"{folder}{name}"
        around = quote or ("'" if '"' in path else '"' if _NEEDS_QUOTES.search(path) else "")
        closing = "" if is_folder or (around and following.startswith(around)) else around
        yield f"{around}{path}{closing}"


def _parameters(place: Place, names: Mapping[str, Any]) -> Mapping[str, Parameter]:
    path = pathlib.Path(place.target).expanduser()
    if not path.exists():
        model = names.get(place.target)
        if place.quoted or not isinstance(model, Model):
            return {}
        if model.notebook.path is None:
            return model.parameters
        path = model.notebook.path
    status = path.stat()
    return _parameters_in(os.path.abspath(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=64)
def _parameters_in(path: str, _time: int, _size: int) -> Mapping[str, Parameter]:
    # Read apart from the Models, so that a notebook's warnings are left for the call to give.
    file = pathlib.Path(path)
    return read_notebook(load_json(file.read_bytes(), path), path, file).fields.parameters


# ------------------------------------------------------------------- IPython


class _Matcher:
    """A matcher of IPython's completer, for the lines of the magics."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    @context_matcher(identifier=_IDENTIFIER)  # type: ignore[untyped-decorator]
    def match(self, context: Any) -> dict[str, Any]:
        """The completions at the cursor; where there are some, those of other matchers are not shown."""
        place: Place | None = None
        found: list[str] = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                place, magic = self._place(context)
                if place is not None:
                    following = context.line_with_cursor[context.cursor_position :]
                    found = list(_completions(place, magic, self._shell.user_ns, following))
        except Exception:  # noqa: BLE001 - a file can be broken in any way, and Tab is not the place to tell it
            found = []
        if place is None or not found:
            return {"completions": [], "suppress": False}
        return {
            "completions": [SimpleCompletion(text, type=_TYPES[place.kind]) for text in found],
            "matched_fragment": place.fragment,
            "suppress": True,
            "ordered": True,
        }

    def _place(self, context: Any) -> tuple[Place | None, str]:
        """The place of the cursor, and the magic that it belongs to."""
        lines = context.full_text.split("\n")
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        if lines[first].startswith("%%") and context.cursor_line > first:
            magic, _, rest = lines[first].partition(" ")
            body = lines[first + 1 : context.cursor_line]
            in_body = magic == "%%call_notebook"
            return (place_in_body(rest, body, context.text_until_cursor) if in_body else None), magic
        found = _LINE.fullmatch(context.text_until_cursor)
        if found is None:
            return None, ""
        if found["magic"]:
            return place_in_line(found["line"], found["magic"]), found["magic"]
        if not self._shell.automagic or found["name"] in self._shell.user_ns:
            return None, ""
        return place_in_line(found["named"], f"%{found['name']}"), f"%{found['name']}"


_TYPES = {
    "notebook": "path",
    "save": "path",
    "flag": "keyword",
    "scope": "keyword",
    "timeout": "keyword",
    "name": "param",
    "value": "instance",
}


def add_completer(shell: Any) -> None:
    """Complete the magics' arguments in this shell."""
    remove_completer(shell)
    shell.Completer.custom_matchers.append(_Matcher(shell).match)


def remove_completer(shell: Any) -> None:
    """Leave the shell's completer as it was before."""
    matchers = shell.Completer.custom_matchers
    matchers[:] = [each for each in matchers if getattr(each, "matcher_identifier", "") != _IDENTIFIER]
