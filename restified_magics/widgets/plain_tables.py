"""A dict, or a list of dicts, as a table for people: what Python writes of it has braces and quotes."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

__all__ = ["ROWS", "plain_table"]

#: Rows that a table may have and be shown whole, as pandas has it.
ROWS = 60

_ENDS = 5  # of a longer one, so many of the first and of the last rows, as pandas has it
_COLUMNS = 20
_LEFT = " style='text-align: left'"
_NUMBERS = (int, float, decimal.Decimal)
_PLAIN = (str, *_NUMBERS, datetime.date, datetime.time, datetime.timedelta, type(None))


def plain_table(value: object) -> str | None:
    """The HTML of a table, or None where a value is none that people would call so.

    Args:
        value: a dict has a row for each key, a list of dicts one for each of them. In their cells are text,
            numbers, dates, or nothing.

    Example:
        >>> plain_table([{"rate": 0.5}])
        "<table class='restified-table'><tr><th>rate</th></tr><tr><td>0.5</td></tr></table>"
        >>> plain_table({"rates": [0.5, 1]})
    """
    try:
        if type(value) is dict and 0 < len(value) <= ROWS and _is_row(value):
            pairs = ((_text(name), _text(item)) for name, item in value.items())
            return _table(f"<th{_LEFT}>{name}</th><td{_LEFT}>{item}</td>" for name, item in pairs)
        if type(value) is list and value and all(type(row) is dict for row in value):
            return _of_rows(value)
    except ValueError:  # an integer of more digits than Python writes
        return None
    return None


def _of_rows(rows: Sequence[dict[Any, Any]]) -> str | None:
    whole = len(rows) <= ROWS
    shown = rows if whole else [*rows[:_ENDS], *rows[-_ENDS:]]
    names = list(dict.fromkeys(name for row in shown for name in row))
    if not 0 < len(names) <= _COLUMNS or not all(map(_is_row, shown)):
        return None
    lines = ["".join(_cell(row.get(name)) for name in names) for row in shown]
    if not whole:
        lines.insert(_ENDS, "<td>…</td>" * len(names))
    # a heading stands where its column does
    heads = (f"<th{_side(_first(shown, name))}>{_text(name)}</th>" for name in names)
    return _table(["".join(heads), *lines])


def _is_row(row: dict[Any, Any]) -> bool:
    return all(isinstance(name, str) for name in row) and all(isinstance(it, _PLAIN) for it in row.values())


def _first(rows: Iterable[dict[Any, Any]], name: str) -> object:
    return next((row[name] for row in rows if row.get(name) is not None), None)


def _table(lines: Iterable[str]) -> str:
    return f"<table class='restified-table'>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cell(item: object) -> str:
    return f"<td{_side(item)}>{_text(item)}</td>"


def _side(item: object) -> str:
    """Where a column has it: numbers at the right, as tables of Jupyter have everything."""
    return "" if isinstance(item, _NUMBERS) and not isinstance(item, bool) else _LEFT


def _text(item: object) -> str:
    return "" if item is None else escape(str(item))
