"""``restified``: notebooks called from the shell. argv → a command, and what went wrong → an exit code.

A command is imported when it is used, so that ``restified call`` begins at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import click

from restified_magics.command_line.value_hints import values_hinted
from restified_magics.core.telling import nearest
from restified_magics.errors import (
    CellError,
    ModelTimeout,
    NotebookError,
    NotebookWarning,
    ParameterError,
    RestifiedError,
)

__all__ = ["COMMANDS", "EXIT_CODES", "main"]

#: The commands: what each is for, and where it is.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "call": ("Call a notebook as a function.", "restified_magics.command_line.call_command:command"),
    "show": ("Show what a notebook takes and returns.", "restified_magics.command_line.show_command:command"),
    "map": ("Call a notebook for each row of a table.", "restified_magics.command_line.map_command:command"),
    "run": (
        "Execute a notebook, and write the executed copy.",
        "restified_magics.command_line.run_command:command",
    ),
    "dashboard": ("Open a notebook as a dashboard.", "restified_magics.widgets.dashboard_command:command"),
    "view": ("Write a notebook that shows a Model as a form.", "restified_magics.widgets.scaffold:command"),
    "completion": (
        "Complete commands and parameters in your shell.",
        "restified_magics.command_line.completion_scripts:command",
    ),
    "serve": ("Serve notebooks as REST endpoints.", "restified_magics.rest.serve_command:command"),
}

#: What a script can rely on; everything else that fails is 1.
EXIT_CODES: Mapping[type[BaseException], int] = {
    ParameterError: 2,
    NotebookError: 2,
    ModelTimeout: 124,
    KeyboardInterrupt: 130,
}


class _Commands(click.Group):
    """The commands by name; `get_command` imports the one that is used."""

    def main(self, *args: Any, **extra: Any) -> Any:
        if "_RESTIFIED_COMPLETE" in os.environ:  # a shell asks, in a way of our own
            importlib.import_module("restified_magics.command_line.completion_scripts")
        return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][1].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        close = None if args[0] in COMMANDS else nearest(args[0], COMMANDS)
        if close is not None and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {close!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (summary, _) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        with _told(ctx), values_hinted([*ctx.args]):
            return super().invoke(ctx)


@contextlib.contextmanager
def _told(ctx: click.Context) -> Iterator[None]:
    """Tell what went wrong on stderr, in the words for people, and end with its exit code."""
    try:
        yield
    except (RestifiedError, KeyboardInterrupt, OSError) as error:
        if isinstance(error, BrokenPipeError):  # who read it has enough: click ends without a word
            raise
        if isinstance(error, CellError):
            for line in error.traceback[1:]:  # after the rule, which a notebook needs
                click.echo(line, err=True)
        elif isinstance(error, KeyboardInterrupt):
            click.echo("Interrupted", err=True)
        click.echo(f"Error: {error}" if str(error) else "", err=True, nl=bool(str(error)))
        for note in getattr(error, "__notes__", ()):
            click.echo(note, err=True)
        ctx.exit(next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1))


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warn in one line: where in this package it was found says nothing to a person at a shell."""
    if issubclass(category, NotebookWarning) or filename.startswith(_OURS):
        click.echo(f"Warning: {message}", err=True)
    else:
        _python_shows(message, category, filename, lineno, file, line)


_python_shows = warnings.showwarning
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="restified_magics", prog_name="restified")
def main() -> None:
    """Notebooks called as functions.

    Exit codes: 0 all went well; 1 a cell failed; 2 wrong use, a value that the notebook does not take, or no
    notebook; 124 the time was up; 130 interrupted.
    """
    warnings.showwarning = _show_warning
