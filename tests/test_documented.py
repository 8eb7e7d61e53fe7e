"""What there is and what the documentation says are the same: nothing is left out, and nothing is made up."""

from __future__ import annotations

import ast
import inspect
import json
import re

import click
import pytest
from conftest import ROOT
from documentation import PAGES, blocks, code_in, directives, name_of, prose, rows, section

import restified_magics
from restified_magics import errors
from restified_magics.command_line.commands import COMMANDS, EXIT_CODES, main
from restified_magics.core.findings import RULES
from restified_magics.core.notebook import TAGS
from restified_magics.in_process.python_model import Scope
from restified_magics.ipython.arguments import FLAGS_OF
from restified_magics.rest.handlers import RestHandler, handlers
from restified_magics.rest.problems import PROBLEMS
from restified_magics.rest.server import RestifiedApp

CONTEXT = click.Context(main, info_name="restified")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def _first_codes(text):
    """The code in the first cell of each row of a table."""
    return [code_in(row[0])[0] for row in rows(text)]


# ----------------------------------------------------------------- notebooks


def test_tags():
    """Every tag has a row in the guide, and in README where that has such a table."""
    assert sorted(_first_codes(section("models.md", "Tags"))) == sorted(TAGS)


def test_scopes():
    """Every scope has a row."""
    assert _first_codes(section("models.md", "Names")) == list(Scope.__args__)


def test_rules():
    """Every rule of `restified show --strict` has a row with its own words."""
    assert rows(section("checks.md", "Rules")) == [[f"`{rule}`", text] for rule, text in RULES.items()]


# -------------------------------------------------------------------- magics


@pytest.mark.parametrize("magic", FLAGS_OF)
def test_flags_of_magics(magic):
    """Every flag of a magic has a row in its section, and every row is a flag."""
    heading = {"%%call_notebook": "%call_notebook"}.get(magic, magic)
    told = [code.split(" ")[0] for code in _first_codes(section("magics.md", f"`{heading}`"))]
    assert sorted(told) == sorted(f"--{flag}" for flag in FLAGS_OF[magic])


@pytest.mark.parametrize("name", ["call_notebook", "restify"])
def test_help_of_magics(name):
    """What `%magic?` says has every flag, too."""
    from restified_magics.ipython.magics import RestifiedMagics

    told = set(re.findall(r"^ *(--[a-z]+)", inspect.getdoc(getattr(RestifiedMagics, name)), re.MULTILINE))
    flags = {f"--{flag}" for magic, known in FLAGS_OF.items() if magic.strip("%") == name for flag in known}
    assert told == flags


# --------------------------------------------------------------------- shell


def _command(name):
    command = main.get_command(CONTEXT, name)
    return command, click.Context(command, info_name=name, parent=CONTEXT)


def _metavar(option, context):
    wants_context = inspect.signature(option.make_metavar).parameters  # since click 8.2
    return option.make_metavar(*[context] * len(wants_context))


def _option_row(option, context):
    """The row of an option: its names, and its help as the command itself gives it."""
    names = sorted(option.opts, key=len) + sorted(option.secondary_opts, key=len)
    if not option.is_flag:
        choices = getattr(option.type, "choices", None)
        value = "{" + ",".join(choices) + "}" if choices else _metavar(option, context)
        names[-1] += f" {value}"
    return [", ".join(f"`{name}`" for name in names), option.help]


