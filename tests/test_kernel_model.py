"""KernelModel: a fresh kernel for each call, values as values, and nothing left behind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import datetime
import decimal
import enum
import gc
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
import zoneinfo

import psutil
import pytest
from conftest import ROOT, cell, node, parameters, returns
from pydantic import TypeAdapter

from restified_magics import CellError, KernelModel, ModelTimeout, NotebookError, ParameterError, PythonModel
from restified_magics.core.calls import Call
from restified_magics.errors import KernelDied, ReturnError
from restified_magics.in_kernel import kernel_python
from restified_magics.in_kernel.kernel_pool import KernelPool
from restified_magics.in_kernel.outlets import Outlet
from restified_magics.in_kernel.steps import ForFuture
from restified_magics.in_kernel.warden import warden
from restified_magics.in_process.tracebacks import raised

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="counts processes as POSIX has them")


@pytest.fixture(scope="module", autouse=True)
def _kernels_at_hand():
    """One Model that stays keeps the pool that the others share."""
    with KernelModel(node("1")):
        yield


@pytest.fixture(scope="module")
def echo():
    """Gives back what it is given, by way of a kernel."""
    with KernelModel(node(parameters("x = None"), returns("x"))) as model:
        yield model


@pytest.mark.parametrize("content", ["{ broken", "[]", '{"argv": 1}'])
def test_a_broken_kernelspec_names_its_file(content):
    """What Jupyter cannot read is told with the file to correct."""
    folder = pathlib.Path(os.environ["JUPYTER_DATA_DIR"]) / "kernels" / "broken"
    folder.mkdir()
    (folder / "kernel.json").write_text(content)
    try:
        with pytest.raises(NotebookError, match=r"broken.kernel\.json: .*Correct that file, or install"):
            KernelModel(node("1"), kernel_name="broken")
    finally:
        shutil.rmtree(folder)


def returned(source):
    """The value of a Model of one `return` cell."""
    return KernelModel(node(returns(source)))()


def processes(marker):
    """The running processes whose command or environment holds a text."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            said = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
            state = (path / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if marker.encode() in said and state != "Z" and int(path.name) != os.getpid():
            found.append(int(path.name))
    return found


async def _gone(marker):
    while processes(marker):
        await asyncio.sleep(0.01)


def wait_until_gone(marker, seconds=90):
    """Wait for the end of the processes marked so; they must end."""
    asyncio.run(asyncio.wait_for(_gone(marker), seconds))


@pytest.fixture
def marked(monkeypatch):
    """Mark the processes that this test starts, by their environment."""
    warden()  # stays as long as this process, whichever test needs it first
    marker = f"restified-test-{uuid.uuid4().hex}"
    monkeypatch.setenv("RESTIFIED_TEST_MARK", marker)
    return marker


# -------------------------------------------------------------------- values


class Colour(enum.Enum):
    """An Enum of the caller's own."""

    RED = "r"


@dataclasses.dataclass
class Point:
    """A dataclass of the caller's own."""

    x: int
    y: list


VALUES = [
    0,
    -(2**70),
    10**5000,
    1.5,
    float("inf"),
    True,
    None,
    "quotes ' \" \\ newline \n NUL \0 U+2028 \u2028 surrogate \ud800 $(x) `y` {z}",
    b"\0\xff",
    [1, [2, {"a": (3, {4})}]],
    {1: "x", ("a", 2): None, "$": 3},
    datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
    TypeAdapter(datetime.datetime).validate_python("2024-02-29T12:30:00-02:00"),
    datetime.timedelta(days=1, microseconds=3),
    decimal.Decimal("1.10"),
    pathlib.PurePosixPath("a/b"),
    uuid.UUID(int=7),
    range(1, 10, 2),
    complex(1, -2),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_go_there_and_back_whole(echo, value):
    """Hostile text, huge integers, nested containers, dates: equal, and of the same type."""
    again = echo(x=value)
    assert again == value
    assert type(again) is type(value)


def test_deep_nesting(echo):
    """500 levels of lists."""
    deep = 1
    for _ in range(500):
        deep = [deep]
    again = echo(x=deep)
    for _ in range(500):
        [again] = again
    assert again == 1


def test_nan_comes_back(echo):
    """The one float that is unlike itself."""
    value = echo(x=float("nan"))
    assert value != value  # noqa: PLR0124


def test_classes_of_the_caller_come_back_as_such(echo):
    """Enum members and dataclasses of the calling process are those again."""
    import __main__

    __main__.Colour, __main__.Point = Colour, Point
    Colour.__module__ = Point.__module__ = "__main__"
    try:
        again = echo(x=[Point(1, [2])])
        assert (type(again[0]).__name__, again[0].x, again[0].y) == ("Point", 1, [2])
        assert echo(x=Colour.RED).value == "r"
    finally:
        del __main__.Colour, __main__.Point


def test_classes_of_the_notebook_come_back_with_their_fields():
    """A dataclass that only the notebook knows is stood for by one of the same name and fields."""
    source = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: str"
    point = KernelModel(node(source, returns("P(1, 'a')")))()
    assert (type(point).__name__, dataclasses.asdict(point)) == ("P", {"x": 1, "y": "a"})


def test_arrays_and_tables_keep_their_dtypes(echo):
    """numpy and pandas, with zones, categories, missing values and odd indices."""
    import numpy as np
    import pandas as pd

    array = np.arange(6, dtype="int16").reshape(2, 3)
    again = echo(x=array)
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
    assert type(echo(x=np.float32(1.5))) is np.float32
    frame = pd.DataFrame(
        {
            "i": pd.array([1, None], dtype="Int64"),
            "c": pd.Categorical(["a", "b"]),
            "t": pd.to_datetime(["2024-01-01", None]).tz_localize(zoneinfo.ZoneInfo("Europe/Berlin")),
            "s": ["x", None],
        },
        index=pd.MultiIndex.from_tuples([(1, "u"), (2, "v")], names=["n", None]),
    )
    pd.testing.assert_frame_equal(echo(x=frame), frame)


def test_a_million_rows_come_back_whole():
    """As binary data, not as text."""
    frame = returned("import numpy as np, pandas as pd\npd.DataFrame({'a': np.arange(1_000_000), 'b': 0.5})")
    assert (frame.shape, int(frame["a"].sum()), float(frame["b"].sum())) == (
        (1_000_000, 2),
        499999500000,
        5e5,
    )


def test_figure_comes_back_as_an_image():
    """The picture that Jupyter would show."""
    image = returned("import matplotlib.pyplot as plt\nfig, ax = plt.subplots(); ax.plot([1, 2])\nfig")
    assert image.data.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(i for i in 'ab')", r"it is a generator, .* Return a list of it"),
        ("{'rows': [1, open('/dev/null')]}", r"\['rows'\]\[1\] is .*TextIOWrapper"),
        ("import threading; threading.Lock()", "lock"),
        ("lambda: 1", "Return what it gives"),
        ("x = []; x.append(x); x", "contains itself"),
    ],
)
def test_what_cannot_come_back_is_an_error_that_says_what_to_return(source, message):
    """A ReturnError with the type and its place in the value, never a repr."""
    with pytest.raises(ReturnError, match=message) as caught:
        returned(source)
    assert caught.value.cell == 1


