"""Every block of code in README.md and docs/ is run, or read, or says why not."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib

import click
import pytest
import yaml
from conftest import EXAMPLES, ROOT, node, parameters, returns
from documentation import PAGES, Block, blocks, name_of
from rest_server import serving

from restified_magics import PythonModel
from restified_magics.command_line.commands import main

BLOCKS = [block for page in PAGES for block in blocks(page)]
BASH = ("bash", "sh", "shell", "console")
RUN = ("python", "ipython")

#: Commands that are run. Of the others a page may name, what is wrong with them cannot be seen here.
RUNS = {
    "restified": ("call", "show", "run", "map", "view", "completion", "--help", "--version"),
    "echo": (),
    "eval": (),
    "curl": (),
}
NAMED = {
    "apt-get": "installs packages of the system",
    "dask": "serves until it is ended",
    "deno": "installs a kernel for the user",
    "git": "needs the repository's own address",
    "hatch": "takes long; that the script exists is tested",
    "jupyter": "serves until it is ended, or changes the user's configuration",
    "pip": "installs packages",
    "python": "runs a script of the repository, which has tests of its own",
}

TOKEN = "a-secret-of-the-server"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A folder as the pages assume it: the examples, and the notebooks of docs/."""
    folder = tmp_path_factory.mktemp("stage")
    shutil.copytree(EXAMPLES, folder / "examples")
    shutil.copytree(ROOT / "docs" / "notebooks", folder, dirs_exist_ok=True)
    for path in EXAMPLES.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    failed = node(parameters("total = 10"), "1 / 0", returns("total"))
    (folder / "failed.ipynb").write_text(json.dumps(failed), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(stage, tmp_path_factory):
    """A server of the stage's notebooks."""
    with serving(stage, tmp_path_factory.mktemp("server"), {"IdentityProvider": {"token": TOKEN}}) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a Dask scheduler with one worker, by their own commands."""
    folder = tmp_path_factory.mktemp("dask")
    told = folder / "scheduler.json"
    host = ["--host", "127.0.0.1", "--no-dashboard"]
    commands = (
        ["scheduler", "--port", "0", *host, "--scheduler-file", str(told)],
        ["worker", "--scheduler-file", str(told), *host, "--nthreads", "1", "--local-directory", str(folder)],
    )
    with contextlib.ExitStack() as ending:
        for words in commands:
            command = [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]]
            process = subprocess.Popen(
                command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=_environment(folder)
            )
            ending.callback(process.wait)
            ending.callback(process.terminate)
        import distributed

        while not (told.exists() and told.read_text()):
            assert process.poll() is None
            time.sleep(0.05)
        address = json.loads(told.read_text())["address"]
        with distributed.Client(address, timeout=60) as client:
            client.wait_for_workers(1, timeout=60)
        yield address.removeprefix("tcp://")


def _of(kinds):
    chosen = [block for block in BLOCKS if block.kind in kinds and not block.not_run]
    return {name_of(page): [b for b in chosen if b.page == page] for page in PAGES}


def _environment(home):
    scripts = os.path.dirname(sys.executable)
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    own = {"PATH": path, "HOME": str(home), "TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    # what they import is compiled once, into the tests' own folder
    return {**os.environ, **own, "PYTHONDONTWRITEBYTECODE": ""}


def test_every_block_is_of_a_kind_that_is_tested():
    """No block is left out: it is run, or parsed, or its page says why not."""
    assert len(BLOCKS) > 50
    for block in BLOCKS:
        known = block.kind in (*RUN, *BASH, "json", "toml", "yaml", "text")
        assert known or block.not_run, f"{block}: a block of {block.kind or 'no language'} that nothing tests"


@pytest.mark.parametrize("page", [page for page, found in _of(RUN).items() if found])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_python_and_magics(page, stage, tmp_path, request):
    """Blocks of Python and of magics run, in one namespace a page, and give what is said after `→`."""
    told = [{"kind": b.kind, "code": b.code, "before": b.before, "place": str(b)} for b in _of(RUN)[page]]
    text = json.dumps(told)
    if "10.0.0.1:8786" in text:
        text = text.replace("10.0.0.1:8786", request.getfixturevalue("cluster"))
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "run_page.py")],
        input=text.encode(),
        capture_output=True,
        cwd=stage,
        env=_environment(tmp_path),
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    problems = json.loads(done.stdout)
    assert not problems, "\n".join(f"{place}\n{problem}" for place, problem in problems)


def test_python_that_is_not_run_is_python():
    """It can be compiled all the same."""
    for block in BLOCKS:
        if block.kind == "python" and block.not_run:
            compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_the_page_of_forms_says_how_to_get_each_field():
    """Its parameters for passwords and uploads have the fields that it promises."""
    page = ROOT / "docs" / "forms.md"
    (code,) = [block.code for block in blocks(page) if "SecretStr" in block.code]
    with contextlib.closing(PythonModel(node(parameters(code), returns("1"))).form()) as form:
        fields = {spec["name"]: (spec["kind"], spec["required"]) for spec in form.children[0].fields}
    assert fields == {
        "token": ("password", True),
        "word": ("password", False),
        "db_password": ("password", True),
        "photo": ("file", True),
        "logo": ("file", False),
        "sizes": ("table", True),
    }


READ = {"json": json.loads, "toml": tomllib.loads, "yaml": yaml.safe_load}


def test_data():
    """JSON, TOML and YAML can be read."""
    for block in BLOCKS:
        if block.kind in READ:
            assert READ[block.kind](block.code), block


# ------------------------------------------------------------------ commands


def _commands(block: Block) -> list[tuple[str, str]]:
    """The commands of a block, each as a line, with what is said after `→`."""
    found = []
    for line in re.sub(r"\\\n\s*", " ", block.code).split("\n"):
        text, _, said = re.sub(r"\s#\s*→", "\0", line.removeprefix("$ ")).partition("\0")
        if shlex.split(text, comments=True):
            found.append((text.strip(), said.strip()))
    return found


def _words(line: str) -> list[list[str]]:
    """The simple commands of a line, each as its words; what it is redirected to is left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    commands, skip = [[]], False
    for word in lexer:
        if word in ("|", "&&", "||", ";"):
            commands.append([])
        elif word in (">", ">>", "<", "2>"):
            skip = True
        elif skip:
            skip = False
        else:
            commands[-1].append(word)
    return [words for words in commands if words]


def _is_run(words: list[str]) -> bool:
    which = RUNS.get(words[0])
    return which is not None and (not which or (len(words) > 1 and words[1] in which))


LINES = [
    pytest.param(block, line, said, id=f"{block}-{number}")
    for block in BLOCKS
    if block.kind in BASH
    for number, (line, said) in enumerate(_commands(block))
    if not block.not_run or line.startswith("restified ")
]


@pytest.mark.parametrize(("block", "line", "said"), LINES)
@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_commands(block, line, said, stage, run_there):
    """A command runs where that is safe, and prints what is said after `→`; else it is one that there is."""
    os.chdir(stage)
    commands = _words(line)
    assert all(words[0] in {**RUNS, **NAMED} for words in commands), f"{block}: who knows this? {line}"
    if not block.not_run and all(map(_is_run, commands)):
        done = run_there(line)
        assert done.returncode == 0, f"{block}: {line}\n{done.stderr}"
        assert not said or done.stdout.strip() == said, f"{block}: {line} gives {done.stdout}"
        if (shown := _shown_after(block)) is not None:
            assert {**json.loads(done.stdout), "request_id": shown.get("request_id")} == shown
        return
    assert not said, f"{block}: nothing compares what this prints: {line}"
    for words in commands:
        if words[0] == "restified":
            _parse(words[1:])
        elif words[0] == "hatch":
            _is_script(words[1:])


def _shown_after(block):
    """The JSON object that a page shows directly below a command as what it prints."""
    at = BLOCKS.index(block) + 1
    follows = at < len(BLOCKS) and BLOCKS[at].page == block.page and BLOCKS[at].kind == "json"
    between = block.line + block.code.count("\n") + 4  # the end of its fence, a blank line, the other fence
    return json.loads(BLOCKS[at].code) if follows and BLOCKS[at].line == between else None


@pytest.fixture
def run_there(stage, tmp_path, request):
    """Run a line in the stage, with its server and its cluster where it speaks of them."""

    def run(line):
        if "10.0.0.1:8786" in line:
            line = line.replace("10.0.0.1:8786", request.getfixturevalue("cluster"))
        if "localhost:8888" in line:
            line = line.replace("localhost:8888", f"127.0.0.1:{request.getfixturevalue('server').port}")
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", line],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=stage,
            env=_environment(tmp_path),
            timeout=120,
            check=False,
        )

    return run


def _parse(words):
    """The real command accepts these words; it is not run."""
    group = click.Context(main, info_name="restified")
    command = main.get_command(group, words[0])
    assert command is not None, f"there is no command {words[0]}"
    try:
        command.make_context(words[0], words[1:], parent=group)
    except click.ClickException as error:
        raise AssertionError(f"restified {' '.join(words)}: {error.format_message()}") from None


def _is_script(words):
    """`hatch run [env:]script` names one that pyproject has."""
    environments = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]
    if words[0] == "run":
        environment, _, script = words[1].rpartition(":")
        assert script in environments[environment or "default"]["scripts"], words
