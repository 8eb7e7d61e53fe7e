"""A value of a notebook that was written as an option of the command, ``--width 5``: how it is written."""

from __future__ import annotations

import contextlib
import itertools
import shlex
from collections.abc import Iterator, Sequence

import click

from restified_magics.core.telling import nearest
from restified_magics.errors import NotebookError

__all__ = ["values_hinted"]


@contextlib.contextmanager
def values_hinted(words: Sequence[str]) -> Iterator[None]:
    """Where an option that a command does not have is nearly a parameter, tell how its value is written.

    Args:
        words: those of the command.

    Raises:
        UsageError: in place of click's, which knows other options only.
    """
    try:
        yield
    except click.NoSuchOption as error:
        written = _written(error, words)
        if written is None:
            raise
        message = f"No such option {error.option_name!r}. Values are written {written}"
        raise click.UsageError(message, error.ctx) from None


def _written(error: click.NoSuchOption, words: Sequence[str]) -> str | None:
    """The value in the way of the command, or None where it takes none of that name."""
    taken = {each.name for each in error.ctx.command.params} if error.ctx else set()
    if not taken & {"values", "pairs"}:
        return None
    name = nearest(error.option_name.lstrip("-").replace("-", "_"), _parameters(words))
    if name is None:
        return None
    value = shlex.quote(_value(error.option_name, words))
    return f"{name}={value}" if "values" in taken else f"-p {name} {value}"


def _parameters(words: Sequence[str]) -> list[str]:
    from restified_magics.core.sources import open_source  # only where an option is unknown

    for word in words:
        if word.endswith(".ipynb"):
            with contextlib.suppress(NotebookError):
                return [*open_source(word).current().fields.parameters]
    return []


def _value(option: str, words: Sequence[str]) -> str:
    """What stands behind the option."""
    for word, following in itertools.pairwise([*words, "VALUE"]):
        if word.startswith(f"{option}="):
            return word.removeprefix(f"{option}=")
        if word == option:
            return following
    return "VALUE"