def test_value_that_cannot_go_there_is_told_before_anything_runs(tmp_path):
    """A ParameterError with all of them; no cell has run."""
    model = KernelModel(
        node(parameters("a = b = None"), f"open({str(tmp_path / 'ran')!r}, 'w')", returns("1"))
    )
    with pytest.raises(ParameterError) as caught:
        model(a=threading.Lock(), b=iter([]))
    assert set(caught.value.problems) == {"a", "b"}
    assert not (tmp_path / "ran").exists()


def test_printed_text_and_imitations_are_not_taken_for_the_value():
    """The value travels by a channel of its own, known by a secret."""
    fake = (
        "from IPython.display import display\n"
        "event = {'nonce': 'x', 'body': '{\"kind\": \"value\"}'}\n"
        "display({'application/vnd.restified-magics.event+json': event}, raw=True)\n"
        'print(\'{"kind": "value"}\'); 41'
    )
    result = KernelModel(node(fake, returns("42"))).run()
    assert result.value == 42


# -------------------------------------------------------------- kernels die


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os; os._exit(1)", "ended by itself with exit code 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    ],
)
def test_dead_kernel_is_told_at_once(source, reason):
    """With the cell that ran; and the next call has a kernel."""
    model = KernelModel(node(parameters("die = True"), f"if die:\n    {source}", returns("'alive'")))
    with pytest.raises(KernelDied, match=reason) as caught:
        model()
    assert caught.value.cell == 2
    assert model(die=False) == "alive"


