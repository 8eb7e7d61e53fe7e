"""``restified`` in a real shell: what it writes where, and its exit codes."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys

import pytest
from conftest import cell, parameters, returns

from restified_magics.cli import COMMANDS, main


@pytest.fixture
def restified(tmp_path):
    """Run the command in the test's folder: ``restified("call", "model.ipynb", input="…")``."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "restified_magics", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=options.pop("text", True),
            check=False,
            timeout=120,
            **options,
        )

    return run


@pytest.fixture
def model(write):
    return write(
        cell("# Division", kind="markdown"),
        "import os\nfrom datetime import date",
        parameters("x = 1  # The x [mm]\nname: str = 'a'\nsince: date = date(2026, 1, 31)\nhalf = x / 2"),
        "print('printed')\nos.system('echo from a program')\n10 / x",
        returns("{'x': x, 'name': name, 'since': since, 'half': half}"),
    )


def test_call_gives_the_value_on_stdout_and_nothing_else(restified, model):
    """Values are read by the types; what cells and programs print goes to stderr, bare expressions nowhere."""
    done = restified("call", "model.ipynb", "x=4", "name=a b", "since=2026-02-03")
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"x":4,"name":"a b","since":"2026-02-03","half":2.0}\n'
    assert done.stderr.splitlines() == ["printed", "from a program"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ["call", "model.ipynb", "x=0"],
            1,
            "model.ipynb, cell 4, line 3: ZeroDivisionError: division by zero",
        ),
        (
            ["call", "model.ipynb", "x=many", "y=1"],
            2,
            "x must be a number, not 'many'\n  y is not a parameter",
        ),
        (["call", "model.ipynb", "x"], 2, "'x' is no value. Write name=value"),
        (["call", "modell.ipynb"], 2, "there is no such file .* Did you mean 'model.ipynb'"),
        (["call"], 2, "Missing argument 'NOTEBOOK'"),
        (["call", "model.ipynb", "--csv"], 1, "cannot be had as text/csv, only as application/json"),
        (["call", "model.ipynb", "@nothing.json"], 2, "@nothing.json: cannot be read"),
        (["call", "model.ipynb", "-o", "no/where.json"], 2, "there is no folder no"),
        (["nothing"], 2, "No such command 'nothing'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_goes_wrong_has_an_exit_code_and_words(restified, model, arguments, code, told):
    """1: a cell failed, or its value cannot be had so. 2: wrong use. Nothing is on stdout, no traceback of ours."""
    done = restified(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert re.search(told, done.stderr, re.DOTALL), done.stderr
    assert "restified_magics/" not in done.stderr


def test_timeout_is_124(restified, write):
    """A call that takes too long ends as the command `timeout` ends it."""
    write("while True:\n    pass")
    done = restified("call", "model.ipynb", "--timeout", "0.5", "--save", "late.ipynb")
    assert done.returncode == 124
    assert "stopped after 0.5 s" in done.stderr
    assert "Saved the notebook of this call, up to its error, as late.ipynb" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupt_is_130(write, tmp_path):
    """Ctrl-C ends the call with 130, and what there is of it is saved."""
    write("print('begun', flush=True)", "import time\ntime.sleep(100)")
    program = [sys.executable, "-m", "restified_magics", "call", "model.ipynb", "--save", "stopped.ipynb"]
    process = subprocess.Popen(
        program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.startswith("Interrupted\n")
    cells = json.loads((tmp_path / "stopped.ipynb").read_text())["cells"]
    assert cells[0]["outputs"][0]["text"] == "begun\n"
    assert cells[1]["outputs"][-1]["ename"] == "KeyboardInterrupt"


def test_values_from_files_and_stdin(restified, model, tmp_path):
    """`@file.json` and `-` are objects, `name=@file` is one value, `@@` is one `@`; the right one wins."""
    (tmp_path / "values.json").write_text('{"x": 2, "name": "from the file"}')
    (tmp_path / "name.txt").write_text("from a text\n")
    (tmp_path / "x.json").write_text("8")

    def values(*arguments, **options):
        done = restified("call", "model.ipynb", *arguments, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert values("@values.json", "x=5")["x"] == 5
    assert values("@values.json", "name=@name.txt")["name"] == "from a text"
    assert values("-", input='{"x": 16, "since": "2026-03-01"}')["half"] == 8.0
    assert values("name=@-", input="piped")["name"] == "piped"
    assert values("x=@x.json")["x"] == 8
    assert values("name=@@home")["name"] == "@home"
    assert values("name=-")["name"] == "-"
    done = restified("call", "model.ipynb", "-", input="[1]")
    assert done.returncode == 2
    assert "must hold a JSON object" in done.stderr


def test_forms_of_the_value(restified, write, tmp_path):
    """Text is text, None is nothing, a table is CSV, a file gets what its ending says."""
    write(
        parameters("x = 'text'\nkind = 'text'"),
        returns("{'text': 'a\\n', 'none': None, 'table': [{'a': 1}], 'number': 4}[kind]"),
    )
    assert restified("call", "model.ipynb").stdout == "a\n"
    assert restified("call", "model.ipynb", "--json").stdout == '"a\\n"\n'
    assert restified("call", "model.ipynb", "kind=none").stdout == ""
    assert restified("call", "model.ipynb", "kind=none", "--json").stdout == "null\n"
    assert restified("call", "model.ipynb", "kind=table", "--csv").stdout == "a\n1\n"
    assert restified("call", "model.ipynb", "kind=table", "-o", "table.csv").stdout == ""
    assert (tmp_path / "table.csv").read_text() == "a\n1\n"
    done = restified("call", "model.ipynb", "kind=number", "-o", "number.png")
    assert done.returncode == 1
    assert "cannot be had as image/png" in done.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["model.ipynb", "table.csv"]


def test_a_figure_is_written_to_a_file(restified, write, tmp_path):
    """`-o plot.png` is the picture; without a file its bytes go into the pipe."""
    write("from matplotlib.figure import Figure", returns("Figure()"))
    assert restified("call", "model.ipynb", "-o", "plot.png").returncode == 0
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert restified("call", "model.ipynb", text=False).stdout.startswith(b"\x89PNG")


def test_show(restified, model, write):
    """For people the signature, cells, problems and free names; with `--json` for programs. Nothing is run."""
    write(parameters("n = 1"), "raise SystemExit", returns("n + taken"), name="other.ipynb")
    done = restified("show", "other.ipynb")
    assert done.returncode == 0, done.stderr
    assert "other(n=1)" in done.stdout
    assert "taken" in done.stdout
    told = json.loads(restified("show", "model.ipynb", "--json").stdout)
    assert [each["name"] for each in told["parameters"]] == ["x", "name", "since", "half"]
    assert told["parameters"][2] == {
        "name": "since",
        "type": "date",
        "declared": True,
        "required": False,
        "label": "since",
        "default": "2026-01-31",
    }
    assert told["cells"][2]["role"] == "parameters"


def test_run_writes_the_executed_notebook_also_on_failure(restified, model, tmp_path):
    """papermill's habits: parameters by `-p`, `-r`, `-f` and `-y`; the copy holds values, outputs, traceback."""
    (tmp_path / "values.yaml").write_text("x: 8\nname: from yaml\n")
    done = restified(
        "run", "model.ipynb", "-f", "values.yaml", "-p", "x", "4", "-r", "name", "12", "-o", "out.ipynb"
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert cells[2]["source"].splitlines()[:2] == ["x = 4  # The x [mm]", "name: str = '12'"]
    assert cells[3]["outputs"][0]["text"] == "printed\n"
    done = restified("run", "model.ipynb", "failed.ipynb", "-p", "x", "0")
    assert done.returncode == 1
    cells = json.loads((tmp_path / "failed.ipynb").read_text())["cells"]
    assert cells[3]["outputs"][-1]["ename"] == "ZeroDivisionError"
    assert cells[4]["outputs"] == []


def test_run_never_writes_over_the_model(restified, model):
    """The executed notebook goes somewhere else."""
    before = model.read_bytes()
    done = restified("run", "model.ipynb", "-o", "model.ipynb")
    assert done.returncode == 2
    assert "this is the notebook itself" in done.stderr
    assert model.read_bytes() == before


def test_a_saved_call_is_a_model_that_gives_the_same(restified, model):
    """`--save` writes a notebook that can be called again: its values are its defaults."""
    first = restified("call", "model.ipynb", "x=4", "since=2026-02-03", "--save", "saved.ipynb")
    again = restified("call", "saved.ipynb")
    assert first.stdout == again.stdout == '{"x":4,"name":"a","since":"2026-02-03","half":2.0}\n'


def test_another_engine(restified, model):
    """`--engine kernel` calls the notebook in a kernel, with the same value."""
    done = restified("call", "model.ipynb", "x=4", "--engine", "kernel", "--timeout", "60")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["half"] == 2.0


def test_every_command_is_there_and_explained():
    """Each command of the table can be imported, and says what it is for."""
    for name in COMMANDS:
        command = main.get_command(None, name)
        assert command.help or command.short_help, name
        for option in command.params:
            assert option.param_type_name == "argument" or option.help, (name, option.name)


def test_start_is_light():
    """`restified call` imports no part of Jupyter, and no command but its own, before the notebook needs it."""
    heavy = (
        "IPython",
        "nbformat",
        "papermill",
        "jupyter_client",
        "jupyter_server",
        "tqdm",
        "pandas",
    )
    program = (
        "import sys\nfrom restified_magics.cli import main\n"
        "main(['call', 'examples/fibonacci.ipynb', 'n=20'], standalone_mode=False)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "6765\n[]\n"
