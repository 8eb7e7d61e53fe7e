"""``name=value`` on a command line → the values of a call, read by the types of the parameters.

``@file.json`` and ``-`` (standard input) are JSON objects of values; ``name=@file.json`` is one value,
``name=@file`` the text of any other file, ``name=@-`` that of standard input, and ``name=@@text`` begins
with one ``@``. What stands further right wins.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TextIO

import click

from restified_magics.signature.parameters import Parameter, bind
from restified_magics.signature.reading import OutOfRange, load_json, read_json, read_text

__all__ = ["Given", "given_values", "opened_text", "read_given", "read_values"]


class Given(NamedTuple):
    """A value as it was given.

    Attributes:
        value: text, or what JSON said.
        is_json: it was JSON.
    """

    value: Any
    is_json: bool = False


def given_values(words: Iterable[str]) -> dict[str, Given]:
    """The words of a command → what was given, by name.

    Raises:
        UsageError: a word is neither ``name=value`` nor a file of them, or a file cannot be read.

    Example:
        >>> given_values(["x=42", "label=a=b"])
        {'x': Given(value='42', is_json=False), 'label': Given(value='a=b', is_json=False)}
    """
    given: dict[str, Given] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if word in ("-", "@-") or (word.startswith("@") and not _is_name(name)):
            given.update(_of_object(word))
        elif not equals:
            raise click.UsageError(
                f"{word!r} is no value. Write name=value, or @file.json or - for a JSON object of values"
            )
        else:
            given[name.strip()] = _one(text, name)
    return given


def read_values(
    parameters: Mapping[str, Parameter], given: Mapping[str, Given], notebook: str
) -> dict[str, Any]:
    """Read what was given by the types of the parameters.

    Raises:
        ParameterError: with every problem of the call.

    Example:
        >>> n = Parameter("n", type=int, default=1)
        >>> read_values({"n": n}, given_values(["n=42"]), "m.ipynb")
        {'n': 42}
    """
    return bind(parameters, given, notebook, read=read_given)


def read_given(parameter: Parameter, given: Given) -> Any:
    """Read one value by the type of its parameter.

    Raises:
        ValueError: it is no such value; the message reads after the parameter's name.
    """
    return read_json(parameter, given.value) if given.is_json else read_text(parameter, given.value)


def _is_name(text: str) -> bool:
    return text.isidentifier()


def _one(text: str, name: str) -> Given:
    if not text.startswith("@"):
        return Given(text)
    if text.startswith("@@"):
        return Given(text[1:])
    content = _content(text[1:], f"{name}={text}")
    if text.endswith(".json"):
        return Given(_json(content, text), is_json=True)
    return Given(content.removesuffix("\n"))


def _of_object(word: str) -> dict[str, Given]:
    values = _json(_content(word.removeprefix("@"), word), word)
    if not isinstance(values, dict):
        raise click.UsageError(
            f"{word}: it must hold a JSON object of values by name, not {type(values).__name__}"
        )
    return {name: Given(value, is_json=True) for name, value in values.items()}


@contextlib.contextmanager
def opened_text(source: str, *, newline: str | None = None) -> Iterator[TextIO]:
    """A file, or standard input for ``-``: UTF-8 in any locale, with a byte order mark or without.

    Args:
        source: the file.
        newline: as for `open`.

    Raises:
        OSError: it cannot be opened.
    """
    if source != "-":
        with open(os.path.expanduser(source), encoding="utf-8-sig", newline=newline) as file:
            yield file
        return
    if sys.stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    text = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline=newline)
    try:
        yield text
    finally:
        text.detach()  # it is not ours to close


def _content(source: str, word: str) -> str:
    try:
        with opened_text(source) as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise click.UsageError(f"{word}: cannot be read: {reason}") from None


def _json(content: str, word: str) -> Any:
    try:
        return load_json(content)
    except OutOfRange as error:
        raise click.UsageError(f"{word}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{word}: is not JSON: {error}") from None
