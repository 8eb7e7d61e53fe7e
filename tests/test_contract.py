"""The contract of a call, for every kind of Model: section by section what a user may rely on."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib.util
import json
import os
import pickle
import re
import sys
import threading

import IPython
import pytest
from conftest import cell, node, parameters, returns

from restified_magics import (
    CellError,
    KernelModel,
    ModelTimeout,
    NotebookError,
    NotebookWarning,
    ParameterError,
    PythonModel,
)

MODELS = [PythonModel, KernelModel]


@pytest.fixture(scope="module", autouse=True)
def _kernels_at_hand():
    """Models of the same kernelspec and folder share a pool: one that stays keeps it warm for all tests."""
    with KernelModel(node("1")):
        yield


@pytest.fixture(params=MODELS, ids=lambda kind: kind.__name__)
def make(request):
    """Make a Model of cells (or of a path), of each kind in turn."""

    def made(*cells, **options):
        is_source = len(cells) == 1 and (isinstance(cells[0], os.PathLike) or "cells" in cells[0])
        source = cells[0] if is_source else node(*cells)
        return request.param(source, **options)

    return made


# ---------------------------------------------------------------- parameters


def test_value_replaces_the_assigned_one_at_the_assignment(make):
    """Later lines of the same cell that derive from a parameter see the given value."""
    model = make(parameters("x = 1; y = x * 2\nz = y + 1"), returns("x, y, z"))
    assert tuple(model(x=42)) == (42, 84, 85)
    assert tuple(model(x=42, z=0)) == (42, 84, 0)
    assert tuple(model()) == (1, 2, 3)


def test_a_moment_with_a_time_zone_is_given_as_text(make):
    """It is the same moment in the cells of every Model, and in the executed copy that is called again."""
    model = make(
        parameters("from datetime import datetime\nwhen: datetime = datetime(2020, 1, 1)"),
        returns("when.isoformat(), repr(when.tzinfo)"),
    )
    result = model.run({"when": "2024-02-29T10:00:00+02:00"})
    told = ("2024-02-29T10:00:00+02:00", "datetime.timezone(datetime.timedelta(seconds=7200))")
    assert tuple(result.value) == told
    assert "was given as" not in result.notebook.cells[0].source
    assert tuple(make(result.notebook)()) == told


def test_a_value_without_a_name_is_refused(make):
    """The error says how values are given, by the first name that is free."""
    model = make(parameters("x = 1; y = 2"), returns("x, y"), name="pair")
    with pytest.raises(TypeError, match="pair takes values by name, as in y=5"):
        model(5, x=1)


def test_value_is_replaced_in_every_parameters_cell(make):
    """A name assigned in two `parameters` cells is one parameter, replaced in both."""
    model = make(parameters("x = 1"), "first = x", parameters("x = 2\nw = x * 10"), returns("first, x, w"))
    assert tuple(model(x=5)) == (5, 5, 50)
    assert tuple(model()) == (1, 2, 20)
    assert list(model.parameters) == ["x", "w"]


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        ("a, b = 1, 2", {"a": 10}, [10, 2]),
        ("a, b = 1, 2", {"a": 10, "b": 20}, [10, 20]),
        ("a = b = 1", {"a": 10}, [10, 1]),
        ("a = b = 1", {"a": 10, "b": 20}, [10, 20]),
        ("a: int = 1\nb = a + 1", {"a": 10}, [10, 11]),
        ("a: int\nb = a", {"a": 10}, [10, 10]),
        ("b = 0\na = 1\na += 1", {"a": 10}, [11, 0]),
        ("a = b = 0\nif True:\n    b = a", {"a": 10}, [10, 10]),
    ],
)
def test_forms_of_assignment(make, source, given, expected):
    """Tuples, chains, annotations and required names are replaced where they stand."""
    assert list(make(parameters(source), returns("[a, b]")).execute(given)) == expected


def test_default_that_is_replaced_is_not_evaluated(make):
    """A default that fails or is slow does not matter to who gives the value."""
    model = make(parameters("x = 1 / 0\ny = 2"), returns("x + y"))
    assert model(x=1) == 3
    with pytest.raises(CellError, match="ZeroDivisionError"):
        model()


def test_unknown_and_missing_parameters_are_told_at_once_before_any_cell_runs(make, tmp_path):
    """All problems of a call come in one error, with known names and a suggestion; nothing has run."""
    trace = tmp_path / "trace"
    model = make(
        f"import pathlib\npathlib.Path({str(trace)!r}).touch()",
        parameters("width: int\nheight: int = 2"),
        returns("1"),
    )
    with pytest.raises(ParameterError) as caught:
        model(heigth=3, depth=4)
    assert set(caught.value.problems) == {"width", "heigth", "depth"}
    assert "height" in caught.value.problems["heigth"]
    assert not trace.exists()


def test_declared_types_are_enforced_and_inferred_ones_are_not(make):
    """An annotation is validated and coerced; a type that only the default shows is not."""
    model = make(parameters("n: int = 1\nfree = 1"), returns("[repr(n), repr(free)]"))
    assert list(model(n="5")) == ["5", "1"]
    assert list(model(free="text")) == ["1", "'text'"]
    with pytest.raises(ParameterError, match="n must be"):
        model(n="five")


@pytest.mark.parametrize(
    "name", ["cell", "self", "params", "model", "call", "step", "names", "timeout", "value"]
)
def test_a_variable_may_bear_any_name(make, name):
    """No name of ours is in the way of a Model's own."""
    model = make(parameters(f"{name} = 1"), f"{name}_2 = {name} + 1", returns(f"{name}_2"))
    assert model(**{name: 41}) == 42


