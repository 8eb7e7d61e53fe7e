"""`model.map`: one Model over many sets of values, in this process, in others, and on a cluster."""

from __future__ import annotations

import concurrent.futures
import itertools
import json
import os
import pathlib
import pickle
import random
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc

import pandas as pd
import pytest
from conftest import parameters, returns

from restified_magics import CellError, KernelModel, ParameterError, PythonModel, RestifiedError
from restified_magics.errors import ModelTimeout, ReturnError, TaskDied
from restified_magics.isolated.isolation import IsolatedExecutor


@pytest.fixture
def double(write):
    return PythonModel(write(parameters("x = 1\ny = 0"), returns("x * 2 + y")))


@pytest.fixture(params=["serial", "workers", "threads", "processes", "isolated"])
def where(request):
    """The arguments of `map` that say where the calls run."""
    executors = {
        "threads": lambda: concurrent.futures.ThreadPoolExecutor(2),
        "processes": lambda: concurrent.futures.ProcessPoolExecutor(2, _forkserver()),
        "isolated": lambda: IsolatedExecutor(2),
    }
    if request.param in executors:
        with executors[request.param]() as executor:
            yield {"executor": executor}
    else:
        yield {"workers": 2} if request.param == "workers" else {}


def _forkserver():
    import multiprocessing

    return multiprocessing.get_context("spawn")


def test_values_come_in_order(double, where):
    """Wherever the calls run, the values are in the order of the sets."""
    assert double.map([{"x": n} for n in range(300)], **where) == [n * 2 for n in range(300)]
    assert double.map(grid={"x": [1, 2], "y": (10, 20)}, **where) == [12, 22, 14, 24]
    assert double.map([], **where) == []


def test_errors_cross_with_cell_and_line_and_are_raised_or_returned(write, where):
    """The first failure is raised, with its place; with `on_error="return"` it is in its place among the values."""
    model = PythonModel(write(parameters("x = 1"), "\n1 / x", returns("x")))
    with pytest.raises(CellError, match="cell 2, line 2: ZeroDivisionError") as caught:
        model.map([{"x": 1}, {"x": 0}], **where)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert "In call 2 of the sweep" in caught.value.__notes__
    values = model.map([{"x": 1}, {"x": 0}, {"z": 1}, {"x": 3}], on_error="return", **where)
    assert (values[0], values[3]) == (1, 3)
    assert isinstance(values[1], CellError)
    assert isinstance(values[2], ParameterError)


def test_rows_of_a_dataframe_and_a_dataframe_of_results(double):
    """A DataFrame's rows are sets of values, and `to_frame` gives one of them with the values."""
    frame = double.map(pd.DataFrame({"x": [1, 2], "y": [0.5, 1.5]}), to_frame=True)
    assert list(frame.columns) == ["x", "y", "value"]
    assert list(frame["value"]) == [2.5, 5.5]
    frame = double.map([{"x": 1}, {"x": None}], to_frame=True, on_error="return")
    assert frame["error"][0] is None
    assert "TypeError" in frame["error"][1]


def test_integers_of_a_dataframe_stay_exact(write):
    """A call that failed, or a value that was not given, makes no floats of the whole numbers beside it."""
    model = PythonModel(write(parameters("x = 1\ny = 1"), returns("{1: 2**53 + 1, 2: 2**63 + 1, 3: 0.5}[x]")))

    def column(*sets, name="value"):
        return model.map(list(sets), to_frame=True, on_error="return")[name]

    missing = column({"x": 1}, {"x": 0})
    assert (str(missing.dtype), missing[0], pd.isna(missing[1])) == ("Int64", 2**53 + 1, True)
    large = column({"x": 2}, {"x": 0})
    assert (str(large.dtype), large[0], large[1]) == ("object", 2**63 + 1, None)
    assert column({"x": 1}, {"y": 2**53 + 1}, name="y")[1] == 2**53 + 1
    assert str(column({"x": 1}, {"x": 1}).dtype) == "int64"
    assert str(column({"x": 3}, {"x": 0}).dtype) == "float64"


def test_a_dataframe_loses_no_value_that_was_given(write):
    """A parameter with the name of a column that `to_frame` adds is refused, before a call is made."""
    model = PythonModel(
        write(parameters("value = 1\nerror = 2\nran = ''"), "open(ran, 'w')", returns("value"))
    )
    for name, options in (("value", {}), ("error", {"on_error": "return"})):
        with pytest.raises(ValueError, match=f"has a column named {name} of its own"):
            model.map([{name: 1, "ran": str(model.notebook.folder / "ran")}], to_frame=True, **options)
    assert not (model.notebook.folder / "ran").exists()


