"""``restified`` in a real shell: what it writes where, and its exit codes."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from conftest import cell, parameters, returns

from restified_magics.command_line.commands import COMMANDS, main


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
        (["call", "model.ipynb", "x=1e400"], 2, "x is too large for a number of 64 bits"),
        (["call", "model.ipynb", "half=1e-400"], 2, "half is too close to 0 for a number of 64 bits"),
        (["call", "model.ipynb", "@large.json"], 2, "@large.json: 1e400 is too large for a number"),
        (["call", "modell.ipynb"], 2, "there is no such file .* Did you mean 'model.ipynb'"),
        (["call"], 2, "Missing argument 'NOTEBOOK'"),
        (["call", "model.ipynb", "--csv"], 1, "cannot be had as text/csv, only as application/json"),
        (["call", "model.ipynb", "--csv", "--json"], 2, "--json and --csv are several forms of one value"),
        (["call", "model.ipynb", "--timeout", "abc"], 2, "'--timeout': 'abc' is no number of seconds. Write"),
        (["call", "model.ipynb", "--timeout", "0"], 2, "'0' is no number of seconds. Write one that is more"),
        (["call", "model.ipynb", "--timeout", "inf"], 2, "'inf' is no number of seconds"),
        (["call", "model.ipynb", "@nothing.json"], 2, "@nothing.json: cannot be read"),
        (["call", "model.ipynb", "-o", "no/where.json"], 2, "there is no folder no"),
        (["nothing"], 2, "No such command 'nothing'"),
        (["cal", "model.ipynb"], 2, "No such command 'cal'. Did you mean 'call'"),
        (["call", "model.ipynb", "--nam", "a b"], 2, "No such option '--nam'. Values are written name='a b'"),
        (["map", "model.ipynb", "--since=2026-02-03"], 2, "Values are written since=2026-02-03"),
        (["run", "model.ipynb", "out.ipynb", "--x", "4"], 2, "Values are written -p x 4"),
        (["call", "model.ipynb", "--engin"], 2, "--engin.* Did you mean '?--engine"),
        (["run", "model.ipynb", "x=4"], 2, "'x=4' is no name and value. Write -p x 4"),
        (["run", "model.ipynb", "out.ipynb", "x=4"], 2, "'x=4' is no name and value. Write -p x 4"),
        (["run", "model.ipynb", "out.ipynb", "-p", "x=4"], 2, "Write -p x 4"),
        (["run", "model.ipynb", "-r", "name=a b", "out.ipynb"], 2, "Write -r name 'a b'"),
        (
            ["run", "model.ipynb", "one.ipynb", "two.ipynb"],
            2,
            "more than one notebook to write: one.ipynb, two",
        ),
        (["run", "model.ipynb", "-"], 2, "a notebook is written to a file. Name it"),
        (["dashboard", "notes.txt"], 2, "notes.txt is no notebook"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_goes_wrong_has_an_exit_code_and_words(restified, model, arguments, code, told):
    """1: a cell failed, or its value cannot be had so. 2: wrong use. Nothing is on stdout, no traceback of ours."""
    model.with_name("notes.txt").touch()
    model.with_name("large.json").write_text('{"x": 1e400}')
    done = restified(*arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert re.search(told, done.stderr, re.DOTALL), done.stderr
    assert "restified_magics/" not in done.stderr


def test_a_file_that_cannot_be_so_is_told_before_the_call(restified, model, tmp_path):
    """What a long call gave is not lost for a name that was wrong from the beginning."""
    contradiction = "-o s.json: its ending says another form than --csv. Leave --csv out, or end it in .csv"
    for arguments, told in (
        (["-o", "no/where.json"], "folder"),
        (["-o", str(tmp_path)], "folder"),
        (["-o", "s.json", "--csv"], contradiction),
    ):
        done = restified("call", "model.ipynb", *arguments)
        assert (done.returncode, told in done.stderr, "printed" in done.stderr) == (2, True, False)


def test_what_is_written_at_the_end_of_the_process_is_not_the_value(restified, write):
    """Threads, `atexit` and `__del__` of the Model write to stderr, also after the value was given."""
    write(
        "import atexit, os, sys, threading\natexit.register(print, 'at exit')",
        "class Last:\n    def __del__(self, write=os.write):\n        write(1, b'deleted\\n')\nsys.kept_by_a_test = Last()",
        "main = threading.main_thread()\nthreading.Thread(target=lambda: (main.join(), print('late'))).start()",
        returns("[1]"),
    )
    for arguments, value in (
        (["call", "model.ipynb"], "[1]\n"),
        (["run", "model.ipynb", "out.ipynb", "--no-progress-bar"], ""),
    ):
        done = restified(*arguments)
        assert (done.returncode, done.stdout) == (0, value), done.stderr
        assert {"at exit", "late", "deleted"} <= {*done.stderr.splitlines()}


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
def test_the_form_of_the_value_is_that_of_stdout(write, tmp_path):
    """JSON is indented for a person who reads stdout, whatever stderr is."""
    import pty

    write(returns("[1]"))
    ours, terminal = pty.openpty()
    command = [sys.executable, "-m", "restified_magics", "call", "model.ipynb"]
    try:
        options = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, "timeout": 60}
        piped = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=terminal, **options)
        assert piped.stdout == b"[1]\n"
        subprocess.run(command, check=True, stdout=terminal, stderr=subprocess.PIPE, **options)
        assert os.read(ours, 100) == b"[\r\n  1\r\n]\r\n"
    finally:
        os.close(ours)
        os.close(terminal)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
@pytest.mark.parametrize("stops", ["breakpoint()", "import pdb; pdb.set_trace()"])
def test_breakpoint_stops_where_somebody_can_type(restified, write, tmp_path, stops):
    """In a terminal it is the debugger, in the Model's own frame; elsewhere an error that says what to do."""
    import pty

    write("x = 6", f"{stops}\nx += 1", returns("x"))
    done = restified("call", "model.ipynb", input="x = 41\nc\n")
    assert done.returncode == 1
    call = stops.split("; ")[-1]
    assert f"cell 2, line 1: RuntimeError: {call} cannot be used here" in done.stderr
    ours, terminal = pty.openpty()
    try:
        os.write(ours, b"x = 41\nc\n")
        done = restified("call", "model.ipynb", stdin=terminal)
    finally:
        os.close(ours)
        os.close(terminal)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert re.search(r"cell 2\(\d\)<module>\(\)", done.stderr)  # from 3.13 on it stops before the next line


