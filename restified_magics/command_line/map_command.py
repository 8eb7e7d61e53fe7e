"""``restified map``: a notebook called for each row of a table, or for all combinations of values."""

from __future__ import annotations

import collections
import contextlib
import csv
import io
import pathlib
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from typing import Any

import click

from restified_magics.command_line.command_values import Given, given_values, opened_text, read_given
from restified_magics.command_line.options import calling_options
from restified_magics.command_line.shell_completion import complete_notebook, complete_table, complete_values
from restified_magics.command_line.terminal import Give, results_only
from restified_magics.core.model import Model
from restified_magics.core.plain_json import plain, to_json
from restified_magics.core.telling import in_words, shorten
from restified_magics.engines import Engine, open_model
from restified_magics.errors import RestifiedError, ReturnError
from restified_magics.signature.reading import as_text
from restified_magics.sweep.mapping import parameter_sets, sweep
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
    shell_complete=complete_values,
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
@click.option("--store", metavar="FOLDER", help="Keep finished calls, and go on from there the next time.")
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
    if table is not None and "=" in table and not pathlib.Path(table).exists():
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
        combined = _grid(grid, fixed)
        header: list[str] = []
        listed = None if table is None else _rows(table, {*fixed, *combined}, header)
        rows, count = parameter_sets(listed, combined or None)
        outcomes = _begun(
            model,
            ({**fixed, **row} for row in rows),
            count,
            workers=workers,
            executor=None if dask is None else _cluster(dask, ending),
            progress=not quiet,
            on_error="return" if keep_going else "raise",
            retries=retries,
            store=store,
            seed=seed,
            files=files,
            read=read_given,
        )
        ending.callback(outcomes.close)
        writer = _Lines(give) if as_json else _Table(give, errors=keep_going)
        made = failed = 0
        try:
            for outcome in outcomes if unordered else _in_order(outcomes):
                made += 1
                failed += not _written(outcome, writer, model, keep_going=keep_going)
        finally:
            writer.end()
        if not made:
            writer.nothing([*fixed, *header, *combined])
            click.echo(f"{table}: has no rows below its header, so that no call was made", err=True)
        if failed:
            several = f"{failed} calls failed: their errors are"
            told = "1 call failed: its error is" if failed == 1 else several
            raise RestifiedError(f"{told} among the results")


def _written(outcome: Outcome, writer: _Lines | _Table, model: Model, *, keep_going: bool) -> bool:
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


