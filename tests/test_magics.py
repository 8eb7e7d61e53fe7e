"""`%call_notebook` and `%restify` in a running IPython."""

from __future__ import annotations

import contextlib
import io
import json
import keyword
import linecache
import os
import re
import subprocess
import sys
import traceback

import nbformat
import pytest
from conftest import cell, node, parameters, returns
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError
from IPython.utils.capture import capture_output

from restified_magics import CellError, ModelTimeout, NotebookError, ParameterError, PythonModel, Result
from restified_magics.core.model import Model
from restified_magics.ipython.expressions import split_values


@pytest.fixture
def magics(ip, run, tmp_path, monkeypatch):
    """Run a cell in a session with the magics loaded, in a folder with the Model `area.ipynb`."""
    monkeypatch.chdir(tmp_path)
    run("%load_ext restified_magics")
    return run


@pytest.fixture
def area(write):
    return write(
        parameters("width = 3\nheight = 2"),
        "print('computing')\nlabel = f'{width} x {height}'",
        returns("width * height"),
        name="area.ipynb",
    )


@pytest.fixture
def echo(write):
    """A Model that returns what it was given."""
    return write(parameters("x = None\ny = None\nz = None"), returns("x, y, z"), name="echo.ipynb")


def shown(ip, source):
    """What a cell prints and displays, as a terminal shows it, and the errors with it."""
    captured = io.StringIO()
    with contextlib.redirect_stdout(captured), contextlib.redirect_stderr(captured):
        ip.run_cell(source, store_history=True)
    return captured.getvalue()


# ------------------------------------------------------------------ the call


def test_the_value_is_that_of_the_return_cell(magics, area):
    """The magic's value is the Model's: shown as the last line of a cell, or assigned."""
    assert magics("%call_notebook area.ipynb") == 6
    assert magics("result = %call_notebook area.ipynb width=10\nresult + 1") == 21


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("x=42", (42, None, None)),
        ("x=1 y=2 z=3", (1, 2, 3)),
        ("x=1, y=2,z=3", (1, 2, 3)),
        ("x = 1  y =2 , z= 3,", (1, 2, 3)),
        ("x=\"a b\" y='c, d=1'", ("a b", "c, d=1", None)),
        ('x={"k": [1, 2]} y=(1, 2) z=[a for a in (1, 2)]', ({"k": [1, 2]}, (1, 2), [1, 2])),
        ("x=(lambda a=1: a)() y=2", (1, 2, None)),
        ("x=1 if False else 2 y=not 3", (2, False, None)),
        ("x=1 + 2 y=- 3", (3, -3, None)),
        ("x=n y=n*2, z=max(n, 7)", (5, 10, 7)),
        ('x=n==5 y="--run" z=[1, --run]', (True, "--run", [1, 8])),
        ("x=n --n", (10, None, None)),
        ("x='{n}' y='$n' z={n}", ("{n}", "$n", {5})),
        ("x=f'{n = } --run' y=2", ("n = 5 --run", 2, None)),
        ("x=1 # y=2 --run", (1, None, None)),
        ("x='#' # a comment", ("#", None, None)),
        ("**{'x': 1, 'y': 2}, z=3", (1, 2, 3)),
        ("x=1, **{'z': 3}", (1, None, 3)),
        ("x=2 **3", (8, None, None)),
        ('x="""a b"""', ("a b", None, None)),
        ('x="é ü" y="日本"', ("é ü", "日本", None)),
    ],
)
def test_values_are_python(magics, echo, line, values):
    """Values are Python expressions of the View, separated by blanks or commas; IPython expands nothing."""
    magics("n = 5\nrun = 8")
    assert magics(f"%call_notebook echo.ipynb {line}") == values


_names = st.from_regex(r"[a-zé_]\w{0,3}", fullmatch=True).filter(lambda name: not keyword.iskeyword(name))
_simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_literals = st.recursive(
    _simple, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4
)


@given(st.dictionaries(_names, _literals), st.sampled_from([" ", ", ", ","]), st.sampled_from(["=", " = "]))
def test_any_literals_are_told_apart(values, between, equals):
    """Whatever a literal has in it, names and values are told apart."""
    written = [(name, repr(value)) for name, value in values.items()]
    line = between.join(f"{name}{equals}{text}" for name, text in written)
    assert split_values(f"{line}; # {line}", 0) == (tuple(written), True)


def test_a_default_in_a_lambda_is_not_an_argument(magics, echo):
    """What is no expression alone goes on at the next name and equals sign."""
    function, two, _ = magics("%call_notebook echo.ipynb x=lambda a, y=1, *b, **c: a + y, y=2")
    assert (function(1), two) == (2, 2)