def test_a_closed_stdout_is_told(restified, model, tmp_path):
    """Where results have no place to go, that is said before anything runs."""
    command = '"$0" -m restified_magics call model.ipynb x=1 >&-'
    done = subprocess.run(
        ["sh", "-c", command, sys.executable], cwd=tmp_path, stderr=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: stdout is closed"), done.stderr


def test_what_lies_in_the_current_folder_is_no_module(restified, model, tmp_path):
    """`python -m restified_magics` does not import a tempfile.py that happens to be there."""
    (tmp_path / "tempfile.py").write_text("raise RuntimeError('imported')")
    done = restified("show", "model.ipynb")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
def test_a_crash_is_128_and_the_signal(write, tmp_path):
    """As of any program in a shell; Python's own handler of faults names the cell, and a kernel survives it."""
    write("1", "import ctypes\nctypes.string_at(0)", returns("1"))
    command = f"{sys.executable} -m restified_magics call model.ipynb"
    for variant, code, told in (
        (f"PYTHONFAULTHANDLER=1 {command}; exit $?", 139, 'model.ipynb, cell 2", line 2'),
        (f"{command} --engine kernel", 1, "model.ipynb, cell 2: the kernel 'python3' crashed by SIGSEGV"),
    ):
        done = subprocess.run(
            ["sh", "-c", variant], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert told in done.stderr, done.stderr


@pytest.mark.parametrize("engine", ["python", "kernel"])
@pytest.mark.parametrize("command", [("call",), ("map", "--grid", "k=1,2", "-q")])
def test_a_cell_that_ends_the_process_is_no_success(restified, write, command, engine):
    """`os._exit(0)` gives no value, so that it is exit code 1 in every engine; one process tells the place."""
    write(parameters("k = 1"), "import os\nos._exit(0)", returns("k"))
    done = restified(*command, "model.ipynb", "--engine", engine)
    assert (done.returncode, done.stdout.strip()) == (1, ""), done.stderr
    place = "line 2: os._exit(0) ended the call" if engine == "python" else "the kernel"
    assert "model.ipynb, cell 2" in done.stderr, done.stderr
    assert place in done.stderr, done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_of_a_cell_ends_as_ever(restified, write):
    """Only the process of the call itself counts: what it forks may end by `os._exit`, with its own status."""
    child = "import os\npid = os.fork()\nif pid == 0:\n    os._exit(7)"
    pool = "import multiprocessing as m\np = m.get_context('fork').Process(target=os._exit, args=(5,))\np.start(); p.join()"
    write(
        child,
        "status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])",
        pool,
        returns("[status, p.exitcode]"),
    )
    done = restified("call", "model.ipynb")
    assert (done.returncode, done.stdout) == (0, "[7,5]\n"), done.stderr
    assert "_exit" not in done.stderr


def test_timeout_is_124(restified, write):
    """A call that takes too long ends as the command `timeout` ends it."""
    write("while True:\n    pass")
    done = restified("call", "model.ipynb", "--timeout", "0.5", "--save", "late.ipynb")
    assert done.returncode == 124
    assert "stopped after 0.5 s" in done.stderr
    assert "Saved the notebook of this call, up to where it ended, as late.ipynb" in done.stderr


def test_a_file_that_cannot_be_written_is_told(restified, model, tmp_path):
    """A name that is taken is wrong use, before anything runs; what the disk does not take is 1. A long name is none."""
    (tmp_path / "taken.ipynb").mkdir()
    for name, code in (("taken.ipynb", 2), (f"{'n' * 300}.ipynb", 1), (f"{'n' * 245}.ipynb", 0)):
        done = restified("call", "model.ipynb", "--save", name)
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert (name in done.stderr, "printed" in done.stderr) == (code != 0, code == 0)


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
@pytest.mark.parametrize("command", ["call model.ipynb -o out.json", "run model.ipynb out.ipynb"])
def test_a_file_that_becomes_too_large_is_named(write, tmp_path, command):
    """The error of the disk says of which file it is, and what there was is still there."""
    write(returns("'long ' * 100_000"))
    target = tmp_path / command.split()[-1]
    target.write_text("before")
    limited = f"ulimit -f 8; exec {sys.executable} -B -m restified_magics {command}"
    done = subprocess.run(["sh", "-c", limited], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"File too large: '{target.name}'" in done.stderr, done.stderr
    assert (target.read_text(), len([*tmp_path.iterdir()])) == ("before", 2)


def test_a_reader_that_has_enough(write, tmp_path):
    """`restified map … | head` ends without a traceback."""
    write(parameters("x = 1"), returns("'long' * 1000"))
    command = (
        f"{sys.executable} -m restified_magics map model.ipynb --grid x={','.join('1' * 200)} -q | head -n 2"
    )
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == ""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupt_is_130(write, tmp_path):
    """Ctrl-C ends the call with 130, and what there is of it is saved."""
    write("print('first')", "import time\nprint('begun')\ntime.sleep(100)")
    program = [sys.executable, "-m", "restified_magics", "call", "model.ipynb", "--save", "stopped.ipynb"]
    process = subprocess.Popen(
        program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert [process.stderr.readline() for _ in range(2)] == ["first\n", "begun\n"]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.startswith("Interrupted\n")
    cells = json.loads((tmp_path / "stopped.ipynb").read_text())["cells"]
    assert cells[0]["outputs"][0]["text"] == "first\n"
    assert cells[1]["outputs"][-1]["ename"] == "KeyboardInterrupt"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
@pytest.mark.parametrize("module", ["click", "decimal"])
def test_interrupt_while_it_imports_is_130(restified, model, tmp_path, module):
    """Ctrl-C in the first moments is told as it is later: in a word."""
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / f"{module}.py").write_text(
        "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)"
    )
    path = os.pathsep.join([str(tmp_path / "early"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = restified("call", "model.ipynb", env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted\n")


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
    assert "-o number.png: a value of type int cannot be had as .png, only as .json, .txt" in done.stderr
    done = restified("call", "model.ipynb", "kind=table", "-o", "table.parquet")
    assert "cannot be had as .parquet, only as .json, .csv, .html" in done.stderr


def test_a_value_that_cannot_be_had_so_is_kept(restified, write, tmp_path, monkeypatch):
    """The call may have taken an hour: what it returned is in a file, in the first of its forms."""
    write(
        parameters("kind = 'number'"), returns("{'number': 4, 'odd': [object()], 'table': [{'a': 1}]}[kind]")
    )
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    for arguments, folder, ending, content in (
        (["kind=table", "-o", "table.parquet"], tmp_path, ".json", '[{"a":1}]'),
        (["kind=number", "-o", "number.png"], tmp_path, ".json", "4"),
        (["kind=number", "--csv"], tmp_path / "tmp", ".json", "4"),
    ):
        done = restified("call", "model.ipynb", *arguments)
        assert (done.returncode, done.stdout) == (1, "")
        kept = pathlib.Path(done.stderr.rpartition(". What the call returned is in ")[2].rstrip("\n"))
        assert (kept.parent, kept.suffix) == (folder, ending)
        assert kept.read_text().startswith(content)
    for arguments in (
        (["--csv", "-o", "/proc/x.xlsx"], ["-o", "/proc/x.json"]) if sys.platform == "linux" else ()
    ):
        done = restified("call", "model.ipynb", "kind=number", *arguments)
        assert done.returncode == 1
        kept = pathlib.Path(done.stderr.rpartition("What the call returned is in ")[2].rstrip("\n"))
        assert (kept.parent, kept.read_text()) == (tmp_path / "tmp", "4")
    done = restified("call", "model.ipynb", "kind=odd")  # it has no form at all
    assert (done.returncode, "is in" in done.stderr) == (1, False)
    kept = ["model.ipynb", "number", "table", "tmp"]
    assert sorted(each.name.partition("-")[0] for each in tmp_path.iterdir()) == kept


def test_a_form_that_any_ending_takes(restified, write, tmp_path):
    """A flag says the form where the ending of the file says none, or the same one."""
    write(returns("[{'a': 1}]"))
    for name in ("table.txt", "table.csv", "table"):
        assert restified("call", "model.ipynb", "--csv", "-o", name).returncode == 0
        assert (tmp_path / name).read_text() == "a\n1\n"


def test_a_call_without_a_return_cell_says_why_there_is_no_value(restified, write):
    """It is said on stderr: nothing on stdout may be what the notebook returns."""
    write("1")
    done = restified("call", "model.ipynb")
    told = "Warning: model.ipynb: no cell has the tag `return`, so a call returns None. Tag the cell that"
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (0, "", 1)
    assert done.stderr.startswith(told)
    write(returns("None"))
    assert restified("call", "model.ipynb").stderr == ""


def test_bytes_and_text_are_written_as_they_are(restified, write, tmp_path):
    """An Excel file, or a CSV, that the notebook made itself is what is written, whatever the ending is."""
    write(parameters("kind = 'bytes'"), returns("{'bytes': b'PK\\x03\\x04', 'text': 'a\\tb\\n'}[kind]"))
    for arguments, content in ((["report.xlsx"], b"PK\x03\x04"), (["table.tsv", "kind=text"], b"a\tb\n")):
        done = restified("call", "model.ipynb", "-o", *arguments)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / arguments[0]).read_bytes() == content


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
    assert "Names that no cell defines:\n    taken\n" in done.stdout
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


def test_show_lists_a_cell_that_is_not_valid_python(restified, write):
    """It is a problem, for people and for programs, and told once, though it is a cell of parameters."""
    write(parameters("n = = 1"), "return", returns("1"))
    told = json.loads(restified("show", "model.ipynb", "--json").stdout)["problems"]
    assert [each.split(":")[0] for each in told] == ["cell 1, line 1", "cell 2, line 1"]
    lines = restified("show", "model.ipynb").stdout.splitlines()
    assert [line.strip() for line in lines[lines.index("Problems:") + 1 :]] == told


@pytest.mark.parametrize("as_json", [[], ["--json"], ["--strict"]], ids=["text", "json", "strict"])
def test_show_of_half_a_character(restified, write, as_json):
    """A surrogate without its other half is in no text that can be written; it is told by its number."""
    write(parameters("n = 1  # Count"), "x = '\ud800'", returns("n + len('\ud800')"))
    done = restified("show", "model.ipynb", *as_json)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("\\ud800" in done.stdout) == (as_json == [])


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
def test_show_goes_on_after_a_notebook_that_is_none(restified, model, as_json):
    """What can be shown is shown; each that cannot has its error, and the exit code is theirs."""
    model.with_name("broken.ipynb").write_text("no JSON")
    done = restified("show", "broken.ipynb", "model.ipynb", "gone.ipynb", *as_json)
    assert done.returncode == 2
    if as_json:
        assert [each["name"] for each in json.loads(done.stdout)] == ["model.ipynb"]
    else:
        assert done.stdout.startswith("Division\n")
    errors = done.stderr.splitlines()
    assert [error[: error.index(".ipynb")] for error in errors] == ["Error: broken", "Error: gone"]


def test_run_writes_the_executed_notebook_also_on_failure(restified, model, tmp_path):
    """papermill's habits: parameters by `-p`, `-r`, `-f` and `-y`; the copy holds values, outputs, traceback."""
    (tmp_path / "values.yaml").write_text("x: 8\nname: from yaml\n")
    done = restified(
        "run", "model.ipynb", "-f", "values.yaml", "-p", "x", "4", "-r", "name", "12", "-o", "out.ipynb"
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "4/4" in done.stderr
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert cells[2]["source"].splitlines()[:2] == ["x = 4  # The x [mm]", "name: str = '12'"]
    assert cells[3]["outputs"][0]["text"] == "printed\n"
    content = json.loads(model.read_text())
    model.write_text(json.dumps({**content, "cells": [*content["cells"], cell("'after the return cell'")]}))
    done = restified("run", "model.ipynb", "failed.ipynb", "-p", "x", "0")
    assert done.returncode == 1
    assert "2/4" in done.stderr
    cells = json.loads((tmp_path / "failed.ipynb").read_text())["cells"]
    assert cells[3]["outputs"][-1]["ename"] == "ZeroDivisionError"
    assert cells[4]["outputs"] == []


@pytest.mark.parametrize("command", ["run -o", "run", "call -o", "call --save"])
def test_nothing_writes_over_the_model(restified, model, command):
    """Values and executed notebooks go somewhere else; that is told before the call."""
    before = model.read_bytes()
    name, *option = command.split()
    model.with_name("link.ipynb").symlink_to(model)
    for target in ("model.ipynb", "link.ipynb"):
        done = restified(name, "model.ipynb", *option, target)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"Error: {target}: this is the notebook itself. Write to another file\n"
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


def test_a_byte_order_mark_is_no_part_of_what_is_given(restified, model, tmp_path):
    """What Excel writes is read as UTF-8, from a file and from standard input; what is no UTF-8 is wrong use."""
    for name, content in (("sets.csv", "x\n4\n"), ("x.json", "4"), ("all.json", '{"x": 4}'), ("x.txt", "4")):
        (tmp_path / name).write_text(content, encoding="utf-8-sig")
        (tmp_path / f"bad-{name}").write_bytes(b"\xff\xfe")

    def tried(*arguments, name=None):
        with open(tmp_path / (name or "x.txt"), "rb") as file:
            options = {"stdin": file, "env": {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0"}}
            return restified(*arguments, **options)

    for bad, code in (("", 0), ("bad-", 2)):
        for done in (
            tried("map", "model.ipynb", f"{bad}sets.csv", "-q"),
            tried("map", "model.ipynb", "-", "-q", name=f"{bad}sets.csv"),
            tried("call", "model.ipynb", f"x=@{bad}x.json"),
            tried("call", "model.ipynb", "x=@-", name=f"{bad}x.txt"),
            tried("call", "model.ipynb", f"@{bad}all.json"),
            tried("call", "model.ipynb", "-", name=f"{bad}all.json"),
        ):
            assert done.returncode == code, done.stderr
            assert ("2.0" if code == 0 else "") in done.stdout
            assert "Traceback" not in done.stderr
            assert ("cannot be read" in done.stderr) == (code == 2)


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
        "import sys\nfrom restified_magics.command_line.commands import main\n"
        "main(['call', 'examples/fibonacci.ipynb', 'n=20'], standalone_mode=False)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "6765\n[]\n"
