"""Calls from a View in a real kernel, where an event loop runs and outputs are messages."""

from __future__ import annotations

import os

import pytest
from conftest import cell, parameters, returns
from jupyter_client.manager import KernelManager


class View:
    """A running kernel as a notebook uses it: cells in, outputs and errors back."""

    def __init__(self, folder):
        self.manager = KernelManager(kernel_name="python3")
        # without a choice of ours, a kernel shows matplotlib's figures inline
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)

    def run(self, source, *, interrupt_when=None):
        """The outputs of a cell; `interrupt_when` interrupts the kernel once that text was printed."""
        outputs = []

        def hook(message):
            kind, content = message["msg_type"], message["content"]
            if kind in ("stream", "display_data", "execute_result", "error", "update_display_data"):
                outputs.append({"output_type": kind, **content})
            if kind == "stream" and interrupt_when and interrupt_when in content["text"]:
                self.manager.interrupt_kernel()

        self.client.execute_interactive(source, timeout=60, output_hook=hook, allow_stdin=False)
        return outputs

    def value(self, source):
        """The text of the cell's value; an error in the cell fails the test."""
        outputs = self.run(source)
        errors = ["\n".join(output["traceback"]) for output in outputs if output["output_type"] == "error"]
        assert not errors, errors[0]
        return next(
            output["data"]["text/plain"] for output in outputs if output["output_type"] == "execute_result"
        )

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    view = View(tmp_path_factory.mktemp("view"))
    yield view
    view.close()


@pytest.fixture
def view(kernel, tmp_path):
    """The kernel with this test's folder as its current one, as if the View lay there."""
    assert not [
        output
        for output in kernel.run(
            f"%reset -f\n%cd -q {tmp_path}\n%load_ext restified_magics\nfrom restified_magics import PythonModel"
        )
        if output["output_type"] == "error"
    ]
    return kernel


def test_outputs_of_a_model_are_outputs_of_the_views_cell(view, write):
    """Text, rich displays, updates and figures come in order, at their place."""
    write(
        "print('one')\nfrom IPython.display import HTML\nhandle = display(HTML('<b>two</b>'), display_id='d')",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\n'not echoed'",
        "print('three')\nhandle.update(HTML('<b>new</b>'))",
        returns("'value'"),
    )
    outputs = view.run("%call_notebook model.ipynb")
    kinds = [output["output_type"] for output in outputs]
    assert kinds == [
        "stream",
        "display_data",
        "display_data",
        "stream",
        "update_display_data",
        "execute_result",
    ]
    assert outputs[0]["text"] == "one\n"
    assert "image/png" in outputs[2]["data"]
    assert outputs[4]["data"]["text/html"] == "<b>new</b>"
    assert outputs[5]["data"]["text/plain"] == "'value'"
    assert view.value("plt_open = __import__('matplotlib.pyplot').pyplot.get_fignums()\nplt_open") == "[]"


def test_a_bare_figure_is_shown_once(view, write):
    """A `return` cell that gives a figure does not show it a second time."""
    write("import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()", returns("figure"))
    outputs = view.run("shown = %call_notebook model.ipynb")
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    write("import matplotlib.pyplot as plt", returns("plt.subplots()[0]"))
    outputs = view.run("%call_notebook model.ipynb")
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1


def test_await_where_a_loop_runs(view, write):
    """Top-level await works by magic, by Python, and awaited, in a kernel whose loop runs."""
    write(
        "import asyncio",
        parameters("n = 1"),
        "task = asyncio.create_task(asyncio.sleep(0.01, n * 2))",
        returns("await task"),
    )
    assert view.value("%call_notebook model.ipynb n=21") == "42"
    assert view.value("PythonModel('model.ipynb')(n=2)") == "4"
    assert view.value("await PythonModel('model.ipynb').execute_async({'n': 3})") == "6"


@pytest.mark.parametrize(
    "source",
    ["import time\ntime.sleep(60)", "while True: pass", "import asyncio\nawait asyncio.sleep(60)"],
)
def test_interrupting_the_kernel_interrupts_the_model(view, write, source):
    """The KeyboardInterrupt comes through as itself, at once; everything is usable afterwards."""
    write("print('started', flush=True)", source, returns("'done'"))
    outputs = view.run("%call_notebook model.ipynb", interrupt_when="started")
    assert outputs[-1]["output_type"] == "error"
    assert outputs[-1]["ename"] == "KeyboardInterrupt"
    write(returns("'done'"))
    assert view.value("%call_notebook model.ipynb") == "'done'"


def test_timeout_in_a_kernel(view, write):
    """By the same signal as elsewhere in the main thread, and for awaiting cells on a helper loop."""
    for source in ("import time\ntime.sleep(60)", "import asyncio\nawait asyncio.sleep(60)"):
        write(source, returns("1"))
        outputs = view.run("%call_notebook --timeout 0.3 model.ipynb")
        assert outputs[-1]["ename"] == "ModelTimeout"


def test_error_shows_the_models_frames(view, write):
    """A short traceback; the View's own line too is not needed, and nothing of this package is shown."""
    write("def f(x):\n    return 1 / x", "f(0)")
    shown = "\n".join(view.run("%call_notebook model.ipynb")[-1]["traceback"])
    assert "model.ipynb, cell 2, line 1" in shown
    assert "model.ipynb, cell 1, line 2, in f" in shown
    assert "restified_magics/" not in shown


def test_shell_commands_and_magics_in_a_kernel(view, write):
    """The kernel's own `!` and magics work on the Model's names."""
    write(
        parameters("word = 'x'"),
        "!echo {word}",
        "%%time\nlong = word * 3",
        "%matplotlib inline",
        returns("long"),
    )
    outputs = view.run("%call_notebook model.ipynb word='abc'")
    assert any("abc" in output.get("text", "") for output in outputs)
    assert outputs[-1]["data"]["text/plain"] == "'abcabcabc'"
    assert view.value("'long' in globals()") == "False"


def test_multiprocessing_in_a_kernel(view, write):
    """Classes and functions of a Model are found in `__main__` by forked processes and by pickle."""
    write(
        "import multiprocessing, pickle",
        "class Point:\n    def __init__(self, x): self.x = x\ndef make(x): return Point(x)",
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n    points = pool.map(make, [1, 2])",
        returns("[point.x for point in points]"),
    )
    assert view.value("%call_notebook model.ipynb") == "[1, 2]"
    assert (
        view.value("class Here: pass\nimport pickle\ntype(pickle.loads(pickle.dumps(Here()))) is Here")
        == "True"
    )


def test_run_of_a_model_in_a_thread(view, write):
    """Two runs in threads of a kernel keep their outputs apart, figures included."""
    write(
        parameters("name = ''"),
        cell("import matplotlib.pyplot as plt\nfor _ in range(3):\n    print(name)\n    plt.figure()"),
        returns("name"),
    )
    source = """
from concurrent.futures import ThreadPoolExecutor
model = PythonModel("model.ipynb")
with ThreadPoolExecutor(2) as pool:
    results = list(pool.map(lambda name: model.run({"name": name}), "ab"))
[(r.value, r.outputs[1][0]["text"], sum("data" in o for o in r.outputs[1])) for r in results]
"""
    assert view.value(source) == r"[('a', 'a\na\na\n', 3), ('b', 'b\nb\nb\n', 3)]"
