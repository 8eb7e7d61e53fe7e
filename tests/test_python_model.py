"""What is particular to calls in this process: scopes, magics, figures, what a process has once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import pathlib
import pickle
import pydoc
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref

import IPython
import pytest
from conftest import cell, node, parameters, returns
from rest_server import is_running

from restified_magics import CellError, ModelTimeout, ParameterError, PythonModel, execute_notebook
from restified_magics.errors import ModelRecursionError


def model(*cells, **options):
    return PythonModel(node(*cells), **options)


# -------------------------------------------------------------------- objects


def test_objects_are_handed_over_as_they_are():
    """In one process a value is a Python object, in and out."""
    thing = object()
    assert model(parameters("x = None"), returns("x"))(x=thing) is thing


def test_signature_help_and_display(write):
    """`inspect.signature`, `help` and the display in a notebook tell what the Model is."""
    path = write(
        cell("# Area of a rectangle\n\nWidth times height.", kind="markdown"),
        parameters("width: float  # Width [mm] (0..10)\nheight = 2\nlabel = str(height)"),
        cell("1", "skip"),
        returns("width * height"),
        name="area.ipynb",
    )
    area = PythonModel(path)
    signature = inspect.signature(area)
    assert list(signature.parameters) == ["width", "height", "label"]
    assert signature.parameters["width"].default is inspect.Parameter.empty
    assert signature.parameters["height"].default == 2
    assert "label='" not in str(signature)
    assert "label=str(height)" in str(signature)
    signature.bind(width=1)
    text = pydoc.plain(pydoc.render_doc(area))
    for expected in ("Area of a rectangle", "Width times height.", "width: float", "Width [mm]", "cell 4"):
        assert expected in text
    html = area._repr_html_()
    assert "<code>width * height</code>" in html
    assert "skip" in html


def test_html_of_a_notebook_is_escaped():
    """What stands in a notebook is text in the display of the Model."""
    html = model(
        cell("# <script>alert(1)</script>", kind="markdown"), parameters("x = '<b>'"), returns("x")
    )._repr_html_()
    assert "<script>" not in html
    assert "<b>'" not in html


def test_html_of_a_notebook_without_a_value():
    """What messages have in backticks is shown as code, and nothing else is."""
    html = model(parameters("x = 1"), "x")._repr_html_()
    assert "<p>Returns <code>None</code>, since no cell has the tag <code>return</code></p>" in html
    assert "`" not in html


def test_execute_notebook_takes_a_dict():
    """Values by name are told where they belong."""
    with pytest.raises(
        TypeError, match=r"execute_notebook takes values in a dict, as in \{'x': 2, 'y': 'a'\}"
    ):
        execute_notebook(node(returns("1")), x=2, y="a")


def test_execute_notebook(write):
    """One call, with the options of a Model."""
    path = write(parameters("x = 1"), returns("x"))
    assert execute_notebook(path, {"x": 2}) == 2
    with pytest.raises(ModelTimeout):
        execute_notebook(node("while True: pass", returns("1")), timeout=0.1)


def test_free_names_are_found_without_running_anything():
    """What the cells use and nothing in them defines; order counts at top level, not in functions."""
    found = model(
        "import math\nfrom os import path",
        parameters("required: int\nmath.floor(required)"),
        "def f(a):\n    b = a + later + free_in_function\n    return [c for c in b]",
        "early",
        "early = later = 1\nfor i in range(3): print(i, display, get_ipython)",
        "class C:\n    x = 1\n    y = x + free_in_class",
        "%%time\nin_magic = 1",
        "%%capture captured\n1",
        "captured",
        "in_magic + __name__ * _",
        "def g():\n    global declared\n    declared = 1",
        "g(); declared",
        "with open(path) as h, free_in_with as k: k",
        "try: 1\nexcept OSError as e: print(e)",
        returns("math.pi"),
        "after_the_return",
    ).free_names
    assert found == ("early", "free_in_class", "free_in_function", "free_in_with")


@pytest.mark.parametrize(
    "brings",
    [
        "from math import *",
        "try:\n    from math import *\nexcept ImportError: pass",
        "%pylab inline",
        "1\n%run helper.py",
        "run helper.py",
        "%load_ext my_extension",
        "%%time\nfrom math import *",
        "%%capture\n%run helper.py",
        "def load():\n    get_ipython().run_line_magic('run', 'helper.py')\nload()",
    ],
)
def test_what_may_bring_any_name_leaves_no_later_name_free(brings):
    """After a star import or `%run` it is not certain that a name is free, and before it is."""
    cells = ("early", "def f(): return in_function", brings, "f() + later", returns("sin(x)"))
    assert model(*cells).free_names == ("early",)


@pytest.mark.parametrize("other", ["%load_ext autoreload\n%autoreload 2", "%matplotlib inline", "x = '*'"])
def test_other_magics_leave_names_free(other):
    """What brings no names makes none uncertain."""
    assert model(other, returns("sin(1)")).free_names == ("sin",)


# --------------------------------------------------------------------- scopes


def test_plain_python_is_isolated():
    """Only the parameters and builtins are visible, and the caller's `__main__` is not touched."""
    sys.modules["__main__"].a_name_of_main = 1
    try:
        with pytest.raises(CellError, match="a_name_of_main"):
            model(returns("a_name_of_main"))()
    finally:
        del sys.modules["__main__"].a_name_of_main
    with pytest.raises(RuntimeError, match="needs a running IPython"):
        model(returns("1"), scope="view")()