def test_values_are_handed_over_as_they_are(ip, magics, echo):
    """The Model gets the View's object itself."""
    magics("thing = object()")
    assert magics("%call_notebook echo.ipynb x=thing")[0] is ip.user_ns["thing"]


def test_values_see_the_names_of_a_function(magics, echo):
    """Within a function, values find its local names."""
    assert magics("def f(inner):\n    out = %call_notebook echo.ipynb x=inner\n    return out\nf(7)")[0] == 7


def test_a_value_over_several_lines(ip, magics, echo):
    """A line that a program composes may have line ends in it."""
    assert ip.run_line_magic("call_notebook", "echo.ipynb x=[1,\n2]\ny=3") == ([1, 2], 3, None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "which notebook.*%call_notebook area.ipynb width=3"),
        ("x=1", "which notebook"),
        ("# nothing", "which notebook"),
        ("echo.ipynb 42", "'42' has no name.*name=42"),
        ("echo.ipynb x=1, 2", "A tuple goes in parentheses"),
        ("echo.ipynb x= y=1", "x= has no value"),
        ("echo.ipynb x=1+ y=1", r"x=1\+ is not a Python expression"),
        ("echo.ipynb x=some text", 'Text goes in quotes: x="some text"'),
        ("echo.ipynb x=[1", "never closed"),
        ("echo.ipynb x=1) + (2", "unmatched"),
        ('echo.ipynb x="""a', "unterminated triple-quoted"),
        ("echo.ipynb x=1 x=2", "x is given twice"),
        ("echo.ipynb x=1, **{'x': 2}", "x is given twice"),
        ("echo.ipynb **", "has no value"),
        ("echo.ipynb --tiemout 5", "no flag --tiemout. Did you mean --timeout"),
        ("echo.ipynb x=1 --tiemout 5", "no flag --tiemout. Did you mean --timeout"),
        ("--verbose echo.ipynb", "no flag --verbose. It has --kernel, "),
        ("echo.ipynb --timeout", "--timeout needs a value, as in --timeout 60"),
        ("echo.ipynb --timeout soon", "number of seconds above 0.*'soon'"),
        ("echo.ipynb --timeout -1", "number of seconds above 0"),
        ("echo.ipynb --scope vew", "Did you mean view"),
        ("echo.ipynb --run=yes", "--run takes no value"),
        ("echo.ipynb --run --run", "--run is given twice"),
        ("echo.ipynb --save out", "--save needs the name of a notebook"),
        ("echo.ipynb --save no/out.ipynb", "there is no folder no"),
        ("echo.ipynb --save folder.ipynb", "it is a folder"),
        ("echo.ipynb --kernel --scope share", "--scope is for a notebook in this process"),
        ("--form --run echo.ipynb", "nothing for --run"),
        ('"echo.ipynb x=1', "never closed"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(magics, echo, tmp_path, line, told):
    """A line that cannot be read is a UsageError, and no cell runs."""
    (tmp_path / "folder.ipynb").mkdir()
    with pytest.raises(UsageError, match=told):
        magics(f"%call_notebook {line}")


def test_errors_of_a_value_are_those_of_the_expression(ip, magics, echo):
    """An exception in a value comes through as itself, and its traceback shows the argument."""
    with pytest.raises(ZeroDivisionError) as raised:
        magics("%call_notebook echo.ipynb x=1, y=1/0")
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert linecache.getline(last.filename, last.lineno) == "call_notebook(x=1, y=1/0)\n"
    text = shown(ip, "%call_notebook echo.ipynb x=1, y=1/0")
    assert "view_values" not in text
    assert "----> 1 call_notebook(x=1, y=1/0)" in text


def test_a_mapping_to_expand_is_a_mapping_of_names(magics, echo):
    """`**` takes what a call in Python takes."""
    with pytest.raises(UsageError, match=r"\*\*3 must be a dict of names and values, not 3"):
        magics("%call_notebook echo.ipynb **3")


def test_errors_of_the_call_come_through(ip, magics, area):
    """ParameterError, NotebookError and CellError are raised as they are, and IPython shows no line of ours."""
    with pytest.raises(ParameterError, match="Did you mean 'width'"):
        magics("%call_notebook area.ipynb widht=1")
    with pytest.raises(NotebookError, match=r"Did you mean 'area\.ipynb'"):
        magics("%call_notebook are.ipynb")
    with pytest.raises(CellError, match=r"area\.ipynb, cell 3"):
        magics("%call_notebook area.ipynb width='a' height='b'")
    for line in ("area.ipynb widht=1", "area.ipynb width='a' height='b'"):
        text = shown(ip, f"%call_notebook {line}")
        assert "restified_magics" not in text
        assert "Error" in text


def test_paths(magics, area, tmp_path, monkeypatch):
    """A path may be in quotes, have blanks escaped, or begin at the home folder."""
    (tmp_path / "my folder").mkdir()
    (tmp_path / "my folder" / "it's.ipynb").write_bytes(area.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert magics('%call_notebook "my folder/it\'s.ipynb" width=4') == 8
    assert magics("%call_notebook my\\ folder/it's.ipynb, width=4") == 8
    assert magics("%call_notebook '~/area.ipynb' width=4") == 8
    assert magics("%call_notebook ~/area.ipynb") == 6


def test_the_name_of_a_model(magics, write):
    """Where there is no such file, the first word may be the name of a Model in the View."""
    magics("%%restify twice\nn = 1\nn * 2")
    assert magics("%call_notebook twice n=4") == 8
    write(returns("'the file'"), name="twice")
    assert magics("%call_notebook twice") == "the file"
    with pytest.raises(NotebookError):
        magics("%call_notebook thrice")
    magics("%%restify thrice\nn = 1\nn * 3")
    assert magics("%call_notebook thrice") == 3
    with pytest.raises(NotebookError):  # in quotes it is a path
        magics("%call_notebook 'thrice'")


def test_names_of_functions_reach_a_nested_model(magics, write):
    """A Model calls another by the magic, with values of its own."""
    write(parameters("n = 1"), "m = n + 1", returns("%call_notebook inner.ipynb k=m"), name="outer.ipynb")
    write(parameters("k = 0"), returns("k * 10"), name="inner.ipynb")
    assert magics("%call_notebook outer.ipynb n=4") == 50


def test_await_in_a_model(magics, write):
    """A Model may await at top level."""
    write("import asyncio", returns("await asyncio.sleep(0, 'done')"))
    assert magics("%call_notebook model.ipynb") == "done"


# ---------------------------------------------------------------- semicolon


def test_a_semicolon_hides_the_value(ip, magics, area):
    """A trailing semicolon silences what would be shown, also before a comment, and the path alone."""
    for line in ("area.ipynb;", "area.ipynb width=4;", "area.ipynb width=4; # quiet", "area.ipynb --run;"):
        assert magics(f"%call_notebook {line}") is None
    assert magics("%call_notebook area.ipynb width=4") == 8


@pytest.mark.parametrize("assigned", ["result", "box.result", "box.all['result']", "first, *result"])
def test_a_semicolon_does_not_take_an_assigned_value(ip, magics, write, assigned):
    """A value that is assigned is kept, semicolon or not."""
    write(parameters("n = 1"), returns("[n, n]"))
    magics("import types\nbox = types.SimpleNamespace(all={})")
    magics(f"{assigned} = %call_notebook model.ipynb n=3;")
    names = {**ip.user_ns, **vars(ip.user_ns["box"]), **ip.user_ns["box"].all}
    assert names["result"][-1] == 3


def test_a_semicolon_in_a_return_cell(magics, write):
    """The value of a Model's `return` cell is returned, semicolon or not."""
    write(returns("%call_notebook inner.ipynb;"))
    write(returns("7"), name="inner.ipynb")
    assert magics("%call_notebook model.ipynb") == 7


# ---------------------------------------------------------------- cell form


def test_cell_form(ip, magics, echo):
    """Each line of the cell assigns a parameter, later ones see earlier ones, and nothing reaches the View."""
    before = set(ip.user_ns)
    magics("n = 5")
    value = magics("%%call_notebook echo.ipynb z=n\n# first\nx = [\n    1,\n]\n\ny: list = x + [z]")
    assert value == ([1], [1, 5], 5)
    assert not {"x", "y", "z"} & (set(ip.user_ns) - before)


def test_cell_form_sees_magics_and_functions(magics, echo, area):
    """A value may be what a magic gives, and a function may use the cell's names."""
    value = magics("%%call_notebook echo.ipynb\nx = %call_notebook area.ipynb\ny = (lambda: x + 1)()")
    assert value[:2] == (6, 7)


def test_cell_form_without_assignments(magics, echo):
    """An empty cell gives the values of its first line."""
    assert magics("%%call_notebook echo.ipynb x=1\n\n# nothing\n") == (1, None, None)


def test_cell_form_is_silenced_by_a_semicolon(magics, echo):
    """A semicolon on the first line hides the value."""
    assert magics("%%call_notebook echo.ipynb;\nx = 1") is None


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("x = 1\nimport os", r"line 3 of the cell \('import os'\) is not a parameter"),
        ("print(1)", r"line 2 .*'print\(1\)'"),
        ("x = 1\n\nx += 1", "line 4"),
        ("x, y = 1, 2", "line 2"),
        ("x.y = 1", "line 2"),
        ("x: int", "line 2"),
        ("if True:\n    x = 1", "line 2"),
        ("x = 1\ny = = 2", r"line 3 of the cell \('y = = 2'\) is not Python"),
        ("x = 1\nx = 2", "x is given twice"),
        ("z = 1", "z is given twice"),
    ],
)
def test_cell_form_takes_assignments_only(magics, echo, body, told):
    """Whatever else stands in the cell is an error that names the line, and no cell runs."""
    with pytest.raises(UsageError, match=told):
        magics(f"%%call_notebook echo.ipynb z=0\n{body}")


