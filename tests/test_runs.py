"""Calls that run beside their caller: any kind of Model, the same states, progress and ways to end."""

from __future__ import annotations

import threading

import pytest
from conftest import node, parameters, returns

from restified_magics import CellError, KernelModel, ModelTimeout, ParameterError, PythonModel
from restified_magics.errors import ModelCancelled

FIBONACCI = node(parameters("n = 3"), "print('begin')", "total = n * 2", returns("total"), "'after'")
ENDLESS = node("print('begin', flush=True)", "while True: pass", returns("1"), "'after'")


@pytest.fixture(params=[PythonModel, KernelModel])
def kind(request):
    return request.param


def until(run, condition):
    """Wait until something is so of a run, or it has ended."""
    while not condition(run) and not run.wait(0.01):
        pass


def test_a_run_gives_what_the_call_gives(kind):
    """State, value, outputs and progress of a call that goes well; `on_end` is called once, at the end.

    Cells after the `return` cell are never run, and so there are none of them to run.
    """
    ended = []
    run = kind(FIBONACCI).start({"n": 4}, on_end=ended.append)
    assert run.value(60) == 8
    until(run, lambda _: ended)
    assert ended == [run]
    assert run.state == "done"
    assert run.error is None
    assert run.progress[:2] == (4, 4)
    assert run.outputs()[1][0]["text"] == "begin\n"
    assert run.result.params == {"n": 4}
    assert run.elapsed > 0


def test_bad_values_are_refused_at_once(kind):
    """The error of a call comes from `start` itself, and nothing runs."""
    with pytest.raises(ParameterError, match="is not a parameter"):
        kind(FIBONACCI).start({"m": 4})


def test_cancel(kind):
    """A call that runs is ended; its outputs so far are there, and how far it came."""
    run = kind(ENDLESS).start()
    until(run, lambda run: run.progress.cell == 2)
    assert run.state == "running"
    assert run.progress == (1, 3, 2)
    run.cancel()
    run.cancel()
    with pytest.raises(ModelCancelled, match="cell 2: cancelled"):
        run.value(60)
    assert run.state == "cancelled"
    assert run.error.result is run.result
    assert run.outputs()[0][0]["text"] == "begin\n"


def test_a_call_with_a_timeout_can_be_cancelled_too(kind):
    """Its own limit goes on to hold, and the cancellation is told as what it is."""
    model = kind(ENDLESS, timeout=120)
    run = model.start()
    until(run, lambda run: run.progress.cell == 2)
    run.cancel()
    run.wait(60)
    assert run.state == "cancelled"
    late = model.start(timeout=0.3)
    with pytest.raises(ModelTimeout) as caught:
        late.value(60)
    assert caught.value.seconds == 0.3
    assert late.state == "failed"


def test_failure(kind):
    """What a cell raises ends the run, and is raised by `value` alone."""
    run = kind(node("1 / 0", returns("1"))).start()
    with pytest.raises(CellError, match="ZeroDivisionError"):
        run.value(60)
    assert run.state == "failed"
    assert run.result.error is run.error


def test_blocked_in_c():
    """A thread that nobody can stop is left to itself after a moment, and says so."""
    event = threading.Event()

    class Lock:
        def __init__(self):
            self.lock = threading.Lock()
            self.lock.acquire()

    lock = Lock()
    model = PythonModel(
        node(
            parameters("lock = None\nevent = None"),
            "event.set()\nlock.lock.acquire()\nprint(1)",
            returns("1"),
        )
    )
    run = model.start({"lock": lock, "event": event})
    assert event.wait(60)
    run.cancel()
    assert run.wait(60)
    assert not run.error.stopped
    lock.lock.release()
    assert model.start({"lock": threading.Event(), "event": threading.Event()}).wait(60)
    assert run.outputs() == [[], [], []]


def test_value_waits_no_longer_than_told():
    """Waiting ends, and the call goes on."""
    run = PythonModel(ENDLESS).start()
    with pytest.raises(TimeoutError, match="still running"):
        run.value(0.05)
    assert run.state == "running"
    run.cancel()
    assert run.wait(60)


def test_an_inner_call_with_a_limit_ends_with_the_outer_run():
    """The cancellation reaches a Model that a Model calls, though that one waits within its own deadline."""
    inner = "from restified_magics import PythonModel\nPythonModel(inner).execute(timeout=100)"
    run = PythonModel(node(parameters("inner = None"), inner, returns("1"))).start({"inner": ENDLESS})
    until(run, lambda run: run.progress.cell == 2)
    run.cancel()
    assert run.wait(60)
    assert run.state == "cancelled"
    assert run.error.stopped