def test_scope_view_sees_the_views_names_and_leaves_them(ip):
    """The Model can use what the View has; nothing that it assigns reaches the View."""
    ip.user_ns.update(data=[1, 2], name="view")
    caller = model("name = 'model'\nnew = 1", "def f(): return name", returns("[sum(data), f()]"))
    assert caller() == [3, "model"]
    assert ip.user_ns["name"] == "view"
    assert "new" not in ip.user_ns
    assert caller.free_names == ("data",)


def test_scope_share_runs_in_the_views_namespace(ip):
    """As with `%run -i`."""
    ip.user_ns.update(x=1)
    assert model("y = x + 1", returns("y"), scope="share")() == 2
    assert ip.user_ns["y"] == 2


def test_scope_isolated_hides_the_view(ip):
    """Also in a running IPython, when asked for."""
    ip.user_ns.update(x=1)
    with pytest.raises(CellError, match="'x' is not defined"):
        model(returns("x"), scope="isolated")()


def test_unknown_scope_is_refused():
    """With the scopes that there are."""
    with pytest.raises(ValueError, match="'view', 'share', 'isolated'"):
        model(returns("1"), scope="global")


# --------------------------------------------------------------------- magics


def test_magics_see_and_set_the_models_names():
    """Line and cell magics work in plain Python, on the Model's own names."""
    made = model(
        parameters("n = 3"),
        "%time squares = [k * k for k in range(n)]",
        "%%time\ntotal = sum(squares)",
        "%%capture captured\nprint('hidden')",
        "where = %pwd\nlines = !echo one; echo two",
        "!echo {n} $n",
        "%timeit -n1 -r1 n + 1",
        "%matplotlib inline",
        returns("[total, captured.stdout, list(lines), squares]"),
    )
    result = made.run({"n": 4})
    assert result.value == [14, "hidden\n", ["one", "two"], [0, 1, 4, 9]]
    assert "4 4" in result.outputs[5][0]["text"]


def test_lines_after_a_continued_magic_keep_their_numbers():
    """IPython makes one line of a magic that a backslash continues; what follows is where it was."""
    made = model(parameters("!echo one \\\n  two\nx = 1"), "%time y = 1 + \\\n  1\n\n1 / x", returns("y"))
    assert made.run({"x": 2}).outputs[0][0]["text"].split() == ["one", "two"]
    with pytest.raises(CellError) as caught:
        made(x=0)
    assert (caught.value.cell, caught.value.line) == (2, 4)


def test_magics_do_not_touch_the_view(ip):
    """In a session the shell works on the Model's names during the call, and on the View's afterwards."""
    ip.user_ns.update(x="view")
    before = ip.user_ns, ip.user_module, sys.modules["__main__"]
    assert model("%time x = 'model'", "%%capture\ny = x", returns("[x, y]"))() == ["model", "model"]
    assert (ip.user_ns, ip.user_module, sys.modules["__main__"]) == before
    assert ip.user_ns["x"] == "view"
    assert "y" not in ip.user_ns


def test_bash_cell_and_run(write, tmp_path, capfd):
    """`%%bash` prints, `%run` brings the names of a script."""
    (tmp_path / "script.py").write_text("from_script = 5\n")
    path = write("%%bash\necho from bash", "%run script.py", returns("from_script"))
    result = PythonModel(path).run()
    assert result.value == 5
    assert result.outputs[0][0]["text"] == "from bash\n"


def test_capture_does_not_hide_an_error():
    """`%%capture` keeps what a cell prints, and IPython's also its exception: that one is raised."""
    made = model("%%capture kept\nprint('x')\n1 / 0", returns("1"))
    with pytest.raises(CellError, match="ZeroDivisionError") as caught:
        made()
    assert caught.value.cell == 1


def test_cell_of_one_line_may_call_a_magic_without_percent(tmp_path):
    """As in Jupyter, as long as no variable has that name."""
    here = model("pwd", "where = %pwd", returns("where"), cwd=tmp_path)
    assert here() == str(tmp_path)
    assert str(tmp_path) in here.run().outputs[0][0]["data"]["text/plain"]
    assert model("pwd = 3", "pwd", returns("pwd"))() == 3
    assert "x" in model("x = 1", "who", returns("1")).run().outputs[1][0]["text"]


