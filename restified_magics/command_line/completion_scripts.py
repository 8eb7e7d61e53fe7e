"""``restified completion``: the scripts by which bash, zsh and fish ask this program, and how it answers.

The scripts are our own, where click has some too: those cut what is offered at its first comma (fish) or
do not quote it (bash), and replace all of ``--option=value`` by the value (zsh).
"""

from __future__ import annotations

import os
import re

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from restified_magics.command_line.shell_completion import paths

__all__ = ["command"]

#: A shell asks by this variable of the environment; its name is made of that of the command.
_VARIABLE = "_RESTIFIED_COMPLETE"

_BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' type value
    COMPREPLY=()
    while IFS=$'\t' read -r type value _; do
        case $type in
            file) compopt -o default ;;
            dir) compopt -o dirnames ;;
            plain)
                COMPREPLY+=("$value")
                [[ $value == *[=/] ]] && compopt -o nospace
                ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""

_ZSH = r"""#compdef %(prog_name)s
%(complete_func)s() {
    local line item
    local -a fields open closed
    for line in "${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        %(complete_var)s=zsh_complete %(prog_name)s)}"; do
        fields=("${(@ps:\t:)line}")
        case $fields[1] in
            file) _path_files -f ;;
            dir) _path_files -/ ;;
            plain)
                item=${${fields[2]//\\/\\\\}//:/\\:}${fields[3]:+:$fields[3]}
                [[ $fields[2] == *[=/] ]] && open+=($item) || closed+=($item)
                ;;
        esac
    done
    (( $#open )) && _describe -V '' open -U -S ''
    (( $#closed )) && _describe -V '' closed -U
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""

_FISH = r"""
function %(complete_func)s
    for line in (env COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) \
            %(complete_var)s=fish_complete %(prog_name)s)
        set -l fields (string split -m 1 \t -- $line)
        switch $fields[1]
            case file
                __fish_complete_path $fields[2]
            case dir
                __fish_complete_directories $fields[2]
            case plain
                echo -- $fields[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


class _Shell(ShellComplete):
    """A shell that is told a line for each item: its type, value and explanation, with tabs between them."""

    cuts_words = False

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Whole words: click leaves out the ``--option=`` of one that ends in its value."""
        items = super().get_completions(args, incomplete)
        option, equals, begun = incomplete.partition("=")
        if equals and option.startswith("-"):
            items = [each for item in items for each in self._behind(f"{option}=", begun, item)]
        return [item for item in items if not re.search(r"[\t\n]", item.value)]

    def _behind(self, before: str, begun: str, item: CompletionItem) -> list[CompletionItem]:
        if item.type == "plain":
            return [CompletionItem(before + item.value, help=item.help)]
        if self.cuts_words:
            return [item]  # it looks for files behind the sign
        found = [path for path in paths(begun) if item.type == "file" or path.endswith("/")]
        return [CompletionItem(before + path) for path in found]

    def format_completion(self, item: CompletionItem) -> str:
        help_text = " ".join((item.help or "").split())
        return "\t".join((item.type, item.value, *filter(None, [help_text])))


class _Bash(_Shell, BashComplete):
    """bash cuts words at ``=``, ``:`` and ``@``, and completes what stands behind the last of these."""

    source_template = _BASH
    cuts_words = True

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        joined: list[str] = []
        behind = False  # the sign
        for word in (*args, incomplete):
            if joined and (behind or word.startswith(("=", ":"))):
                joined[-1] += word
            else:
                joined.append(word)
            behind = _is_sign(word)
        whole = joined.pop()
        # bash leaves a sign @ where it is
        self._cut = (whole if _is_sign(incomplete) else whole.removesuffix(incomplete)).rstrip("@")
        return joined, whole

    def format_completion(self, item: CompletionItem) -> str:
        value = item.value.removeprefix(self._cut)
        begun = os.environ["COMP_WORDS"].split("\n")[int(os.environ["COMP_CWORD"])][:1]
        return f"{item.type}\t{_quoted(value, begun) if item.type == 'plain' else value}"


def _is_sign(word: str) -> bool:
    return bool(word) and set(word) <= set("=:@")


def _quoted(text: str, begun: str) -> str:
    """Text as a word of bash, behind the quotation mark with which it was begun, if it was."""
    if begun == "'":
        return text
    special = r'[$`"\\]' if begun == '"' else r"[^\w@%+=:,./-]"
    return re.sub(special, r"\\\g<0>", text)


class _Zsh(_Shell, ZshComplete):
    source_template = _ZSH


class _Fish(_Shell, FishComplete):
    source_template = _FISH


_CLASSES: dict[str, type[_Shell]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}
for _class in _CLASSES.values():
    add_completion_class(_class)  # not as a decorator: the first releases of click 8.1 return nothing


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Write the script that makes SHELL complete restified: commands, options, notebooks, parameters.

    \b
    eval "$(restified completion bash)"     in ~/.bashrc
    eval "$(restified completion zsh)"      in ~/.zshrc
    restified completion fish | source      in ~/.config/fish/config.fish
    """
    made = _CLASSES[shell](click.Group(), {}, "restified", _VARIABLE)
    click.echo((made.source_template % made.source_vars()).strip())