def test_errors_in_the_cell_form_are_at_their_line(ip, magics, echo):
    """An exception in the cell is shown at the line as the user sees it, counted with that of the magic."""
    with pytest.raises(ZeroDivisionError) as raised:
        magics("%%call_notebook echo.ipynb\nx = 1\ny = x / 0")
    last = traceback.extract_tb(raised.value.__traceback__)[-1]
    assert (last.lineno, linecache.getline(last.filename, last.lineno)) == (3, "y = x / 0\n")
    assert "----> 3 y = x / 0" in shown(ip, "%%call_notebook echo.ipynb\nx = 1\ny = x / 0")


# --------------------------------------------------------------------- flags


@pytest.mark.parametrize(
    "line",
    [
        "--run area.ipynb width=4",
        "area.ipynb --run width=4",
        "area.ipynb width=4 --run",
        "area.ipynb width=4, --run",
    ],
)
def test_flags_stand_anywhere(magics, area, line):
    """A flag may stand before the notebook, after it, and among the values."""
    result = magics(f"%call_notebook {line}")
    assert isinstance(result, Result)
    assert result.value == 8


def test_run_records_the_outputs(ip, magics, area):
    """`--run` gives a Result, and nothing is printed by the call."""
    assert shown(ip, "result = %call_notebook area.ipynb --run") == ""
    assert ip.user_ns["result"].outputs[1][0]["text"] == "computing\n"


