"""What the address of a Voila page says to a form: values, and whether to run.

The address comes from the visitor: it fills fields, each read by its type and validated, and runs nothing
unless the author of the form allowed it.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple, TypeGuard

import ipywidgets

from restified_magics.signature.reading import read_text
from restified_magics.widgets.entries import Entry, FieldEntry, WidgetEntry

__all__ = ["Address", "fill_from_address", "in_voila"]


class Address(NamedTuple):
    """What became of an address.

    Attributes:
        run: it asks for a run.
        wrong: a value in it does not fit.
    """

    run: bool
    wrong: bool


def in_voila() -> bool:
    """Whether this is a kernel that Voila started."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila/")


def fill_from_address(entries: Mapping[str, Entry]) -> Address:
    """Fill fields from the query of the page's address, in Voila; elsewhere there is none.

    Args:
        entries: by the names of the parameters. Names that are none are others' business.
    """
    given = urllib.parse.parse_qs(_query(), keep_blank_values=True)
    wrong = False
    for name, texts in given.items():
        entry = entries.get(name)
        if not _is_open(entry):
            continue
        try:
            entry.set(read_text(entry.parameter, texts))
        except ValueError as error:
            wrong = True
            entry.refuse(texts[-1], str(error))
    return Address("run" in given and "run" not in entries, wrong)


def _is_open(entry: Entry | None) -> TypeGuard[Entry]:
    """Whether an address may fill it: never a password."""
    if isinstance(entry, FieldEntry):
        return not entry.field.secret
    return isinstance(entry, WidgetEntry) and not isinstance(entry.widget, ipywidgets.Password)


def _query() -> str:
    if not in_voila():
        return ""
    if os.environ.get("VOILA_PREHEAT") == "True":
        # this kernel was started before anybody asked for the page: Voila tells it now
        from voila.utils import get_query_string

        return str(get_query_string() or "")
    return os.environ.get("QUERY_STRING", "")
