"""``restified show --strict``: what could be better in Models, each rule with the place and what to do."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pandas as pd
import pytest
from conftest import EXAMPLES, ROOT, cell, node, parameters, returns

from restified_magics.core.findings import RULES, Finding, kept
from restified_magics.core.lint import is_model, lint
from restified_magics.core.notebook_json import read_notebook
from restified_magics.in_process.free_names import free_names
from restified_magics.in_process.program import compiled
from restified_magics.signature.credentials import credentials, is_secret


def found(*cells, **metadata):
    """What is found in a Model of these cells: (rule, cell, line) of each."""
    notebook = read_notebook(node(*cells, **metadata), "model.ipynb", None)
    program = compiled(notebook)
    broken = {step.cell.number: step.error for step in program.steps if step.error is not None}
    return [
        (each.rule, each.cell, each.line) for each in lint(notebook, free=free_names(program), broken=broken)
    ]


CLEAN = (parameters("n = 1  # Terms"), returns("n + 1"))


def test_a_good_model_has_no_findings():
    """Nothing is found where nothing is to be said."""
    assert found(*CLEAN) == []


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([CLEAN[0], "n"], [("no-return", None, None)]),
        ([*CLEAN, "print(1)"], [("unreachable", 3, None)]),
        ([*CLEAN, returns("2")], [("unreachable", 3, None)]),
        ([*CLEAN, cell("print(1)", "skip")], []),
        ([CLEAN[0], returns("n + taken\n")], [("free-name", 2, 1)]),
        ([CLEAN[0], "def f():\n    return taken", returns("f() + n")], [("free-name", 2, 2)]),
        ([CLEAN[0], "from math import *", returns("sin(n)")], []),
        ([CLEAN[0], "%run helper.py", returns("helped(n)")], []),
        (["print(n)", *CLEAN], [("free-name", 1, 1)]),
        (["print(m)", *CLEAN[:1], "m = n", returns("m")], [("free-name", 1, 1)]),
        ([parameters("# Help.\nn = 1\n\nm = 2  # Other"), returns("n")], [("unused-parameter", 1, 4)]),
        ([parameters("n = 1  # Terms\nm = 2"), returns("n + m")], [("no-help", 1, 2)]),
        ([parameters("n = 1  # [mm]"), returns("n")], []),
        ([parameters("import os\nn = os.cpu_count()  # Cores"), returns("n")], [("expression-default", 1, 2)]),
        ([parameters("n = 1  # Terms\npassword = 'hunter2'  # Of the database"), returns("n, password")],
         [("secret", 1, 2)]),
        ([*CLEAN[:1], "import math\nimport ipywidgets as w\nw.IntSlider()", returns("n")], [("widget", 2, 2)]),
        ([*CLEAN[:1], "from ipywidgets import interact", returns("n")], [("widget", 2, 1)]),
        ([*CLEAN[:1], "\n%matplotlib widget", returns("n")], [("widget", 2, 2)]),
        ([*CLEAN[:1], "%matplotlib inline", returns("n")], []),
        ([*CLEAN[:1], "x = 1\ny = = 2", returns("n")], [("syntax", 2, 2)]),
        ([parameters("n = 1  # Terms\nm = (2"), returns("n")], [("syntax", 1, 2)]),
        ([*CLEAN, cell("text", "return", kind="markdown")], [("tag", 3, None)]),
        ([cell("n = 1  # Terms", "Parameters"), returns("n")], [("tag", 1, None)]),
        ([parameters("n = 1  # Terms (9..1)"), returns("n")], [("declaration", 1, 1)]),
        ([parameters("n = 11  # Terms (1..9)"), returns("n")], [("declaration", 1, 1)]),
        ([parameters("n = 1  # type: flaot  Terms"), returns("n")], [("declaration", 1, 1)]),
        ([parameters("n = 1  #@param {type: 'integer', min: }\n"), returns("n")],
         [("declaration", 1, 1), ("no-help", 1, 1)]),
        ([*CLEAN, cell("# restified: ignore[no-retrun]", "skip")], [("ignore", 3, 1)]),
    ],
    ids=lambda value: value[0][0] if value and isinstance(value[0], tuple) else None,
)  # fmt: skip
def test_rules(cells, expected):
    """Each rule tells the cell and the line, and nothing else is found."""
    assert found(*cells) == expected


@pytest.mark.parametrize(
    "use",
    [
        "def f():\n    return n",
        "%timeit f(n)",
        "!echo {n}",
        "%%bash\necho $n",
        "frame.query('a > @n')",
        "f'{n:>5}'",
        "n += 1",
        "x = [k for k in range(n)]",
        "class A:\n    size = n",
        "locals()['n']",
        "vars()",
        "await f(n)",
        "async with f(n):\n    pass",
        "async for k in n:\n    pass",
        "[k async for k in f(n)]",
        "nonlocal n",
        "%call_notebook other.ipynb x=n",
        "n)",
    ],
)
def test_what_uses_a_parameter(use):
    """Functions, magics, queries, and whoever may read all names: where it is not certain, nothing is said."""
    assert ("unused-parameter", 1, 1) not in found(parameters("n = 1  # Terms"), use, returns("1"))


@pytest.mark.parametrize(
    "use", ["def f(n):\n    return n", "x.n", "print('n')", "n = 2", "# n", "async def f(n):\n    await n"]
)
def test_what_does_not_use_a_parameter(use):
    """An argument of the same name, an attribute, a text and a new assignment are no use of it."""
    assert ("unused-parameter", 1, 1) in found(parameters("n = 1  # Terms"), use, returns("1"))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("n = 5", True),
        ("m = n = 5", True),
        ("m = 1\nn = f()", True),
        ("n = n + 1", False),
        ("n += 1", False),
        ("n = [n for n in range(3)]", True),
        ("print(n)\nn = 5", False),
        ("def f():\n    return n\nn = 5", False),
        ("if late:\n    n = 5", False),
        ("frame.query('a > @n')\nn = 5", False),
        ("for n in range(3):\n    pass", False),
        ("locals()\nn = 5", False),
    ],
)
def test_a_parameter_that_is_assigned_anew(use, expected):
    """Before anything has read it, it has no use; where it is not certain, nothing is said."""
    told = ("unused-parameter", 1, 1) in found(parameters("n = 1  # Terms"), use, returns("n"))
    assert told is expected


def test_other_languages():
    """In R, bash and TypeScript parameters and cells are looked at as well; Python is not expected there."""
    kernelspec = {"name": "ir", "language": "R", "display_name": "R"}
    cells = [parameters("n.terms <- 15L  # Terms\nunused <- 2 # Other, not n\napi_key <- 'a8f7-22bc'"),
             "x <- n.terms * 2 # unused", returns("paste(x, api_key)")]  # fmt: skip
    notebook = read_notebook(node(*cells, kernelspec=kernelspec), "model.ipynb", None)
    assert [(each.rule, each.line) for each in lint(notebook)] == [
        ("unused-parameter", 2),
        ("no-help", 3),
        ("secret", 3),
    ]
    julia = {"name": "julia-1.11", "language": "julia", "display_name": "Julia"}
    notebook = read_notebook(
        node(parameters("n = 1:3 |> f"), returns("n"), kernelspec=julia), "m.ipynb", None
    )
    assert lint(notebook) == []


SECRETS = [
    ("password", "hunter2"),
    ("db_password", "correct-horse"),
    ("PASSWD", "S3cret!x"),
    ("apiKey", "9f8e7d6c5b4a"),
    ("api_key_prod", "9f8e7d6c5b4a"),
    ("client_secret", "Zm9vYmFyYmF6"),
    ("token", "a1b2c3d4e5f6a7b8"),
    ("slack", "xoxb-123456789012-abcdefghijkl"),
    ("aws", "AKIAIOSFODNN7ABCDEFG"),
    ("key", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
    ("database", "postgresql://ann:Tr0ub4dor@db.internal/sales"),
    ("session", "q7Rk2mZx9LpW4vBt8NcY3sHd6FgJ1a"),
    ("options", {"user": "ann", "password": "hunter2"}),
    ("keys", ["ghp_" + "a1B2c3D4e5F6" * 3]),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_secrets(name, value):
    """What can be a credential by its name, its form, or its randomness; and the words do not show it."""
    (told,) = credentials(name, value)
    assert "secret" in told
    assert str(value) not in told


NO_SECRETS = [
    ("password", ""),
    ("password", "password"),
    ("password", "changeme"),
    ("password", "<your password>"),
    ("password", "***"),
    ("password_file", "/run/secrets/db"),
    ("password_column", "passwd"),
    ("api_key", "YOUR_API_KEY"),
    ("api_key", "${API_KEY}"),
    ("api_key", "xxxxxxxx"),
    ("api_key", None),
    ("api_key_name", "X-Api-Key"),
    ("max_tokens", 1000),
    ("token", "the"),
    ("pad_token", "[PAD]"),
    ("eos_token", "<|endoftext|>"),
    ("sep_token", "separator"),
    ("tokenizer", "bert-base-uncased"),
    ("secret_santa", "Bob"),
    ("auth", "kerberos"),
    ("database", "postgresql://user:password@localhost/db"),
    ("database", "postgresql://localhost:5432/sales"),
    ("commit", "f893fc1b2d4e6a8c0e1f3a5b7c9d1e3f5a7b9c1d"),
    ("identity", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"),
    ("model", "ResNet50_ImageNet1K_V2_Weights"),
    ("column", "AverageTemperatureInCelsius2024"),
    ("path", "data/2024/Q3/Report_Final_v2_2024-10-01.parquet"),
    ("text", "The quick brown fox jumps over 13 lazy dogs"),
    ("key", "customer_id"),
    ("sort_key", "OrderDate2024"),
]


@pytest.mark.parametrize(("name", "value"), NO_SECRETS)
def test_no_secrets(name, value):
    """Placeholders, names of files and columns, pieces of text, checksums and identifiers are none."""
    assert list(credentials(name, value)) == []


@pytest.mark.parametrize(
    "name", ["password", "dbPassword", "api_key", "API-KEY", "access_token", "client_secret", "pwd_2"]
)
def test_a_name_says_that_its_value_is_not_to_be_shown(name):
    """Whatever the value is; a name that may be another thing needs a value that is none, or looks like one."""
    assert all(is_secret(name, value) for value in (None, "", "x", 3, pd.DataFrame({"n": [1]})))
    assert is_secret("token", None)
    assert is_secret("token", "4f1e9a77c0ffee22")
    assert not any(is_secret("token", value) for value in ("the", 3, pd.DataFrame({"n": [1]})))
    assert not any(
        is_secret(other, None) for other in (f"{name}_file", "tokenizer", "max_tokens", "key", "n")
    )


def test_a_secret_in_an_expression_is_found_by_its_form():
    """`os.environ["TOKEN"]` is the right way, and a fallback that is a token is not."""
    start = parameters("import os\ntoken = os.environ.get('TOKEN', '')  # Access")
    assert found(start, returns("token")) == [("expression-default", 1, 2)]
    leaked = parameters(
        "import os\ntoken = os.environ.get('TOKEN', 'ghp_" + "a1B2c3D4e5F6" * 3 + "')  # Access"
    )
    assert ("secret", 1, 2) in found(leaked, returns("token"))


def test_advice_keeps_the_type():
    """What a finding says to declare is of the parameter's type, and of none where that is not known."""
    source = "h = {'password': 'hunter2'}  # Headers\nn = len('ab')  # Terms\nm: int = n  # More"
    notebook = read_notebook(node(parameters(source), returns("h, n, m")), "model.ipynb", None)
    told = [each.text for each in lint(notebook, free=(), broken={})]
    assert "without a value (`h: dict`)" in told[0]
    assert "declare its type and no value, or" in told[1]
    assert "declare its type and no value (`m: int`), or" in told[2]