def test_papermills_leftovers_are_dropped(make):
    """A cell tagged `injected-parameters` is not run, and not part of the executed copy."""
    model = make(parameters("x = 1"), cell("x = 99", "injected-parameters"), returns("x"))
    assert model() == 1
    assert "x = 99" not in json.dumps(model.run({"x": 2}).notebook)


# --------------------------------------------------------------------- cells


def test_skip_wins_over_other_tags(make):
    """A cell tagged `skip` is not run, whatever else it is tagged."""
    model = make("x = 1", cell("x = 2", "skip", "parameters"), cell("x = 3", "skip", "return"), returns("x"))
    assert model() == 1
    assert model.parameters == {}


def test_first_return_cell_that_is_reached_ends_the_call(make):
    """Nothing after the `return` cell is run."""
    model = make("x = 1", returns("x"), "x = 1 / 0")
    assert model() == 1
    assert any("never run" in problem for problem in model.problems)


def test_second_return_cell_is_warned_about(make):
    """A `return` cell that cannot be reached is told when the notebook is read."""
    with pytest.warns(NotebookWarning, match="cell 2: is never reached"):
        model = make(returns("1"), returns("2"))
    assert model() == 1


def test_return_on_a_text_cell_is_warned_about(make):
    """A tag on markdown does nothing, and the author is told."""
    with pytest.warns(NotebookWarning, match="`return` has no effect"):
        model = make(cell("x", "return", kind="markdown"), "x = 1")
    assert model() is None


def test_colabs_parameters_below_a_cell_magic_are_warned_about(make):
    """Also without a tag: the marks say that they are meant as parameters."""
    with pytest.warns(UserWarning, match="cell 1: begins with `%%capture`, whose lines are not read"):
        model = make("%%capture\nn = 1 #@param {type:'integer'}", returns("n"))
    assert model() == 1


def test_parameters_below_a_cell_magic_are_warned_about(make):
    """Its lines are the magic's, and nobody knows whether they are Python."""
    with pytest.warns(UserWarning, match="cell 1: begins with `%%time`, whose lines are not read"):
        model = make(parameters("%%time\nx = 1"), returns("x"))
    assert (model(), list(model.parameters)) == (1, [])


def test_mistyped_tag_is_warned_about(make):
    """A tag that is nearly one of ours is named with the one that was meant."""
    with pytest.warns(NotebookWarning, match="Did you mean `parameters`"):
        make(cell("x = 1", "parameter"), returns("1"))


def test_no_return_cell_returns_none(make):
    """A Model without a `return` cell returns None, and says so among its problems."""
    model = make("x = 1")
    assert model() is None
    assert any("returns None" in problem for problem in model.problems)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x * 2", 42),
        ("x * 2;", 42),
        ("x * 2  # twice", 42),
        ("y = 1\nx * 2", 42),
        ("y = 1; x * 2", 42),
        ("r = x * 2", 42),
        ("r: int = x * 2", 42),
        ("a = b = x * 2", 42),
        ("a, b = x, 2", [21, 2]),
        ("d = {}\nd['k'] = x * 2", 42),
        ("x += 21", 42),
        ("(\n  x\n  * 2\n)", 42),
        ("await f()", 42),
        ("r = await f()", 42),
        ("!echo 42", ["42"]),
        ("x\n!echo 42", ["42"]),
        ("[\n  i for i in (40, 2)\n]", [40, 2]),
        ("%time x * 2", 42),
        ("%%time\nx * 2", 42),
        ("%time r = x * 2", 42),
        ("time r = x * 2", 42),
        ("%%time\nr = x * 2", 42),
        ("%%time\nx * 2;", 42),
        ("%%time\n\n%time a = 1\n%time b, c = x, 2", [21, 2]),
        ("%%capture\nx * 2", 42),
        ("%%capture out\nprint(x)\nd = {}\nd['k'] = x * 2", 42),
        ("%%capture\n%%time\nr = x * 2", 42),
        ("%%capture\n!echo 42", ["42"]),
        ("%%capture\nNone", None),
        ("%%time\nget_ipython().run_cell('1')\nr = x * 2", 42),
        ("\n\nx * 2\n\n", 42),
        ("None", None),
        ("(y := x * 2)", 42),
    ],
)
def test_forms_of_the_return_cell(make, source, expected, capsys):
    """The last statement's value, whether an expression or what was just assigned."""
    value = make("x = 21\nasync def f():\n    return x * 2", returns(source))()
    assert (list(value) if isinstance(value, (list, tuple)) else value) == expected


@pytest.mark.parametrize("source", ["%%time\nr = x * 2", "%%capture\nx * 2", "%%capture\nr = x * 2"])
def test_a_value_below_a_magic_is_shown_as_in_jupyter(make, source):
    """The call has it; what the magic hides, and what an assignment does not show, is in no output."""
    result = make("x = 21", returns(source)).run()
    assert result.value == 42
    assert not [output for output in result.outputs[1] if output["output_type"] != "stream"]
    assert not [name for name in result.namespace if not name.isidentifier()]


