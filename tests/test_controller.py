"""The state machine of a form, under stress, without a widget."""

from __future__ import annotations

import contextvars
import logging
import signal
import threading
import time

import pytest
from conftest import node, parameters, returns

from restified_magics import PythonModel
from restified_magics.widgets.controller import Controller, Reading

DOUBLE = node(parameters("n = 1"), returns("n * 2"))
GATED = node(parameters("gate = None\nn = 1"), "gate.wait(60)", returns("n"))


class Fields:
    """What a form would read; tests set it."""

    def __init__(self, **values):
        self.values = values
        self.problems = {}

    def __call__(self):
        return Reading(dict(self.values), dict(self.problems))


@pytest.fixture
def make():
    """Make a controller; it is closed with the test."""
    made = []

    def controller(notebook, fields, **options):
        model = notebook if isinstance(notebook, PythonModel) else PythonModel(notebook)
        made.append(Controller(model, fields, **options))
        return made[-1]

    yield controller
    for each in made:
        each.close()
    for thread in threading.enumerate():  # a call that was left to itself would be one of the next test, too
        if thread.name == "restified-call":
            thread.join(20)


def test_the_way_of_a_run(make):
    """idle → running → done, each run with a number, and every change told to who watches."""
    gate, fields = threading.Event(), Fields()
    fields.values = {"gate": gate, "n": 3}
    controller = make(GATED, fields)
    seen = []
    controller.watch(lambda: seen.append((controller.state, controller.number)))
    assert controller.state == "idle"
    assert controller.start()
    assert controller.state == "running"
    gate.set()
    assert controller.wait(60)
    assert (controller.state, controller.number, controller.result.value) == ("done", 1, 3)
    assert ("running", 1) in seen
    assert ("done", 1) in seen


def test_run_pressed_twice_runs_once(make):
    """While it runs, another press changes nothing."""
    gate = threading.Event()
    controller = make(GATED, Fields(gate=gate))
    assert controller.start()
    assert not controller.start()
    gate.set()
    controller.wait(60)
    assert controller.number == 1
    assert controller.start()
    controller.wait(60)
    assert controller.number == 2


def test_a_run_that_ends_at_once_has_begun(make):
    """Who starts it is told so, also if it has ended before the page knows of its beginning."""
    controller = make(node(returns("1")), Fields())
    starter = threading.current_thread()

    def slow_page():
        while threading.current_thread() is starter and controller.state == "running":
            time.sleep(0.001)

    controller.watch(slow_page)
    assert controller.start()
    assert controller.state == "done"


def test_wrong_values_block_the_run(make):
    """Nothing begins, and the problems are there by parameter."""
    fields = Fields(n=1)
    fields.problems = {"n": "is required"}
    controller = make(DOUBLE, fields)
    assert not controller.start()
    assert (controller.state, controller.problems) == ("idle", {"n": "is required"})
    fields.problems = {}
    assert controller.start()
    assert controller.problems == {}
    controller.wait(60)


def test_a_value_changed_while_running_marks_the_result_stale(make):
    """The run goes on with the values it began with; its result says that they are not the present ones."""
    gate = threading.Event()
    fields = Fields(gate=gate, n=1)
    controller = make(GATED, fields)
    controller.start()
    assert not controller.stale
    fields.values["n"] = 2
    controller.changed()
    gate.set()
    controller.wait(60)
    assert controller.result.value == 1
    assert controller.stale
    controller.start()
    controller.wait(60)
    assert (controller.result.value, controller.stale) == (2, False)


def test_cancel_in_the_middle_of_c_code(make):
    """A call that is blocked in C code ends as cancelled all the same, and the form goes on."""
    lock = threading.Lock()
    lock.acquire()
    started = threading.Event()
    model = node(
        parameters("lock = None\nstarted = None"),
        "if lock:\n    started.set()\n    lock.acquire()",
        returns("1"),
    )
    fields = Fields(lock=lock, started=started)
    controller = make(model, fields)
    controller.start()
    assert started.wait(60)
    controller.cancel()
    assert controller.wait(60)
    assert controller.state == "cancelled"
    lock.release()
    fields.values = {}
    controller.start()
    controller.wait(60)
    assert (controller.state, controller.result.value) == ("done", 1)


def test_auto_run_has_no_queue(make):
    """Of thirty changes in a row the last one counts: the others are not run, or cancelled."""
    fields, received, done = Fields(n=0), [], threading.Event()
    controller = make(DOUBLE, fields, auto=True)

    def receive(value):
        received.append(value)
        if value == 58:
            done.set()

    controller.on_result(receive)
    for n in range(30):
        fields.values["n"] = n
        controller.changed()
    assert done.wait(60)
    assert controller.wait(60)
    assert received == [58]
    assert controller.number == 1


def test_a_change_during_an_automatic_run_ends_it(make):
    """The present values are what counts: the run on the former ones is cancelled, another one begins."""
    gate = threading.Event()
    fields = Fields(gate=gate, n=1)
    controller = make(GATED, fields, auto=True)
    controller.start()
    fields.values = {"gate": threading.Event(), "n": 2}
    fields.values["gate"].set()
    controller.changed()
    assert controller.wait(60)
    assert (controller.state, controller.result.value) == ("done", 2)
    gate.set()


def test_a_failing_cell(make):
    """The error is there, the result is that of this run, and the next run goes well."""
    fields = Fields(n="a")
    controller = make(node(parameters("n = 1"), returns("10 / n")), fields)
    controller.start()
    controller.wait(60)
    assert controller.state == "failed"
    assert controller.failure.ename == "TypeError"
    fields.values = {"n": 5}
    controller.start()
    controller.wait(60)
    assert (controller.state, controller.failure, controller.result.value) == ("done", None, 2.0)


