"""``restified run``: a notebook executed with values, in papermill's manner."""

from __future__ import annotations

import itertools
import pathlib
import shlex
from collections.abc import Iterable
from typing import Any

import click

from restified_magics.command_line.command_values import Given, read_values
from restified_magics.command_line.options import calling_options
from restified_magics.command_line.shell_completion import WordsKept, complete_notebook, complete_pair
from restified_magics.command_line.terminal import check_output, results_only
from restified_magics.engines import Engine, open_model
from restified_magics.signature.reading import OutOfRange, load_json

__all__ = ["command"]


class _Run(WordsKept):
    """Its options of two words are told from ``name=value``, which other commands take."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for option, word in itertools.pairwise(args):
            if option in _PAIRS and "=" in word and not ctx.resilient_parsing:
                ctx.fail(_as_pair(word, option))
        return super().parse_args(ctx, args)


_PAIRS = ("-p", "--parameter", "-r", "--raw")


def _as_pair(word: str, option: str = "-p") -> str:
    name, _, value = word.partition("=")
    return f"{word!r} is no name and value. Write {option} {shlex.quote(name)} {shlex.quote(value)}"


@click.command("run", cls=_Run)
@click.argument("notebook", shell_complete=complete_notebook)
@click.argument("executed", nargs=-1, type=click.Path(), metavar="[EXECUTED]")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE.ipynb",
    help="The executed notebook; it can be the second argument.",
)
@click.option(
    "-p",
    "--parameter",
    "pairs",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="A value.",
    shell_complete=complete_pair,
)
@click.option(
    "-r",
    "--raw",
    "texts",
    nargs=2,
    multiple=True,
    metavar="NAME TEXT",
    help="A value that is text.",
    shell_complete=complete_pair,
)
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="Values in a file of YAML or JSON.",
)
@click.option("-y", "--yaml", "yamls", multiple=True, metavar="TEXT", help="Values as YAML.")
@calling_options("the run")
@click.option("--progress-bar/--no-progress-bar", default=True, help="Show how far it is, cell by cell.")
@click.option("--log-output", is_flag=True, help="Show what the cells print and display, too.")
def command(  # noqa: PLR0913 - the options of a command
    notebook: str,
    executed: tuple[str, ...],
    *,
    output: str | None,
    pairs: Iterable[tuple[str, str]],
    texts: Iterable[tuple[str, str]],
    files: Iterable[str],
    yamls: Iterable[str],
    timeout: float | None,
    cwd: str | None,
    engine: Engine,
    kernel: str | None,
    progress_bar: bool,
    log_output: bool,
) -> None:
    """Execute NOTEBOOK with values, and write the executed copy, also when a cell fails.

    The copy holds the values, the outputs up to the end or the failure, and its traceback. It can be opened
    and run as it is. The options are those of papermill; values are read by the types of the parameters.

    \b
    restified run report.ipynb -p year 2026 -o report-2026.ipynb
    """
    for word in executed:
        if "=" in word and not word.endswith(".ipynb"):
            raise click.UsageError(_as_pair(word))
    targets = [*executed, *filter(None, [output])]
    if not targets:
        raise click.UsageError("where to? Write the executed notebook's name, as in -o executed.ipynb")
    if len(targets) > 1:
        raise click.UsageError(f"more than one notebook to write: {', '.join(targets)}. Leave one")
    path = pathlib.Path(targets[0]).expanduser()
    model = open_model(notebook, engine=engine, kernel=kernel, cwd=cwd, timeout=timeout)
    check_output(targets[0], model.notebook)
    given: dict[str, Given] = {}
    for text in yamls:
        given.update(_of_yaml(text, "--yaml"))
    for file in files:
        given.update(_of_file(file))
    given.update({name: Given(value) for name, value in pairs})
    given.update({name: Given(value, is_json=True) for name, value in texts})
    params = read_values(model.parameters, given, model.name)
    with results_only():
        model.run(params, echo=log_output, save=path, progress=progress_bar)


def _of_file(file: str) -> dict[str, Given]:
    try:
        content = pathlib.Path(file).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(
            f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None
    return _of_yaml(content, file)


def _of_yaml(content: str, source: str) -> dict[str, Given]:
    try:
        values: Any = load_json(content)
    except OutOfRange as error:
        raise click.UsageError(f"{source}: {error}") from None
    except ValueError:
        import yaml  # type: ignore[import-untyped]  # papermill brings it; JSON needs none of it

        try:
            values = yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise click.UsageError(f"{source}: is neither JSON nor YAML: {error}") from None
    if not isinstance(values, dict):
        raise click.UsageError(f"{source}: it must hold values by name, not {type(values).__name__}")
    return {str(name): Given(value, is_json=True) for name, value in values.items()}