def test_silencing():
    """At the end of a line for it, on a line of its own for the cell and the notebook; by rule or for all."""
    use = returns("n, m")
    assert found(parameters("n = 1\nm = 2  # restified: ignore[no-help]"), use) == [("no-help", 1, 1)]
    assert found(parameters("n = 1  # restified: ignore\nm = 2  # Other"), use) == []
    assert found(parameters("# restified: ignore[no-help, secret]\nn = 1\nm = 2"), use) == []
    assert found(parameters("n = 1  # restified: ignore[secret]\nm = 2  # Other"), use) == [("no-help", 1, 1)]
    assert found(parameters("n = 1  # Terms"), "# restified: ignore[no-return]\nn") == []
    assert found(*CLEAN, "# restified: ignore[unreachable]\n2") == []
    assert found(*CLEAN, "2  # restified: ignore[unreachable]") == []
    text = cell("<!-- restified: ignore[tag] -->\ntext", "return", kind="markdown")
    assert found(*CLEAN, text) == []


def test_the_comment_is_no_label_and_no_help():
    """What silences a rule says nothing to who fills in a form."""
    source = "# restified: ignore[no-help]\nn = 1  # restified: ignore[secret]\nm = 2  # Terms  # restified: ignore"
    fields = read_notebook(node(parameters(source)), "m.ipynb", None).fields.parameters
    assert [(each.label, each.help) for each in fields.values()] == [("n", ""), ("Terms", "")]