def test_kernel_that_is_killed_from_outside(tmp_path):
    """A call that waits for it hears of it."""
    told = tmp_path / "pid"
    model = KernelModel(
        node(f"import os, time\nopen({str(told)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
    )

    def kill():
        while not (told.exists() and told.read_text()):
            pass
        os.kill(int(told.read_text()), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    with pytest.raises(KernelDied, match="was killed by SIGKILL"):
        model()
    thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="stops processes")
@pytest.mark.parametrize("reuse", [False, True])
def test_kernel_that_is_killed_before_a_cell_ran(reuse):
    """Nothing of the Model ran, so the call is made in another kernel; kept state is not lost in silence."""
    with KernelModel(node(parameters("x = 1"), returns("x")), reuse=reuse) as model:
        assert model(x=2) == 2
        pool, values, errors = model._shares._held, [], []
        while not pool._ready or pool._starting:
            time.sleep(0.01)
        kernels = [kernel._group for kernel in pool._ready]
        for group in kernels:
            os.killpg(group, signal.SIGSTOP)  # it gets the request, and does nothing

        def call():
            try:
                values.append(model(x=3))
            except KernelDied as error:
                errors.append(str(error))

        thread = threading.Thread(target=call)
        thread.start()
        while not model._shares.lent:
            time.sleep(0.01)
        for group in reversed(kernels):  # the one that was lent comes last, when no other can be lent
            process = psutil.Process(group)
            os.killpg(group, signal.SIGKILL)
            psutil.wait_procs([process], 30)
        thread.join()
        assert (values, len(errors)) == (([], 1) if reuse else ([3], 0)), errors


def test_timeout_kills_what_ignores_interrupts(marked):
    """A kernel that ignores SIGINT, and the process that it has started, are gone after it."""
    source = (
        "import signal, subprocess, time\n"
        "subprocess.Popen(['sleep', '60'])\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "while True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass"
    )
    with KernelModel(node(source)) as model, pytest.raises(ModelTimeout) as caught:
        model.execute(timeout=0.3)
    assert caught.value.cell == 1
    wait_until_gone(marked)


def test_cancelling_the_awaiting_task_leaves_nothing(marked):
    """Also while the call still waits for its kernel."""

    async def cancelled(moment):
        with KernelModel(node("import time\ntime.sleep(60)")) as model:
            task = asyncio.create_task(model.execute_async())
            await asyncio.sleep(moment)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    for moment in (0, 1.0):
        asyncio.run(cancelled(moment))
        wait_until_gone(marked)


@pytest.mark.parametrize("steps", range(6))
def test_a_cancellation_is_not_lost_beside_what_was_awaited(steps):
    """Both may come in one turn of the loop; whoever is told that it is cancelled is."""

    async def cancelled():
        awaited = concurrent.futures.Future()
        task = asyncio.create_task(ForFuture(awaited, 60).wait())
        await asyncio.sleep(0.01)
        awaited.set_result(None)
        for _ in range(steps):
            await asyncio.sleep(0)
        if task.cancel():
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())


def test_leaving_the_with_ends_running_calls(marked):
    """The call that runs in another thread hears that its kernel was closed."""
    errors = []
    with KernelModel(node("import time\nprint('begun', flush=True)\ntime.sleep(60)")) as model:
        begun = threading.Event()

        def call():
            try:
                model.execute()
            except KernelDied as error:
                errors.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        while not model._shares.lent:
            begun.wait(0.01)
    thread.join(20)
    assert "was closed during the call" in str(errors[0])
    wait_until_gone(marked)