def test_no_exception_of_a_callback_is_lost(make, caplog):
    """Page and log both have it; other callbacks are called all the same."""
    controller = make(DOUBLE, Fields(n=4))
    received = []

    def broken(value):
        raise RuntimeError("of the user's own")

    controller.on_result(broken)
    controller.on_result(received.append)
    with caplog.at_level(logging.ERROR, "restified_magics.forms"):
        controller.start()
        controller.wait(60)
    assert controller.state == "done"
    assert received == [8]
    assert controller.complaints == ["on_result broken: RuntimeError: of the user's own"]
    assert "of the user's own" in caplog.text


def test_a_notebook_that_went_away(make, write):
    """The file is gone when Run is pressed: the form says so and lives on."""
    path = write(*DOUBLE["cells"])
    controller = make(PythonModel(path), Fields())
    text = path.read_bytes()
    path.unlink()
    assert not controller.start()
    assert controller.state == "failed"
    assert str(path) in str(controller.failure)
    path.write_bytes(text)
    assert controller.start()
    controller.wait(60)
    assert controller.state == "done"


def test_history(make):
    """The last runs with their state and what the form keeps of each, the newest first."""
    fields = Fields(n=1)
    controller = make(
        node(parameters("n = 1"), returns("10 / n")), fields, keepsake=lambda: dict(fields.values)
    )
    for n in (1, 0):
        fields.values["n"] = n
        controller.start()
        controller.wait(60)
    assert [(past.number, past.state, past.keepsake) for past in controller.history] == [
        (2, "failed", {"n": 0}),
        (1, "done", {"n": 1}),
    ]


def test_wait_is_over_when_the_value_is_handed_out(make):
    """Who waits can use what `on_result` made; a receiver that waits itself does not wait for ever."""
    fields, received, entered, gate = Fields(n=2), [], threading.Event(), threading.Event()
    controller = make(DOUBLE, fields)

    def receive(value):
        entered.set()
        gate.wait(60)
        received.append((value, controller.wait(60)))

    controller.on_result(receive)
    controller.start()
    assert entered.wait(60)
    assert not controller.wait(0)
    gate.set()
    assert controller.wait(60)
    assert received == [(4, True)]


def test_whatever_a_watcher_raises_the_wait_ends(make):
    """Also an exception that is no Exception; it is told."""
    controller = make(DOUBLE, Fields())

    def watcher():
        if controller.state == "done":
            raise SystemExit

    controller.watch(watcher)
    controller.start()
    assert controller.wait(60)
    assert controller.complaints == ["the form could not be brought up to date: SystemExit: "]


class UnprintableError(Exception):
    """Even its message raises."""

    def __str__(self):
        raise ValueError


def test_an_exception_without_a_message_is_told_and_keeps_nobody_else_from_the_value(make, caplog):
    """Whatever a receiver raises, the page and the log have a complaint, and later receivers the value."""

    def receiver(value):
        raise UnprintableError

    fields = Fields(n=3)
    controller = make(DOUBLE, fields)
    got = []
    controller.on_result(receiver)
    controller.on_result(got.append)
    controller.start()
    assert controller.wait(60)
    assert controller.complaints == [
        "on_result receiver: UnprintableError: <its message raised ValueError>",
    ]
    assert got == [6]


def test_a_closed_controller_runs_nothing(make):
    """Neither by a press of Run nor by a change."""
    controller = make(DOUBLE, Fields(), auto=True)
    controller.close()
    controller.changed()
    assert not controller.start()
    controller.restart()
    assert controller.wait(60)
    assert (controller.state, controller.number) == ("idle", 0)


def test_restart_ends_the_run_for_the_present_values(make):
    """Of two values in a row the latter counts, also where the run on the former one is on."""
    former, latter = threading.Event(), threading.Event()
    fields = Fields(gate=former, n=1)
    controller = make(GATED, fields)
    controller.start()
    fields.values = {"gate": latter, "n": 2}
    latter.set()
    controller.restart()
    assert controller.wait(60)
    assert (controller.state, controller.result.value) == ("done", 2)
    former.set()  # its thread waits in C, where nothing ends it


def test_what_is_mended_is_a_problem_no_more(make):
    """After a change the problems are those of the present values; after a reset there are none."""
    fields = Fields()
    fields.problems = {"n": "is required", "m": "is required"}
    controller = make(DOUBLE, fields)
    controller.changed()
    assert controller.problems == {}  # nobody tried to run
    controller.start()
    fields.problems = {"m": "is required"}
    controller.changed()
    assert controller.problems == {"m": "is required"}
    controller.complain("preset", ValueError("odd"))
    controller.reset()
    assert (controller.problems, controller.complaints) == ({}, [])


def test_context_variables_of_who_starts(make):
    """The call, and who gets its value, see what was set when the run began."""
    seen, variable = [], contextvars.ContextVar("variable", default="none")
    notebook = node(parameters("variable = None"), returns("variable.get()"))
    controller = make(notebook, Fields(variable=variable))
    controller.on_result(lambda value: seen.append((value, variable.get())))
    variable.set("the View's")
    controller.start()
    variable.set("later")
    controller.wait(60)
    assert seen == [("the View's", "the View's")]


def test_an_interrupt_ends_the_wait_and_not_the_run(make):
    """Who interrupts the kernel while a cell waits gets the cell back; Cancel is what ends a run."""
    gate = threading.Event()
    controller = make(GATED, Fields(gate=gate, n=3))
    controller.start()
    threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        controller.wait(60)
    assert controller.state == "running"
    gate.set()
    assert controller.wait(60)
    assert controller.result.value == 3
