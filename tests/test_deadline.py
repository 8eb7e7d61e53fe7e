"""Deadlines within deadlines, beside other people's timers, and interrupts while a call waits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import sys
import threading
import time

import pytest
from conftest import node, parameters, returns

from restified_magics import CellError, KernelModel, ModelTimeout, PythonModel
from restified_magics.core.deadline import Deadline, Expired, within

NESTED = "from restified_magics import PythonModel\nvalue = PythonModel(inner).execute(timeout=limit)"
ENDLESS = node("while True: pass", returns("1"))


def nested():
    return PythonModel(node(parameters("inner = None\nlimit = None"), NESTED, returns("value")))


def test_inner_timeout_is_an_error_of_the_outer_cell():
    """The outer Model sees a ModelTimeout of the inner one, and may catch it."""
    with pytest.raises(CellError, match="ModelTimeout") as caught:
        nested().execute({"inner": ENDLESS, "limit": 0.1}, timeout=30)
    assert caught.value.__cause__.seconds == 0.1


@pytest.mark.parametrize("limit", [30, None])
def test_outer_timeout_ends_the_inner_call_too(limit):
    """The shorter limit counts, wherever it was given."""
    with pytest.raises(ModelTimeout) as caught:
        nested().execute({"inner": ENDLESS, "limit": limit}, timeout=0.2)
    assert caught.value.seconds == 0.2


def test_both_hold_in_another_thread():
    """The same in a thread that is not the main one."""
    outcome = []

    def call():
        for limits in ((0.1, 30), (30, 0.2)):
            try:
                nested().execute({"inner": ENDLESS, "limit": limits[0]}, timeout=limits[1])
            except (CellError, ModelTimeout) as error:
                outcome.append(type(error).__name__)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    assert outcome == ["CellError", "ModelTimeout"]


SWALLOWS = [
    "while True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass",
    "while True:\n    try:\n        x = 1\n    except:\n        continue",
    "def f():\n    while True:\n        try:\n            time.sleep(60)\n        except BaseException:\n"
    "            x = 1\nf()",
    "while True:\n    with contextlib.suppress(BaseException):\n        time.sleep(60)",
]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no signals of this kind")
@pytest.mark.parametrize("source", SWALLOWS)
def test_a_cell_that_catches_every_interrupt_ends_all_the_same(source):
    """In the main thread, after a grace period; what traced before traces again."""
    tracing = sys.gettrace()
    with pytest.raises(ModelTimeout) as caught:
        PythonModel(node("import contextlib, time", source, returns("1"))).execute(timeout=0.2)
    assert (caught.value.cell, caught.value.stopped) == (2, True)
    assert str(caught.value) == "<notebook>, cell 2: stopped after 0.2 s, the call's timeout"
    assert sys.gettrace() is tracing
    assert PythonModel(node(returns("1"))).execute(timeout=5) == 1


def test_a_cell_that_catches_every_interrupt_in_a_thread_is_left_to_itself():
    """And the message says what it may be."""
    release = threading.Event()
    source = "while not release.is_set():\n    try:\n        release.wait(60)\n    except BaseException:\n        pass"
    told = []

    def call():
        try:
            PythonModel(node(parameters("release = None"), source)).execute({"release": release}, timeout=0.1)
        except ModelTimeout as error:
            told.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(30)
    release.set()
    assert told[0].stopped is False
    assert "blocked in C code or catches every exception" in str(told[0])


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no signals of this kind")
def test_somebody_elses_timer_goes_on():
    """The alarm and its handler that were set before are set again, with the time that is left."""
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.setitimer(signal.ITIMER_REAL, 30)
    try:
        with pytest.raises(ModelTimeout):
            PythonModel(ENDLESS).execute(timeout=0.1)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 20 < left < 30
        signal.raise_signal(signal.SIGALRM)
        assert rung == [1]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_no_exception_is_left_on_its_way():
    """A call that ends just before its deadline is not followed by a late interrupt."""
    outcome = []

    def call():
        quick = PythonModel(node("import time", "time.sleep(0.005)", returns("1")))
        for _ in range(30):
            try:
                outcome.append(quick.execute(timeout=0.006))
            except ModelTimeout:
                outcome.append(None)
            sum(range(20_000))

    for thread in (threading.Thread(target=call), None):
        if thread is None:
            call()
        else:
            thread.start()
            thread.join(60)
    assert len(outcome) == 60


def test_expired_deadline_stops_at_once():
    """Whoever cancels lets the deadline expire, from any thread."""
    deadline = Deadline(60)
    started = threading.Event()
    outcome = []

    def work():
        from restified_magics.core.deadline import interruptible

        with interruptible():
            started.set()
            while True:
                time.sleep(0)

    def call():
        try:
            within(deadline, work, lambda: lambda: None)
        except Expired:
            outcome.append("expired")

    thread = threading.Thread(target=call)
    thread.start()
    started.wait(30)
    deadline.expire()
    thread.join(30)
    assert outcome == ["expired"]


def test_watchers_end_with_their_calls():
    """No thread is left of a hundred calls with timeouts, finished and stopped ones."""
    before = set(threading.enumerate())

    def call():
        for _ in range(50):
            PythonModel(node(returns("1"))).execute(timeout=30)
        with pytest.raises(ModelTimeout):
            PythonModel(ENDLESS).execute(timeout=0.05)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join(60)
    assert not [left for left in set(threading.enumerate()) - before if left.name.startswith("restified")]


# ------------------------------------------------------------------- awaiting

SLEEPS = node(parameters("seconds = 1"), "import asyncio\nawait asyncio.sleep(seconds)", returns("seconds"))
WAITS = node("import asyncio", returns("await asyncio.Event().wait()"))
CALLS = node(
    parameters("inner = None\nlimit = None"),
    "from restified_magics import ModelTimeout",
    "try:\n    value = await inner.execute_async(timeout=limit)\nexcept ModelTimeout:\n    value = 'caught'",
    returns("value"),
)


def in_main_thread(model, params, timeout):
    return model.execute(params, timeout=timeout)


def in_another_thread(model, params, timeout):
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        return threads.submit(model.execute, params, timeout=timeout).result(60)


def on_a_loop(model, params, timeout):
    return asyncio.run(model.execute_async(params, timeout=timeout))


def on_a_loop_of_another_thread(model, params, timeout):
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        return threads.submit(on_a_loop, model, params, timeout).result(60)


WAYS = [in_main_thread, in_another_thread, on_a_loop, on_a_loop_of_another_thread]


def test_calls_of_one_loop_have_a_limit_each():
    """They end in any order, and nothing of the timer is left."""
    handler = signal.getsignal(signal.SIGALRM) if hasattr(signal, "SIGALRM") else None
    sleeps = PythonModel(SLEEPS)
    busy = PythonModel(node("import asyncio\nawait asyncio.sleep(0.2)", "while True: pass"))

    async def main(*calls):
        return await asyncio.gather(*calls, return_exceptions=True)

    for limits in ((1, 30), (30, 1)):
        both = (
            sleeps.execute_async({"seconds": s}, timeout=t) for s, t in zip((0.05, 0.1), limits, strict=True)
        )
        assert asyncio.run(main(*both)) == [0.05, 0.1]
    for order in (1, -1):
        calls = (busy.execute_async(timeout=0.6), sleeps.execute_async({"seconds": 0.1}, timeout=30))
        outcomes = asyncio.run(main(*calls[::order]))[::order]
        assert isinstance(outcomes[0], ModelTimeout)
        assert outcomes[1] == 0.1
    if handler is not None:
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        assert signal.getsignal(signal.SIGALRM) == handler


@pytest.mark.parametrize("way", WAYS)
def test_an_inner_limit_is_an_error_that_the_outer_model_catches(way):
    """However the outer one is called, and with or without a limit of its own."""
    for timeout in (None, 30):
        params = {"inner": PythonModel(WAITS), "limit": 0.1}
        assert way(PythonModel(CALLS), params, timeout) == "caught"


@pytest.mark.parametrize("way", WAYS)
def test_an_outer_limit_ends_what_the_inner_model_awaits(way):
    """At once: nothing is blocked that could not be cancelled."""
    with pytest.raises(ModelTimeout) as caught:
        way(PythonModel(CALLS), {"inner": PythonModel(WAITS), "limit": 30}, 0.2)
    assert (caught.value.seconds, caught.value.stopped) == (0.2, True)


@pytest.mark.parametrize("way", [in_main_thread, on_a_loop])
def test_an_outer_limit_ends_an_inner_call_in_a_kernel(way):
    """And the next call there is as ever."""
    with KernelModel(WAITS) as inner, KernelModel(SLEEPS) as quick:
        with pytest.raises(ModelTimeout):
            way(PythonModel(CALLS), {"inner": inner, "limit": 60}, 2)
        assert way(PythonModel(CALLS), {"inner": quick}, 60) == 1


def test_cancelling_a_run_ends_what_the_inner_model_awaits():
    """As a form's Cancel does."""
    run = PythonModel(CALLS).start({"inner": PythonModel(WAITS)})
    while run.progress.cell != 3:
        run.wait(0.01)
    run.cancel()
    assert run.wait(60)
    assert run.state == "cancelled"
    assert "blocked" not in str(run.error)


@pytest.mark.parametrize("way", WAYS)
def test_what_awaits_cleans_up_when_the_time_is_up(way):
    """`finally` runs before the call ends, also where it awaits."""
    source = "import asyncio\ntry:\n    await asyncio.Event().wait()\nfinally:\n"
    source += "    await asyncio.sleep(0.05)\n    done.append(1)"
    done = []
    with pytest.raises(ModelTimeout):
        way(PythonModel(node(parameters("done = None"), source)), {"done": done}, 0.2)
    assert done == [1]


@pytest.mark.parametrize("way", [in_main_thread, on_a_loop])
@pytest.mark.parametrize("caught", ["asyncio.CancelledError", "BaseException"])
def test_what_awaits_and_catches_everything_is_left_to_itself(way, caught):
    """After a time of grace; the next call is as ever."""
    source = f"import asyncio\nwhile True:\n    try:\n        await asyncio.sleep(5)\n    except {caught}:\n        pass"
    with pytest.raises(ModelTimeout):
        way(PythonModel(node(source)), {}, 0.2)
    assert way(PythonModel(SLEEPS), {"seconds": 0.01}, 30) == 0.01
