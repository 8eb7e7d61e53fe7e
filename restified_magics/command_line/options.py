"""The options that the commands which call a notebook have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from restified_magics.command_line.shell_completion import complete_kernel
from restified_magics.engines import ENGINES

__all__ = ["calling_options"]

F = TypeVar("F", bound=Callable[..., Any])


def calling_options(what: str) -> Callable[[F], F]:
    """``--timeout``, ``--cwd``, ``--engine`` and ``--kernel``: how a notebook is called.

    Args:
        what: what a command does that takes time, in the words of its help: ``"the call"``.
    """
    options = (
        click.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
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
