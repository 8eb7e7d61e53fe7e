"""The state machine of a form: idle → running → done, failed or cancelled. No widget is here.

Whoever shows a form watches its controller, and tells it of every change of a value. A call runs in a
thread of its own, so that the kernel can hear of a click on Cancel.
"""

from __future__ import annotations

import contextvars
import datetime
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from restified_magics.core.model import Model
from restified_magics.core.progress import Progress
from restified_magics.core.result import Result
from restified_magics.core.runs import Run
from restified_magics.core.telling import shorten
from restified_magics.errors import ParameterError
from restified_magics.in_process.tracebacks import message
from restified_magics.widgets.cutting import LONGEST_LINE, cut
from restified_magics.widgets.log import log

__all__ = ["Controller", "FormState", "Past", "Reading"]

FormState = Literal["idle", "running", "done", "failed", "cancelled"]

_TICK = 0.15  # seconds between two looks at a call that runs
_QUIET = 0.3  # seconds without a change, after which an automatic run begins
_KEPT = 20  # runs that the history remembers


class Reading(NamedTuple):
    """What the fields hold.

    Attributes:
        values: by the names of the parameters, of those that are given.
        problems: what is wrong, by the names of the parameters.
    """

    values: Mapping[str, Any]
    problems: Mapping[str, str]


@dataclass(frozen=True)
class Past:
    """A run of the history.

    Attributes:
        number: the run's number.
        ended: when it ended, local time.
        state: how it ended.
        seconds: how long it took.
        keepsake: what the form gave to be kept with it.
    """

    number: int
    ended: datetime.datetime
    state: FormState
    seconds: float
    keepsake: Any = None