def test_what_was_begun_is_given_before_the_error_of_the_sets(double, where):
    """Sets from a generator that raises: every call that was taken from it ends and is given, then it is raised."""

    def sets(last):
        for n in range(10):
            yield {"x": n}
        yield last()

    for last, kind in ((lambda: 1 / 0, ZeroDivisionError), (lambda: 5, TypeError)):
        given = []
        with pytest.raises(kind):
            given.extend(double.map(sets(last), as_completed=True, **where))
        assert sorted(outcome.value for outcome in given) == [n * 2 for n in range(10)]


def test_as_completed_gives_outcomes_as_they_come(write):
    """The iterator gives each outcome when it is there, with its number and values: a quick one before a slow one."""
    model = PythonModel(
        write(
            parameters("x = 1\nwait = ''"),
            "import os, time\nwhile wait and not os.path.exists(wait):\n    time.sleep(0.01)",
            returns("x"),
        )
    )
    flag = str(model.notebook.folder / "go")
    outcomes = model.map([{"x": 1, "wait": flag}, {"x": 2}], workers=2, as_completed=True)
    first = next(outcomes)
    assert (first.number, first.value, first.params["x"], first.error) == (1, 2, 2, None)
    pathlib.Path(flag).touch()
    assert next(outcomes).number == 0
    assert list(outcomes) == []


def test_a_generator_is_read_as_far_as_the_workers_need(double):
    """Back-pressure: of sets without an end only some are taken ahead, also where nothing is called."""
    taken = itertools.count()
    outcomes = double.map(({"x": next(taken)} for _ in itertools.count()), as_completed=True)
    for _ in range(10):
        next(outcomes)
    outcomes.close()
    assert next(taken) < 50
    wrong = double.map(({"z": n} for n in itertools.count()), as_completed=True, on_error="return")
    assert isinstance(next(wrong).error, ParameterError)
    wrong.close()


def test_memory_is_flat(double):
    """A long sweep from a generator holds nothing of what has been given."""

    def peak(count):
        tracemalloc.start()
        for _ in double.map(({"x": n, "y": n} for n in range(count)), as_completed=True):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(500)
    assert peak(6000) < peak(500) + 200_000


def test_a_crash_is_its_own_calls_only(write):
    """A process that dies takes no other call with it, also where calls share a process."""
    model = PythonModel(write(parameters("x = 1"), "import os\nif x == 7:\n    os._exit(3)", returns("x")))
    values = model.map([{"x": n} for n in range(20)], workers=2, on_error="return")
    assert isinstance(values.pop(7), TaskDied)
    assert values == [n for n in range(20) if n != 7]


def test_a_crash_names_its_call(write):
    """The error says which notebook it was, with which values, shortened and without passwords; and pickles."""
    source = parameters("x = 1\npassword = ''\na = b = c = d = 0")
    model = PythonModel(write(source, "import os\nif x != 1:\n    os._exit(3)", returns("x")))
    sets = [{"x": 1}, {"x": "7" * 1000, "password": "hunter2", "a": 1, "b": 2, "c": 3, "d": 4}]
    with pytest.raises(TaskDied) as caught:
        model.map(sets, workers=1)
    assert caught.value.__notes__ == ["In call 2 of the sweep"]
    error = pickle.loads(pickle.dumps(caught.value))
    assert re.fullmatch(
        r"\S*model\.ipynb, cell 2, with x='777\S+', password=…, a=1, b=2, c=3, and 1 more: the process of the task ended "
        "by itself with exit code 3",
        str(error),
    )
    assert len(str(error).removeprefix(error.notebook)) < 250


@pytest.mark.parametrize("workers", [None, 2])
def test_equal_calls_of_a_sweep_are_made_once_with_a_store(counted, tmp_path, workers):
    """The others have its value; where it fails they are made, and what fails is told of each."""
    model, calls = counted
    sets = [{"x": n % 5} for n in range(50)]
    assert model.map(sets, store=tmp_path / "a", workers=workers) == [
        [n % 5, {"half": n % 5 / 2}] for n in range(50)
    ]
    assert calls() == 5
    failing = [{"x": 7, "fails": (7,)}] * 3
    errors = model.map(failing, store=tmp_path / "a", workers=workers, on_error="return", retries=1)
    assert [type(error) for error in errors] == [CellError] * 3
    assert calls() == 5 + 3 * 2


def test_no_call_is_lost_where_equal_ones_crash(write, tmp_path):
    """Those that wait for a call which ends its process have their outcomes, and so have its neighbours'."""
    crash = "import os\nif x == 5:\n    os._exit(1)"
    model = PythonModel(write(parameters("x = 1"), crash, returns("x")))
    sets = [{"x": n % 10} for n in range(100)]
    values = model.map(sets, store=tmp_path / "store", workers=2, on_error="return")
    assert [type(value) if n % 10 == 5 else value for n, value in enumerate(values)] == [
        TaskDied if n % 10 == 5 else n % 10 for n in range(100)
    ]