@pytest.mark.parametrize(
    ("source", "ends"),
    [
        ("%%bash\necho 3", "%%bash"),
        ("%%writefile beside.txt\n3", "%%writefile"),
        ("%%timeit\nx", "%%timeit"),
        ("x\n%timeit x", "%timeit"),
        ("%%prun\nx = 1", "%%prun"),
        ("%%time\nfor i in range(3):\n    print(i)", "for …"),
        ("%%capture\n%%bash\necho 3", "%%bash"),
        ("%%time", "%%time"),
    ],
)
def test_a_return_cell_that_ends_in_a_magic_without_a_value_is_refused(make, source, ends):
    """While its author still looks at the notebook, as one that ends in a statement without a value."""
    with pytest.raises(NotebookError, match="which has no value") as caught:
        make(parameters("x = 21"), returns(source))
    assert f"`{ends}`" in str(caught.value)


def test_what_a_magic_found_out_is_a_value(make):
    """`%timeit -o` and `%prun -r` give an object that a cell may return something of."""
    model = make(parameters("x = 21"), "found = %timeit -o -q -n1 -r1 x", returns("found.loops"))
    assert model() == 1


@pytest.mark.parametrize(
    ("source", "line", "function"),
    [
        ("%%time\na = 1\nb = 1 / 0", 3, ""),
        ("%%time\n\n\na = 1\nb = 1 / 0", 5, ""),
        ("%%time\nx = = 3", 2, ""),
        ("a = 1\n%time x = = 3", 2, ""),
        ("%%time\n%time a = 1\n%time b = 1 / 0", 3, ""),
        ("%%time\ndef f():\n    1 / 0\nf()", 4, "raised in f, cell 2, line 3"),
        ("%%timeit -n1 -r1\na = 1\nb = 1 / 0", 3, ""),
        ("%%timeit\nx = = 3", 2, ""),
        ("%%prun\n\na = 1\nb = 1 / 0", 4, ""),
        ("a = 1\n%prun -q 1 / 0", 2, ""),
        ("%%capture\na = 1\nb = 1 / 0", 3, ""),
        ("%%capture\nx = = 3", 2, ""),
        ("%%capture\n%%time\na = 1\nb = 1 / 0", 4, ""),
        ("%%capture\na = !echo 1\n%time b = 1 / 0", 3, ""),
    ],
)
def test_the_line_of_an_error_below_a_magic(make, source, line, function):
    """It is the cell's, and the traceback shows the cell there, and not what the magic makes of it."""
    if re.search(r"%time\b", source) and "= =" not in source and IPython.version_info < (9,):
        make("print(1)", source)()  # that of IPython 8 shows the error, and the cell goes on
        return
    with pytest.raises(CellError) as caught:
        make("print(1)", source)()
    error = caught.value
    assert (error.cell, error.line, error.source_line) == (2, line, source.split("\n")[line - 1])
    assert function in str(error)
    assert ("raised in" in str(error)) == bool(function)
    if error.ename != "SyntaxError":
        shown = "\n".join(error.traceback)
        assert f"cell 2, line {line}" in shown
        assert f"----> {line} {error.source_line}" in shown


def test_magics_about_names_know_those_of_the_cells(make):
    """`%who_ls` lists what the cells have made, and not what every notebook finds; `%xdel` takes one away."""
    model = make(
        "a = 1\nb = 2000", "before = %who_ls", "%xdel b", "after = %who_ls", returns("before, after")
    )
    assert list(map(list, model())) == [["a", "b"], ["a", "before"]]


def test_what_is_stored_is_there_in_the_next_call(make):
    """`%store` keeps values where the sessions of the user have them, in plain Python too."""
    if IPython.version_info < (9,) and importlib.util.find_spec("pickleshare") is None:
        return  # IPython 8 keeps nothing then
    make("restified_stored = 42", "%store restified_stored")()
    model = make("%store -r restified_stored", "%store -d restified_stored", returns("restified_stored"))
    assert model() == 42


def test_code_that_a_cell_gives_to_the_shell_is_not_taken_for_its_lines(make):
    """Only what stands below a magic has the lines of the cell."""
    with pytest.raises(CellError) as caught:
        make("get_ipython().run_cell('a = 1\\nb = 2').raise_error()\n\n\nb / 0")()
    assert caught.value.line == 4


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("rows[rows.index(max(rows))] -= 2", 7),
        ("rows[next(it) :] += [4]", [1, 4]),
        ("next(makers).rate += 2", 3),
        ("a, d[next(it)] = 1, len(d)", (1, 0)),
        ("[*rows[1:], a], b = [[4, 5, 6], 7]", ((4, 5, 6), 7)),
        ("rows[i], i = 5, 1", (5, 1)),
        ("rows[0], a = b = iter([7, 8])", (7, 8)),
    ],
)
def test_places_of_the_last_assignment_are_found_once(make, source, expected):
    """The value is what was assigned there, also where the cell would find another place by now."""
    names = "rows, d, it, i = [9, 1], {}, iter([1]), 0\nclass Maker: rate = 1\nmakers = iter([Maker()])"
    result = make(names, returns(source)).run()
    assert result.value == expected
    assert not [name for name in result.namespace if not name.isidentifier()]


@pytest.mark.parametrize("tags", [(), ("raises-exception",)])
def test_keyboard_interrupt_comes_through_as_itself(make, tags):
    """Also from a cell that raises it by itself, and that may raise: it is no failure of the cell."""
    with pytest.raises(KeyboardInterrupt):
        make(cell("raise KeyboardInterrupt", *tags), returns("1"))()


@pytest.mark.parametrize("source", ["d[next(it)] = 3", "d[next(it)]: int = 3", "d[next(it)] = r = 3"])
def test_the_target_of_the_last_assignment_is_evaluated_once(make, source):
    """The value is what was assigned, and the cell does what it does in Jupyter: no more than that."""
    model = make("it = iter('a')\nd = {}", returns(source))
    assert model() == 3
    assert model.run().value == 3


