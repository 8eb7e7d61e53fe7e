"""The line of a magic → the notebook that it names, its flags, and the expressions of its values.

Nothing is evaluated here. Flags are known words, so that ``x=a --b`` stays Python.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn, get_args

from IPython.core.error import UsageError

from restified_magics.core.notebook_files import is_folder
from restified_magics.core.telling import nearest
from restified_magics.in_process.python_model import Scope
from restified_magics.ipython.expressions import split_values, tokens

__all__ = [
    "FLAGS_OF",
    "SCOPES",
    "Arguments",
    "Head",
    "Options",
    "cut_flags",
    "no_values",
    "parse_head",
    "parse_line",
]

#: The flags of each magic.
FLAGS_OF: Mapping[str, tuple[str, ...]] = {
    "%call_notebook": ("kernel", "scope", "timeout", "run", "save", "form", "help"),
    "%%call_notebook": ("kernel", "scope", "timeout", "run", "save", "form", "help"),
    "%restify": ("kernel", "scope", "timeout", "replay", "help"),
    "%%restify": ("save", "scope", "timeout", "form", "help"),
}

SCOPES: tuple[str, ...] = get_args(Scope)

_EXAMPLES = {"scope": "view", "timeout": "60", "save": "executed.ipynb"}
_OPTIONAL = ("kernel",)  # a value may follow after `=`, and only there
_FLAGS = frozenset(itertools.chain.from_iterable(FLAGS_OF.values()))
_FLAG = re.compile(r"--([A-Za-z][\w-]*)")
_BLANKS = re.compile(r"[\s,]*")
_BLANK = re.compile(r"\s*")
_QUOTED = re.compile(r"([\"'])(.*?)\1(?=[\s;,]|\Z)")
# a word ends at a blank that no backslash precedes; a comma or semicolon after it is not part of it
_WORD = re.compile(r"(?:\\ |[^\s;,]|[;,]+(?=[^\s;,]))+")


@dataclasses.dataclass(frozen=True)
class Options:
    """The flags of a magic.

    Attributes:
        kernel: run in a kernel: the name of its kernelspec, empty for the notebook's own; or None.
        scope: which names the Model sees, or None for what it does without being told.
        timeout: seconds that a call may take, or None.
        run: the call gives a Result.
        save: the file for the executed notebook, or for the new Model; None is not to save.
        form: show a form, and call nothing.
        replay: run the notebook of a failed call up to the cell that failed.
        help: tell what the magic is for, and do nothing else.
    """

    kernel: str | None = None
    scope: Scope | None = None
    timeout: float | None = None
    run: bool = False
    save: pathlib.Path | None = None
    form: bool = False
    replay: bool = False
    help: bool = False


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What stands on the line of a magic.

    Attributes:
        target: the first word: a path, or the name of a Model; empty where there is none.
        quoted: the target stood in quotes, so that it is a path.
        options: the flags.
        values: pairs of a parameter's name and its expression; ``**`` stands for the name where
            the expression is a mapping to expand.
        silent: the line ends in a semicolon.
    """

    target: str
    quoted: bool = False
    options: Options = Options()
    values: tuple[tuple[str, str], ...] = ()
    silent: bool = False


def parse_line(line: str, magic: str) -> Arguments:
    """Read the line of a magic.

    Args:
        line: all that follows the magic's name.
        magic: the magic's name with its percent signs, one of `FLAGS_OF`.

    Raises:
        UsageError: it cannot be read; the message says what to write instead.

    Example:
        >>> parsed = parse_line('area.ipynb --timeout 5 width=3, label="a b"  # mm', "%call_notebook")
        >>> parsed.target, parsed.options.timeout, parsed.values
        ('area.ipynb', 5.0, (('width', '3'), ('label', '"a b"')))
    """
    flags: dict[str, str] = {}
    head = parse_head(line, magic, flags)
    rest, unknown = cut_flags(line, head.end, flags)
    if unknown is not None and not rest[head.end : unknown].strip(" \t\n,"):
        _refuse_flag(rest[unknown:].split()[0], magic)
    options = _options(flags, magic)
    if options.help:
        return Arguments(head.target, options=options)
    try:
        values, silent = split_values(rest, head.end)
    except UsageError:
        if unknown is not None:  # more likely a flag that is misspelt than Python that is
            _refuse_flag(rest[unknown:].split()[0], magic)
        if magic.endswith("restify"):  # how a value is to be written is of no use there
            raise UsageError(no_values(magic, rest[head.end :].strip())) from None
        raise
    return Arguments(head.target, head.quoted, options, values, silent)


class Head(NamedTuple):
    """The first word of a line: empty where there is none, whether it is in quotes, where it stands."""

    target: str
    quoted: bool
    start: int
    end: int


def parse_head(line: str, magic: str, flags: dict[str, str]) -> Head:
    """Read the first word of a line and the flags before it.

    Args:
        line: all that follows the magic's name.
        magic: the magic's name with its percent signs.
        flags: gets the flags that are found, with their values as text.
    """
    start = _after(_BLANKS, line, 0)
    while (found := _FLAG.match(line, start)) is not None:
        if found[1] not in _FLAGS:
            _refuse_flag(found[0], magic)
        start = _after(_BLANKS, line, _take_flag(line, start, flags))
    if line.startswith("#", start):
        return Head("", False, start, start)
    word, quoted, end = _word(line, start)
    if not quoted and not word.endswith(".ipynb") and re.match(r"[^\W\d]\w*=|\*\*", word):
        return Head("", False, start, start)  # a value where the notebook should be
    return Head(word, quoted, start, end)


