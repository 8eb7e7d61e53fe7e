"""``restified map``: a notebook called for each row of a table, or for all combinations of values."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import click

from restified_magics.command_line.command_values import given_values, read_given
from restified_magics.command_line.options import calling_options
from restified_magics.command_line.shell_completion import (
    complete_grid,
    complete_notebook,
    complete_table,
    complete_values,
)
from restified_magics.command_line.sweep_results import Lines, Table
from restified_magics.command_line.sweep_values import check_names, check_values, grid_of, table_of
from restified_magics.command_line.terminal import results_only
from restified_magics.core.model import Model
from restified_magics.core.parameter_sets import ParameterSets
from restified_magics.engines import Engine, open_model
from restified_magics.errors import CallError, RestifiedError, ReturnError
from restified_magics.sweep.mapping import sweep, until_failure
from restified_magics.sweep.running import Outcome
from restified_magics.wire.encoding import Unencodable

__all__ = ["command"]


@click.command("map")
@click.argument("notebook", shell_complete=complete_notebook)
@click.argument("table", required=False, metavar="[TABLE.csv]", shell_complete=complete_table)
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=complete_values)
@click.option(
    "--grid",
    "grid",
    multiple=True,
    metavar="NAME=A,B,…",
    help="Values of which all combinations are called; one that has a comma goes in double quotes.",
    shell_complete=complete_grid,
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many isolated processes; none is one by one.",
)
@click.option("--dask", metavar="ADDRESS", help="Run on a Dask cluster: its scheduler's address.")
@click.option(
    "--files", multiple=True, metavar="PATTERN", help="Files beside the notebook that go to the cluster."
)
@click.option(
    "--store",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Keep finished calls, and go on from there the next time.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Times that a failed call is made again.",
)
@click.option(
    "--seed", type=int, metavar="N", help="Random generators of each call begin with a number made of this."
)
@click.option("--keep-going", is_flag=True, help="A call that fails does not end the sweep.")
@click.option(
    "--save",
    type=click.Path(file_okay=False),
    metavar="FOLDER",
    help="Keep each call that fails as a notebook.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, in place of CSV.")
@click.option("--unordered", is_flag=True, help="Write each result when it is there, not in order.")
@calling_options("each call")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def command(  # noqa: PLR0913 - the options of a command
    notebook: str,
    table: str | None,
    values: tuple[str, ...],
    *,
    grid: tuple[str, ...],
    workers: int | None,
    dask: str | None,
    files: tuple[str, ...],
    store: str | None,
    retries: int,
    seed: int | None,
    keep_going: bool,
    save: str | None,
    as_json: bool,
    unordered: bool,
    timeout: float | None,
    cwd: str | None,
    engine: Engine,
    kernel: str | None,
    quiet: bool,
) -> None:
    """Call NOTEBOOK for each row of a CSV file, and write the values that it returns to stdout.

    The header of TABLE.csv names parameters; - is standard input. What is written has the columns of the
    table, and `value`, or a column for each key where the notebook returns a dict; with --keep-going also
    `error`. Calls that return other keys, or other kinds of values, need --json.

    \b
    restified map area.ipynb sizes.csv --workers 4 > areas.csv
    restified map area.ipynb --grid width=1,2,3 --grid height=4,5 unit=mm
    restified map sales.ipynb --grid 'city="Washington, D.C.",Rome'
    restified map area.ipynb sizes.csv --store done/ --dask tcp://10.0.0.1:8786
    """
    if table is not None and ("=" in table or table.startswith("@")) and not pathlib.Path(table).exists():
        values, table = (table, *values), None  # there is no table
    if table is None and not grid:
        raise click.UsageError("which values? Name a CSV file of them, or give --grid NAME=A,B")
    if files and dask is None:
        raise click.UsageError(
            "--files go to a cluster, and there is none: add --dask ADDRESS, or leave them out"
        )
    with results_only() as give, contextlib.ExitStack() as ending:
        model = open_model(notebook, engine=engine, kernel=kernel, cwd=cwd, timeout=timeout)
        fixed = given_values(values)
        combined = grid_of(grid, fixed)

        def check(header: Sequence[str]) -> None:
            check_names(model.notebook, [*fixed, *header, *combined])

        rows = [fixed] if table is None else table_of(table, fixed, combined, check)
        if table is None:
            check([])
        sets = ParameterSets(rows, combined or None)
        if not keep_going:
            check_values(model.notebook, sets, rows)
        outcomes = _begun(
            model,
            sets,
            sets.count,
            workers=workers,
            executor=None if dask is None else _cluster(dask, ending),
            # lines of results in a terminal are progress, too, and a bar would stand in between
            progress=not (quiet or give.is_terminal),
            on_error="return",
            retries=retries,
            store=store,
            seed=seed,
            files=files,
            read=read_given,
        )
        ending.callback(outcomes.close)
        writer = Lines(give) if as_json else Table(give, errors=keep_going)
        counts = _Counts()
        try:
            ended = _noted(outcomes, counts, None if save is None else _Failures(save))
            if not keep_going:
                ended = until_failure(_hinted(ended) if save is None else ended)
            for outcome in ended if unordered else _in_order(ended):
                counts.failed += not _written(outcome, writer, model, keep_going=keep_going)
        except KeyboardInterrupt:
            again = "" if store is None else f". The same command goes on from there: {store} has them"
            click.echo(f"{counts.ended} calls had ended{again}", err=True)
            raise
        finally:
            writer.end()
        if not counts.ended:
            writer.nothing([*fixed, *getattr(rows, "header", ()), *combined])
            click.echo(f"{table}: has no rows below its header, so that no call was made", err=True)
        if counts.stored and not quiet:
            click.echo(
                f"{counts.stored} of {counts.ended} calls were in {store}, and not made again", err=True
            )
        if counts.failed:
            several = f"{counts.failed} calls failed: their errors are"
            told = "1 call failed: its error is" if counts.failed == 1 else several
            way_back = (
                "--save FOLDER keeps such calls as notebooks" if save is None else f"{save} has the notebooks"
            )
            raise RestifiedError(f"{told} among the results. {way_back}")


def _hinted(outcomes: Iterator[Outcome]) -> Generator[Outcome, None, None]:
    """The outcomes; of a call that failed, which ends the sweep, the error tells how it is kept."""
    for outcome in outcomes:
        if isinstance(outcome.error, CallError):
            outcome.error.add_note("--save FOLDER keeps such a call as a notebook")
        yield outcome


@dataclasses.dataclass
class _Counts:
    """How many calls have ended, were there already, failed."""

    ended: int = 0
    stored: int = 0
    failed: int = 0


class _Failures:
    """A folder of failed calls, each a notebook.

    Args:
        folder: the folder; it is made if it is not there.
    """

    def __init__(self, folder: str) -> None:
        self._folder = pathlib.Path(folder).expanduser()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.UsageError(f"--save {folder}: is no folder: {error.strerror or error}") from None

    def keep(self, number: int, error: CallError) -> None:
        """Write the notebook of a call that failed, and tell where it is."""
        path = self._folder / f"call-{number + 1}.ipynb"
        try:
            error.add_note(f"Saved the notebook of this call as {error.save(path)}")
        except (OSError, RestifiedError) as failure:
            error.add_note(f"The notebook of this call could not be saved: {failure}")


def _noted(
    outcomes: Generator[Outcome, None, None], counts: _Counts, failures: _Failures | None
) -> Generator[Outcome, None, None]:
    """The outcomes, counted; those that failed are kept."""
    for outcome in outcomes:
        counts.ended += 1
        counts.stored += outcome.stored
        if failures is not None and isinstance(outcome.error, CallError):
            failures.keep(outcome.number, outcome.error)
        yield outcome


def _written(outcome: Outcome, writer: Lines | Table, model: Model, *, keep_going: bool) -> bool:
    """Write how a call went, and say whether it went well: a value that cannot be written is its failure."""
    try:
        writer.write(outcome)
    except Unencodable as problem:
        cell = next((cell.number for cell in model.notebook.with_role("return")), 0)
        error = ReturnError(model.name, cell=cell, reason=str(problem))
        if not keep_going:
            error.add_note(f"In call {outcome.number + 1} of the sweep")
            raise error from None
        writer.write(outcome._replace(value=None, error=error))
        return False
    return outcome.error is None


def _begun(*args: Any, **options: Any) -> Generator[Outcome, None, None]:
    """A sweep; what is wrong with its options is wrong use of the command."""
    try:
        return sweep(*args, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _cluster(address: str, ending: contextlib.ExitStack) -> Any:
    try:
        from distributed import Client  # only who has a cluster has it
    except ImportError:
        raise click.UsageError("--dask needs Dask: pip install 'restified_magics[dask]'") from None
    try:
        client = ending.enter_context(Client(address, timeout="10s"))
    except (OSError, ValueError) as error:
        raise click.UsageError(
            f"--dask {address}: there is no scheduler: {error}. Start one: dask scheduler"
        ) from None
    return client.get_executor()


def _in_order(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Those that come too early wait for those before them."""
    waiting: dict[int, Outcome] = {}
    following = 0
    for outcome in outcomes:
        waiting[outcome.number] = outcome
        while following in waiting:
            yield waiting.pop(following)
            following += 1