def test_what_was_assigned_is_the_value_and_not_what_is_read_back(make):
    """As where the target cannot be read, or gives something else."""
    lines = "class Bin:\n    def __setattr__(self, name, value): seen.append(value)\nseen, bin = [], Bin()"
    assert make(lines, returns("bin.paper = 3"))() == 3


@pytest.mark.parametrize(
    "source",
    [
        "",
        "   \n",
        "# only a comment",
        "if x:\n    x",
        "def f(): pass",
        "import os",
        "del x",
        "pass",
        "x: int",
    ],
)
def test_return_cell_without_a_value_is_refused_when_read(make, source):
    """It names the cell and says what to write, before anything is called."""
    with pytest.raises(NotebookError, match="cell 2 has the tag `return`") as caught:
        make("x = 1", returns(source))
    assert "expression" in str(caught.value) or "what to return" in str(caught.value)


def test_raises_exception_lets_the_call_go_on(make):
    """A cell tagged `raises-exception` may raise; it is in the outputs of a run."""
    model = make("x = 1", cell("x = 2\n1 / 0\nx = 3", "raises-exception"), returns("x"))
    assert model() == 2
    assert model.run().outputs[1][-1]["ename"] == "ZeroDivisionError"
    assert make(cell("1 / 0", "return", "raises-exception"), returns("2"))() == 2


# ----------------------------------------------------------------- namespace


def test_functions_classes_threads_and_comprehensions_see_one_globals(make):
    """Recursion, classes, lambdas, comprehensions, threads and `global` all see the Model's names."""
    model = make(
        parameters("n = 5"),
        "def factorial(k):\n    return 1 if k < 2 else k * factorial(k - 1)",
        "class Box:\n    size = n\n    def scaled(self):\n        return [n * k for k in range(self.size)]",
        "counter = 0\ndef count():\n    global counter\n    counter += n",
        "import threading\nthread = threading.Thread(target=count)\nthread.start()\nthread.join()",
        "double = lambda k: [k * n for _ in range(2)]",
        returns("[factorial(n), Box().scaled(), counter, double(2), globals()['n']]"),
    )
    assert list(model(n=3)) == [6, [0, 3, 6], 3, [6, 6], 3]


def test_calls_do_not_accumulate_state(make):
    """Each call starts from a fresh namespace."""
    model = make("seen = 'x' in globals()\nx = []\nx.append(1)", returns("[seen, x]"))
    assert list(model()) == [False, [1]]
    assert list(model()) == [False, [1]]


def test_an_annotation_is_there_also_where_the_value_is_given(make):
    """Code that goes through ``__annotations__`` finds the parameters; one that is not defined stops nothing."""
    # from Python 3.14 on no code of a notebook has that name
    names = "list(__annotations__)" if sys.version_info < (3, 14) else "['n', 'name']"
    model = make(parameters("n: int = 1\nname: str\nday: Day"), returns(f"{names}, n, name, day"))
    assert [*model(n=2, name="a", day="Monday")] == [["n", "name"], 2, "a", "Monday"]


def test_cells_look_back_at_what_was_shown(make):
    """``In``, ``Out``, ``_`` and the like have the numbers of "Restart and run all"."""
    passed = ["", cell("# text", kind="markdown"), cell("'not in a call'", "skip")]
    model = make(
        "1 + 1", *passed, "x = 5", "[_ * 10]", "_4, __, Out[1], In[2:4]", returns("_, ___, _i, sorted(Out)")
    )
    value = [[[20], 2, 2, ["", "x = 5"]], 2, "_4, __, Out[1], In[2:4]", [1, 4, 5]]
    assert json.loads(json.dumps(model())) == value


def test_a_name_of_the_history_may_be_the_models_own(make):
    """What a loop has left in ``_``, or ``Out`` as a variable, stays."""
    model = make("Out = 3\nfor _ in range(5):\n    pass", "'shown'", returns("_, Out"))
    assert [*model()] == [4, 3]


def test_name_and_file(make, write):
    """`__name__` is `__main__`, and `__file__` the notebook."""
    path = write("main = __name__ == '__main__'", returns("[main, __file__]"))
    assert list(make(path)()) == [True, str(path)]


def test_future_imports_carry_from_cell_to_cell_and_not_out(make):
    """`from __future__` holds for later cells of the Model only."""
    model = make(
        "from __future__ import annotations", "def f(x: undefined): pass", returns("f.__annotations__['x']")
    )
    assert model() == "undefined"
    with pytest.raises(CellError, match="undefined"):
        make("def f(x: undefined_name): pass\nf.__annotations__", returns("1"))()


# ----------------------------------------------------------- folder and files


def test_model_runs_in_its_own_folder_and_imports_the_modules_beside_it(make, write, tmp_path):
    """A Model in another folder reads the files and imports the modules beside it."""
    path = write(
        "import pathlib\nimport beside_the_contract",
        returns("[pathlib.Path('data.txt').read_text(), beside_the_contract.value]"),
        name="sub/m.ipynb",
    )
    (path.parent / "data.txt").write_text("text")
    (path.parent / "beside_the_contract.py").write_text("value = 7")
    assert list(make(path)()) == ["text", 7]


