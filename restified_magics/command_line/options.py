"""The options that the commands which call a notebook have in common."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import click

from restified_magics.command_line.shell_completion import complete_kernel
from restified_magics.engines import ENGINES

__all__ = ["calling_options"]

F = TypeVar("F", bound=Callable[..., Any])


def _seconds(text: str) -> float:
    """A time that a call may take."""
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 < seconds < threading.TIMEOUT_MAX:
            return seconds
    raise click.BadParameter(f"{text!r} is no number of seconds. Write one that is more than 0, as in 2.5")


def calling_options(what: str) -> Callable[[F], F]:
    """``--timeout``, ``--cwd``, ``--engine`` and ``--kernel``: how a notebook is called.

    Args:
        what: what a command does that takes time, in the words of its help: ``"the call"``.
    """
    options = (
        click.option(
            "--timeout",
            type=_seconds,
            metavar="SECONDS",
            help=f"Seconds that {what} may take.",
        ),
        click.option(
            "--cwd",
            type=click.Path(exists=True, file_okay=False),
            metavar="FOLDER",
            help="The folder in which it runs.",
        ),
        click.option(
            "--engine", type=click.Choice(ENGINES), default="auto", help="In this process, or in a kernel."
        ),
        click.option(
            "-k",
            "--kernel",
            metavar="NAME",
            help="The kernel to use, in place of the notebook's own.",
            shell_complete=complete_kernel,
        ),
    )

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate
