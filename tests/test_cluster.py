"""Sweeps on a real Dask cluster: two worker processes of ours, and one that its own command lines started."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from conftest import cell, parameters, returns

from restified_magics import CellError, PythonModel
from restified_magics.errors import NotebookError, TaskDied

pytestmark = [
    # what Dask's own event loops and sockets leave open when they are ended
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def client():
    """A LocalCluster of two worker processes, each with a nanny."""
    import dask.config
    import distributed

    with (
        # of a machine with much to do
        dask.config.set({"distributed.comm.timeouts.connect": "120s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):
        yield connected


def test_a_sweep_on_a_cluster(client, write):
    """Values come in order; errors with cell, line and cause; each call's process is its own."""
    model = PythonModel(write(parameters("x = 1"), "import os", "y = 100 / x", returns("(x, os.getpid())")))
    values = model.map([{"x": n} for n in range(1, 41)], executor=client.get_executor())
    assert [x for x, _ in values] == list(range(1, 41))
    workers = set(client.run(os.getpid).values())
    assert not workers & {pid for _, pid in values}
    with pytest.raises(CellError, match="cell 3, line 1: ZeroDivisionError") as caught:
        model.map([{"x": 0}], executor=client.get_executor())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_crash_does_not_hurt_a_worker(client, write, tmp_path):
    """A call whose process dies is a TaskDied; the workers go on, and what had ended is not made again."""
    calls = tmp_path / "calls"
    model = PythonModel(
        write(
            parameters("x = 1\nfolder = ''"),
            "import os, tempfile, time\nos.close(tempfile.mkstemp(prefix=f'{x}-', dir=folder)[0])",
            "time.sleep(0.003)  # what ends faster may be made again\nif x == 50:\n    os._exit(1)",
            returns("x"),
        )
    )
    calls.mkdir()
    before = set(client.run(os.getpid).values())
    sets = [{"x": n, "folder": str(calls)} for n in range(80)]
    values = model.map(sets, executor=client.get_executor(), on_error="return")
    died = values.pop(50)
    assert isinstance(died, TaskDied)
    assert died.cell == 3
    assert died.result.params["x"] == 50
    assert values == [n for n in range(80) if n != 50]
    assert set(client.run(os.getpid).values()) == before
    made = [path.name.partition("-")[0] for path in calls.iterdir()]
    assert sorted(made) == sorted([*map(str, range(80)), *["50"] * (len(made) - 80)])


def test_a_call_that_ends_worker_after_worker(write):
    """It is a TaskDied that names its call, as on one machine, and can be opened as a notebook."""
    import dask.config
    import distributed

    # the worker is the parent of the server from which the process of the call is forked
    kill = "import os, psutil\nos.kill(psutil.Process().parent().ppid(), 9)"
    model = PythonModel(write(parameters("x = 1"), kill, returns("x")))
    with (
        dask.config.set(
            {"distributed.scheduler.allowed-failures": 0, "distributed.comm.timeouts.connect": "120s"}
        ),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as connected,
    ):
        (error,) = model.map([{"x": 7}], executor=connected.get_executor(), on_error="return")
    assert isinstance(error, TaskDied)
    assert "model.ipynb, with x=7: the workers of Dask that had the call ended" in str(error)
    assert error.result.params == {"x": 7}


def test_an_interrupt_in_a_cell_is_its_calls_failure(client, write):
    """A cell that raises KeyboardInterrupt ends no worker."""
    before = set(client.run(os.getpid).values())
    model = PythonModel(write(parameters("x = 1"), "if x == 5:\n    raise KeyboardInterrupt", returns("x")))
    values = model.map([{"x": n} for n in range(20)], executor=client.get_executor(), on_error="return")
    assert values.pop(5).ename == "KeyboardInterrupt"
    assert values == [n for n in range(20) if n != 5]
    assert set(client.run(os.getpid).values()) == before


def test_slow_packages_are_there_already(client, write):
    """What a notebook imports, the process has that those of its calls are forked from."""
    ready = cell("import sys\nready = 'numpy' in sys.modules\nimport numpy")
    model = PythonModel(write(parameters("x = 1"), ready, returns("ready")))
    assert model.map([{"x": n} for n in range(4)], executor=client.get_executor()) == [True] * 4


def test_files_travel_when_they_are_named(client, write, tmp_path):
    """Files beside the notebook are not on the worker: the error says so, and `files=` brings them."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "n.txt").write_text("5")
    (tmp_path / "helper_of_sweep.py").write_text("def twice(x):\n    return 2 * x\n")
    model = PythonModel(
        write("import helper_of_sweep", returns("helper_of_sweep.twice(int(open('data/n.txt').read()))"))
    )
    with pytest.raises(CellError, match="ModuleNotFoundError") as caught:
        model.map([{}], executor=client.get_executor())
    assert any("given by files=" in note for note in caught.value.__notes__)
    assert model.map([{}], executor=client.get_executor(), files=["*.py", "data"]) == [10]
    with pytest.raises(FileNotFoundError, match="names no file"):
        model.map([{}], executor=client.get_executor(), files=["nothing.csv"])


def test_missing_files_are_told_among_the_results(client, write, tmp_path):
    """Where an error is text among values, in a DataFrame or from the command, it says what `files=` is for, too."""
    model = PythonModel(write(parameters("x = 1"), returns("open('n.txt').read()")))
    words = r"cell 2, line 1: FileNotFoundError: .*\. Only the notebook's content .* given by files="
    frame = model.map([{}], executor=client.get_executor(), on_error="return", to_frame=True)
    assert re.search(words, frame["error"][0])
    command = [sys.executable, "-m", "restified_magics", "map", "model.ipynb", "--grid", "x=1", "-q"]
    done = subprocess.run(
        [*command, "--dask", client.scheduler.address, "--keep-going"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert re.search(words, done.stdout), done.stderr


def test_another_version_of_the_package_is_told(client, write, monkeypatch):
    """A worker with another version says so, and does not try."""
    import restified_magics

    model = PythonModel(write(returns("1")))
    monkeypatch.setattr(restified_magics, "__version__", "99.0")
    with pytest.raises(Exception, match=r"the worker has restified_magics .*, and 99\.0 asks it"):
        model.map([{}], executor=client.get_executor())


def _is_running(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _until(condition, seconds=60):
    latest = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.05)


@pytest.mark.parametrize("ending", ["closed", "failure"])
def test_the_end_of_a_sweep_ends_its_calls_on_the_workers(client, write, tmp_path, ending):
    """When a sweep is over, by its first failure or by who asked for it, no process of it goes on on a worker."""
    source = (
        "import os, pathlib, time\n"
        "if x == 1:\n"
        "    pathlib.Path(folder, f'{os.getpid()}.pid').touch()\n"
        "    time.sleep(1000)\n"
        "while not list(pathlib.Path(folder).glob('*.pid')):\n"
        "    time.sleep(0.05)\n"
        "if x == 2:\n"
        "    raise ValueError"
    )
    model = PythonModel(write(parameters("x = 0\nfolder = ''"), source, returns("x")))
    sets = [{"x": x, "folder": str(tmp_path)} for x in (1, 0 if ending == "closed" else 2)]
    outcomes = model.map(sets, executor=client.get_executor(), as_completed=True)
    if ending == "closed":
        assert next(outcomes).value == 0
        outcomes.close()
    else:
        with pytest.raises(CellError, match="ValueError"):
            next(outcomes)
    [pid] = [int(path.stem) for path in tmp_path.glob("*.pid")]
    _until(lambda: not _is_running(pid))
    assert PythonModel(write(returns("5"))).map([{}] * 4, executor=client.get_executor()) == [5] * 4


def test_a_retry_is_another_call(client, write, tmp_path):
    """A failed call is made again, though the same batch goes to Dask."""
    source = (
        "import pathlib, uuid\npath = pathlib.Path(folder)\n(path / str(uuid.uuid4())).touch()\n"
        "if len(list(path.iterdir())) < 3:\n    raise ValueError"
    )
    model = PythonModel(write(parameters("folder = ''"), source, returns("7")))
    (tmp_path / "calls").mkdir()
    sets = [{"folder": str(tmp_path / "calls")}]
    assert model.map(sets, executor=client.get_executor(), retries=2) == [7]


def test_a_worker_that_cannot_see_the_folder_of_a_server_says_so(client, tmp_path):
    """A call of the REST interface needs the server's folder on the worker; where it is not, that is told."""
    from restified_magics.isolated.isolated_call import Wanted
    from restified_magics.rest.dask_calls import _on_worker

    wanted = Wanted(
        "a.ipynb", "a.ipynb", str(tmp_path / "gone"), None, {}, "*/*", None, False, False, 100, 100, 0
    )
    given = client.submit(_on_worker, wanted, 10.0, pure=False).result()
    assert isinstance(given.error, NotebookError)
    assert "cannot see its folder" in str(given.error)


# ------------------------------------------- a scheduler and workers of the command line


def _free_port():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


@pytest.fixture
def network(tmp_path):
    """``dask scheduler`` and two ``dask worker``, as the README starts them; what it yields starts one more."""
    port = _free_port()
    address = f"tcp://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    dask = [sys.executable, "-m", "dask"]
    folder = tmp_path / "network"
    folder.mkdir()

    with contextlib.ExitStack() as ending:

        def start(*arguments):
            process = subprocess.Popen(
                [*dask, *arguments],
                cwd=folder,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            ending.callback(end, process)
            return process

        def end(process):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        def worker():
            return start(
                "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"
            )

        start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        yield address, [worker(), worker()]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
def test_no_call_is_lost_when_a_worker_is_killed(network, write, tmp_path):
    """One of two workers is killed in the middle: every call has its value, and none a wrong one."""
    import distributed

    address, workers = network
    (tmp_path / "calls").mkdir()
    source = (
        "import pathlib, time, uuid\n(pathlib.Path(folder) / f'{x}-{uuid.uuid4()}').touch()\ntime.sleep(0.2)"
    )
    model = PythonModel(write(parameters("x = 1\nfolder = ''"), source, returns("x * 2")))
    with distributed.Client(address, timeout="60s") as client:
        client.wait_for_workers(2, timeout=60)
        sets = [{"x": n, "folder": str(tmp_path / "calls")} for n in range(30)]
        found = {}
        for outcome in model.map(sets, executor=client.get_executor(), as_completed=True):
            found[outcome.number] = outcome.value
            if len(found) == 6:
                os.killpg(workers[0].pid, signal.SIGKILL)
                workers[0].wait()
        assert found == {n: n * 2 for n in range(30)}
        assert len(client.ncores()) == 1
    done = [entry.name.partition("-")[0] for entry in (tmp_path / "calls").iterdir()]
    assert set(done) == {str(n) for n in range(30)}
    assert len(done) <= 30 + 4


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
def test_the_command_on_a_cluster(network, write, tmp_path):
    """`restified map --dask ADDRESS` runs there."""
    write(parameters("x = 1"), returns("x * 2"))
    deadline = time.monotonic() + 60
    command = [sys.executable, "-m", "restified_magics", "map", "model.ipynb", "--grid", "x=1,2,3", "-q"]
    done = subprocess.run(
        [*command, "--dask", network[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert time.monotonic() < deadline + 60
    assert done.stdout == "x,value\n1,2\n2,4\n3,6\n", done.stderr