def test_cwd_says_otherwise(make, write, tmp_path):
    """`cwd=` is the folder of the call, and must exist."""
    path = write("import os", returns("os.getcwd()"), name="sub/m.ipynb")
    assert make(path, cwd=tmp_path)() == str(tmp_path)
    with pytest.raises(NotebookError, match="not a folder"):
        make(path, cwd=tmp_path / "none")


# -------------------------------------------------------------------- outputs


def test_run_collects_outputs_of_cells(make):
    """Text, errors, rich results and displays are nbformat outputs of their cells."""
    model = make(
        "import sys\nprint('a')\nprint('b')\nprint('c', file=sys.stderr)",
        cell("text", kind="markdown"),
        "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\n1 + 1",
        "2;",
        "3\nNone",
        returns("'end'"),
    )
    result = model.run()
    assert result.value == "end"
    assert [output["output_type"] for output in result.outputs[0]] == ["stream", "stream"]
    assert result.outputs[0][0] == {"output_type": "stream", "name": "stdout", "text": "a\nb\n"}
    assert result.outputs[0][1]["name"] == "stderr"
    assert result.outputs[1] == []
    assert result.outputs[2][0]["data"]["text/html"] == "<b>x</b>"
    assert result.outputs[2][1]["output_type"] == "execute_result"
    assert result.outputs[2][1]["data"]["text/plain"] == "2"
    assert result.outputs[3] == []
    assert result.outputs[4] == []
    assert result.outputs[5][0]["data"]["text/plain"] == "'end'"


def test_display_updates_and_clear_output(make):
    """`display_id` updates change what was shown; `clear_output` takes it away, at once or when more comes."""
    model = make(
        "from IPython.display import clear_output, display\nhandle = display('one', display_id='h')",
        "print('gone')\nclear_output()\nprint('kept')",
        "print('gone')\nclear_output(wait=True)\nprint('kept')",
        "handle.update('two')",
        returns("1"),
    )
    outputs = model.run().outputs
    assert outputs[0][0]["data"]["text/plain"] == "'two'"
    assert [output["text"] for output in outputs[1]] == ["kept\n"]
    assert [output["text"] for output in outputs[2]] == ["kept\n"]
    assert outputs[3] == []


def test_executed_copy_is_a_valid_notebook_and_the_same_function(make):
    """`result.notebook` holds the values at their assignments, and the outputs; called again it gives the same."""
    import nbformat

    model = make(
        cell("# Title", kind="markdown"),
        parameters("x = 1  # The x [mm]\ny = [1]\ndouble = x * 2"),
        "print(x)",
        returns("(double, y)"),
        "after",
    )
    result = model.run({"x": 2, "y": {3}})
    nbformat.validate(result.notebook)
    filled = result.notebook.cells[1]
    assert filled.metadata.tags == ["parameters"]
    assert filled.source == "x = 2  # The x [mm]\ny = {3}\ndouble = x * 2"
    assert result.notebook.cells[2].outputs[0].text == "2\n"
    assert [code.execution_count for code in result.notebook.cells[1:]] == [1, 2, 3, None]
    assert type(model)(result.notebook)() == result.value == (4, {3})


@pytest.mark.parametrize("fails", [False, True])
def test_a_saved_notebook_is_valid(make, tmp_path, fails):
    """Whatever the cells put out, and however the call ended, what is written is a notebook as Jupyter's own."""
    import nbformat

    model = make(
        cell("# Title", kind="markdown"),
        parameters("fails = False  # Whether"),
        "import sys\nprint('out')\nprint('err', file=sys.stderr)",
        "from IPython.display import HTML, JSON, clear_output, display\ndisplay(HTML('<b>b</b>'), JSON({'a': [1]}))",
        "class Rich:\n"
        "    def _repr_mimebundle_(self, **_):\n"
        "        return {'text/plain': 'p', 'image/png': b'\\x89PNG', 'application/x-own+json': {'a': 1}}, {'m': 1}\n"
        "display(Rich(), display_id='d')\nRich()",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])",
        cell("1 / 0", "raises-exception"),
        "1 / (not fails)",
        returns("1"),
        "after",
    )
    path = tmp_path / "saved.ipynb"
    with pytest.raises(CellError) if fails else contextlib.nullcontext():
        model.run({"fails": fails}, save=path)
    saved = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(saved)
    kinds = {output.output_type for code in saved.cells[1:] for output in code.outputs}
    assert kinds == {"stream", "display_data", "execute_result", "error"}


def test_a_failed_call_can_be_opened_as_a_notebook(make, tmp_path):
    """`error.save` writes the values, the outputs up to the failure, and its traceback in its place."""
    model = make(parameters("x = 1"), "print(x)", "1 / x", "print('never')", returns("x"))
    with pytest.raises(CellError) as caught:
        model.run({"x": 0})
    cells = json.loads(caught.value.save(tmp_path / "failed.ipynb").read_text())["cells"]
    assert cells[0]["source"] == "x = 0"
    assert [[output["output_type"] for output in each["outputs"]] for each in cells] == [
        [],
        ["stream"],
        ["error"],
        [],
        [],
    ]
    assert [each["execution_count"] for each in cells] == [1, 2, 3, None, None]
    assert cells[2]["outputs"][0]["ename"] == "ZeroDivisionError"
    with pytest.raises(CellError, match="cell 3, line 1: ZeroDivisionError"):
        type(model)(tmp_path / "failed.ipynb").execute()


