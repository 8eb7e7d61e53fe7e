"""Completion in bash, zsh and fish: commands, options, notebooks, and the parameters of the one named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ShellComplete, ZshComplete

from restified_magics.signature.reading import as_text

__all__ = ["command", "complete_notebook", "complete_values"]

_VARIABLE = "_RESTIFIED_COMPLETE"


def complete_notebook(
    ctx: click.Context,  # noqa: ARG001 - click's signature
    param: click.Parameter,  # noqa: ARG001
    incomplete: str,
) -> list[CompletionItem]:
    """Files; the shell itself knows how to complete them."""
    return [CompletionItem(incomplete, type="file")]


def complete_values(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``name=`` for each parameter that has no value yet, and after ``name=`` its choices."""
    words = _words(ctx, param)
    parameters = _parameters(ctx)
    name, equals, begun = incomplete.partition("=")
    if incomplete == "=" or (words and words[-1] == "="):  # bash cuts words at this sign
        name = words[-1] if incomplete == "=" else words[-2] if len(words) > 1 else ""
        return [
            CompletionItem(text) for text in _choices(parameters.get(name), begun if equals else incomplete)
        ]
    if equals:
        return [CompletionItem(f"{name}={text}") for text in _choices(parameters.get(name), begun)]
    given = {word.partition("=")[0] for word in words}
    return [
        CompletionItem(f"{each}=", help=_explained(parameter))
        for each, parameter in parameters.items()
        if each.startswith(incomplete) and each not in given
    ]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Write the script that makes SHELL complete restified: commands, options, notebooks, parameters.

    \b
    eval "$(restified completion bash)"     in ~/.bashrc
    eval "$(restified completion zsh)"      in ~/.zshrc
    restified completion fish | source      in ~/.config/fish/config.fish
    """
    cls = _CLASSES[shell]
    made: ShellComplete = cls(click.Group(), {}, "restified", _VARIABLE)
    script = made.source_template % made.source_vars()
    click.echo(_without_blank(script, shell))


_CLASSES: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


def _without_blank(script: str, shell: str) -> str:
    """No blank after ``name=``, where its value follows at once. fish knows that by itself."""
    if shell == "bash":
        return script.replace(
            "COMPREPLY+=($value)", 'COMPREPLY+=("$value"); [[ $value == *= ]] && compopt -o nospace'
        )
    if shell == "zsh":
        return script.replace("compadd -U -V unsorted -a", "compadd -S '' -U -V unsorted -a").replace(
            "_describe -V unsorted completions_with_descriptions -U",
            "_describe -V unsorted completions_with_descriptions -U -S ''",
        )
    return script


def _words(ctx: click.Context, param: click.Parameter) -> Sequence[str]:
    words = ctx.params.get(param.name or "") or ()
    return [*words]


def _parameters(ctx: click.Context) -> dict[str, Any]:
    notebook = ctx.params.get("notebook")
    if not notebook:
        return {}
    from restified_magics.engines import open_model  # only where a notebook is named

    try:
        return open_model(notebook, engine="python").parameters
    except Exception:  # noqa: BLE001 - who presses Tab wants no error
        return {}


def _choices(parameter: Any, begun: str) -> list[str]:
    if parameter is None:
        return []
    choices = parameter.choices or ((True, False) if parameter.type is bool else ())
    texts = [str(choice).lower() if isinstance(choice, bool) else as_text(choice) for choice in choices]
    return [text for text in texts if text.startswith(begun)]


def _explained(parameter: Any) -> str:
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    return f"{parameter.label}{unit}"
