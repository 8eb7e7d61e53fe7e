"""Parameters in R, bash and TypeScript: read by the same grammar, without running anything."""

from __future__ import annotations

import datetime

import pytest
from conftest import node, parameters, returns

from restified_magics import KernelModel, NotebookError
from restified_magics.signature.languages import language_of
from restified_magics.signature.literals import read_javascript, read_r, read_shell


def fields(language, source):
    return language_of(language).fields([(0, source)]).parameters


@pytest.mark.parametrize(
    ("language", "source"),
    [
        ("R", "# ## Size\n# How many.\nn <- 15L  # Terms [count] (1..90 step 5)"),
        ("bash", "# ## Size\n# How many.\nn=15  # Terms [count] (1..90 step 5)"),
        ("typescript", "// ## Size\n// How many.\nlet n = 15; // Terms [count] (1..90 step 5)"),
    ],
)
def test_comments_say_the_same_in_every_language(language, source):
    """Label, unit, bounds, step, help and section."""
    n = fields(language, source)["n"]
    assert (n.default, n.label, n.unit, n.minimum, n.maximum, n.step) == (15, "Terms", "count", 1, 90, 5)
    assert (n.help, n.section) == ("How many.", "Size")


def test_assignments_of_r():
    """Arrows and equals signs, dotted names, Python's keywords, many lines; functions are no parameters."""
    found = fields(
        "R",
        "n.terms <- 15L\nlambda = 0.5; s <- \"it's #1\"\nx <- c(1,\n  2)  # Xs\nd <- as.Date('2024-05-01')\n"
        "f <- function(x) {\n  x\n}\n.hidden <- 1\nm <- mean(x)\nif (n.terms > 3) y <- 1\nz = NULL",
    )
    assert list(found) == ["n.terms", "lambda", "s", "x", "d", "m", "z"]
    assert [found[name].default for name in ("n.terms", "lambda", "s", "x", "z")] == [
        15,
        0.5,
        "it's #1",
        [1, 2],
        None,
    ]
    assert (found["d"].default, found["x"].label) == (datetime.date(2024, 5, 1), "Xs")
    assert (found["m"].expression, found["n.terms"].label) == ("mean(x)", "n terms")


def test_assignments_of_a_shell():
    """Words, arrays, exports; what the shell expands is an expression, a command with a variable is none."""
    found = fields(
        "bash",
        "n=15\nname='a b#c'  # Name\nexport xs=(1 \"two three\")\nnow=$(date)\ncode=007\non=true\nFOO=1 cmd\n"
        'x="${n:-3}"\nempty=',
    )
    assert list(found) == ["n", "name", "xs", "now", "code", "on", "x", "empty"]
    defaults = [found[name].default for name in ("n", "name", "xs", "code", "on", "empty")]
    assert defaults == [15, "a b#c", [1, "two three"], "007", True, ""]
    assert (found["now"].expression, found["x"].expression) == ("$(date)", '"${n:-3}"')


def test_assignments_of_typescript():
    """Declared types are enforced; functions are no parameters; no value is required."""
    found = fields(
        "typescript",
        "let n: number = 15; const kinds: string[] = ['a',\n  'b']; // Kinds\n/* n = 3; */\n"
        'let mode: "x" | "y" = "x";\nlet since: string;\nlet at = new Date();\nconst f = (x: number) => x * 2;\n'
        "let maybe: number | null = null;\nlet map: Record<string, number> = {a: 1};\nlet odd: Foo<3> = 1",
    )
    assert list(found) == ["n", "kinds", "mode", "since", "at", "maybe", "map", "odd"]
    assert (found["n"].type, found["n"].annotation, found["n"].default) == (float, "number", 15)
    assert (found["kinds"].type, found["kinds"].label) == (list[str], "Kinds")
    assert (found["mode"].choices, found["since"].required) == (("x", "y"), True)
    assert (found["at"].expression, found["odd"].declared) == ("new Date()", False)
    assert found["maybe"].coerce(None) is None
    with pytest.raises(ValueError, match="must be 'x' or 'y'"):
        found["mode"].coerce("z")


@pytest.mark.parametrize(
    ("language", "source", "statements"),
    [
        (
            "R",
            "x |>\n f()\nif (a) {\n b\n} else {\n c}\nn * 2",
            ["x |>\n f()", "if (a) {\n b\n} else {\n c}", "n * 2"],
        ),
        ("typescript", "r\n  .map((x) => x)\n`;\n`; y // ;", ["r\n  .map((x) => x)", "`;\n`", "y"]),
        ("bash", "echo 'a;b'; echo \"#\" # c\nls", ["echo 'a;b'", 'echo "#"', "ls"]),
    ],
)
def test_statements_are_told_apart(language, source, statements):
    """Brackets, strings, comments and operators at the end of a line."""
    assert [statement.text for statement in language_of(language).statements(source)] == statements


@pytest.mark.parametrize(
    ("read", "source", "value"),
    [
        (read_r, 'list(a = 1L, b = c("x", "y"), TRUE)', ValueError),
        (read_r, "c(a = 1, b = -2.5e3)", {"a": 1, "b": -2500.0}),
        (read_r, "1:3", ValueError),
        (read_r, "c(1,", ValueError),
        (read_javascript, "[1, 0x10, 'a', null, {b: -1.5,}]", [1, 16, "a", None, {"b": -1.5}]),
        (read_javascript, "`a\nb`", "a\nb"),
        (read_javascript, "`${x}`", ValueError),
        (read_javascript, "10n", 10),
        (read_javascript, "f(1)", ValueError),
        (read_shell, "*.txt", ValueError),
        (read_shell, "'*.txt'", "*.txt"),
        (read_shell, "a\\ b", "a b"),
        (read_shell, "`ls`", ValueError),
        (read_shell, '"a$b"', ValueError),
    ],
)
def test_literals(read, source, value):
    """What is one has a value, and what is not is a ValueError."""
    if value is ValueError:
        with pytest.raises(ValueError, match=r"."):
            read(source)
    else:
        assert read(source) == value


def test_return_cell_without_a_value_is_refused_when_read():
    """As in Python, with the statement that it ends in."""
    spec = {"name": "deno", "language": "typescript", "display_name": "Deno"}
    for source in ("const {a, b} = f()", "let x = 1, y = 2", "let x: number;"):
        with pytest.raises(
            NotebookError, match=r"cell \d has the tag `return` and ends in `(const|let) .*no value"
        ):
            KernelModel(node(returns(source), kernelspec=spec))
    with pytest.raises(NotebookError, match=r"ends in `if …`, which has no value"):
        KernelModel(node(parameters("let x = 1"), returns("if (x) {\n  x\n}"), kernelspec=spec))
    with pytest.raises(NotebookError, match="is empty"):
        KernelModel(node(returns("// nothing"), kernelspec=spec))
