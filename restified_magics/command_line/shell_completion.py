"""What Tab offers in a shell for notebooks, their parameters, and files: the functions that click asks."""

from __future__ import annotations

import glob
import itertools
import os
import pathlib
import re
from collections.abc import Collection, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from restified_magics.signature.reading import as_text

__all__ = [
    "WordsKept",
    "complete_grid",
    "complete_kernel",
    "complete_notebook",
    "complete_pair",
    "complete_table",
    "complete_values",
    "paths",
]

_WORDS = "restified_magics.words"


def complete_notebook(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Files; the shell itself knows how to complete them."""
    return [CompletionItem(incomplete, type="file")]


def complete_kernel(
    ctx: click.Context,  # noqa: ARG001
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """The kernelspecs of this machine, by their folders: to read them takes longer than Tab should."""
    from jupyter_core.paths import jupyter_path  # only where a kernel is named

    found = {
        spec.parent.name.lower()
        for folder in jupyter_path("kernels")
        for spec in pathlib.Path(folder).glob("*/kernel.json")
    }
    return [CompletionItem(name) for name in sorted(found) if name.startswith(incomplete)]


def complete_values(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``name=`` for each parameter that has no value yet, after ``name=`` its choices, after ``@`` files."""
    name, equals, begun = incomplete.partition("=")
    text = begun if equals else name
    if text.startswith("@"):
        before = incomplete.removesuffix(text[1:])
        return [CompletionItem(f"{before}{path}") for path in paths(text[1:])]
    parameters = _parameters(ctx)
    if equals:
        return [CompletionItem(f"{name}={text}") for text in _choices(parameters.get(name), begun)]
    given = {word.partition("=")[0] for word in ctx.params.get(param.name or "") or ()}
    return _names(parameters, incomplete, given, "=")


def complete_grid(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``name=``, and then one of its choices after the other, as in a row of a CSV file."""
    name, equals, begun = incomplete.partition("=")
    if not equals:
        return complete_values(ctx, param, incomplete)
    before, comma, last = begun.rpartition(",")
    found = [
        '"' + text.replace('"', '""') + '"' if re.search('[",]', text) else text
        for text in _choices(_parameters(ctx).get(name), last.lstrip('"'))
    ]
    return [CompletionItem(f"{name}={before}{comma}{text}") for text in found if text.startswith(last)]


def complete_table(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """A CSV file, or ``name=value`` where there is none: both, as long as both begin so."""
    values = complete_values(ctx, param, incomplete)
    if not values:
        return [CompletionItem(incomplete, type="file")]
    files = sorted(glob.glob(f"{glob.escape(incomplete)}*.csv"))
    return [*map(CompletionItem, files), *values]


def complete_pair(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The two words of an option: a parameter's name, and then its choices."""
    words, parameters = ctx.meta.get(_WORDS, []), _parameters(ctx)
    if words and words[-1] not in param.opts:
        return [CompletionItem(text) for text in _choices(parameters.get(words[-1]), incomplete)]
    given = {name for option, name in itertools.pairwise(words) if option in param.opts}
    return _names(parameters, incomplete, given, "")


def paths(begun: str) -> list[str]:
    """Files and folders that begin so, where no shell looks by itself."""
    found = sorted(glob.glob(f"{glob.escape(begun)}*"))
    return [f"{path}/" if os.path.isdir(path) else path for path in found]


class WordsKept(click.Command):
    """A command that keeps its words, for an option of several, of which the last are not there yet."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_WORDS] = [*args]
        return super().parse_args(ctx, args)


def _parameters(ctx: click.Context) -> dict[str, Any]:
    # where an option at the end has no value yet, click sorts out no arguments
    notebook = ctx.params.get("notebook") or next(iter(ctx.args), None)
    if not notebook:
        return {}
    from restified_magics.engines import open_model  # only where a notebook is named

    try:
        return open_model(notebook, engine="python").parameters
    except Exception:  # noqa: BLE001 - who presses Tab wants no error
        return {}


def _names(
    parameters: Mapping[str, Any], begun: str, given: Collection[str], ending: str
) -> list[CompletionItem]:
    return [
        CompletionItem(f"{name}{ending}", help=_explained(parameter))
        for name, parameter in parameters.items()
        if name.startswith(begun) and name not in given
    ]


def _choices(parameter: Any, begun: str) -> list[str]:
    if parameter is None:
        return []
    choices = parameter.choices or ((True, False) if parameter.type is bool else ())
    texts = [str(choice).lower() if isinstance(choice, bool) else as_text(choice) for choice in choices]
    return [text for text in texts if text.startswith(begun)]


def _explained(parameter: Any) -> str:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    return f"{parameter.label}{unit}"