def test_every_rule_has_a_finding_in_these_tests():
    """No rule is only a name."""
    tested = {rule for mark in test_rules.pytestmark for _, expected in mark.args[1] for rule, *_ in expected}
    assert tested | {"unreadable"} == set(RULES)
    assert kept([Finding("tag", "x")], []) == [Finding("tag", "x")]


def test_which_notebooks_are_models():
    """A tag of ours makes a Model of a notebook, a misspelled one too; tags of Jupyter do not."""

    def made(*cells):
        return is_model(read_notebook(node(*cells), "m.ipynb", None))

    assert made(parameters("n = 1"))
    assert made(returns("1"))
    assert made(cell("1", "retrun"))
    assert not made(
        "%call_notebook model.ipynb", cell("1/0", "raises-exception"), cell("2", "skip", "hide-input")
    )


def test_the_examples_have_no_grave_findings():
    """Nobody who copies an example starts with a secret, a name from nowhere, or a cell that never runs."""
    arguments = [sys.executable, "-m", "restified_magics", "show", "--strict"]
    notebooks = sorted(str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*.ipynb"))
    done = subprocess.run([*arguments, *notebooks], cwd=EXAMPLES, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rules = set(re.findall(r"\[([\w-]+)\]", done.stdout))
    assert not rules & {
        "declaration",
        "free-name",
        "secret",
        "syntax",
        "tag",
        "unreachable",
        "unreadable",
        "widget",
    }
    assert "_view.ipynb" not in done.stdout


# ---------------------------------------------------------------- the command


@pytest.fixture
def strict(tmp_path):
    """Run what the hook for pre-commit runs, in the test's folder."""
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text()
    entry = re.search(r"^  entry: (.+)$", hooks, re.MULTILINE)[1]
    program, *options = shlex.split(entry)
    assert program == "restified"

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "restified_magics", *options, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def test_the_hook(strict, write):
    """pre-commit gives it the files: 0 where all is well, 1 with a line for each finding; Views are passed over."""
    write(*CLEAN, name="good.ipynb")
    write("%call_notebook good.ipynb n=2", name="view.ipynb")
    done = strict("good.ipynb", "view.ipynb")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert done.stderr == "Passed over, since no cell has the tag `parameters` or `return`: view.ipynb\n"
    write(parameters("n = 1  # Terms\npassword = 'hunter2'"), "n + taken", name="bad.ipynb")
    done = strict("good.ipynb", "bad.ipynb", "view.ipynb")
    assert done.returncode == 1
    told = [line.partition("] ")[0] + "]" for line in done.stdout.splitlines()]
    assert told == [
        "bad.ipynb: [no-return]",
        "bad.ipynb, cell 1, line 2: [no-help]",
        "bad.ipynb, cell 1, line 2: [secret]",
        "bad.ipynb, cell 1, line 2: [unused-parameter]",
        "bad.ipynb, cell 2, line 1: [free-name]",
    ]
    assert "hunter2" not in done.stdout + done.stderr
    assert "# restified: ignore[rule]" in done.stderr


def test_what_is_no_notebook_is_a_finding_and_what_is_not_there_wrong_use(strict, write, tmp_path):
    """One broken file does not keep the others from being looked at."""
    (tmp_path / "broken.ipynb").write_text("<<<<<<< ours\n{}\n")
    write(parameters("n = 1  # Terms"), returns("for i in range(n): pass"), name="no_value.ipynb")
    write(parameters("n = 1  # Terms"), name="other.ipynb")
    done = strict("broken.ipynb", "no_value.ipynb", "other.ipynb")
    assert done.returncode == 1
    assert [re.search(r"\[([\w-]+)\]", line)[1] for line in done.stdout.splitlines()] == [
        "unreadable", "unreadable", "no-return", "unused-parameter",
    ]  # fmt: skip
    assert "broken.ipynb: [unreadable] has unresolved git conflict markers" in done.stdout
    done = strict("nothing.ipynb")
    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no such file" in done.stderr


def test_findings_for_programs(strict, write):
    """`--json` is a list with each notebook and its findings."""
    write(*CLEAN, "2", name="model.ipynb")
    write("1", name="plain.ipynb")
    done = strict("--json", "model.ipynb", "plain.ipynb")
    assert (done.returncode, done.stderr) == (1, "")
    model, plain = json.loads(done.stdout)
    (finding,) = model["findings"]
    assert (finding["rule"], finding["cell"], finding["line"]) == ("unreachable", 3, None)
    assert plain == {"path": "plain.ipynb", "model": False, "findings": []}


def test_nothing_is_run(strict, write, tmp_path):
    """Looking at a Model executes none of it."""
    write(parameters("n = open('written', 'w')  # A file"), returns("n"))
    assert strict("model.ipynb").returncode == 1
    assert not (tmp_path / "written").exists()


def test_show_of_several(tmp_path, write):
    """Without `--strict` several notebooks are shown one after the other."""
    write(*CLEAN, name="one.ipynb")
    write(*CLEAN, name="two.ipynb")
    arguments = [sys.executable, "-m", "restified_magics", "show", "one.ipynb", "two.ipynb"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "one(n=1)" in done.stdout
    assert "two(n=1)" in done.stdout
    done = subprocess.run([*arguments, "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [told["name"] for told in json.loads(done.stdout)] == ["one.ipynb", "two.ipynb"]
