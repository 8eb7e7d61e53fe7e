"""What ``restified map`` calls a notebook with: the rows of a table, all combinations of values."""

from __future__ import annotations

import collections
import csv
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

import click

from restified_magics.command_line.command_values import Given, opened_text, read_values
from restified_magics.core.notebook import Notebook
from restified_magics.core.parameter_sets import ParameterSets
from restified_magics.core.telling import shorten
from restified_magics.errors import ParameterError
from restified_magics.signature.parameters import unknown

__all__ = ["PipedRows", "Rows", "check_names", "check_values", "grid_of", "table_of"]

_MOST_TOLD = 5  # sets of values that an error names
_OTHER_DELIMITERS = ";\t|"


class PipedRows:
    """The rows of a CSV file that can be read once, and nobody knows how many there are.

    Args:
        table: the file, or ``-`` for standard input.
        fixed: values that all rows share.
        check: is told the names of the columns before the first row comes, and refuses wrong ones.

    Attributes:
        header: the names of the columns, once they are known.
    """

    def __init__(
        self, table: str, fixed: Mapping[str, Given], check: Callable[[Sequence[str]], object]
    ) -> None:
        self.table = table
        self.header: list[str] = []
        self._fixed = fixed
        self._check = check

    def __iter__(self) -> Iterator[dict[str, Given]]:
        for _, row in self.numbered():
            yield row

    def numbered(self) -> Iterator[tuple[int, dict[str, Given]]]:
        """The rows, each with the line of the file in which it ends."""
        table = self.table
        try:
            with opened_text(table, newline="") as lines:
                reader = csv.reader(lines)
                self.header = [name.strip() for name in next(reader, [])]
                _check_header(table, self.header)
                self._check(self.header)
                for row in reader:
                    if row:
                        _check_length(f"{table}, line {reader.line_num}", row, self.header)
                        cells = {name: Given(text) for name, text in zip(self.header, row, strict=True)}
                        yield reader.line_num, {**self._fixed, **cells}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise click.UsageError(
                f"{table}: cannot be read: {getattr(error, 'strerror', None) or error}"
            ) from None


class Rows(PipedRows):
    """The rows of a CSV file."""

    def __len__(self) -> int:
        return sum(1 for _ in self.numbered())

    def place(self, number: int) -> str:
        """Where a row stands."""
        line, _ = next(itertools.islice(self.numbered(), number, None))
        return f"{self.table}, line {line}"


def table_of(
    table: str, fixed: Mapping[str, Given], grid: Collection[str], check: Callable[[Sequence[str]], object]
) -> PipedRows:
    """The rows of a CSV file.

    Args:
        table: the file, or ``-`` for standard input.
        fixed: values that all rows share.
        grid: names that have values of their own.
        check: refuses names of columns.
    """

    def checked(header: Sequence[str]) -> None:
        for others, where in ((grid, "by --grid"), (fixed, "as a value for all calls")):
            both = [name for name in header if name in others]
            if both:
                raise click.UsageError(
                    f"{', '.join(both)} is given twice: in {table}, and {where}. Leave one of them out"
                )
        check(header)

    path = os.path.expanduser(table)
    is_pipe = table == "-" or (os.path.exists(path) and not os.path.isfile(path))
    return (PipedRows if is_pipe else Rows)(table, fixed, checked)


def check_names(notebook: Notebook, names: Sequence[str]) -> None:
    """Refuse names of values for a notebook, whatever the values are.

    Raises:
        ParameterError: one of them is no parameter, or a parameter that needs a value is not among them.
    """
    parameters = notebook.fields.parameters
    problems = {name: unknown(name, parameters) for name in names if name not in parameters}
    for name, parameter in parameters.items():
        if parameter.required and name not in names:
            problems[name] = "is required"
    if problems:
        raise ParameterError(notebook.name, problems)


def check_values(
    notebook: Notebook, sets: ParameterSets, rows: Sequence[Mapping[str, Given]] | PipedRows
) -> None:
    """Look at all values before anything runs, where they can be read twice: the last may be hours away.

    Raises:
        ParameterError: values that the notebook does not take; its notes say where they stand, and which
            others are wrong.
    """
    wrong: list[tuple[str, ParameterError]] = []
    known: set[str] = set()
    for number, given in sets.every_value():
        try:
            read_values(notebook.fields.parameters, given, notebook.name)
        except ParameterError as error:
            if str(error) not in known:
                known.add(str(error))
                wrong.append((_place(number, sets, rows), error))
            if len(wrong) > _MOST_TOLD:
                break
    if not wrong:
        return
    place, first = wrong[0]
    first.add_note(f"In {place}")
    for place, other in wrong[1:_MOST_TOLD]:
        problems = "; ".join(f"{name} {problem}" for name, problem in other.problems.items())
        first.add_note(f"In {place}: {problems}")
    if len(wrong) > _MOST_TOLD:
        first.add_note("And perhaps more")
    raise first


def _place(number: int, sets: ParameterSets, rows: Sequence[Mapping[str, Given]] | PipedRows) -> str:
    """Where the values of a call were given: of all calls of a row, the first stands for it."""
    row, combination = divmod(number, sets.combinations)
    if isinstance(rows, Rows) and not combination:
        return rows.place(row)
    return f"call {number + 1} of the sweep"


def _check_length(place: str, row: Sequence[str], header: Sequence[str]) -> None:
    if len(row) != len(header):
        more, advice = "fewer", "Add what is missing, if only a comma for each empty cell"
        if len(row) > len(header):
            more, advice = "more", "Put a cell with a comma in quotes"
        raise click.UsageError(f"{place}: has {more} cells than the header. {advice}")


def _check_header(table: str, header: Sequence[str]) -> None:
    if not header:
        raise click.UsageError(
            f"{table}: has no header. Its first line names parameters, as in: width,height"
        )
    twice = [name for name, count in collections.Counter(header).items() if count > 1]
    if twice:
        raise click.UsageError(
            f"{table}: its header has {', '.join(twice)} more than once. Give each column a name of its own"
        )
    for delimiter in _OTHER_DELIMITERS:
        if len(header) == 1 and delimiter in header[0]:
            raise click.UsageError(
                f"{table}: its columns are separated by {delimiter!r}. Write commas, as in: width,height"
            )


def grid_of(options: Iterable[str], fixed: Collection[str]) -> dict[str, list[Given]]:
    """The values of ``--grid NAME=A,B`` by name.

    Raises:
        UsageError: one is written in another way, has no values, or is given twice.
    """
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