@pytest.mark.parametrize("how", ["ends", "os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit(3)"])
def test_no_kernel_outlives_its_process(marked, how):
    """At the interpreter's end, also one that nobody foresaw, with kernels ready, starting and lent."""
    end = "" if how == "ends" else how
    code = (
        "import os, sys, threading\nfrom restified_magics import KernelModel\n"
        f"model = KernelModel({node('import time; time.sleep(60)')!r})\n"
        "threading.Thread(target=model.execute, daemon=True).start()\n"
        "while not model._shares.lent: pass\n"
    )
    subprocess.run([sys.executable, "-c", code + end], cwd=ROOT, timeout=60, capture_output=True, check=False)
    wait_until_gone(marked)


# ------------------------------------------------------------------ starting


def test_kernel_that_is_not_installed():
    """The error lists those that are, and says how to install it, or to choose another one, in every face."""
    told = r"needs the kernel 'nope', which is not installed. Installed: .*python3.* --kernel=NAME"
    with pytest.raises(NotebookError, match=told):
        KernelModel(node("1", kernelspec={"name": "nope", "language": "python"}))


def test_kernel_of_a_known_language_that_is_not_installed(monkeypatch, tmp_path):
    """How to install it is said."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NotebookError, match="Install it: pip install deno && deno jupyter --install, or"):
        KernelModel(node("1", kernelspec={"name": "deno", "language": "typescript"}))


@pytest.fixture
def kernelspec(tmp_path, monkeypatch):
    """Write a kernelspec of this command: ``kernelspec(argv)`` gives its name."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))

    def written(*argv):
        import json

        folder = tmp_path / "jupyter" / "kernels" / "odd"
        folder.mkdir(parents=True)
        spec = {"argv": list(argv), "display_name": "Odd", "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))
        return "odd"

    return written


def test_kernel_whose_program_is_missing(kernelspec):
    """The error names the program, and the file that names it."""
    name = kernelspec("no-such-program", "{connection_file}")
    with pytest.raises(KernelDied, match=r"its program 'no-such-program' cannot be run .*kernel\.json"):
        KernelModel(node("1"), kernel_name=name)()


def test_kernel_that_dies_at_once_shows_what_it_said(kernelspec):
    """Its own words are in the error."""
    code = "import sys; sys.exit('no licence')"
    name = kernelspec(sys.executable, "-c", code, "{connection_file}")
    with pytest.raises(KernelDied, match=r"exit code 1. It said:\nno licence"):
        KernelModel(node("1"), kernel_name=name)()


def test_kernel_that_starts_slowly_has_a_deadline_of_its_own(kernelspec):
    """And the error names the option that gives it longer."""
    name = kernelspec(sys.executable, "-c", "import time; time.sleep(60)", "{connection_file}")
    with pytest.raises(KernelDied, match=r"did not answer within 0.3 s. Give it longer by start_timeout="):
        KernelModel(node("1"), kernel_name=name, start_timeout=0.3)()


_LATE = """
import time
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

class Late(IPythonKernel):
    def _publish_status(self, status, *args, **options):
        if status == "idle":
            time.sleep(0.5)
        super()._publish_status(status, *args, **options)

IPKernelApp.launch_instance(kernel_class=Late)
"""


def test_kernel_that_is_slow_to_say_that_it_is_idle(kernelspec):
    """On a busy machine the end of the outputs comes long after the reply, and nothing is lost."""
    name = kernelspec(sys.executable, "-c", _LATE, "-f", "{connection_file}")
    assert KernelModel(node("1", cell("2", "return")), kernel_name=name)() == 2


def test_secrets_of_a_server_stay_outside(monkeypatch):
    """Environment variables that open a Jupyter server are not handed to kernels; others are."""
    monkeypatch.setenv("JUPYTER_TOKEN", "secret")
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "secret")
    monkeypatch.setenv("JUPYTER_GATEWAY_HEADERS", "secret")
    monkeypatch.setenv("JUPYTER_GATEWAY_HTTP_PWD", "secret")
    monkeypatch.setenv("MY_SETTING", "kept")
    wanted = "{k: v for k, v in os.environ.items() if 'TOKEN' in k or 'GATEWAY' in k or k == 'MY_SETTING'}"
    found = returned(f"import os\n{wanted}")
    assert found == {"MY_SETTING": "kept"}