def test_a_cells_own_interrupt_is_its_calls_failure(write):
    """Ctrl-C ends a sweep; a cell of a worker that raises KeyboardInterrupt does not."""
    model = PythonModel(write(parameters("x = 1"), "if x == 5:\n    raise KeyboardInterrupt", returns("x")))
    values = model.map([{"x": n} for n in range(20)], workers=2, on_error="return")
    error = values.pop(5)
    assert isinstance(error, CellError)
    assert (error.ename, error.cell, error.line) == ("KeyboardInterrupt", 2, 2)
    assert values == [n for n in range(20) if n != 5]


def test_a_call_that_nothing_stops_runs_once(write, tmp_path):
    """Its process is ended some seconds after its time; those beside it have their values."""
    hang = "if x == 30:\n    open('begun', 'a').write('.')\n    sum(itertools.repeat(1))"
    model = PythonModel(write("import itertools", parameters("x = 1"), hang, returns("x")))
    values = model.map([{"x": n} for n in range(60)], workers=2, timeout=1, on_error="return")
    error = values.pop(30)
    assert isinstance(error, ModelTimeout)
    assert (error.seconds, error.cell) == (1, 3)
    assert values == [n for n in range(60) if n != 30]
    assert (tmp_path / "begun").read_text() == "."


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_pool_that_forks_does_not_share_random_numbers(write):
    """numpy's generator, as it was in this process, is begun anew in each of its processes."""
    import multiprocessing

    import numpy as np

    np.random.seed(1)
    model = PythonModel(
        write("import numpy as np, os", parameters("x = 1"), returns("os.getpid(), np.random.rand()"))
    )
    with concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
        futures = [executor.submit(time.sleep, 0.3) for _ in range(2)]  # so that both processes are there
        concurrent.futures.wait(futures)
        values = model.map([{"x": n} for n in range(8)], executor=executor)
    assert len({value for _, value in values}) == 8


class _Counting(concurrent.futures.Executor):
    """Makes each batch at once, and notes how many of its calls were made."""

    max_workers = 1

    def __init__(self):
        self.made = []

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        answers, seconds = fn(*args, **kwargs)
        self.made.append(len(answers))
        future.set_result((answers, seconds))
        return future


def test_large_values_do_not_pile_up(write):
    """A worker whose values are heavy makes no more calls than somebody has taken the values of."""
    model = PythonModel(write(parameters("x = 1"), returns("bytes(5_000_000 if x else 1)")))
    counting = _Counting()
    assert len(model.map([{"x": n} for n in (0, 0, 0, 0, 1, 1, 1, 1)], executor=counting)) == 8
    assert counting.made == [1, 4, 1, 1, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_what_a_cell_forks_makes_no_other_call(write, tmp_path):
    """A child that returns from its cell ends there; also where a cell has put something for `os.getpid`."""
    log = tmp_path / "log"
    calls = f"import os, time\nwith open({str(log)!r}, 'a') as file:\n    print(x, file=file)"
    forking = "os.fork()\nos.getpid = lambda: 1"
    model = PythonModel(write(parameters("x = 1"), calls, forking, "time.sleep(0.01)", returns("x")))
    assert model.map([{"x": n} for n in range(20)], workers=1) == [*range(20)]
    assert sorted(map(int, log.read_text().split())) == [*range(20)]


def test_outcomes_do_not_wait_for_a_slow_generator(write):
    """Before it is asked for another set, there are the outcomes of calls that have ended."""
    model = PythonModel(write(parameters("x = 1"), returns("x")))
    seen, first = [], []

    def slow():
        yield {"x": 0}
        first.extend(seen)
        for n in range(1, 400):
            if len(seen) > 2:
                return
            time.sleep(0.03)  # so long it takes
            yield {"x": n}

    for outcome in model.map(slow(), workers=1, as_completed=True):
        seen.append(outcome.value)  # noqa: PERF401 - which is looked at meanwhile
    assert first == [0]
    assert seen == [*range(len(seen))]
    assert 3 <= len(seen) < 300


def test_calls_share_a_process_for_a_moment(write, monkeypatch):
    """Sweeps of short calls start few processes; calls that take longer have one each."""
    model = PythonModel(
        write("import os, time", parameters("x = 0"), "time.sleep(x)", returns("os.getpid()"))
    )
    assert len(set(model.map([{"x": 0.3}] * 4, workers=2))) == 4
    for seconds in ("MOMENT", "_REUSE"):
        monkeypatch.setattr(f"restified_magics.sweep.crews.{seconds}", 600)
    assert len(set(model.map([{}] * 40, workers=2))) <= 2


def test_a_value_that_cannot_travel_can_be_opened(write, tmp_path):
    """The call has run, and can be looked at as a notebook."""
    model = PythonModel(write(parameters("x = 1"), returns("(n for n in [x])")))
    (error,) = model.map([{"x": 7}], workers=1, on_error="return")
    assert isinstance(error, ReturnError)
    assert "x = 7" in error.save(tmp_path / "failed.ipynb").read_text()


@pytest.mark.parametrize("others", [0, 40])
def test_a_crash_can_be_opened_as_a_notebook(write, tmp_path, others):
    """It has the values, and the error in the cell that crashed, also where the call shared its process."""
    crash = "import os\nif x < 0:\n    os._exit(3)"
    model = PythonModel(write(parameters("x = 1"), "a = x", crash, returns("a")))
    with pytest.raises(TaskDied) as caught:
        model.map([*({"x": n} for n in range(others)), {"x": -5}], workers=1)
    assert caught.value.cell == 3
    path = pickle.loads(pickle.dumps(caught.value)).save(tmp_path / "failed.ipynb")
    cells = json.loads(path.read_text())["cells"]
    assert cells[0]["source"] == "x = -5"
    assert [cell["execution_count"] for cell in cells] == [1, 2, 3, None]
    assert [[output["ename"] for output in cell["outputs"]] for cell in cells] == [[], [], ["TaskDied"], []]
    assert PythonModel(path)(x=2) == 2


def test_a_broken_pool_is_told(write):
    """A pool of the standard library is broken by a process that dies: the error says so, and what to do."""
    model = PythonModel(write(parameters("x = 1"), "import os\nos._exit(3)", returns("x")))
    with (
        concurrent.futures.ProcessPoolExecutor(1, _forkserver()) as executor,
        pytest.raises(
            TaskDied,
            match=r"the executor is broken.* With workers= a call that ends its process ends no other",
        ),
    ):
        model.map([{"x": 1}], executor=executor, on_error="return")


def test_retries(write, tmp_path):
    """A call that fails is made again so many times, and no more; wrong values are not."""
    source = "count = len(list(folder.iterdir()))\n(folder / str(count)).touch()\nif count < fails:\n    raise OSError(count)"
    model = PythonModel(
        write("import pathlib", parameters("folder: pathlib.Path\nfails = 2"), source, returns("count"))
    )
    folder = tmp_path / "tries"
    folder.mkdir()
    assert model.map([{"folder": folder}], retries=2) == [2]
    with pytest.raises(CellError):
        model.map([{"folder": folder, "fails": 99}], retries=3)
    assert len(list(folder.iterdir())) == 3 + 4


def test_timeout_of_each_call(write, where):
    """A call that takes too long is a ModelTimeout, and the others have their values."""
    model = PythonModel(write(parameters("x = 1"), "while x == 2:\n    pass", returns("x")))
    values = model.map([{"x": n} for n in range(4)], timeout=1.0, on_error="return", **where)
    assert isinstance(values.pop(2), ModelTimeout)
    assert values == [0, 1, 3]


def test_values_that_cannot_travel_are_named(double, write):
    """A value that does not pickle is an error with its name; so is a result, with what to return instead."""
    with pytest.raises(ParameterError, match="y cannot go to another process"):
        double.map([{"x": 1, "y": threading.Lock()}], workers=1)
    sets = [{"x": n, "y": threading.Lock() if n == 70 else 0} for n in range(100)]
    values = double.map(sets, workers=1, on_error="return")
    assert isinstance(values[70], ParameterError)
    assert values[:70] == [n * 2 for n in range(70)]
    model = PythonModel(write(returns("(n for n in range(3))"), name="other.ipynb"))
    with pytest.raises(ReturnError, match="Return a list of it"):
        model.map([{}], workers=1)


def test_values_of_the_notebooks_own_classes_travel(write):
    """A dataclass that the notebook defines comes back with its name and fields."""
    model = PythonModel(
        write("import dataclasses\n@dataclasses.dataclass\nclass Point:\n    x: int", returns("Point(3)"))
    )
    [point] = model.map([{}], workers=1)
    assert repr(point) == "Point(x=3)"


def test_the_notebook_travels_by_its_content(write, tmp_path):
    """Calls in other processes run in the notebook's folder, with what is beside it, though no path is sent."""
    (tmp_path / "helper.py").write_text("def plus(x):\n    return x + 1\n")
    (tmp_path / "data.txt").write_text("5")
    model = PythonModel(
        write("import helper", parameters("x = 1"), returns("helper.plus(x) * int(open('data.txt').read())"))
    )
    assert model.map([{"x": 1}], workers=1) == [10]


def test_seed(write, where):
    """With `seed=` each call has random numbers of its own, the same again; the caller's go on as they were."""
    if isinstance(where.get("executor"), concurrent.futures.ThreadPoolExecutor):
        return  # threads share the generators of their process
    model = PythonModel(
        write(
            "import random",
            parameters("seed = None"),
            "import numpy",
            returns("(random.random(), numpy.random.random(), seed)"),
        )
    )
    before = random.getstate()
    first = model.map([{}] * 5, seed=1, **where)
    assert random.getstate() == before
    assert len(set(first)) == 5
    assert len({seed for _, _, seed in first}) == 5
    assert first == model.map([{}] * 5, seed=1) != model.map([{}] * 5, seed=2)


def test_workers_share_no_random_state(write):
    """Without a seed, too, calls in processes have different random numbers."""
    model = PythonModel(write("import random, numpy", returns("(random.random(), numpy.random.random())")))
    values = model.map([{}] * 6, executor=(pool := IsolatedExecutor(2)))
    pool.shutdown()
    assert len({first for first, _ in values}) == len({second for _, second in values}) == 6


# ---------------------------------------------------------------------- store


@pytest.fixture
def counted(write, tmp_path):
    """A Model that leaves a trace of each of its calls."""
    (tmp_path / "calls").mkdir()
    source = "import uuid, pathlib\n(pathlib.Path('calls') / f'{x}-{uuid.uuid4()}').touch()"
    model = PythonModel(
        write(
            parameters("x = 1\nfails = ()"),
            source,
            "if x in fails:\n    raise ValueError",
            returns("[x, {'half': x / 2}]"),
        )
    )
    return model, lambda: len(list((tmp_path / "calls").iterdir()))


def test_a_sweep_goes_on_where_it_was(counted, tmp_path, where):
    """What is in the store is not called again, and has the same value; what failed is."""
    model, calls = counted
    sets = [{"x": n} for n in range(6)]
    store = tmp_path / "store"
    with pytest.raises(CellError):
        model.map([*sets[:3], {"x": 3, "fails": (3,)}], store=store, **where)
    # an executor of the caller's own cannot be ended: what it has begun goes on, and is kept
    latest = time.monotonic() + 20
    before, kept = calls(), len(list(store.rglob("*.call")))
    while "executor" in where and before != kept + 1 and time.monotonic() < latest:
        before, kept = calls(), len(list(store.rglob("*.call")))
    assert before >= 1
    expected = [[n, {"half": n / 2}] for n in range(6)]
    assert model.map(sets, store=store, **where) == expected
    # and what it has not begun may still begin
    late = 2 if "executor" in where else 0
    assert before + 6 - kept <= calls() <= before + 6 - kept + late
    after = calls()
    assert model.map(sets, store=store, **where) == expected
    assert calls() == after


def test_a_changed_notebook_or_seed_is_another_call(counted, tmp_path, write):
    """The store knows the notebook's version and the seed; outputs and text do not matter."""
    model, calls = counted
    model.map([{"x": 1}], store=tmp_path / "store")
    model.map([{"x": 1}], store=tmp_path / "store", seed=3)
    assert calls() == 2
    node = json.loads(model.notebook.path.read_text())
    node["cells"][1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    model.notebook.path.write_text(json.dumps(node))
    again = PythonModel(model.notebook.path)
    assert again.map([{"x": 1}], store=tmp_path / "store") == [[1, {"half": 0.5}]]
    assert calls() == 2
    node["cells"][1]["source"] += "\npass"
    model.notebook.path.write_text(json.dumps(node))
    PythonModel(model.notebook.path).map([{"x": 1}], store=tmp_path / "store")
    assert calls() == 3


def test_another_folder_or_engine_is_another_call(write, tmp_path):
    """What the cells read there, and what runs them, decides their values too; outcomes say what was stored."""
    path = write("import pathlib", parameters("x = 1"), returns("pathlib.Path('data').read_text() * x"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data").write_text(name)
    store = tmp_path / "store"
    for name in ("a", "b", "a"):
        assert PythonModel(path, cwd=tmp_path / name).map([{"x": 2}], store=store) == [name * 2]
    with KernelModel(path, cwd=tmp_path / "b") as model:
        first, second = (next(model.map([{"x": 2}], store=store, as_completed=True)) for _ in range(2))
    assert [(each.value, each.stored) for each in (first, second)] == [("bb", False), ("bb", True)]


@pytest.mark.parametrize(
    ("sets", "grid", "told"),
    [
        ([{"x": 1}, {"x": 2}, {"x": "a"}], None, "In call 3 of the sweep"),
        ([{"x": 1}, {"z": 2}], None, "In call 2 of the sweep"),
        (None, {"x": [1, 2], "y": [1, 2, "a"]}, "In call 3 of the sweep"),
        (None, {"x": [1, 2, "a"], "y": [1, 2]}, "In call 5 of the sweep"),
        ([{"x": 1}, {"x": "a"}], {"y": [1, 2]}, "In call 3 of the sweep"),
        ([{"x": 1}, {"x": 2}], {"y": [1, 2, "a"]}, "In call 3 of the sweep"),
    ],
)
def test_wrong_values_are_told_before_anything_runs(counted, sets, grid, told):
    """Where all sets are there, none is called if the Model does not take one of them."""
    _, calls = counted
    node = json.loads(counted[0].notebook.path.read_text())
    node["cells"][0]["source"] = "x: int = 1\ny: int = 1\nfails = ()"
    model = PythonModel(node, cwd=counted[0].notebook.path.parent)
    with pytest.raises(ParameterError) as caught:
        model.map(sets, grid=grid)
    assert caught.value.__notes__ == [told]
    assert calls() == 0
    assert len(model.map(sets, grid=grid, on_error="return")) == len(
        list(model.map(sets, grid=grid, as_completed=True, on_error="return"))
    )
    assert calls() > 0


def test_what_can_be_read_once_is_not_read_before_its_call(write):
    """An iterator that is a value of a set comes to the call as it was given."""
    model = PythonModel(write(parameters("x: list[int] = []"), returns("x")))
    assert model.map([{"x": iter([1, 2])}, {"x": [3]}]) == [[1, 2], [3]]


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:-3], lambda _: b"", lambda content: content.replace(b"0.5", b"0.7")],
)
def test_a_damaged_entry_is_noticed(counted, tmp_path, damage):
    """An entry that was cut or changed is told, and its call made again."""
    model, calls = counted
    store = tmp_path / "store"
    model.map([{"x": 1}], store=store)
    [entry] = store.rglob("*.call")
    entry.write_bytes(damage(entry.read_bytes()))
    with pytest.warns(UserWarning, match="damaged or foreign"):
        assert model.map([{"x": 1}], store=store) == [[1, {"half": 0.5}]]
    assert calls() == 2
    assert model.map([{"x": 1}], store=store) == [[1, {"half": 0.5}]]
    assert calls() == 2


def test_another_calls_entry_is_noticed(counted, tmp_path):
    """An entry that was moved to another call's place is not taken for it."""
    model, _ = counted
    store = tmp_path / "store"
    model.map([{"x": 1}], store=store)
    [one] = store.rglob("*.call")
    model.map([{"x": 2}], store=store)
    [two] = set(store.rglob("*.call")) - {one}
    two.write_bytes(one.read_bytes())
    with pytest.warns(UserWarning, match="it is another call's"):
        assert model.map([{"x": 2}], store=store) == [[2, {"half": 1.0}]]


def test_a_store_is_a_folder_of_its_own(double, tmp_path):
    """A folder with other files, a file, and one that cannot be written are errors before any call."""
    (tmp_path / "thesis.txt").write_text("x")
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(RestifiedError, match="store"):
            double.map([{"x": 1}], store=path)


@pytest.mark.parametrize("damage", [b"", b"[]", b"\xff"])
def test_a_damaged_mark_of_a_store_is_named(counted, tmp_path, damage):
    """Without the file that says that a folder is a store it is none: the error says what brings it back."""
    model, calls = counted
    model.map([{"x": 1}], store=tmp_path / "store")
    mark = tmp_path / "store" / "restified-sweep.json"
    whole = mark.read_text()
    mark.write_bytes(damage)
    with pytest.raises(
        RestifiedError, match=r"restified-sweep\.json is damaged .*Give another folder"
    ) as caught:
        model.map([{"x": 1}], store=tmp_path / "store")
    assert whole in str(caught.value)
    mark.write_text(whole)
    before = calls()
    model.map([{"x": 1}], store=tmp_path / "store")
    assert calls() == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/full")
def test_a_full_disk_is_told(double, tmp_path, monkeypatch):
    """Where an entry cannot be written the sweep ends and says that it can go on."""
    store = tmp_path / "store"
    double.map([{"x": 1}], store=store)
    written = pathlib.Path.write_bytes

    def full(path, content):
        if ".call" in path.name:
            with open("/dev/full", "wb") as file:
                file.write(content)
        return written(path, content)

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(RestifiedError, match=r"No space left on device.* run the sweep again"):
        double.map([{"x": 2}], store=store)


def test_a_killed_sweep_goes_on(counted, tmp_path):
    """Killed in the middle, a sweep leaves whole entries only, and nothing that is kept runs twice."""
    model, calls = counted
    program = (
        "from restified_magics import PythonModel\n"
        "for done in PythonModel('model.ipynb').map(({'x': n} for n in range(10**6)), store='store', as_completed=True):\n"
        "    print(done.number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if int(line) >= 20:
            process.kill()
            break
    process.stdout.close()
    process.wait()
    before = calls()
    kept = len(list((tmp_path / "store").rglob("*.call")))
    assert 20 <= kept <= before <= kept + 1
    count = kept + 5
    assert model.map([{"x": n} for n in range(count)], store=tmp_path / "store") == [
        [n, {"half": n / 2}] for n in range(count)
    ]
    assert calls() == before + count - kept


def test_what_ended_before_a_crash_is_not_made_again(counted, tmp_path):
    """A call that ends its process takes none with it that had ended in the same batch."""
    source = "import os\nif x == 50 and crash:\n    os._exit(1)"
    model, _ = counted
    node = json.loads(model.notebook.path.read_text())
    node["cells"][0]["source"] += "\ncrash = True"
    node["cells"][2]["source"] += "\n" + source
    model = PythonModel(node, cwd=tmp_path)
    store = tmp_path / "store"
    values = model.map([{"x": n} for n in range(80)], workers=1, store=store, on_error="return")
    assert isinstance(values.pop(50), TaskDied)
    assert values == [[n, {"half": n / 2}] for n in range(80) if n != 50]
    made = [path.name.partition("-")[0] for path in (tmp_path / "calls").iterdir()]
    assert sorted(made) == sorted([*map(str, range(80)), *["50"] * (len(made) - 80)])
    assert len(made) <= 82
    assert len(list(store.rglob("*.call"))) == 79


def test_who_crashes_among_many_short_calls_is_found(write, tmp_path):
    """It runs once, and the others have no process each."""
    source = "import os\nif x == 700:\n    os.write(os.open('crashes', os.O_WRONLY | os.O_APPEND), b'.')\n    os._exit(1)"
    model = PythonModel(write(parameters("x = 1"), source, returns("x, os.getpid()")), cwd=tmp_path)
    (tmp_path / "crashes").touch()
    outcomes = model.map([{"x": n} for n in range(1000)], workers=2, on_error="return")
    assert isinstance(outcomes.pop(700), TaskDied)
    assert [x for x, _ in outcomes] == [n for n in range(1000) if n != 700]
    assert len({process for _, process in outcomes}) < 50
    assert (tmp_path / "crashes").read_text() == "."


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")
def test_what_ended_before_a_kill_is_not_made_again(counted, tmp_path):
    """Each call of a batch is kept when it has ended, not when the batch has."""
    _, calls = counted
    program = (
        "from restified_magics import PythonModel\n"
        "if __name__ == '__main__':\n"
        "    model = PythonModel('model.ipynb')\n"
        "    sets = ({'x': n} for n in range(10**6))\n"
        "    model.map(sets, store='store', workers=1)\n"
    )
    (tmp_path / "program.py").write_text(program)
    process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path)
    while calls() < 200:
        assert process.poll() is None
    process.kill()
    process.wait()
    before = calls()
    kept = len(list((tmp_path / "store").rglob("*.call")))
    assert 200 <= before <= kept + 1


def test_a_value_that_cannot_be_kept_is_that_calls_failure(write, tmp_path):
    """The others go on, and are kept."""
    model = PythonModel(write(parameters("x = 1"), returns("x if x != 2 else (n for n in [1])")))
    sets = [{"x": 1}, {"x": 2}, {"x": 3}]
    values = model.map(sets, store=tmp_path / "store", on_error="return")
    assert (values[0], values[2]) == (1, 3)
    assert isinstance(values[1], ReturnError)
    assert "store= cannot keep it" in str(values[1])
    with pytest.raises(ReturnError) as caught:
        model.map(sets, store=tmp_path / "store")
    assert "In call 2 of the sweep" in caught.value.__notes__


def test_two_sweeps_may_begin_with_one_new_folder(double, tmp_path):
    """What another process has half written is not taken for a file of somebody else's."""
    store = tmp_path / "store"
    store.mkdir()
    (store / ".restified-sweep.json.12345.6789").write_text("{")
    assert double.map([{"x": 1}], store=store) == [2]


# ----------------------------------------------------------- progress and ending


def test_progress_counts_failures(write, capsys):
    """The bar shows how many calls are done, and how many failed."""
    model = PythonModel(write(parameters("x = 1"), "1 / x", returns("x")))
    model.map([{"x": 1}, {"x": 0}, {"x": 2}], progress=True, on_error="return")
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "failed=1" in shown


class _Interrupted(concurrent.futures.Executor):
    """Makes the first batch at once and never another; who cancels the first is interrupted, as by a second Ctrl-C."""

    max_workers = 2

    def __init__(self):
        self.futures = []
        self.interrupted = False

    def submit(self, fn, /, *args, **kwargs):
        self.futures.append(_InterruptedFuture(self))
        if len(self.futures) == 1:
            self.futures[0].set_result(fn(*args, **kwargs))
        return self.futures[-1]


class _InterruptedFuture(concurrent.futures.Future):
    def __init__(self, executor):
        super().__init__()
        self._executor = executor

    def cancel(self):
        super().cancel()
        if not self._executor.interrupted:
            self._executor.interrupted = True
            signal.raise_signal(signal.SIGINT)
        return True


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_a_second_interrupt_leaves_nothing_running(write):
    """Who presses Ctrl-C again, while what runs is ended, is not left with the rest of it."""
    executor = _Interrupted()
    model = PythonModel(write(parameters("x = 1"), returns("x")))
    outcomes = model.map([{"x": n} for n in range(8)], executor=executor, as_completed=True)
    assert next(outcomes).value == 0
    left = executor.futures[1:]
    assert len(left) > 1
    with pytest.raises(KeyboardInterrupt):
        outcomes.close()
    latest = time.monotonic() + 20
    while not all(future.cancelled() for future in left):
        assert time.monotonic() < latest
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_interrupt_ends_everything_at_once(write, tmp_path):
    """Ctrl-C ends the sweep and the processes of its calls."""
    write(
        parameters("x = 1"),
        "import os, pathlib, time\npathlib.Path(f'{os.getpid()}.pid').touch()\ntime.sleep(600)",
        returns("x"),
    )
    program = (
        "from restified_magics import PythonModel\n"
        "if __name__ == '__main__':\n"
        "    PythonModel('model.ipynb').map([{'x': n} for n in range(8)], workers=2)\n"
    )
    (tmp_path / "program.py").write_text(program)
    process = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while len(pids := [int(path.stem) for path in tmp_path.glob("*.pid")]) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    assert len(list(tmp_path.glob("*.pid"))) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_new_processes_where_there_is_no_fork(double):
    """With the start method of Windows and macOS a sweep is the same."""
    with IsolatedExecutor(1, start_method="spawn") as executor:
        assert double.map([{"x": n} for n in range(3)], executor=executor) == [0, 2, 4]


def test_what_is_asked_wrong(double):
    """Wrong use is told before anything runs."""
    with pytest.raises(TypeError, match="write grid="):
        double.map({"x": [1, 2]})
    with pytest.raises(TypeError, match="needs sets of values"):
        double.map()
    with pytest.raises(TypeError, match="a list of dicts"):
        double.map(5)
    with pytest.raises(TypeError, match=r"a list of values for x, as in \[5\]"):
        double.map(grid={"x": 5})
    for text, shown in (("ab", "'ab'"), (b"ab", "b'ab'")):
        with pytest.raises(TypeError, match=rf"a list of values for x, as in \[{shown}\]"):
            double.map(grid={"x": text})
    for sets in ([{}, {"x": 1}], iter([{}, {"x": 1}])):
        with pytest.raises(ValueError, match="x is given twice: in set 2 and in grid="):
            double.map(sets, grid={"x": [5, 6]})
    with pytest.raises(ValueError, match="not both"):
        double.map([{}], workers=2, executor=concurrent.futures.ThreadPoolExecutor(1))
    with pytest.raises(
        TypeError, match=r"a concurrent.futures.Executor, not 2\. For isolated .* write workers="
    ):
        double.map([{}], executor=2)
    for option in ({"workers": "2"}, {"workers": 2.5}, {"retries": "1"}, {"seed": "a"}):
        with pytest.raises(TypeError, match=f"{next(iter(option))} must be a whole number, not"):
            double.map([{"x": 1}], **option)
    with pytest.raises(ValueError, match="workers must be at least 1"):
        double.map([{}], workers=0)
    with pytest.raises(ValueError, match="on_error must be"):
        double.map([{}], on_error="ignore")
    with pytest.raises(ValueError, match="retries must be 0 or more"):
        double.map([{}], retries=-1)
    with pytest.raises(ValueError, match="leave one out"):
        double.map([{}], as_completed=True, to_frame=True)
    with pytest.raises(TypeError, match="a dict of values for each call; call 1 is 5"):
        double.map([5])
    for where in ({}, {"workers": 1}):
        with pytest.raises(ValueError, match="Leave files= out"):
            double.map([{}], files=["*.py"], **where)


def test_a_seed_that_reaches_no_generator_is_refused(write):
    """Kernels and threads have no generators to begin; a parameter named seed is given anywhere."""
    path = write(parameters("x = 1"), returns("x"))
    with (
        concurrent.futures.ThreadPoolExecutor(2) as threads,
        pytest.raises(ValueError, match="does not work with threads"),
    ):
        PythonModel(path).map([{}], seed=1, executor=threads)
    with KernelModel(path) as model, pytest.raises(ValueError, match="generators of a kernel"):
        model.map([{}], seed=1)
    model = PythonModel(write(parameters("seed = 0"), returns("seed")))
    before = random.getstate()
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        assert model.map([{}] * 4, seed=1, executor=threads) == model.map([{}] * 4, seed=1)
    assert random.getstate() == before


def test_kernels(write):
    """A KernelModel maps over kernels, two at a time."""
    with KernelModel(write(parameters("x = 1"), returns("x * 2"))) as model:
        assert model.map([{"x": 1}, {"x": 2}, {"x": 3}], workers=2) == [2, 4, 6]


def test_a_kernel_that_is_kept_is_still_there_after_a_sweep(write):
    """With `reuse=True` a sweep uses the one kernel, and leaves it with its state."""
    source = "count = globals().get('count', 0) + 1"
    with KernelModel(write(parameters("x = 1"), source, returns("count")), reuse=True) as model:
        assert model.map([{"x": 1}, {"x": 2}]) == [1, 2]
        assert model(x=3) == 3