def test_scope(ip, magics, write):
    """`--scope` says which names the Model sees, and where its own go."""
    write("mine = given", returns("mine"))
    magics("given = 3")
    assert magics("%call_notebook model.ipynb") == 3
    assert magics("%call_notebook model.ipynb --scope view") == 3
    assert "mine" not in ip.user_ns
    with pytest.raises(CellError, match="NameError"):
        magics("%call_notebook model.ipynb --scope=isolated")
    assert magics("%call_notebook --scope share model.ipynb") == 3
    assert ip.user_ns["mine"] == 3


def test_timeout(magics, write):
    """`--timeout` stops the call, of a notebook and of a named Model."""
    write("while True: pass")
    with pytest.raises(ModelTimeout):
        magics("%call_notebook model.ipynb --timeout 0.2")
    magics("%%restify forever\nwhile True:\n    pass\n1")
    with pytest.raises(ModelTimeout):
        magics("%call_notebook forever --timeout=0.2")


def test_a_named_model_keeps_its_own_flags(ip, magics):
    """Flags of a call are those of this call only, and the Model's own hold where the call has none."""
    magics("given = 3")
    magics("%%restify taken --scope isolated --timeout 9\ngiven")
    model = ip.user_ns["taken"]
    assert (model.scope, model.timeout) == ("isolated", 9)
    with pytest.raises(CellError, match="NameError"):
        magics("%call_notebook taken")
    assert magics("%call_notebook taken --scope view --timeout 5") == 3
    assert (model.scope, model.timeout) == ("isolated", 9)


class _Remote(Model):
    """A Model of another kind: it runs nothing, and knows no scope."""

    def _run(self, call, timeout, *, record):  # noqa: ARG002 - the seam
        if "height" in call.params:
            raise CellError(
                "remote", cell=1, cell_id=None, line=None, source_line="", ename="Lost", evalue=""
            )
        call.result.value = sorted(call.params)
        return call.result.value

    async def _run_async(self, call, timeout, *, record):
        return self._run(call, timeout, record=record)


def test_models_of_other_kinds(ip, magics, area):
    """Any Model can be called by its name; one without a scope says so."""
    ip.push({"remote": _Remote(area)})
    assert magics("%call_notebook remote width=1") == ["width"]
    with pytest.raises(UsageError, match="--scope is for notebooks in this process, and remote is a _Remote"):
        magics("%call_notebook remote --scope view")
    with pytest.raises(CellError, match="Lost"):  # there is no Result to save
        magics("%call_notebook remote height=1 --save lost.ipynb")


def test_save(ip, magics, area, tmp_path):
    """`--save` writes the executed notebook; value and outputs are as without it."""
    text = shown(ip, "value = %call_notebook area.ipynb width=5 --save done.ipynb")
    assert text == "computing\nSaved the executed notebook as done.ipynb\n"
    assert ip.user_ns["value"] == 10
    done = nbformat.read(tmp_path / "done.ipynb", as_version=4)
    nbformat.validate(done)
    assert "width = 5" in done.cells[0].source
    assert done.cells[1].outputs[0].text == "computing\n"
    assert magics("%call_notebook area.ipynb --run --save 'done too.ipynb'").value == 6
    assert (tmp_path / "done too.ipynb").exists()