@dataclass
class Controller:
    """Runs a Model on the values of a form, one call at a time.

    Args:
        model: the Model.
        read: gives the values of the fields as they are now.
        auto: run after every change, a moment after the last one.
        timeout: seconds that a call may take; None is the Model's own limit.
        keepsake: gives what the history keeps with a run, asked when it begins.

    Attributes:
        state: the state.
        number: the number of the last run, from 1; 0 before the first.
        run: the call that runs, or the last one.
        stale: values have changed since that call began.
        problems: what is wrong with the values, by parameter, as found by the last attempt to run.
        failure: what kept the last attempt from running, or ended it.
        complaints: exceptions of callbacks, told on the page; also logged.
        history: the last runs, the newest first.
    """

    model: Model
    read: Callable[[], Reading]
    auto: bool = False
    timeout: float | None = None
    keepsake: Callable[[], Any] = lambda: None
    state: FormState = "idle"
    number: int = 0
    run: Run | None = None
    stale: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)
    failure: BaseException | None = None
    complaints: list[str] = field(default_factory=list)
    history: list[Past] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._watchers: list[Callable[[], object]] = []
        self._receivers: list[Callable[[Any], object]] = []
        self._timer: threading.Timer | None = None
        self._again = False
        self._closed = False
        self._kept: Any = None
        self._watches: set[threading.Thread] = set()
        self._ended = threading.Condition(self._lock)

    # ------------------------------------------------------------- who listens

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call a function without arguments after each change of the state, from any thread."""
        self._watchers.append(watcher)

    def on_result(self, receiver: Callable[[Any], object]) -> None:
        """Call a function with the value of each run that went well, in the thread of the run."""
        self._receivers.append(receiver)

    def forget(self, receiver: Callable[[Any], object]) -> None:
        """Call this function no more."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    # ------------------------------------------------------------ what it does

    def start(self) -> bool:
        """Run the Model on the values as they are, unless it runs already; tell whether a run began.

        The call and who is told of its value see a copy of the context variables of whoever starts it.
        """
        with self._lock:
            if self.state == "running" or self._closed:
                return False
            self._forget_timer()
            values, self.problems = self.read()
            if self.problems:
                self._tell()
                return False
            begun = False
            try:
                run = self.model.start(values, timeout=self.timeout)
            except ParameterError as error:
                self.problems, self.failure = error.problems, error
                self.state = "failed"
            except Exception as error:  # noqa: BLE001 - the page shows it: the file is gone, or is no notebook
                self.state, self.failure, self.run = "failed", error, None
            else:
                self._kept = self.keepsake()
                self.number += 1
                self.run, self.state, self.stale, self.failure = run, "running", False, None
                self.complaints.clear()
                context = contextvars.copy_context()
                watch = threading.Thread(
                    target=context.run, args=(self._watch, run), name="restified-form", daemon=True
                )
                self._watches.add(watch)
                watch.start()
                begun = True
        self._tell()
        return begun  # not whether it runs: it may have ended by now

    def restart(self) -> None:
        """Run the Model on the values as they are; a call that runs already is ended for it."""
        with self._lock:
            self._forget_timer()
            if self.state == "running" and self.run is not None:
                self._again = True
                self.run.cancel()
                return
        self.start()

    def cancel(self) -> None:
        """End the call that runs; it ends in the state ``cancelled``."""
        with self._lock:
            self._again = False
            self._forget_timer()
            if self.state == "running" and self.run is not None:
                self.run.cancel()

    def changed(self) -> None:
        """The value of a field has changed."""
        with self._lock:
            if self._closed:
                return
            self.stale = self.run is not None
            if self.problems:  # told by the last attempt: what is mended is a problem no more
                self.problems = self.read().problems
            if self.auto:
                self._forget_timer()
                context = contextvars.copy_context()
                self._timer = threading.Timer(_QUIET, context.run, (self._run_again,))
                self._timer.daemon = True
                self._timer.start()
        self._tell()

    def reset(self) -> None:
        """The fields hold again what they began with: what was wrong with their values is over."""
        self.problems = {}
        self.complaints.clear()
        self.changed()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing runs or is about to, or so many seconds; tell whether it is so.

        Then all who want the value of the run have been told, but for one who waits here itself.
        """
        own = {threading.current_thread()}
        with self._ended:
            return self._ended.wait_for(
                lambda: (
                    self.state != "running"
                    and self._timer is None
                    and not self._again
                    and self._watches <= own
                ),
                timeout,
            )

    def close(self) -> None:
        """End what runs, run nothing any more, and tell nobody."""
        self._closed = True
        self._watchers.clear()
        self._receivers.clear()
        self.cancel()

    def complain(self, doing: str, error: BaseException) -> None:
        """Tell the page and the log of an exception that nobody caught."""
        text = cut(f"{doing}: {type(error).__name__}: {message(error)}", LONGEST_LINE)
        if text not in self.complaints:  # what fails at every look is told once
            log().error("%s: %s", self.model.name, doing, exc_info=error)
            self.complaints.append(text)

    @property
    def result(self) -> Result | None:
        """The `Result` of the call that runs, or of the last one."""
        return None if self.run is None else self.run.result

    @property
    def progress(self) -> Progress | None:
        """How far the call is."""
        return None if self.run is None else self.run.progress

    # ---------------------------------------------------------------- inwards

    def _run_again(self) -> None:
        """The fields have been quiet for a moment: run on what they hold now, instead of what runs."""
        self.restart()
        with self._ended:
            self._ended.notify_all()

    def _watch(self, run: Run) -> None:
        try:
            self._follow(run)
        finally:  # whatever happened: who waits goes on
            with self._ended:
                self._watches.discard(threading.current_thread())
                self._ended.notify_all()

    def _follow(self, run: Run) -> None:
        while not run.wait(_TICK):
            self._tell()
        with self._lock:
            again, self._again = self._again, False
            if not again:
                self._finish(run)
            else:
                self.state = "cancelled"
        if again:
            self.start()
        elif self.state == "done":
            self._hand_out(run)
        self._tell()

    def _finish(self, run: Run) -> None:
        state = run.state
        self.state = "failed" if state == "running" else state
        self.failure = run.error
        past = Past(self.number, datetime.datetime.now(), self.state, run.elapsed, self._kept)
        self.history.insert(0, past)
        del self.history[_KEPT:]

    def _hand_out(self, run: Run) -> None:
        self._tell()
        for receiver in list(self._receivers):
            try:
                receiver(run.result.value)
            except BaseException as error:  # noqa: BLE001 - whoever it is from, the page goes on
                self.complain(f"on_result {getattr(receiver, '__name__', None) or shorten(receiver)}", error)

    def _tell(self) -> None:
        for watcher in list(self._watchers):
            try:
                watcher()
            except BaseException as error:  # noqa: BLE001 - page and log have it, and the form goes on
                self.complain("the form could not be brought up to date", error)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