def test_folder_of_the_kernel_is_the_notebooks(write):
    """Files and modules beside the notebook are found."""
    path = write("import helper", returns("helper.answer, open('data.txt').read()"))
    (path.parent / "helper.py").write_text("answer = 42")
    (path.parent / "data.txt").write_text("data")
    assert KernelModel(path)() == (42, "data")


# ---------------------------------------------------------------------- pool


def test_models_of_a_process_share_a_pool(write):
    """Where kernelspec, folder and environment agree."""
    one, two = write(returns("1"), name="one.ipynb"), write(returns("2"), name="two.ipynb")
    first, second = KernelModel(one), KernelModel(two)
    assert (first(), second()) == (1, 2)
    assert first._pool(first.notebook) is second._pool(second.notebook)
    assert KernelModel(one, cwd="/")._pool(first.notebook) is not first._pool(first.notebook)


def test_each_call_has_a_fresh_kernel_and_reuse_keeps_one():
    """State is left in a kernel that is reused, and only there."""
    cells = ("try:\n    n += 1\nexcept NameError:\n    n = 1", returns("n"))
    fresh = KernelModel(node(*cells))
    assert [fresh() for _ in range(2)] == [1, 1]
    with KernelModel(node(*cells), reuse=True) as kept:
        assert [kept() for _ in range(3)] == [1, 2, 3]


def test_pool_replaces_what_died_while_idle():
    """And lends only what runs."""
    with KernelPool("python3", size=1, limit=2) as pool:
        kernel = pool.lend().result(60)
        pool.give_back(kernel, again=True)
        os.kill(kernel._manager.provisioner.process.pid, signal.SIGKILL)
        while not kernel.has_ended():
            pass
        other = pool.lend().result(60)
        assert other is not kernel
        assert not other.has_ended()
        pool.give_back(other)


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are forked on Linux only")
def test_server_that_forks_kernels_is_replaced_when_it_is_gone(marked):
    """A killed one is replaced by the next call, and its pipes are closed."""
    with KernelPool("python3", size=0, limit=1) as pool:
        kernel = pool.lend().result(60)
        server = psutil.Process(psutil.Process(kernel._manager.provisioner.process.pid).ppid())
        pool.give_back(kernel)
        server.kill()
        psutil.wait_procs([server], 20)
        kernel = pool.lend().result(60)
        assert psutil.Process(kernel._manager.provisioner.process.pid).ppid() not in (server.pid, os.getpid())
        pool.give_back(kernel)
    gc.collect()  # a pipe that was left open would warn, and a warning is an error


def test_pool_serves_in_the_order_of_waiting():
    """The longest waiting is served first, and never more than the limit at once."""
    with KernelPool("python3", size=1, limit=1) as pool:
        first = pool.lend().result(60)
        waiting = [pool.lend() for _ in range(3)]
        assert not any(future.done() for future in waiting)
        order = []
        for number, future in enumerate(waiting):
            future.add_done_callback(lambda _, number=number: order.append(number))
        pool.give_back(first)
        for future in waiting:
            pool.give_back(future.result(60))
        assert order == [0, 1, 2]


def test_pool_closes_under_load(marked):
    """Those who wait are told, and nothing is left."""
    pool = KernelPool("python3", size=2, limit=4)
    futures = [pool.lend() for _ in range(8)]
    futures[0].result(60)
    pool.close()
    for future in futures:
        assert future.done()
        if future.exception() is None:
            pool.give_back(future.result())
    with pytest.raises(RuntimeError, match="is closed"):
        pool.lend()
    wait_until_gone(marked)


# ------------------------------------------------------------------- outputs