def test_save_shows_what_a_call_shows(ip, magics, write):
    """With `--save`, displays and stderr appear too, and bare expressions do not, as in a call without it."""
    write("import sys\nprint('out')\nprint('err', file=sys.stderr)\ndisplay('shown')\n'bare'")
    with capture_output() as plain:
        magics("%call_notebook model.ipynb")
    with capture_output() as saved:
        magics("%call_notebook model.ipynb --save done.ipynb")
    assert saved.stderr == plain.stderr == "err\n"
    assert saved.stdout == plain.stdout + "Saved the executed notebook as done.ipynb\n"
    assert [each.data for each in saved.outputs] == [each.data for each in plain.outputs]


def test_save_when_the_call_fails(magics, area, tmp_path, capsys):
    """A call that fails is saved up to the error, and the error comes through."""
    with pytest.raises(CellError):
        magics("%call_notebook area.ipynb width='a' height='b' --save failed.ipynb")
    captured = capsys.readouterr()
    assert "computing\n" in captured.out
    assert "failed.ipynb" in captured.err
    failed = nbformat.read(tmp_path / "failed.ipynb", as_version=4)
    assert failed.cells[2].outputs[0].ename == "TypeError"
    magics("%%restify forever\nwhile True:\n    pass\n1")
    with pytest.raises(ModelTimeout):
        magics("%call_notebook forever --timeout 0.2 --save late.ipynb")
    assert (tmp_path / "late.ipynb").exists()


def test_save_when_interrupted(magics, write, tmp_path, capsys):
    """A call that is interrupted is saved too, up to there."""
    write("print('so far')", "import _thread\n_thread.interrupt_main()\nwhile True:\n    pass")
    with pytest.raises(KeyboardInterrupt):
        magics("%call_notebook model.ipynb --save stopped.ipynb")
    assert "Saved the notebook of this call" in capsys.readouterr().err
    cells = nbformat.read(tmp_path / "stopped.ipynb", as_version=4).cells
    assert cells[0].outputs[0].text == "so far\n"
    assert cells[1].outputs[-1].ename == "KeyboardInterrupt"


def test_an_interrupt_shows_the_models_frames_only(ip, magics, write, capsys):
    """The traceback begins in the Model, and that of a Model it calls follows."""
    write("import _thread\n_thread.interrupt_main()\nwhile True:\n    pass", name="inner.ipynb")
    write("from restified_magics import execute_notebook\nexecute_notebook('inner.ipynb')")
    outcome = ip.run_cell("%call_notebook model.ipynb")
    assert type(outcome.error_in_exec) is KeyboardInterrupt
    shown = capsys.readouterr().out
    assert "model.ipynb, cell 1, line 2" in shown
    assert re.search(r"inner\.ipynb, cell 1, line [234]", shown)
    assert "KeyboardInterrupt" in shown
    assert "restified_magics/" not in shown
    assert "_run" not in shown


def test_replay(ip, magics, write, capsys):
    """`%restify --replay` runs a failed call up to the failing cell here, and puts that cell into the next input."""
    write(parameters("x = 1"), "half = x / 2", "print('there')\n1 / x", returns("half"))
    with pytest.raises(CellError):
        magics("%call_notebook model.ipynb x=0 --save failed.ipynb")
    model = magics("%restify --replay failed.ipynb;")
    assert model is None
    assert (ip.user_ns["x"], ip.user_ns["half"]) == (0, 0.0)
    told = "Ran failed.ipynb up to cell 3, which failed and is in your next cell; 1 more cell was not run."
    assert told in capsys.readouterr().out
    assert ip.rl_next_input == "print('there')\n1 / x"
    with pytest.raises(UsageError, match="no cell of it has failed"):
        magics("%restify --replay model.ipynb")
    with pytest.raises(UsageError, match=r"cannot be read: .* --replay takes the notebook of a failed call"):
        magics("%restify --replay gone.ipynb")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