def _rows(table: str, others: Collection[str], names: list[str]) -> Iterator[dict[str, Given]]:
    """The rows of a CSV file, of which no column has one of the other names; `names` get its own."""
    try:
        with opened_text(table, newline="") as lines:
            reader = csv.reader(lines)
            header = next(reader, [])
            _check_header(table, header, others)
            names += header
            for row in reader:
                if row and len(row) != len(header):
                    more, advice = "fewer", "Add what is missing, if only a comma for each empty cell"
                    if len(row) > len(header):
                        more, advice = "more", "Put a cell with a comma in quotes"
                    raise click.UsageError(
                        f"{table}, line {reader.line_num}: has {more} cells than the header. {advice}"
                    )
                if row:
                    yield {name: Given(text) for name, text in zip(header, row, strict=True)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise click.UsageError(
            f"{table}: cannot be read: {getattr(error, 'strerror', None) or error}"
        ) from None


def _check_header(table: str, header: Sequence[str], others: Collection[str]) -> None:
    if not header:
        raise click.UsageError(
            f"{table}: has no header. Its first line names parameters, as in: width,height"
        )
    twice = [name for name, count in collections.Counter(header).items() if count > 1]
    if twice:
        raise click.UsageError(
            f"{table}: its header has {', '.join(twice)} more than once. Give each column a name of its own"
        )
    both = [name for name in header if name in others]
    if both:
        raise click.UsageError(
            f"{', '.join(both)} is given twice: in {table}, and on the command line. Leave one of them out"
        )


def _grid(options: Iterable[str], fixed: Collection[str]) -> dict[str, list[Given]]:
    found: dict[str, list[Given]] = {}
    for option in options:
        name, equals, texts = option.partition("=")
        name = name.strip()
        if not equals:
            raise click.UsageError(f"--grid {option}: write --grid NAME=A,B")
        if name in found or name in fixed:
            raise click.UsageError(f"{name} is given twice. Write all of its values once: --grid {name}=A,B")
        found[name] = [Given(text) for text in _listed(option, texts)]
        if not found[name]:
            raise click.UsageError(
                f"--grid {option}: has no values. Write --grid {name}=A,B, or {name}='\"\"' for an empty text"
            )
    return found


def _listed(option: str, texts: str) -> list[str]:
    """The values of a grid's parameter, written as a row of a CSV file is."""
    try:
        return [text for row in csv.reader([texts], skipinitialspace=True, strict=True) for text in row]
    except csv.Error:
        raise click.UsageError(
            f"--grid {shorten(option)}: a quote is not closed, or something stands behind it. A value with a "
            "comma, a quote or a line break goes in double quotes, its own doubled: "
            '--grid \'x="a,b","a ""b"""\''
        ) from None


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


class _Lines:
    """One JSON object a line: the values given, and the value returned or the error."""

    def __init__(self, give: Give) -> None:
        self._give = give

    def write(self, outcome: Outcome) -> None:
        """Write a line.

        Raises:
            Unencodable: the value has no form in JSON; nothing was written.
        """
        name, told = ("value", outcome.value) if outcome.error is None else ("error", _told(outcome.error))
        params, value = (to_json(each, compact=False) for each in (_params(outcome), told))
        self._give(b'{"params": %b, "%b": %b}\n' % (params, name.encode(), value))

    def end(self) -> None:
        """Nothing is left to be written."""

    def nothing(self, names: Sequence[str]) -> None:
        """Nothing is written of no calls."""


class _Table:
    """CSV, with the columns that the first call that went well has; one with others is an error."""

    def __init__(self, give: Give, *, errors: bool) -> None:
        self._give = give
        self._errors = errors
        self._names: list[str] = []
        self._early: list[Outcome] = []

    def write(self, outcome: Outcome) -> None:
        """Write a row, once it is known which columns there are.

        Raises:
            Unencodable: the value has no form in a cell; nothing was written.
        """
        if self._names:
            self._row(outcome)
        elif outcome.error is not None:
            self._early.append(outcome)
        else:
            cells = self._cells(outcome)
            if self._errors and "error" in cells:
                raise RestifiedError("error is a column of this table, and --keep-going adds one. Add --json")
            self._begin(list(cells))
            self._row(outcome)

    def end(self) -> None:
        """Write what waits for a call that went well, though there is none."""
        if self._early and not self._names:
            self._begin([*self._early[0].params])

    def nothing(self, names: Sequence[str]) -> None:
        """Write the header of a table of no calls: what would be returned is not known."""
        self._begin([*names])

    def _begin(self, names: list[str]) -> None:
        self._names = [*names, *(["error"] if self._errors else [])]
        self._line(self._names)
        for outcome in self._early:
            self._row(outcome)

    def _row(self, outcome: Outcome) -> None:
        cells = self._cells(outcome)
        others = [name for name in cells if name not in self._names]
        if others:
            raise RestifiedError(
                f"call {outcome.number + 1} has {', '.join(others)}, and the columns of this table, those of "
                f"the first call, are {', '.join(self._names)}. Add --json: a line takes any value"
            )
        self._line([cells.get(name, "") for name in self._names])

    def _cells(self, outcome: Outcome) -> dict[str, str]:
        """What stands in the row of a call, by column."""
        given = {name: _cell(value) for name, value in _params(outcome).items()}
        if outcome.error is not None:
            return {**given, "error": _told(outcome.error)}
        if not isinstance(outcome.value, dict):
            if "value" in given:
                raise RestifiedError(
                    "a parameter is named value, as the column of what is returned. Add --json"
                )
            return {**given, "value": _cell(outcome.value)}
        returned = {str(name): _cell(value) for name, value in outcome.value.items()}
        for name in given.keys() & returned.keys():
            if given[name] != returned[name]:
                raise RestifiedError(
                    f"call {outcome.number + 1} returns {name}={shorten(returned[name])}, and a parameter of "
                    f"that name was given as {shorten(given[name])}: one column cannot have both. Add --json"
                )
        return {**given, **returned}

    def _line(self, cells: list[str]) -> None:
        sink = io.StringIO()
        csv.writer(sink, lineterminator="\n").writerow(cells)
        self._give(sink.getvalue().encode())


def _params(outcome: Outcome) -> dict[str, Any]:
    """The values of a call; as they were given, where they could not be read, or where JSON has no such."""
    return {
        name: value.value if isinstance(value, Given) else _plain_or_text(value)
        for name, value in outcome.params.items()
    }


def _plain_or_text(value: Any) -> Any:
    try:
        return plain(value)
    except Unencodable:
        return as_text(value)


def _told(error: Exception) -> str:
    return in_words(error).encode(errors="backslashreplace").decode()


def _cell(value: Any) -> str:
    """A value as the text of a cell: text as it is, None as nothing, anything else as JSON."""
    flat = plain(value)
    if flat is None:
        return ""
    text = to_json(flat, compact=False).decode()
    return flat if isinstance(flat, str) else text