def test_private_shell_is_seen_by_calls_only():
    """Plain Python stays plain: no shell is running before or after a Model that used one."""
    code = """
        import sys
        from restified_magics import PythonModel
        main, hook = sys.modules["__main__"], sys.displayhook
        model = PythonModel({"nbformat": 4, "cells": [
            {"cell_type": "code", "metadata": {"tags": ["return"]}, "source": "%time 1 + 1"}]})
        model.run()
        from IPython import get_ipython
        assert get_ipython() is None
        assert sys.modules["__main__"] is main and sys.displayhook is hook
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_private_shell_writes_nothing_into_the_home(tmp_path):
    """Nobody types in it, so it has no history and no profile."""
    code = """
        from restified_magics import PythonModel
        PythonModel({"nbformat": 4, "cells": [
            {"cell_type": "code", "metadata": {"tags": ["return"]}, "source": "%time 1 + 1"}]}).run()
    """
    environment = {**os.environ, "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    environment.pop("IPYTHONDIR")
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, env=environment)
    assert list(tmp_path.rglob("*")) == []


# -------------------------------------------------------------------- outputs


def test_execute_prints_where_the_caller_prints(capsys):
    """At once; values of bare expressions are not echoed."""
    assert (
        model("print('out')\n'not echoed'", "import sys; print('err', file=sys.stderr)", returns("1"))() == 1
    )
    assert capsys.readouterr() == ("out\n", "err\n")


def test_run_prints_nothing(capsys):
    """Everything is in the Result; streams are as they were."""
    streams = sys.stdout, sys.stderr
    model("print('x')\nimport sys\nsys.stdout.buffer.write(b'bytes')", returns("1")).run()
    assert capsys.readouterr() == ("", "")
    assert (sys.stdout, sys.stderr) == streams


def test_run_with_echo_does_both(capsys, write):
    """Outputs are in the Result, and go at once where they would go without being recorded."""
    result = model("print('x')\n'not echoed'", returns("1")).run(echo=True)
    assert capsys.readouterr().out == "x\n"
    assert [output["output_type"] for output in result.outputs[0]] == ["stream", "execute_result"]
    inner = write("print('inner')", returns("1"), name="inner.ipynb")
    source = f"from restified_magics import PythonModel\nPythonModel({str(inner)!r}).run(echo=True).outputs[0][0]['text']"
    outer = model(source, returns("1")).run()
    assert outer.outputs[0][0] == {"output_type": "stream", "name": "stdout", "text": "inner\n"}
    assert "inner" in outer.outputs[0][1]["data"]["text/plain"]
    assert capsys.readouterr().out == ""


def test_display_in_a_session_goes_to_the_session(ip):
    """`display` inside a call of a View shows in the View."""
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        model("display('shown')\nprint('printed')", returns("1"))()
    assert captured.outputs[0].data["text/plain"] == "'shown'"
    assert captured.stdout == "printed\n"


def test_underscore_is_the_last_value():
    """As in Jupyter, unless the Model uses that name itself."""
    assert model("41", "_ + 1", returns("_ + 1"))() == 43
    assert model("_ = 'mine'", "41", returns("_"))() == "mine"


def test_nested_outputs_belong_to_the_outer_run(write):
    """What a Model prints that a Model calls, is output of the cell that called it."""
    write("print('inner')", returns("1"), name="inner.ipynb")
    path = write(
        "from restified_magics import PythonModel\nvalue = PythonModel('inner.ipynb')()\nprint('outer')",
        returns("value"),
    )
    result = PythonModel(path).run()
    assert result.outputs[0] == [{"output_type": "stream", "name": "stdout", "text": "inner\nouter\n"}]


def test_warnings_name_the_notebooks_line(write):
    """A warning points to the cell and line that gave it."""
    path = write("\nimport warnings\nwarnings.warn('careful')", returns("1"))
    with pytest.warns(UserWarning, match="careful") as caught:
        PythonModel(path)()
    assert (caught[0].filename, caught[0].lineno) == (f"{path}, cell 1", 3)


# -------------------------------------------------------------------- figures


FIGURE = "import matplotlib.pyplot as plt\nfigure = plt.figure()\nplt.plot([1, 2])\nNone"


def test_figures_are_shown_once_and_closed():
    """In a run each open figure is a display of the cell that made it; none stays open."""
    plt = pytest.importorskip("matplotlib.pyplot")
    result = model(FIGURE, "print('after')", "plt.figure()", returns("len(plt.get_fignums())")).run()
    assert [sorted(output["data"]) for output in result.outputs[0]] == [["image/png", "text/plain"]]
    assert result.outputs[1] == [{"output_type": "stream", "name": "stdout", "text": "after\n"}]
    assert len(result.outputs[2]) == 1
    assert result.value == 0
    assert plt.get_fignums() == []


def test_show_shows_and_closes_at_once_as_in_jupyter():
    """Between what is printed before and after; what is drawn next is another figure."""
    model = PythonModel(
        node(
            "import matplotlib.pyplot as plt\nfor n in range(2):\n    plt.plot([n])\n    plt.show()\n    print(n)",
            "plt.plot([3])\nlines = len(plt.gca().lines)",
            returns("lines"),
        )
    )
    result = model.run()
    kinds = [[output["output_type"] for output in outputs] for outputs in result.outputs]
    assert kinds == [["display_data", "stream"] * 2, ["display_data"], ["execute_result"]]
    assert result.value == model() == 1


def test_a_returned_figure_can_be_used():
    """It is closed for pyplot, and still a figure."""
    pytest.importorskip("matplotlib")
    figure = model(FIGURE, returns("figure"))()
    assert len(figure.axes) == 1


def test_figures_of_model_and_view_are_apart():
    """A Model does not draw into a figure that its caller has open, nor close it."""
    plt = pytest.importorskip("matplotlib.pyplot")
    mine = plt.figure()
    try:
        model("import matplotlib.pyplot as plt\nplt.plot([1])\nplt.close('all')", returns("1"))()
        assert plt.get_fignums() == [mine.number]
        assert mine.axes == []
        assert plt.gcf() is mine
    finally:
        plt.close(mine)


def test_figures_of_first_calls_never_mix():
    """Not even where the calls are those that import pyplot, in a process that had none of it."""
    program = """