def test_a_failed_call_that_was_not_recorded_can_be_opened_too(make, tmp_path):
    """After `execute` the saved notebook has the values and the traceback, also in another process."""
    model = make(parameters("x = 1"), "1 / x", returns("x"))
    with pytest.raises(CellError) as caught:
        model(x=0)
    crossed = pickle.loads(pickle.dumps(caught.value))
    for number, error in enumerate((caught.value, crossed)):
        cells = json.loads(error.save(tmp_path / f"{number}.ipynb").read_text())["cells"]
        assert cells[0]["source"] == "x = 0"
        assert cells[1]["outputs"][0]["ename"] == "ZeroDivisionError"


def test_a_call_that_took_too_long_can_be_opened_too(make, tmp_path):
    """Of a timeout, the cell that ran says that it was stopped."""
    model = make(parameters("x = 1"), "while x:\n    pass", returns("x"))
    with pytest.raises(ModelTimeout):
        model.run({"x": 2}, timeout=0.3, save=tmp_path / "late.ipynb")
    cells = json.loads((tmp_path / "late.ipynb").read_text())["cells"]
    assert cells[0]["source"] == "x = 2"
    assert cells[1]["outputs"][-1]["ename"] in ("ModelTimeout", "KeyboardInterrupt")


def test_saved_run_is_the_file_or_nothing(make, tmp_path):
    """`result.save` writes a notebook that can be read, and leaves nothing half-written."""
    result = make(parameters("x = 1"), returns("x")).run({"x": 2})
    path = result.save(tmp_path / "out.ipynb")
    assert json.loads(path.read_text())["nbformat"] == 4
    with pytest.raises(NotebookError, match="there is no folder"):
        result.save(tmp_path / "none" / "out.ipynb")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.ipynb"]


# --------------------------------------------------------------------- errors


def test_cell_error_says_where(make, write):
    """It carries notebook, cell, id, line, source line, name and value, and the run so far."""
    path = write(cell("text", kind="markdown"), "x = 1\nprint('before')\ny = x / 0  # here", returns("y"))
    with pytest.raises(CellError) as caught:
        make(path).run()
    error = caught.value
    assert (error.notebook, error.cell, error.cell_id, error.line) == (str(path), 2, "cell-1", 3)
    assert error.source_line == "y = x / 0  # here"
    assert (error.ename, error.evalue) == ("ZeroDivisionError", "division by zero")
    assert str(error) == f"{path}, cell 2, line 3: ZeroDivisionError: division by zero"
    assert error.result.outputs[1][0]["text"] == "before\n"
    assert error.result.outputs[1][1]["output_type"] == "error"
    assert error.result.error is error


def test_a_model_pickles(make, write):
    """A Model can go to another process: a file is read there, a node goes along; what was set is set."""
    cells = parameters("x = 1"), returns("x * 2")
    for model in (make(write(*cells), timeout=60), make(*cells, timeout=60)):
        assert model(x=1) == 2
        again = pickle.loads(pickle.dumps(model))
        assert again(x=21) == 42
        assert (type(again), again.name, again.timeout) == (type(model), model.name, 60)


def test_cell_error_pickles(make):
    """It crosses a process with everything but the namespace."""
    with pytest.raises(CellError) as caught:
        make("1 / 0", returns("1")).run()
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert (again.cell, again.line, again.ename) == (1, 1, "ZeroDivisionError")
    assert again.traceback == caught.value.traceback
    assert again.result.outputs == caught.value.result.outputs


def test_params_must_be_a_mapping(make):
    """Anything else is told at once."""
    with pytest.raises(TypeError, match="params must be a mapping"):
        make(parameters("x = 1"), returns("x")).execute([1])


def test_repr_of_a_model_whose_file_is_gone(make, write):
    """It still says which Model it is."""
    path = write(returns("1"))
    model = make(path)
    path.unlink()
    assert str(path) in repr(model)


def test_error_in_a_function_of_another_cell_names_both(make):
    """The cell that ran, and the one in which the function raised."""
    with pytest.raises(CellError) as caught:
        make("def f(x):\n    return 1 / x", "\nf(0)", returns("1"))()
    assert (caught.value.cell, caught.value.line) == (2, 2)
    assert "raised in f, cell 1, line 2" in str(caught.value)
    text = "\n".join(caught.value.traceback)
    assert "cell 2, line 2" in text
    assert "cell 1, line 2, in f" in text
    assert "----> 2     return 1 / x" in text
    assert "restified_magics" not in text


def test_error_of_several_tells_each_of_them(make):
    """An exception group, as of `asyncio.TaskGroup`, with the line of each member."""
    model = make(
        "import asyncio\nasync def fails():\n    return 1 / 0",
        "async with asyncio.TaskGroup() as group:\n    group.create_task(fails())",
    )
    with pytest.raises(CellError, match="1 sub-exception") as caught:
        model()
    assert caught.value.cell == 2
    text = "\n".join(caught.value.traceback)
    assert "return 1 / 0" in text
    assert "ZeroDivisionError: division by zero" in text


@pytest.mark.parametrize("source", ["x = 1\ny = = 2", "x = 1\nreturn x", "x = 1\nif x:\ny = 1"])
def test_syntax_error_has_the_right_cell_and_line(make, source):
    """A cell that is no Python raises when it is reached, at its line; cells before it have run."""
    model = make("print('ran')", source, returns("1"))
    with pytest.raises(CellError) as caught:
        model.run()
    assert (caught.value.cell, caught.value.ename in ("SyntaxError", "IndentationError")) == (2, True)
    assert caught.value.line in (2, 3)
    assert caught.value.result.outputs[0][0]["text"] == "ran\n"


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit(3)", "raise SystemExit('bye')", "exit()", "quit()", "exit", "\nquit\n"]
)
def test_exit_ends_the_call_and_not_the_caller(make, source):
    """`SystemExit` in a Model is a CellError."""
    with pytest.raises(CellError, match="SystemExit"):
        make(source, returns("1"))()