@pytest.mark.parametrize("script", [False, True])
def test_replay_where_there_is_no_next_cell(magics, write, tmp_path, script):
    """A script, and a prompt that cannot be filled in, are told which cell failed, and of no next one."""
    import pty

    write("half = 1 / 2", "1 / 0", "later = 1", returns("half"))
    with pytest.raises(CellError):
        magics("%call_notebook model.ipynb --save failed.ipynb")
    lines = "%load_ext restified_magics\n%restify --replay failed.ipynb\nprint('half is', half)\n"
    (tmp_path / "script.ipy").write_text(lines)
    command = [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt"]
    ours, terminal = pty.openpty()
    try:
        if script:
            streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
            subprocess.run([*command[:-1], "script.ipy"], cwd=tmp_path, timeout=60, check=True, **streams)
            out = os.read(ours, 10_000).decode()
        else:
            out = subprocess.run(
                command, cwd=tmp_path, input=lines, timeout=60, check=True, capture_output=True, text=True
            ).stdout
    finally:
        os.close(ours)
        os.close(terminal)
    assert "Ran failed.ipynb up to cell 2, which failed; 2 more cells were not run. Its names are here" in out
    assert "half is 0.5" in out


def test_replay_of_an_old_notebook(ip, magics, tmp_path):
    """A notebook from before nbformat 4, which has no cells but worksheets, is run like others."""
    error = {"output_type": "pyerr", "ename": "E", "evalue": "", "traceback": []}
    code = {"cell_type": "code", "language": "python", "metadata": {}, "collapsed": False}
    cells = [
        {**code, "input": "half = 2", "outputs": [], "prompt_number": 1},
        {**code, "input": "half / 0", "outputs": [error], "prompt_number": 2},
    ]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}}
    old["worksheets"] = [{"cells": cells, "metadata": {}}]
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    magics("%restify --replay old.ipynb;")
    assert ip.user_ns["half"] == 2
    assert ip.rl_next_input == "half / 0"


def test_save_never_hides_the_error(magics, write, tmp_path, capsys):
    """Where the failed call cannot be saved either, its own error is the one that is raised."""
    write("import os\nos.mkdir('taken.ipynb')\n1 / 0")
    with pytest.raises(CellError, match="ZeroDivisionError"):
        magics("%call_notebook model.ipynb --run --save taken.ipynb")
    assert "could not be saved" in capsys.readouterr().err


def test_save_refuses_the_model_itself(magics, area):
    """The executed notebook never overwrites its Model."""
    before = area.read_bytes()
    with pytest.raises(NotebookError, match="this is the notebook itself"):
        magics("%call_notebook area.ipynb --save ./area.ipynb")
    assert area.read_bytes() == before


@pytest.mark.parametrize("magic", ["call_notebook", "restify"])
def test_help(ip, magics, magic):
    """`?` and `--help` show the docstring, which names every flag and has examples."""
    assert "Examples" in shown(ip, f"%{magic} --help")
    text = ip.magics_manager.magics["line"][magic].__doc__
    for flag in ("--save", "--timeout", "--scope", "--help"):
        assert flag in text
    assert "Examples" in shown(ip, f"%pinfo %{magic}")


# ------------------------------------------------------------------ %restify


def test_restify_makes_a_model(magics, area):
    """The value is a Model with the flags on it."""
    model = magics("%restify area.ipynb --scope isolated --timeout 5")
    assert isinstance(model, PythonModel)
    assert (model.scope, model.timeout) == ("isolated", 5)
    assert model(width=5) == 10


def test_restify_shows_the_model_once(ip, magics, write):
    """The Model is shown whether it is assigned or not: signature, cells, names that it takes, problems."""
    write(parameters("n = 1"), cell("n", "retrun"), "x = taken")
    with pytest.warns(UserWarning, match="retrun"):
        text = shown(ip, "model = %restify model.ipynb")
    for told in ("model(n=1)", "  3  code", "taken", "retrun"):
        assert told in text
    assert shown(ip, "%restify model.ipynb").count("model(n=1)") == 1
    assert shown(ip, "%restify model.ipynb\nNone").count("model(n=1)") == 1
    assert shown(ip, "%restify model.ipynb;") == shown(ip, "model = %restify model.ipynb;") == ""
    assert isinstance(ip.user_ns["model"], PythonModel)


def test_restify_in_a_model_shows_once_too(magics, area, write):
    """As the last line of a Model's cell the value is that cell's output, and nothing else is."""
    write("%restify area.ipynb")
    outputs = PythonModel("model.ipynb").run().outputs[0]
    assert [each["output_type"] for each in outputs] == ["execute_result"]


def test_a_model_is_shown_as_text_and_html(ip, magics, area):
    """A notebook gets HTML, a terminal text; in a list a Model is short."""
    data, _ = ip.display_formatter.format(PythonModel(area))
    assert "area(width=3, height=2)" in data["text/plain"]
    assert "<table>" in data["text/html"]
    assert "\n" not in ip.display_formatter.format([PythonModel("area.ipynb")])[0]["text/plain"]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("%restify", "which notebook.*%restify area.ipynb"),
        ("%restify area.ipynb width=3", "leave out width"),
        ("%restify area.ipynb --run", "%restify has no flag --run"),
        ("%restify area.ipynb --form", "no flag --form"),
        ("%restify area.ipynb --save x.ipynb", "%restify has no flag --save"),
        ("%%restify\nx = 1", "which name.*%%restify area"),
        ("%%restify my-area\nx = 1", "'my-area' cannot be the name"),
        ("%%restify area x=1\nx = 1", "leave out x"),
        ("%%restify area\n# nothing", "the cell is empty"),
        ("%%restify area\nx = 1\ny = = 2", "line 3 of the cell is not Python"),
    ],
)
def test_restify_says_what_to_write(magics, area, source, told):
    """A cell that cannot be read is a UsageError."""
    with pytest.raises(UsageError, match=told):
        magics(source)