import sys, threading
from restified_magics import PythonModel
cells = [
    {"cell_type": "code", "metadata": {"tags": tags}, "outputs": [], "source": source}
    for tags, source in (
        (["parameters"], "n = 1\\nbarrier = None"),
        ([], "import matplotlib.pyplot as plt\\nbarrier.wait()\\nfor _ in range(n): plt.figure()\\n_ = barrier.wait()"),
    )
]
model = PythonModel({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4})
barrier, shown = threading.Barrier(3), {}

def call(n):
    shown[n] = len(model.run({"n": n, "barrier": barrier}).outputs[1])

threads = [threading.Thread(target=call, args=(n,)) for n in (1, 2, 3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(shown == {1: 1, 2: 2, 3: 3} or shown)
import matplotlib.pyplot as plt
print(plt.get_fignums(), [finder for finder in sys.meta_path if "restified" in type(finder).__module__])
"""
    environ = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environ
    )
    assert done.stdout == "True\n[] []\n", done.stderr


def test_figures_of_two_calls_at_once_never_mix():
    """Each thread has its own current figure, though pyplot keeps one for the process."""
    pytest.importorskip("matplotlib.pyplot")
    made = model(
        parameters("n = 0\nbarrier = None"),
        "import matplotlib.pyplot as plt\nplt.figure()\nbarrier.wait()\nfor k in range(n): plt.plot([k])\nbarrier.wait()\n"
        "lines = len(plt.gca().lines)",
        returns("lines"),
    )
    barrier = threading.Barrier(2)
    values = {}
    threads = [
        threading.Thread(target=lambda n=n: values.update({n: made(n=n, barrier=barrier)})) for n in (1, 5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values == {1: 1, 5: 5}


# ----------------------------------------------- what a process has only once


def _state():
    return os.getcwd(), list(sys.path), list(sys.argv), sys.modules["__main__"], sys.stdout, sys.stderr


TOUCH = (
    "import io, os, sys\nclass Own: pass\nos.chdir('..')\nsys.path.append('x')\nsys.argv[:] = ['other']\n"
    "sys.stdout = io.StringIO()"
)


@pytest.mark.parametrize("ending", ["1", "1 / 0", "import time; time.sleep(60)", "raise KeyboardInterrupt"])
def test_what_a_call_touches_is_put_back(write, ending):
    """After success, error, timeout and interrupt alike."""
    path = write(TOUCH, ending, returns("1"), name="sub/m.ipynb")
    before = _state()
    try:
        PythonModel(path).execute(timeout=0.3)
    except (CellError, ModelTimeout, KeyboardInterrupt):
        assert ending != "1"
    assert _state() == before


def test_keyboard_interrupt_comes_through_as_itself():
    """It is the caller's, not the Model's error."""
    with pytest.raises(KeyboardInterrupt):
        model("raise KeyboardInterrupt", returns("1"))()


def test_same_module_name_in_two_folders(write):
    """Each Model gets the module that lies beside it, as in a kernel of its own."""
    for name in ("a", "b"):
        path = write("import twin_helper", returns("twin_helper.where"), name=f"{name}/m.ipynb")
        (path.parent / "twin_helper.py").write_text(f"where = {name!r}")
    first, second = (PythonModel(path.parent.parent / name / "m.ipynb") for name in ("a", "b"))
    assert [first(), second(), first()] == ["a", "b", "a"]


def test_pickle_dataclasses_and_type_hints_inside_a_call():
    """Classes of the Model are found in `__main__`, as in Jupyter."""
    made = model(
        "from __future__ import annotations\nimport dataclasses, pickle, typing",
        "@dataclasses.dataclass\nclass Point:\n    kind: typing.ClassVar[str] = 'p'\n    x: int = 0\n    other: Point | None = None",
        "again = pickle.loads(pickle.dumps(Point(3)))",
        returns("[again.x, sorted(typing.get_type_hints(Point)), len(dataclasses.fields(Point))]"),
    )
    assert made() == [3, ["kind", "other", "x"], 2]


class Mine:
    """A class of the caller."""


def test_the_callers_classes_still_pickle_afterwards(ip, run):
    """`__main__` is the View's again."""
    run("class Of:\n    pass")
    model("class Of: pass\nimport pickle; pickle.dumps(Of())", returns("1"))()
    assert isinstance(pickle.loads(pickle.dumps(ip.user_ns["Of"]())), ip.user_ns["Of"])
    assert isinstance(pickle.loads(pickle.dumps(Mine())), Mine)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_multiprocessing_by_fork_inside_a_call():
    """Functions of the Model work in a pool."""
    made = model(
        "import multiprocessing",
        "def square(k):\n    return k * k",
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n    values = pool.map(square, range(4))",
        returns("values"),
    )
    assert made() == [0, 1, 4, 9]


def test_joblib_inside_a_call():
    """Functions of the Model work in joblib's processes."""
    made = model(
        "from joblib import Parallel, delayed",
        "def square(k):\n    return k * k",
        returns("Parallel(n_jobs=2)(delayed(square)(k) for k in range(4))"),
    )
    assert made() == [0, 1, 4, 9]


def test_spawned_processes_do_not_run_the_notebook_as_a_script(write):
    """multiprocessing's other start methods import `__main__` by its file, which here is no script."""
    made = write(
        "import math, multiprocessing",
        "with multiprocessing.get_context('spawn').Pool(1) as pool:\n    values = pool.map(math.sqrt, [4])",
        returns("values"),
    )
    assert PythonModel(made)() == [2.0]


# --------------------------------------------------------------------- nested


def test_nested_paths_start_at_the_calling_notebook(write, tmp_path):
    """Wherever the process is."""
    write(returns("'inner'"), name="sub/deep/inner.ipynb")
    outer = write(
        "from restified_magics import PythonModel",
        returns("PythonModel('deep/inner.ipynb')()"),
        name="sub/o.ipynb",
    )
    assert PythonModel(outer)() == "inner"
    assert PythonModel(outer, cwd=tmp_path)() == "inner"


def test_error_in_a_nested_model_names_both_notebooks(write):
    """And shows the inner traceback first."""
    inner = write("\n1 / 0", name="inner.ipynb")
    outer = write(
        "from restified_magics import PythonModel\nPythonModel('inner.ipynb')()", name="outer.ipynb"
    )
    with pytest.raises(CellError) as caught:
        PythonModel(outer)()
    message = str(caught.value)
    assert f"{outer}, cell 1, line 2" in message
    assert "inner.ipynb, cell 1, line 2: ZeroDivisionError" in message
    text = "\n".join(caught.value.traceback)
    assert text.index("inner.ipynb, cell 1, line 2") < text.index(f"{outer}, cell 1, line 2")
    assert isinstance(caught.value.__cause__, CellError)
    assert isinstance(caught.value.__cause__.__cause__, ZeroDivisionError)
    assert str(inner.parent) in text


def test_models_that_call_themselves_end_in_a_clear_error(write):
    """It names the chain, and is no CellError a hundred levels deep."""
    path = write("from restified_magics import PythonModel\nPythonModel('model.ipynb')()")
    with pytest.raises(RecursionError, match=r"model\.ipynb → model\.ipynb") as caught:
        PythonModel(path)()
    assert isinstance(caught.value, ModelRecursionError)


def test_recursion_of_models_that_ends_is_fine(write):
    """A Model may call itself with other parameters."""
    path = write(
        parameters("n = 5"),
        "from restified_magics import PythonModel",
        returns("1 if n < 2 else n * PythonModel('model.ipynb')(n=n - 1)"),
    )
    assert PythonModel(path)() == 120


# -------------------------------------------------------------------- threads


def _all(*functions):
    outcomes = [None] * len(functions)

    def call(index, function):
        try:
            outcomes[index] = function()
        except BaseException as error:
            outcomes[index] = error

    threads = [threading.Thread(target=call, args=each, daemon=True) for each in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a deadlock"
    return outcomes


def test_calls_in_different_folders_wait_for_each_other(write):
    """Each sees its own folder for all of its time, though the process has one."""
    source = "import os, time\nfirst = os.getcwd()\nfor _ in range(50):\n    time.sleep(0.0002)\n    assert os.getcwd() == first"
    paths = [write(source, returns("os.path.basename(first)"), name=f"{name}/m.ipynb") for name in "abc"]
    models = [PythonModel(path) for path in paths] * 8
    assert _all(*models) == list("abc") * 8


def test_calls_in_one_folder_run_side_by_side(write):
    """They need the same, so that neither waits for the other: else the barrier would break."""
    path = write(parameters("barrier = None"), "barrier.wait(30)", returns("1"))
    barrier = threading.Barrier(2)
    call = PythonModel(path)
    assert _all(lambda: call(barrier=barrier), lambda: call(barrier=barrier)) == [1, 1]


def test_nested_calls_in_threads_never_deadlock(write):
    """Calls that hold a folder and call into another one, crosswise, from many threads."""
    for name, other in (("a", "b"), ("b", "a")):
        write("class Own: pass", returns("__file__"), name=f"{name}/leaf.ipynb")
        write(
            "from restified_magics import PythonModel\nimport os",
            f"value = PythonModel('../{other}/leaf.ipynb')()",
            returns("[os.path.basename(os.getcwd()), os.path.basename(os.path.dirname(value))]"),
            name=f"{name}/outer.ipynb",
        )
    path = write(returns("1"), name="x.ipynb").parent
    models = [PythonModel(path / name / "outer.ipynb") for name in "ab"] * 8
    assert _all(*models) == [["a", "b"], ["b", "a"]] * 8


def test_nested_calls_from_threads_of_a_model(write):
    """A Model that waits for threads which call a Model in another folder."""
    write(parameters("n = 0"), "class Own: pass", returns("n * 2"), name="other/leaf.ipynb")
    path = write(
        "from concurrent.futures import ThreadPoolExecutor\nfrom restified_magics import PythonModel",
        "leaf = PythonModel('other/leaf.ipynb')\nwith ThreadPoolExecutor(4) as pool:\n"
        "    values = list(pool.map(lambda n: leaf(n=n), range(8)))",
        returns("values"),
    )
    assert _all(PythonModel(path)) == [[2 * n for n in range(8)]]


def test_awaited_calls_in_different_folders_on_one_loop(write):
    """They wait for each other without blocking the loop, also for a call inside one of them."""
    source = "import os, asyncio\nfor _ in range(5):\n    await asyncio.sleep(0)\n    assert os.path.basename(os.getcwd()) == where"
    models = [
        PythonModel(write(f"where = {name!r}", source, returns("where"), name=f"{name}/m.ipynb"))
        for name in "abc"
    ]

    async def gather():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        values = await asyncio.gather(*[each.execute_async() for each in models * 3])
        ticking.cancel()
        return values, ticks

    values, ticks = asyncio.run(gather())
    assert values == list("abc") * 3
    assert ticks > 10


def test_plain_call_on_the_loop_while_an_awaited_one_waits(write):
    """A call that blocks the thread of a loop cannot wait for a call that this loop runs."""
    slow = PythonModel(
        write(
            "import asyncio\nawait asyncio.sleep(0.05)\nimport os", returns("os.getcwd()"), name="a/m.ipynb"
        )
    )
    quick = PythonModel(write("import os", returns("os.getcwd()"), name="b/m.ipynb"))

    async def both():
        task = asyncio.create_task(slow.execute_async())
        await asyncio.sleep(0.01)
        return quick(), await task

    there, here = asyncio.run(both())
    assert (os.path.basename(there), os.path.basename(here)) == ("b", "a")


def test_thread_blocked_in_c_is_let_go():
    """The call ends as timed out and says so; what the thread still does reaches nobody; nothing is locked."""
    release = threading.Event()
    printed = threading.Event()
    blocked = model(
        parameters("release = None\nprinted = None"),
        "import ctypes, os, time\nclass Own: pass\nprint('before')\n"
        "while not release.is_set():\n    ctypes.CDLL(None).usleep(3_000_000)",
        returns("1"),
    )
    outcome = []

    def call():
        try:
            blocked.run({"release": release, "printed": printed}, timeout=0.2)
        except ModelTimeout as error:
            outcome.append(error)

    if sys.platform == "win32":
        pytest.skip("usleep is a function of POSIX")
    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    assert outcome[0].stopped is False
    assert "left to itself" in str(outcome[0])
    assert outcome[0].result.outputs[1] == [{"output_type": "stream", "name": "stdout", "text": "before\n"}]
    assert model("class Own: pass", returns("Own.__name__"))() == "Own"
    release.set()
    for left in threading.enumerate():
        if left.name == "restified-call":
            left.join(30)
    assert type(sys.stdout).__module__ != "restified_magics.in_process.capture"


# ------------------------------------------------------------- IPython's view


def test_ipython_shows_a_short_traceback(ip, run, write, capsys):
    """The Model's own frames and source lines, and none of this package."""
    path = write("def f(x):\n    return 1 / x", "f(0)  # the call")
    ip.user_ns["made"] = PythonModel(path)
    with pytest.raises(CellError):
        run("made()")
    shown = capsys.readouterr().out
    assert f"{path}, cell 2, line 1" in shown
    assert "f(0)  # the call" in shown
    assert f"{path}, cell 1, line 2, in f" in shown
    assert "ZeroDivisionError: division by zero" in shown
    assert "python_model.py" not in shown


def test_ipython_shows_other_errors_by_the_callers_line(ip, run, write, capsys):
    """The call that was wrong and the message, without a frame of this package or a chain of causes."""
    ip.user_ns["made"] = PythonModel(write("while True: pass", returns("1")))
    for source in ("made(x=1)", "made.execute(timeout=0.05)", "type(made)('none.ipynb')"):
        ip.run_cell(source, store_history=True)
        shown = capsys.readouterr().out
        assert f"----> 1 {source}" in shown
        assert "restified_magics/" not in shown
        assert "FileNotFoundError" not in shown
        assert len(shown.splitlines()) < 8


def test_debug_lands_in_the_models_frame(ip, write):
    """`%debug` after a failed call stands where the Model failed."""
    ip.user_ns["made"] = PythonModel(write("def f(x):\n    inside = 'here'\n    return 1 / x", "f(0)"))
    ip.run_cell("made()", silent=True)
    found = sys.last_value.__traceback__
    while found.tb_next is not None:
        found = found.tb_next
    assert found.tb_frame.f_locals["inside"] == "here"


# --------------------------------------------------------------------- memory


def test_calls_leave_nothing_behind():
    """What a call made is gone when it has ended, without waiting for the garbage collector to be lucky."""
    made = model("class Thing: pass\nthing = Thing()", returns("thing"))
    left = weakref.ref(made())
    gc.collect()
    assert left() is None


def test_old_versions_are_forgotten(write):
    """An edited notebook leaves no source lines of its former versions."""
    import linecache

    path = write(returns("0"))
    made = PythonModel(path)
    for value in range(20):
        write(returns(f"[{value}] * {value + 1}"))
        made()
    gc.collect()
    assert len([name for name in linecache.cache if str(path) in name]) <= 2


def test_lines_of_an_edited_cell_are_those_that_ran(write):
    """A function of the old version shows the old lines, when the file has changed meanwhile."""
    path = write("def f():\n    return 1 / 0  # old", returns("f"))
    made = PythonModel(path)
    old = made()
    write("def f():\n    return 2 / 0  # new, and longer", returns("f"))
    new = made()
    assert "# old" in inspect.getsource(old)
    assert "# new" in inspect.getsource(new)


def test_an_edited_cell_has_no_other_name(write):
    """Warnings and tracebacks of a later version name the cell, and no number of the version."""
    path = write("import warnings\nwarnings.warn('old')", returns("1"))
    made = PythonModel(path)
    with pytest.warns(UserWarning, match="old"):
        old = made.run()
    write("import warnings\n\nwarnings.warn('new')", returns("1"))
    with pytest.warns(UserWarning, match="new") as caught:
        made()
    assert (caught[0].filename.rstrip(), caught[0].lineno) == (f"{path}, cell 1", 3)
    assert old.value == 1


def test_parameter_errors_are_type_errors():
    """As those of a Python function that is called wrongly."""
    with pytest.raises(TypeError, match="y is not a parameter"):
        model(parameters("x = 1"), returns("x"))(y=1)
    assert issubclass(ParameterError, TypeError)


def test_no_warning_of_ours_is_needed_to_read_a_notebook():
    """A notebook whose strings have odd escapes is read without the compiler's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model(parameters(r"x = '\d'"), returns("x")).parameters["x"].default == "\\d"
    assert pathlib.Path(__file__).exists()


# ------------------------------------------- as in Jupyter, where it is easily not


def test_functions_pickle_through_a_module_beside_the_notebook(write):
    """Nobody sees in the notebook's text what a module of its own does with its functions."""
    path = write("import hp\ndef f():\n    return 3", returns("hp.there_and_back(f)()"))
    (path.parent / "hp.py").write_text(
        "import pickle\ndef there_and_back(x):\n    return pickle.loads(pickle.dumps(x))"
    )
    assert PythonModel(path)() == 3


def test_capture_and_folder_magics_in_plain_python(tmp_path):
    """They keep what they have seen in names that IPython gives."""
    assert PythonModel(node("%%capture out\nprint('a')\n1 + 1", returns("out.stdout")))().startswith("a\n")
    assert PythonModel(node(f"%cd -q {tmp_path}\n%cd -q -", returns("[len(In), list(Out)]")))() == [3, []]


def test_last_value_is_the_models_own(ip, run):
    """And not the View's."""
    run("'of the view'")
    assert PythonModel(node("5", "_ + 1", returns("_ + 1")))() == 7


def test_rich_outputs_are_recorded_in_a_terminal_too(ip):
    """Where IPython itself shows text only."""
    ip.display_formatter.active_types = ["text/plain"]
    [outputs, *_] = (
        PythonModel(node("from IPython.display import HTML\nHTML('<b>x</b>')", returns("1"))).run().outputs
    )
    assert outputs[0]["data"]["text/html"] == "<b>x</b>"
    assert ip.display_formatter.active_types == ["text/plain"]


def test_asynchronous_generators_of_one_call_after_the_other():
    """One that is left open ends with its call, and the next call warns of nothing."""
    model = PythonModel(
        node(
            parameters("ended = None"),
            "async def numbers():\n    try:\n        yield 1\n        yield 2\n    finally:\n        ended.append(1)",
            "opened = numbers()",
            returns("await anext(opened)"),
        )
    )

    async def inside(ended):
        return model.execute({"ended": ended})

    for call in (lambda ended: model(ended=ended), lambda ended: asyncio.run(inside(ended))):
        ended: list[int] = []
        assert [call(ended) for _ in range(3)] == [1, 1, 1]
        assert ended == [1, 1, 1]


def test_cleaning_up_after_the_timeout_is_not_interrupted(tmp_path):
    """It has the time of grace; a kernel is interrupted once, too."""
    done = tmp_path / "done"
    source = f"import time\ntry:\n    time.sleep(60)\nfinally:\n    time.sleep(0.3)\n    open({str(done)!r}, 'w').close()"
    with pytest.raises(ModelTimeout):
        PythonModel(node(source)).execute(timeout=0.2)
    assert done.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("in_thread", [False, True], ids=["main thread", "other thread"])
@pytest.mark.parametrize("script", ["%%bash", "%%sh", "%%script bash"])
@pytest.mark.parametrize("heeds", [True, False], ids=["heeds", "ignores"])
def test_a_script_ends_with_the_call_that_waits_for_it(tmp_path, script, in_thread, heeds):
    """When the time is up, ``%%bash`` and the like end with all that they have started, willing or not."""
    ignores = "" if heeds else "trap '' INT\n"
    cells = (f"{script}\n{ignores}sleep 600 &\necho $! $$ > started\nsleep 601", returns("1"))
    called = model(*cells, cwd=tmp_path, timeout=2)
    errors = []

    def call():
        with pytest.raises(ModelTimeout) as raised:
            called()
        errors.append(raised.value)

    if in_thread:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join(60)
    else:
        call()
    assert [error.stopped for error in errors] == [True]
    started = [int(number) for number in (tmp_path / "started").read_text().split()]
    assert len(started) == 2
    latest = time.monotonic() + 20
    while any(map(is_running, started)) and time.monotonic() < latest:
        time.sleep(0.01)
    assert not any(map(is_running, started))


def test_timeout_cancels_what_awaits_in_another_thread(tmp_path):
    """The coroutine's `finally` runs, and nothing is left to itself."""
    done, errors = tmp_path / "done", []
    source = (
        f"import asyncio\ntry:\n    await asyncio.sleep(60)\nfinally:\n    open({str(done)!r}, 'w').close()"
    )

    def call():
        try:
            PythonModel(node(source)).execute(timeout=0.2)
        except ModelTimeout as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert errors[0].stopped
    assert done.exists()


def test_a_stream_that_a_model_has_kept_may_outlive_the_callers(tmp_path):
    """It is flushed when it goes away, and then there is nothing to flush."""
    kept: list[object] = []
    with (tmp_path / "out").open("w") as file, contextlib.redirect_stdout(file):
        model(parameters("kept = None"), "import sys; kept.append(sys.stdout)").run({"kept": kept})
    kept[0].flush()


def test_call_left_to_itself_leaves_the_callers_streams():
    """When it ends at last, stdout is what its caller has made it meanwhile."""
    import io

    model = PythonModel(node("import time\ntime.sleep(2.5)"))
    PythonModel(node("1")).run()  # what it imports is imported before the time counts

    def call():
        with pytest.raises(ModelTimeout):
            model.run(timeout=0.1)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert any(each.name == "restified-call" for each in threading.enumerate())
    assert IPython.get_ipython() is None  # the shell that it was given is nobody else's
    buffer = io.StringIO()
    with contextlib.redirect_stdout(buffer):
        while any(each.name == "restified-call" for each in threading.enumerate()):
            threading.Event().wait(0.01)
        print("to the buffer")
    assert buffer.getvalue() == "to the buffer\n"


@pytest.mark.parametrize(
    "taking",
    [
        "%%capture\nfree.wait()",
        "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):\n    free.wait()",
        "import io, sys\nsys.stdout = io.StringIO()\nfree.wait()",
    ],
)
def test_call_left_to_itself_gives_the_streams_back(taking, capsys):
    """What its caller prints meanwhile does not end in what its cells had put in the place of stdout."""

    class Blocked:
        """As code in C that waits: no exception of Python stops it."""

        def __init__(self):
            self.event = threading.Event()

        def wait(self):
            while not self.event.is_set():
                with contextlib.suppress(BaseException):
                    self.event.wait(0.01)

    free = Blocked()
    model = PythonModel(node(parameters("free = None"), taking))
    free.event.set()
    model.execute({"free": free})  # what it imports is imported before the time counts
    free.event.clear()

    def call():
        with pytest.raises(ModelTimeout, match="left to itself"):
            model.execute({"free": free}, timeout=0.1)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    print("to the caller")
    free.event.set()
    while any(each.name == "restified-call" for each in threading.enumerate()):
        threading.Event().wait(0.01)
    assert capsys.readouterr().out == "to the caller\n"


@pytest.mark.parametrize("recorded", ["a", "b"])
def test_outputs_of_a_call_that_goes_on_when_another_ends(recorded, capsys):
    """One that is not recorded begins or ends meanwhile, and takes no route with it."""
    begun = {name: threading.Event() for name in "ab"}
    goes_on = {name: threading.Event() for name in "ab"}
    model = PythonModel(
        node(
            parameters("name = ''\nbegun = None\ngoes_on = None"),
            "print(name, 1); begun[name].set(); goes_on[name].wait(30); print(name, 2)",
        )
    )
    results = {}

    def call(name):
        params = {"name": name, "begun": begun, "goes_on": goes_on}
        results[name] = (model.run if name == recorded else model.execute)(params)

    stdout = sys.stdout
    threads = {name: threading.Thread(target=call, args=(name,)) for name in "ab"}
    for name in "ab":  # a begins before b, and ends before it
        threads[name].start()
        assert begun[name].wait(30)
    for name in "ab":
        goes_on[name].set()
        threads[name].join()
    other = "b" if recorded == "a" else "a"
    assert results[recorded].outputs[1][0]["text"] == f"{recorded} 1\n{recorded} 2\n"
    assert capsys.readouterr().out == f"{other} 1\n{other} 2\n"
    assert sys.stdout is stdout


def test_parameters_without_effect_are_told(write):
    """After the `return` cell, or in it."""
    with pytest.warns(UserWarning, match="its parameters have no effect: cell 1 returns before it"):
        PythonModel(node(returns("1"), parameters("x = 1")))()
    with pytest.warns(UserWarning, match="has the tags `parameters` and `return`"):
        PythonModel(node(cell("x = 1", "parameters", "return")))()


def test_well_known_kernels_tell_the_language():
    """A kernelspec that names none is not taken for Python."""
    from restified_magics import NotebookError

    with pytest.raises(NotebookError, match=r"is in r, and PythonModel runs Python\. Use KernelModel"):
        PythonModel(node("1", kernelspec={"name": "ir", "display_name": "R"}))


def test_a_call_that_nobody_awaits_any_more_is_closed():
    """Closing the coroutine of a call ends it without an error, whatever its cell waits for."""
    model = PythonModel(node("import asyncio\nawait asyncio.sleep(60)", returns("1")))

    async def begin_and_close():
        coroutine = model.execute_async()
        coroutine.send(None)
        coroutine.close()

    asyncio.run(begin_and_close())
    assert PythonModel(node(returns("1")))() == 1