def no_values(magic: str, given: str) -> str:
    """What is said where values are given to a magic that takes none."""
    return f"{magic} only makes the Model, and calls it with no values: leave out {given}"


# --------------------------------------------------------------------- words


def _after(pattern: re.Pattern[str], line: str, start: int) -> int:
    """Where the match of a pattern ends that matches everywhere."""
    found = pattern.match(line, start)
    return found.end() if found else start


def _word(line: str, start: int) -> tuple[str, bool, int]:
    """The word at `start`, which may be in quotes: (word, whether it is in quotes, its end)."""
    quoted = _QUOTED.match(line, start)
    if quoted is not None:
        return quoted[2], True, quoted.end()
    if line[start : start + 1] in ("'", '"'):
        raise UsageError(
            f"the quote before {line[start + 1 :].strip()!r} is never closed. Close it, or write \\ before it"
        )
    word = _WORD.match(line, start)
    return (word[0].replace("\\ ", " "), False, word.end()) if word else ("", False, start)


# --------------------------------------------------------------------- flags


def cut_flags(line: str, start: int, flags: dict[str, str]) -> tuple[str, int | None]:
    """Take the flags out of the line from `start` on.

    Args:
        line: the line.
        start: the arguments begin here.
        flags: gets the flags that are found, with their values as text.

    Returns:
        The line with blanks in their place, and where the first word stands that looks like a flag
        and is none, or None.
    """
    unknown: int | None = None
    while True:
        for place in _flag_places(line, start):
            found = _FLAG.match(line, place)
            if found is not None and found[1] in _FLAGS:
                end = _take_flag(line, place, flags)
                line = line[:place] + " " * (end - place) + line[end:]
                break
            unknown = place if unknown is None else unknown
        else:
            return line, unknown


def _flag_places(line: str, start: int) -> Iterator[int]:
    """Where ``--word`` stands outside quotes and brackets, after a blank."""
    for token in tokens(line, start):
        after_blank = token.start == start or line[token.start - 1] in " \t\n,"
        if token.text == "-" and token.depth == 0 and after_blank and _FLAG.match(line, token.start):
            yield token.start


def _take_flag(line: str, start: int, flags: dict[str, str]) -> int:
    """Read the flag at `start` with its value, and return where it ends."""
    found = _FLAG.match(line, start)
    assert found is not None, "callers have seen the flag"  # noqa: S101 - for the type checker
    name, end = found[1], found.end()
    if name in flags:
        raise UsageError(f"--{name} is given twice. Leave one out")
    wanted = _EXAMPLES.get(name, "")
    value = ""
    if line.startswith("=", end):
        if not wanted and name not in _OPTIONAL:
            raise UsageError(f"--{name} takes no value. Write --{name} alone")
        value, _, end = _word(line, end + 1)
    elif wanted:
        value, _, end = _word(line, _after(_BLANK, line, end))
    if wanted and not value:
        raise UsageError(f"--{name} needs a value, as in --{name} {wanted}")
    flags[name] = value
    return end


def _refuse_flag(flag: str, magic: str) -> NoReturn:
    known = FLAGS_OF[magic]
    close = nearest(flag.strip("-"), known)
    hint = f" Did you mean --{close}?" if close else ""
    raise UsageError(f"{magic} has no flag {flag}.{hint} It has {', '.join(f'--{name}' for name in known)}")


def _options(flags: Mapping[str, str], magic: str) -> Options:
    if "help" in flags:
        return Options(help=True)
    made: dict[str, Any] = {}
    for name, value in flags.items():
        if name not in FLAGS_OF[magic]:
            _refuse_flag(f"--{name}", magic)
        read = _READ.get(name)
        made[name] = read(value) if read is not None else value if name in _OPTIONAL else True
    if made.get("kernel") is not None and "scope" in made:
        raise UsageError(
            "--scope is for a notebook in this process: a kernel sees no names from here. Leave one out"
        )
    return Options(**made)


def _scope(value: str) -> str:
    if value not in SCOPES:
        close = nearest(value, SCOPES)
        hint = f" Did you mean {close}?" if close else ""
        raise UsageError(f"--scope is one of {', '.join(SCOPES)}, not {value!r}.{hint}")
    return value


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"--timeout is a number of seconds above 0, as in --timeout 60, not {value!r}")
    return seconds


def _notebook_path(value: str) -> pathlib.Path:
    path = pathlib.Path(value).expanduser()
    if path.suffix != ".ipynb":
        raise UsageError(f"--save needs the name of a notebook, as in --save executed.ipynb, not {value!r}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--save {value}: there is no folder {os.fspath(path.parent)}. Make it first")
    if is_folder(path):
        raise UsageError(f"--save {value}: it is a folder. Save under another name")
    return path


_READ: Mapping[str, Callable[[str], Any]] = {"scope": _scope, "timeout": _seconds, "save": _notebook_path}