# ----------------------------------------------------------------- %%restify


def _cells(model):
    """The roles and sources of a Model's code cells."""
    return [(each.role, each.source) for each in model.notebook.cells if each.role != "text"]


@pytest.mark.parametrize("line", ["%%restify my area\n1", "%%restify area x=1\n1", "%restify area.ipynb 5"])
def test_values_are_not_for_a_model_that_is_made(magics, line):
    """Nor are they where they would be wrong for a call, too: the error does not say how to write them."""
    with pytest.raises(UsageError, match="only makes the Model, and calls it with no values: leave out"):
        magics(line)


def test_a_cell_becomes_a_model(ip, magics):
    """The cell becomes a Model of that name in the View; nothing of it runs or is assigned."""
    model = magics("%%restify area\nwidth = 3\nheight = 2\nwidth * height")
    assert model is ip.user_ns["area"]
    assert "width" not in ip.user_ns
    assert (model(), model(width=5), list(model.parameters)) == (6, 10, ["width", "height"])
    assert magics("%%restify area;\n1") is None
    assert ip.user_ns["area"]() == 1


@pytest.mark.parametrize(
    ("body", "cells"),
    [
        ("a = 1\na", [("parameters", "a = 1"), ("return", "a")]),
        ("a = 1; b = 2; a*b", [("parameters", "a = 1; b = 2"), ("return", "a*b")]),
        ("é = 'ü'; b = 2;  é*b;", [("parameters", "é = 'ü'; b = 2"), ("return", "é*b;")]),
        ("a = 1", [("return", "a = 1")]),
        ("1", [("return", "1")]),
        (
            '"""About."""\nimport math  # needed\n\n# Size\na = 1  # label\nb: int = 2\n\n# work\nfor i in []:\n    pass\n# end\na + b  # sum\n# bye',
            [
                ("code", '"""About."""\nimport math  # needed'),
                ("parameters", "# Size\na = 1  # label\nb: int = 2"),
                ("code", "# work\nfor i in []:\n    pass"),
                ("return", "# end\na + b  # sum\n# bye"),
            ],
        ),
        (
            "%matplotlib inline\na = [\n  1,  # one\n]; x, y = 1, 2\na.append(1)\nb = 2\n(a,\n b)",
            [
                ("code", "%matplotlib inline"),
                ("parameters", "a = [\n  1,  # one\n]; x, y = 1, 2"),
                ("code", "a.append(1)\nb = 2"),
                ("return", "(a,\n b)"),
            ],
        ),
        (
            "def f():\n    return 1\n\n@f\n# c\ndef g(): pass\nb = 2\nb",
            [("code", "def f():\n    return 1\n\n@f\n# c\ndef g(): pass\nb = 2"), ("return", "b")],
        ),
        ("  a = 1\n  b = 2; a + b", [("parameters", "a = 1\nb = 2"), ("return", "a + b")]),
        ("a = 1\nfiles = !ls\nfiles", [("parameters", "a = 1\nfiles = !ls"), ("return", "files")]),
        ("a = '''x\n\n  y'''\n\n\na", [("parameters", "a = '''x\n\n  y'''"), ("return", "a")]),
    ],
)
def test_how_a_cell_is_cut(ip, magics, body, cells):
    """What leads is a plain cell, then the parameters, the rest, the return cell: text and comments are kept."""
    assert _cells(magics(f"%%restify model\n{body}")) == cells


def test_magics_in_the_cell_run(magics):
    """Magics and commands of the cell run in its calls, continued lines too."""
    magics(
        "%%restify said\nimport os\nword = 'hi'\nlines = !echo a \\\n  b\n%env GREETING=hello\nlines, os.environ['GREETING']"
    )
    assert magics("said()") == (["a b"], "hello")
    os.environ.pop("GREETING", None)


def test_text_without_quotes(magics, area):
    """A word that is no name of the View may be meant as text: the error says how to write that."""
    with pytest.raises(NameError) as caught:
        magics("%call_notebook area.ipynb width=metre")
    assert caught.value.__notes__[0].endswith('Text goes in quotes: width="metre"')
    with pytest.raises(NameError) as caught:
        magics("%call_notebook area.ipynb width=nothing + 1")
    assert not hasattr(caught.value, "__notes__")