def test_outputs_stream_in_order():
    """Prints, displays, updates, clearing and stderr, as Jupyter keeps them."""
    source = (
        "import sys\nfrom IPython.display import display, clear_output\n"
        "print('gone'); clear_output(); print('a'); print('b', file=sys.stderr)\n"
        "handle = display('x', display_id='d'); handle.update('y'); print('c' * 100_000)"
    )
    [outputs, _] = KernelModel(node(source, returns("1"))).run().outputs
    told = [output.get("text") or output["data"]["text/plain"] for output in outputs]
    assert told == ["a\n", "b\n", "'y'", "c" * 100_000 + "\n"]


def test_outputs_appear_at_once(capsys):
    """What a cell prints is there before the cell has ended."""
    seen = []
    model = KernelModel(node("import time\nprint('now', flush=True)\ntime.sleep(60)"))

    async def watched():
        task = asyncio.create_task(model.execute_async())
        while "now" not in "".join(seen):
            seen.append(capsys.readouterr().out)
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(watched(), 60))


def test_error_in_a_cell_is_no_success():
    """The cells after it do not run, and what may raise goes on."""
    with pytest.raises(CellError) as caught:
        KernelModel(node("print('one')", "1 / 0", "print('three')", returns("4"))).run()
    assert (caught.value.cell, caught.value.ename) == (2, "ZeroDivisionError")
    assert [len(outputs) for outputs in caught.value.result.outputs] == [1, 1, 0, 0]
    assert KernelModel(node(cell("1 / 0", "raises-exception"), returns("4")))() == 4


def test_traceback_that_a_cell_shows_itself_is_an_output():
    """It ends no cell, and is kept also where nothing is put out after it."""
    shown = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()"
    outputs = KernelModel(node(shown, "x = 1")).run().outputs
    assert [[output["ename"] for output in each] for each in outputs] == [["ZeroDivisionError"], []]


def test_breakpoint_is_an_error():
    """There is nobody who could type; it was passed over without a word."""
    with pytest.raises(CellError, match=r"cell 1, line 2: RuntimeError: breakpoint\(\) cannot be used here"):
        KernelModel(node("x = 1\nbreakpoint()", returns("x")))()


def test_a_kernel_that_shares_no_file_tells_its_cells_by_messages(monkeypatch, tmp_path):
    """As one on another machine: progress, outputs and errors have their cells all the same."""
    bootstrap = kernel_python._bootstrap
    monkeypatch.setattr(kernel_python, "_bootstrap", lambda _path: bootstrap(str(tmp_path / "none" / "mark")))
    go = tmp_path / "go"
    waits = f"import os\nwhile not os.path.exists({str(go)!r}): pass"
    with KernelModel(node("x = 1", waits, "print('two')", "1 / 0"), cwd=tmp_path, timeout=60) as model:
        run = model.start()
        while run.progress.cell != 2 and not run.wait(0.01):
            pass
        go.touch()
        with pytest.raises(CellError) as caught:
            run.value(60)
    assert caught.value.cell == 4
    assert [len(outputs) for outputs in run.outputs()] == [0, 0, 1, 1]


# ---------------------------------------------------------------- many calls


@pytest.mark.parametrize("wrong", ["1 / 0", "1 = 0"])
def test_error_below_a_magic_that_keeps_what_is_printed(wrong):
    """The line is that of the cell, and not of the part that `%%capture` runs."""
    with pytest.raises(CellError) as caught:
        KernelModel(node(f"%%capture\nprint(1)\n{wrong}"))()
    assert (caught.value.line, caught.value.source_line) == (3, wrong)


def test_called_from_a_running_kernel_a_thread_and_a_loop():
    """There is no loop trouble: a Model calls another one in a kernel of its own."""
    inner = node(returns("7"))
    source = (
        "import asyncio, threading\nfrom restified_magics import KernelModel\n"
        f"inner = KernelModel({inner!r})\nvalues = [inner(), await inner.execute_async()]\n"
        "thread = threading.Thread(target=lambda: values.append(inner()))\nthread.start(); thread.join()"
    )
    assert KernelModel(node(source, returns("values")))() == [7, 7, 7]