@pytest.mark.parametrize(
    "source",
    [
        "raise GeneratorExit('no more')",
        "import asyncio; await asyncio.sleep(0); raise GeneratorExit('no more')",
    ],
    ids=["plain", "awaits"],
)
def test_generator_exit_in_a_model_is_told_as_any_other_exception(make, source):
    """It is a CellError with its place, also for who awaits the call."""
    model = make(source, returns("1"))
    with pytest.raises(CellError, match="cell 1, line 1: GeneratorExit: no more"):
        model()
    with pytest.raises(CellError, match="cell 1, line 1: GeneratorExit: no more"):
        asyncio.run(model.execute_async())
    assert make(cell(source, "raises-exception"), returns("1"))() == 1


def test_exit_as_a_name_of_the_models_own(make):
    """Who assigns `exit` has a variable."""
    assert make("exit = 5", "exit", returns("exit"))() == 5


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none/out.ipynb", "there is no folder .*none to write it to. Make it first"),
        ("out.txt", r"ends in \.ipynb\. Write 'out\.txt\.ipynb'"),
        ("folder.ipynb", "is a folder. Write the notebook under another name"),
    ],
)
def test_where_a_call_cannot_be_saved(make, tmp_path, name, told):
    """It is told before the call begins, and by a Result and an error; nothing is written."""
    (tmp_path / "folder.ipynb").mkdir()
    ran = tmp_path / "ran"
    model = make(parameters("path = ''"), "open(path, 'w').close()", "1 / 0", returns("1"))
    with pytest.raises(NotebookError, match=told):
        model.run({"path": str(ran)}, save=tmp_path / name)
    assert not ran.exists()
    with pytest.raises(CellError) as caught:
        model.run({"path": str(ran)})
    for saved in (caught.value, caught.value.result):
        with pytest.raises(NotebookError, match=told):
            saved.save(tmp_path / name)
    assert sorted(each.name for each in tmp_path.iterdir() if each != ran) == ["folder.ipynb"]


def test_a_call_is_never_saved_over_its_model(make, write, tmp_path):
    """Its author has no other: by its name or a link, that is refused before the call, and after it too."""
    path = write(parameters("ran = ''\nx = 1"), "if ran:\n    open(ran, 'w').close()\n1 / x", returns("x"))
    before = path.read_bytes()
    (tmp_path / "soft.ipynb").symlink_to(path)
    (tmp_path / "hard.ipynb").hardlink_to(path)
    model = make(path)
    result = model.run({"x": 9})
    with pytest.raises(CellError) as caught:
        model.run({"x": 0})
    ran = tmp_path / "ran"
    for name in (path.name, "soft.ipynb", "hard.ipynb"):
        target = tmp_path / name
        for save in (
            lambda target=target: model.run({"ran": str(ran)}, save=target),
            lambda target=target: asyncio.run(model.run_async({"ran": str(ran)}, save=target)),
            lambda target=target: result.save(target),
            lambda target=target: caught.value.save(target),
        ):
            with pytest.raises(NotebookError, match="this is the notebook itself"):
                save()
    assert (ran.exists(), path.read_bytes()) == (False, before)


def test_input_is_a_clear_error(make):
    """Nobody is there to answer, and the error says what to do."""
    with pytest.raises(CellError, match="parameter"):
        make("name = input('Who? ')", returns("name"))()


@pytest.mark.parametrize(
    "ask", ["import getpass; getpass.getpass()", "from getpass import getpass; getpass('Key: ')"]
)
def test_a_password_is_not_asked_for(make, ask):
    """`getpass()` is as clear an error as `input()`, and asks again when the call has ended."""
    before = getpass.getpass
    with pytest.raises(CellError, match=r"getpass\(\) cannot be used in a Model.*Make it a parameter"):
        make(ask, returns("1"))()
    assert getpass.getpass is before


def test_unknown_magic_is_a_clear_error(make):
    """As in Jupyter: the magic's name is told."""
    with pytest.raises(CellError, match="no_such_magic"):
        make("%no_such_magic 1", returns("1"))()


def test_exception_whose_message_raises(make):
    """Even such an exception is reported."""
    source = "class Bad(Exception):\n    def __str__(self):\n        raise ValueError\nraise Bad"
    with pytest.raises(CellError, match="its message raised ValueError"):
        make(source, returns("1"))()


# ---------------------------------------------------------------------- time


@pytest.mark.parametrize("source", ["while True: pass", "import time; time.sleep(60)"])
def test_timeout_stops_the_main_thread(make, source):
    """Also out of a blocking call; and the Model is usable afterwards."""
    model = make(parameters("stuck = True"), f"if stuck:\n    {source}", returns("'done'"))
    with pytest.raises(ModelTimeout) as caught:
        model.execute({}, timeout=0.2)
    assert (caught.value.seconds, caught.value.cell, caught.value.stopped) == (0.2, 2, True)
    assert isinstance(caught.value, TimeoutError)
    assert model(stuck=False) == "done"


def test_timeout_stops_another_thread(make):
    """A loop in another thread is stopped by an exception raised there."""
    model = make("while True: pass", returns("1"))
    assert isinstance(_in_thread(lambda: model.execute(timeout=0.2)), ModelTimeout)