def test_a_cell_without_a_value(magics):
    """A cell that ends in a statement without a value is refused, and the name is not bound."""
    with pytest.raises(UsageError, match=r"line 3 of the cell, `for i in .*`, has no value"):
        magics("%%restify bad\na = 1\nfor i in []:\n    pass")
    with pytest.raises(NameError):
        magics("bad")


def test_save_a_cell(magics, tmp_path):
    """`--save` writes a valid notebook with a title and tagged cells, and the Model is made of the file."""
    model = magics("%%restify area --save 'my area.ipynb'\nimport math\nr = 2  # Radius [m]\nmath.pi * r**2")
    path = tmp_path / "my area.ipynb"
    assert model.notebook.path == path
    saved = nbformat.read(path, as_version=4)
    nbformat.validate(saved)
    assert (saved.nbformat, saved.nbformat_minor, saved.metadata.kernelspec.name) == (4, 5, "python3")
    assert [(each.cell_type, each.metadata.get("tags"), each.source) for each in saved.cells] == [
        ("markdown", None, "# area"),
        ("code", None, "import math"),
        ("code", ["parameters"], "r = 2  # Radius [m]"),
        ("code", ["return"], "math.pi * r**2"),
    ]
    assert magics("area(r=1)") == pytest.approx(3.14159, abs=1e-4)


def test_save_replaces_only_its_own(magics, area, tmp_path):
    """A file that `%%restify` wrote is replaced, with outputs or without; an edited or another one is not."""
    magics("%%restify one --save one.ipynb\na = 1\na")
    path = tmp_path / "one.ipynb"
    ran = json.loads(path.read_text())
    ran["cells"][-1].update(outputs=[], execution_count=3)
    path.write_text(json.dumps(ran))
    assert magics("%%restify one --save one.ipynb\na = 2\na")() == 2
    edited = json.loads(path.read_text())
    edited["cells"][-1]["source"] = ["a + 1"]
    for content in (json.dumps(edited), area.read_text(), "{}", "no json"):
        path.write_text(content)
        with pytest.raises(UsageError, match=r"one\.ipynb: the file is there already"):
            magics("%%restify one --save one.ipynb\na = 3\na")
        assert path.read_text() == content
    assert sorted(each.name for each in tmp_path.iterdir()) == ["area.ipynb", "one.ipynb"]


def test_nothing_is_saved_of_what_is_no_model(magics, tmp_path):
    """Where no Model can be made of the cell, no file is written."""
    with pytest.raises(UsageError, match="line 3 of the cell, `import os`, has no value"):
        magics("%%restify bad --save bad.ipynb\na = 1\nimport os")
    assert not list(tmp_path.iterdir())


# ----------------------------------------------------------- loading, kernel


def test_loading_twice_and_unloading(ip, run):
    """Loading is idempotent; unloading takes the magics and the completer, and nothing else, from the shell."""
    from restified_magics import load_ipython_extension, unload_ipython_extension

    before = {kind: dict(found) for kind, found in ip.magics_manager.magics.items()}
    matchers = list(ip.Completer.custom_matchers)
    unload_ipython_extension(ip)
    load_ipython_extension(ip)
    magic = ip.find_line_magic("restify")
    load_ipython_extension(ip)
    assert ip.find_line_magic("restify") == magic
    assert len(ip.Completer.custom_matchers) == len(matchers) + 1
    unload_ipython_extension(ip)
    unload_ipython_extension(ip)
    assert ip.magics_manager.magics == before
    assert ip.Completer.custom_matchers == matchers
    run("%load_ext restified_magics")
    run("%reload_ext restified_magics")
    assert ip.find_cell_magic("call_notebook") is not None


def test_in_a_kernel(tmp_path, write):
    """In a notebook of Jupyter the magics do the same: values, await, what is shown, semicolons, errors."""
    nbclient = pytest.importorskip("nbclient")
    write(parameters("n = 1"), "import asyncio", returns("await asyncio.sleep(0, n * 2)"))
    view = nbformat.from_dict(
        node(
            "%load_ext restified_magics",
            "%call_notebook model.ipynb n=4",
            "kept = %call_notebook model.ipynb n=5;\nkept",
            "%call_notebook model.ipynb n=4;",
            "model = %restify model.ipynb",
            "%%call_notebook model.ipynb\nn = 1 / 0",
            "%%restify area\nside = 2\nside ** 2",
            "area(side=3)",
        )
    )
    nbclient.NotebookClient(
        view, timeout=120, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [each.outputs for each in view.cells]
    assert [each[0].data["text/plain"] for each in (outputs[1], outputs[2], outputs[7])] == ["8", "10", "9"]
    assert outputs[3] == []
    assert "model(n=1)" in outputs[4][0].data["text/html"]
    assert outputs[5][0].ename == "ZeroDivisionError"
    assert "area(side=2)" in outputs[6][0].data["text/html"]