def test_commands():
    """Every command has a section, and every such section is of a command."""
    headings = re.findall(r"^### `restified (\w+)`$", (ROOT / "docs" / "shell.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_options_of_commands(name):
    """A section has the command's usage, and a row for each option with the words of its help."""
    command, context = _command(name)
    text = section("shell.md", f"`restified {name}`")
    usage = " ".join(["restified", name, *command.collect_usage_pieces(context)])
    assert f"`{usage}`" in text, f"write `{usage}`"
    options = [each for each in command.params if isinstance(each, click.Option)]
    expected = [_option_row(option, context) for option in options]
    told = rows(text)
    lines = "\n".join(f"| {names} | {told.replace('|', chr(92) + '|')} |" for names, told in expected)
    assert told == expected, f"the rows should be\n{lines}"


def test_exit_codes():
    """Every exit code has a row."""
    told = {int(row[0]) for row in rows(section("shell.md", "Output and exit codes"))}
    assert told == {0, 1, *EXIT_CODES.values()}


# ---------------------------------------------------------------------- REST


def _documented_routes():
    return [(row[0], code_in(row[1])[0]) for row in rows(section("rest.md", "Routes"))]


def _handler_of(path):
    """The handler of a path, as the server finds it: the first whose pattern it is."""
    for pattern, handler in handlers():
        if re.fullmatch(pattern, path):
            return pattern, handler
    raise AssertionError(f"no route for {path}")


def _own_methods(handler):
    return {
        method
        for method in METHODS
        if any(method.lower() in vars(each) for each in handler.__mro__ if issubclass(each, RestHandler))
    }


def test_routes():
    """Every route and method has a row, and every row is a route that takes the method."""
    there = {(method, pattern) for pattern, handler in handlers() for method in _own_methods(handler)}
    told = set()
    for method, route in _documented_routes():
        pattern, handler = _handler_of(re.sub(r"<\w+>", "x", route))
        assert method in _own_methods(handler), f"{method} {route}: it does not take this method"
        told.add((method, pattern))
    assert told == there


def test_methods_of_routes():
    """What a handler says in `Allow` is what it takes."""
    for _, handler in handlers():
        assert set(handler.methods.split(", ")) == _own_methods(handler) | {"OPTIONS"}


def _statuses():
    """Every status that the modules of the REST interface name: of problems, of answers, of errors."""
    found = {200, 302, *PROBLEMS}  # an answer that says nothing else, and a redirect of tornado's
    for path in (ROOT / "restified_magics" / "rest").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in ("Problem", "NotMeant", "HTTPError", "set_status", "kind"):
                    found.add(node.args[0].value)
    return found


def test_statuses():
    """Every status that is given has a row, and every row is one that is given."""
    told = [int(row[0]) for row in rows(section("rest.md", "Statuses"))]
    assert told == sorted(_statuses())


def test_traits():
    """Every option of the extension has a row with its default and its own words."""
    expected = []
    for name, trait in RestifiedApp.class_own_traits(config=True).items():
        default = f"`{json.dumps(trait.default())}`"
        expected.append(
            [f"`{name}`", "the processors, at least 2" if name == "concurrency" else default, trait.help]
        )
    lines = "\n".join(f"| {' | '.join(row)} |" for row in expected)
    assert rows(section("rest.md", "Configuration")) == expected, f"the rows should be\n{lines}"


# -------------------------------------------------------------------- Python


def test_errors():
    """Every error class has a row, and every row is one."""
    there = [name for name in errors.__all__ if inspect.isclass(getattr(errors, name))]
    assert sorted(_first_codes(prose(ROOT / "docs" / "errors.md"))) == sorted(there)


def _in_reference():
    """The objects that the reference is made of, each by its dotted name."""
    text = "\n".join(block.code for block in directives(ROOT / "docs" / "reference.md"))
    return {name: kind for kind, name in re.findall(r"^\.\. auto(\w+):: ([\w.]+)$", text, re.MULTILINE)}


def test_exported_names():
    """Every name that the package exports, and every error, is in the reference; the page names them all."""
    found = _in_reference()
    assert found["restified_magics.errors"] == "module"
    for name in restified_magics.__all__:
        exported = getattr(restified_magics, name)
        own = f"{exported.__module__}.{exported.__qualname__}"
        assert own in found or exported.__module__ == errors.__name__, f"{own} is not in docs/reference.md"
    introduction = re.search(
        r"`restified_magics.__all__`:(.*?)\. They", prose(ROOT / "docs" / "reference.md"), re.DOTALL
    )
    assert sorted(code_in(introduction[1])) == restified_magics.__all__


# ------------------------------------------------- nothing that does not exist

# Options of other programs that the pages speak of.
OTHERS = {
    "--help-all",  # of Jupyter's applications
    "--inject-input-path",  # of papermill, from here on
    "--prepare-only",
    "--report-mode",
    "--help-notebook",
}


def _known_options():
    known = {"--help", "--version", *OTHERS}
    known |= {f"--{flag}" for flags in FLAGS_OF.values() for flag in flags}
    for name in COMMANDS:
        for option in _command(name)[0].params:
            if isinstance(option, click.Option):
                known |= {*option.opts, *option.secondary_opts}
    return known


def test_the_changelog_begins_with_this_version():
    """Its first section is that of the version that the package has."""
    first = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first is not None
    assert first[1] == restified_magics.__version__


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_nothing_is_made_up(page):
    """Options, traits, errors and names of the package that a page speaks of are there."""
    said = code_in(prose(page)) + [block.code for block in blocks(page) if block.kind != "text"]
    for code in said:
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", code):
            if not re.search(r"\b(apt-get|dask|deno|git|hatch|jupyter|pip|voila)\b", code):
                assert option in _known_options(), f"{code!r}: no {option}"
        for trait in re.findall(r"RestifiedApp\.(\w+)", code):
            assert trait in RestifiedApp.class_trait_names() or hasattr(RestifiedApp, trait), code
        for route in re.findall(r"/api/restified/\w[\w.]*", code):
            _handler_of(route)
        if re.fullmatch(r"[A-Z]\w*(Error|Warning|Died|Timeout|Cancelled)", code):
            builtin = code in dir(__builtins__) or code in vars(__import__("builtins"))
            assert builtin or code in errors.__all__ or code == "PapermillExecutionError", f"no {code}"