def test_timeout_of_an_awaiting_call(make):
    """`execute_async` is limited as well, while it awaits and while it computes."""
    for source in ("import asyncio\nawait asyncio.sleep(60)", "while True: pass"):
        model = make(source, returns("1"))
        with pytest.raises(ModelTimeout):
            asyncio.run(model.execute_async(timeout=0.2))


def test_code_that_swallows_the_interrupt_is_stopped_all_the_same(make):
    """A bare `except` does not outlive the timeout."""
    model = make(
        "n = 0\nwhile n < 3:\n    try:\n        while True: pass\n    except:\n        n += 1", returns("1")
    )
    with pytest.raises(ModelTimeout):
        model.execute(timeout=0.1)


@pytest.mark.parametrize(
    "source",
    [
        "import time\ntry:\n    time.sleep(60)\nexcept BaseException:\n    raise ValueError('broken off')",
        "%%bash\nsleep 60",
    ],
)
def test_code_that_makes_another_error_of_the_interrupt_has_run_out_of_time(make, source):
    """The call says that its time was up, and not what the cell made of that, as ``%%bash`` does."""
    with pytest.raises(ModelTimeout):
        make(source, returns("1")).execute(timeout=0.3)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_timeout_that_is_none_is_refused(make, timeout):
    """A limit that cannot be kept is an error and no silent default."""
    with pytest.raises(ValueError, match="timeout"):
        make(returns("1")).execute(timeout=timeout)


# --------------------------------------------------------------------- await


def test_top_level_await(make):
    """Works from plain code, from a coroutine, and from inside a running loop."""
    model = make(
        "import asyncio",
        parameters("n = 2"),
        "task = asyncio.ensure_future(asyncio.sleep(0, n * 2))",
        "value = await task",
        returns("value + await asyncio.sleep(0, 1)"),
    )
    assert model() == 5
    assert asyncio.run(model.execute_async({"n": 3})) == 7

    async def blocking():
        return model(n=4)

    assert asyncio.run(blocking()) == 9


def test_error_in_an_awaiting_cell_tells_nothing_of_the_event_loop(make):
    """Its traceback is that of the cell, with no cause that is not the Model's."""
    model = make("import asyncio\nasync with asyncio.timeout(0):\n    await asyncio.Event().wait()")
    with pytest.raises(CellError) as caught:
        model()
    text = "\n".join(caught.value.traceback)
    assert "TimeoutError" in text
    assert "RuntimeError" not in text


def test_cancelling_the_awaiting_task_cancels_the_call(make, tmp_path):
    """The Model's await is cancelled, its `finally` runs, and CancelledError comes through."""
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    model = make(
        parameters("begun = None\nended = None"),
        "import asyncio\ntry:\n    begun.touch()\n    await asyncio.sleep(60)\nfinally:\n    ended.touch()",
        returns("1"),
    )

    async def cancelled():
        task = asyncio.create_task(model.execute_async({"begun": begun, "ended": ended}))
        while not begun.exists():
            await asyncio.sleep(0.001)
        assert not ended.exists()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert ended.exists()


# ------------------------------------------------------------------- versions


def test_an_edited_file_is_live(make, write):
    """The next call uses the new version, with its parameters."""
    path = write(parameters("x = 1"), returns("x"))
    model = make(path)
    assert model() == 1
    write(parameters("x = 1\ny = 2"), returns("[x, y]"))
    assert list(model(y=3)) == [1, 3]
    assert list(model.parameters) == ["x", "y"]


def test_versions_written_in_the_same_tick_are_told_apart(make, tmp_path):
    """Two versions of the same size within the clock of the file system."""
    path = tmp_path / "model.ipynb"
    model = None
    for value in range(5):
        path.write_text(json.dumps(node(returns(str(value)))))
        model = model or make(path)
        assert model() == value


def test_half_written_file_is_a_clear_error_and_no_mixture(make, write):
    """While an editor writes the file, a call says so; then it goes on with the new version."""
    path = write(returns("1"))
    model = make(path)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(NotebookError, match="cut off or half written"):
        model()
    path.write_text(whole.replace('"1"', '"2"'))
    assert model() == 2


# ------------------------------------------------------------------- threads


def test_dozens_of_threads_call_one_model(make):
    """Every one gets its own answer."""
    model = make(parameters("n = 0"), "total = 0\nfor k in range(200):\n    total += n", returns("total"))
    values: dict[int, object] = {}
    threads = [threading.Thread(target=lambda n=n: values.update({n: model(n=n)})) for n in range(48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == {n: 200 * n for n in range(48)}


def test_two_runs_at_once_keep_their_outputs_apart(make, tmp_path):
    """Also what threads print that the cells start."""
    model = make(
        parameters("name = ''\nfolder = None"),
        "import time\n(folder / name).touch()\nwhile len(list(folder.iterdir())) < 2:\n    time.sleep(0.001)",
        "print(name, 'main')",
        "import threading\nthread = threading.Thread(target=lambda: print(name, 'thread'))\nthread.start(); thread.join()",
        returns("name"),
    )
    results: dict[str, object] = {}

    def call(name):
        results[name] = model.run({"name": name, "folder": tmp_path})

    threads = [threading.Thread(target=call, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in "ab":
        assert results[name].outputs[2][0]["text"] == f"{name} main\n"
        assert results[name].outputs[3][0]["text"] == f"{name} thread\n"


def _in_thread(function):
    outcome = []

    def run():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return outcome[0]