def test_many_kernels_at_once():
    """Started together, none gets in the way of another."""

    async def together():
        model = KernelModel(node(parameters("n = 0"), returns("n * 2")))
        return await asyncio.gather(*(model.execute_async({"n": n}) for n in range(12)))

    assert asyncio.run(together()) == [2 * n for n in range(12)]


def test_files_and_memory_are_flat(echo):
    """Descriptors, threads, folders and memory after many calls are those after a few."""

    def counted():
        gc.collect()
        folders = len(list(pathlib.Path(os.environ.get("TMPDIR", "/tmp")).glob("restified-*")))
        return len(os.listdir("/proc/self/fd")), threading.active_count(), folders

    def called(times):
        for n in range(times):
            assert echo(x=n) == n
        asyncio.run(_settled(echo))
        return counted()

    few = called(20)
    own = psutil.Process()
    held = own.memory_info().rss
    many = called(60)
    assert all(after <= before + 4 for before, after in zip(few, many, strict=True)), (few, many)
    assert own.memory_info().rss - held < 60 * 20_000  # bytes: a call that kept its messages would keep more


async def _settled(model):
    """Wait until the pool has its kernels ready and none is being started."""
    pool = model._pool(model.notebook)
    while len(pool._ready) < pool.size or pool._starting:
        await asyncio.sleep(0.01)


# ------------------------------------------------------------- what is not to be


def test_no_cell_runs_after_the_time_is_up(tmp_path):
    """Also where the cell that was interrupted has kept the interrupt to itself."""
    later = tmp_path / "later"
    swallows = "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass"
    with pytest.raises(ModelTimeout) as caught:
        KernelModel(node(swallows, f"open({str(later)!r}, 'w')", returns("1"))).execute(timeout=0.5)
    assert caught.value.cell == 1
    assert not later.exists()


@pytest.mark.parametrize("content", ["{}", "5", "'x'"])
def test_messages_like_ours_are_ignored(content):
    """Whatever is in them."""
    source = f"display({{'application/vnd.restified-magics.event+json': {content}}}, raw=True)"
    assert KernelModel(node(source, returns("1")))() == 1


def test_models_that_call_each_other_without_end_are_told():
    """Through kernels too, with the chain of their names."""
    source = (
        "from restified_magics import KernelModel\n"
        "def node(source):\n"
        "    cell = {'cell_type': 'code', 'metadata': {'tags': ['return']}, 'source': source}\n"
        "    return {'nbformat': 4, 'nbformat_minor': 4, 'metadata': {}, 'cells': [cell]}\n"
        "import json, os\n"
        "os.environ['RESTIFIED_MAGICS_CHAIN'] = json.dumps(json.loads(os.environ['RESTIFIED_MAGICS_CHAIN']) * 30)\n"
        "KernelModel(node('1'), name='inner')()"
    )
    with pytest.raises(CellError, match=r"ModelRecursionError: Models nested 31 deep: outer → .* → inner"):
        KernelModel(node(source), name="outer")()


def test_children_in_sessions_of_their_own_end_with_the_kernel(marked):
    """Whatever a cell has started, as long as it belongs to it."""
    source = "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)"
    with KernelModel(node(source, returns("1"))) as model:
        assert model() == 1
    wait_until_gone(marked)


def test_an_error_is_that_of_its_cell_though_the_call_is_further(write):
    """What is told of where a call is arrives before the error of the cell that it has left."""
    notebook = PythonModel(write("1", cell("1 / 0", "raises-exception"), "2 / 0", "3")).notebook
    call = Call(notebook, {}, None)
    outlet = Outlet(call, "quiet")
    outlet.begin(2)
    outlet.reached(3)
    assert outlet.failed(raised(ZeroDivisionError("of the second"))) is None
    outlet.begin(3)
    outlet.reached(4)
    failure = outlet.failed(raised(ZeroDivisionError("of the third")))
    assert (failure.cell, call.cell.number) == (3, 3)
    assert [[output["evalue"] for output in outputs] for outputs in call.result.outputs] == [
        [],
        ["of the second"],
        ["of the third"],
        [],
    ]
