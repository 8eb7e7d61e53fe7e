"""Tab in bash, zsh and fish: what is offered, and what stands in the line then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from conftest import parameters, returns

#: Each writes the line, between signs, at Ctrl-X, and forgets it; Tab is done by then.
STARTS = {
    "bash": (
        ["--norc", "--noprofile", "-i"],
        "bind 'set enable-bracketed-paste off'; eval \"$(restified completion bash)\"; "
        'show() { echo "<<$READLINE_LINE>>"; READLINE_LINE=; }; bind -x \'"\\C-x": show\'',
    ),
    "zsh": (
        ["-f", "-i"],
        'autoload -Uz compinit; compinit -D -u; eval "$(restified completion zsh)"; '
        'show() { print -r -- "<<$BUFFER>>"; BUFFER=; zle redisplay }; zle -N show; bindkey "^X" show',
    ),
    "fish": (
        ["--no-config", "-i"],
        'restified completion fish | source; bind \\cx \'echo "<<"(commandline)">>"; commandline ""\'',
    ),
}

#: What is typed before Tab, and the line after it.
LINES = {
    "restified cal": "restified call ",
    "restified call mo": "restified call model.ipynb ",
    "restified call model.ipynb --timeo": "restified call model.ipynb --timeout",
    "restified call model.ipynb wid": "restified call model.ipynb width=",
    "restified call model.ipynb mode=a wid": "restified call model.ipynb mode=a width=",
    "restified call model.ipynb nothing": "restified call model.ipynb nothing",
    "restified call model.ipynb wise=f": "restified call model.ipynb wise=false ",
    "restified call model.ipynb --engine k": "restified call model.ipynb --engine kernel ",
    "restified call model.ipynb --engine=k": "restified call model.ipynb --engine=kernel ",
    "restified call model.ipynb -o fo": "restified call model.ipynb -o folder/",
    "restified call model.ipynb --output=fo": "restified call model.ipynb --output=folder/",
    "restified call model.ipynb --cwd=fo": "restified call model.ipynb --cwd=folder/",
    "restified call model.ipynb @va": "restified call model.ipynb @values.json ",
    "restified call model.ipynb width=@va": "restified call model.ipynb width=@values.json ",
    "restified call model.ipynb width=@tw": "restified call model.ipynb width=@two\\ words.json ",
    "restified run model.ipynb -p wid": "restified run model.ipynb -p width ",
    "restified run model.ipynb -p kind c\\ ": "restified run model.ipynb -p kind c\\ d ",
    "restified map model.ipynb --grid mode=b": "restified map model.ipynb --grid mode=b ",
    "restified map model.ipynb --grid=mode=a,b": "restified map model.ipynb --grid=mode=a,b ",
    "restified map model.ipynb --grid mode=b,a": "restified map model.ipynb --grid mode=b,a ",
    "restified call model.ipynb kind=c\\ ": "restified call model.ipynb kind=c\\ d ",
    "restified call model.ipynb 'kind=c ": "restified call model.ipynb 'kind=c d' ",
    "restified call model.ipynb kind=c,": "restified call model.ipynb kind=c,e ",
    "restified call model.ipynb kind=c:": "restified call model.ipynb kind=c:f ",
    "restified call model.ipynb kind=c=": "restified call model.ipynb kind=c=g ",
    "restified call model.ipynb kind=d": "restified call model.ipynb kind=d\\\\e ",
    "restified call model.ipynb kind=c\\$": "restified call model.ipynb kind=c\\$h ",
}


@pytest.fixture
def folder(write, tmp_path):
    """A notebook and files, with names and choices that a shell would take apart."""
    write(
        parameters(
            "width = 1  # Width, of the thing: in all [m]\nwise = True\nmode: Literal['a', 'b'] = 'a'\n"
            "kind: Literal['c d', 'c,e', 'c:f', 'c=g', 'c$h', 'd\\\\e'] = 'c d'\nheight = 2"
        ),
        returns("1"),
    )
    (tmp_path / "folder").mkdir()
    for name in ("values.json", "two words.json", "folder/wide.json"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize("shell", STARTS)
def test_tab_in_a_real_shell(folder, shell):
    """The script that `restified completion` writes, in a terminal: the line after Tab."""
    pexpect = pytest.importorskip("pexpect")
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    program = folder / "bin" / "restified"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m restified_magics "$@"\n')
    program.chmod(0o755)
    environment = {
        **os.environ,
        "HOME": str(folder),
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "TERM": "dumb",
    }
    arguments, prepared = STARTS[shell]
    options = {"env": environment, "cwd": folder, "encoding": "utf-8", "timeout": 60, "dimensions": (40, 200)}
    terminal = pexpect.spawn(shell, arguments, **options)
    try:
        terminal.sendline(f"{prepared}; echo RE''ADY")
        terminal.expect("READY\r")
        for typed, completed in LINES.items():
            terminal.send(f"{typed}\t\x18")
            terminal.expect("<<(.*?)>>")
            # zsh writes the blank once something follows
            line = terminal.match[1]
            assert (line.rstrip(), line[-1:] in "=/") == (completed.rstrip(), completed[-1] in "=/")
    finally:
        terminal.close(force=True)


@pytest.fixture
def offered(folder):
    """What bash is told for the last of these words; it has cut them at some signs."""

    def ask(*words):
        done = subprocess.run(
            [sys.executable, "-m", "restified_magics"],
            env={
                **os.environ,
                "_RESTIFIED_COMPLETE": "bash_complete",
                "COMP_WORDS": "\n".join(("restified", *words)),
                "COMP_CWORD": str(len(words)),
            },
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.removeprefix("plain\t") for line in done.stdout.splitlines() if line]

    return ask


def test_completion_knows_the_models_parameters(offered):
    """Names that begin so and have no value yet, each with its `=`."""
    assert offered("call", "model.ipynb", "height=3", "wi") == ["width=", "wise="]
    assert offered("call", "model.ipynb", "height=3", "") == ["width=", "wise=", "mode=", "kind="]
    assert offered("call", "no.ipynb", "wi") == []


def test_completion_knows_the_choices(offered):
    """After `name=` the choices of the parameter, also where bash has cut the word at a sign."""
    words = ("call", "model.ipynb", "height", "=", "3")
    assert offered(*words, "mode", "=") == ["a", "b"]
    assert offered(*words, "mode", "=", "b") == ["b"]
    assert offered(*words, "mode", "=", "a", "w") == ["width=", "wise="]
    assert offered(*words, "mode=a") == ["mode=a"]  # where bash is told not to cut there
    assert offered(*words, "kind", "=", "c:") == ["c:f"]
    assert offered(*words, "kind", "=", "c", ":", "f") == ["f"]
    assert offered(*words, "kind", "=", '"c') == ["c d", "c,e", "c:f", "c=g", "c\\$h"]
    assert offered(*words, "--engine", "=", "p") == ["python"]
    assert offered("call", "model.ipynb", "wise", "=", "f") == ["false"]


def test_completion_of_run_and_map(offered, folder):
    """A name and then its choices after `-p`, names after `--grid`, and names and tables where either may stand."""
    (folder / "wide.csv").touch()
    assert offered("run", "model.ipynb", "-p", "wi") == ["width", "wise"]
    assert offered("run", "model.ipynb", "-p", "mode", "") == ["a", "b"]
    assert offered("run", "model.ipynb", "-p", "mode", "a", "-p", "m") == []
    assert offered("map", "model.ipynb", "wi") == ["wide.csv", "width=", "wise="]
    assert offered("map", "model.ipynb", "--grid", "wi") == ["width=", "wise="]
    assert offered("map", "model.ipynb", "--grid", "wise", "=", "true", "--grid", "mode", "=", "b") == ["b"]
    assert offered("map", "model.ipynb", "--grid", "mode", "=", "a,") == ["a,a", "a,b"]
    kinds = ["c:f,c\\ d", 'c:f,\\"c,e\\"', "c:f,c:f", "c:f,c=g", "c:f,c\\$h", "c:f,d\\\\e"]
    assert offered("map", "model.ipynb", "--grid", "kind", "=", "c:f,") == kinds
    assert offered("map", "model.ipynb", "--grid", "kind", "=", "c:f,c:") == ["c:f,c:f"]


@pytest.mark.parametrize("words", ["call -o ou", "call --save ou", "run ou", "run -o ou", "run -f va"])
def test_completion_of_files(offered, words):
    """The shell completes files by itself where an option or a word is one."""
    command, *rest = words.split()
    assert offered(command, "model.ipynb", *rest) == [f"file\t{rest[-1]}"]


def test_completion_of_files_of_values(offered):
    """Behind an `@` come files and folders, also where bash has cut the word at it."""
    call = ("call", "model.ipynb")
    assert offered(*call, "@", "fo") == offered(*call, "width", "=@", "fo") == ["@folder/"]
    assert offered(*call, "@", "folder/w") == ["@folder/wide.json"]
    everything = ["@folder/", "@model.ipynb", "@two\\ words.json", "@values.json"]
    assert offered(*call, "width", "=@") == offered(*call, "@") == everything


def test_completion_of_kernels(offered, tmp_path, monkeypatch):
    """After `-k` come the kernelspecs of this machine."""
    (tmp_path / "kernels" / "Quick").mkdir(parents=True)
    (tmp_path / "kernels" / "Quick" / "kernel.json").touch()
    (tmp_path / "kernels" / "quiet").mkdir()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for option in (("-k",), ("--kernel",), ("--kernel", "=")):
        assert offered("call", "model.ipynb", *option, "qui") == ["quick"]
