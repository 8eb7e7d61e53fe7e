"""Stop code that runs too long: by a signal in the main thread, by an exception in another one."""

from __future__ import annotations

import contextlib
import contextvars
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

__all__ = [
    "GRACE",
    "Besides",
    "Blocked",
    "Deadline",
    "Expired",
    "guard",
    "interruptible",
    "shielded",
    "stop_thread",
    "within",
]

#: How long a thread may take to end once it was told to, in seconds.
GRACE = 1.0

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_AGAIN = 0.05  # seconds between looks at whether it has ended

T = TypeVar("T")


class Expired(KeyboardInterrupt):
    """Raised in code whose time is up. An interrupt, so that code which cleans up on those does."""


class Deadline:
    """A point in time at which a call ends.

    Attributes:
        seconds: the time that the call was given.
        at: when it ends, by `time.monotonic`.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.at = time.monotonic() + seconds
        self._again = 0.0
        self._told = 0
        self._changed = threading.Event()
        self._expired = False
        self._over = False

    @property
    def remaining(self) -> float:
        """Seconds left, 0 once it has passed."""
        return 0.0 if self._expired else max(0.0, self.at - time.monotonic())

    @property
    def passed(self) -> bool:
        """The code is to end: the time is up, or the call is not wanted any more."""
        return self._expired or self.reached

    @property
    def reached(self) -> bool:
        """The time is up."""
        return time.monotonic() >= self.at

    def due(self) -> bool:
        """Whether the code is to be told now: at the end, and again where it went on after a while."""
        now = time.monotonic()
        if not self.passed or now < self._again:
            return False
        self._told += 1
        # the time that cleaning up may take; who caught it and went on is told all the time
        self._again = now + (GRACE if self._told == 1 else 0.0)
        return True

    def told_others(self) -> None:
        """The code waits for others, which were told: it is to be told before it is given up."""
        self._again = time.monotonic() + GRACE / 2

    @property
    def ignored(self) -> bool:
        """The code was told, and went on."""
        return self._told > 1

    def expire(self) -> None:
        """End the code before its time, from any thread; code in the main thread notices between cells."""
        self._expired = True
        self._changed.set()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Raise `Expired` in this thread's `interruptible` code once the time is up."""
        made = _Guard(self, guard())
        token = _guards.set(made)
        by_signal = made.watch.thread == threading.main_thread().ident and hasattr(signal, "setitimer")
        try:
            with _alarm.watching(made) if by_signal else _watcher(made):
                yield
        finally:
            with contextlib.suppress(ValueError):  # a coroutine that nobody awaits any more ends elsewhere
                _guards.reset(token)


class Besides(Protocol):
    """What has to be told besides the thread whose time is up."""

    def tell(self, frame: types.FrameType | None, /) -> bool:
        """The time is up, and the thread is here: tell whether it will end by what was done now.

        Called again where it went on.
        """

    def end(self) -> object:
        """The thread's code has ended."""


class _Watch:
    """What deadlines know of a thread.

    Attributes:
        thread: the number of the thread.
        armed: the guard of the code that runs there now and may be interrupted, or None.
        lock: held while an exception is sent there, and while `armed` is taken away.
    """

    __slots__ = ("armed", "lock", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.armed: _Guard | None = None
        self.lock = threading.Lock()


_this = threading.local()


def _watch() -> _Watch:
    watch: _Watch | None = getattr(_this, "watch", None)
    if watch is None:
        watch = _this.watch = _Watch()
    return watch


class _Guard:
    """The deadlines of the code that runs in one call: its own, and those of the calls around it."""

    __slots__ = ("besides", "deadlines", "tracing", "watch")

    def __init__(self, deadline: Deadline, around: _Guard | None) -> None:
        self.watch = _watch()
        self.deadlines: tuple[Deadline, ...] = (deadline, *(around.deadlines if around else ()))
        self.besides: Besides | None = None
        self.tracing: object = None

    def arm(self) -> _Guard | None:
        """This guard's code runs from now on; what ran before is returned."""
        before, self.watch.armed = self.watch.armed, self
        return before

    def disarm(self, before: _Guard | None = None) -> None:
        """This guard's code has stopped running, and what ran before goes on."""
        watch = self.watch
        with watch.lock:
            watch.armed = before
            if watch.thread != threading.main_thread().ident:
                stop_thread(watch.thread, None)  # one that is on its way

    def due(self) -> bool:
        """Whether the code is to be told now."""
        told = [deadline.due() for deadline in self.deadlines]  # each of them has told it
        return any(told)

    def tell(self, frame: types.FrameType | None) -> bool:
        """Tell what has to be told besides this thread, and whether the thread will end by that."""
        if self.besides is None or not self.besides.tell(frame):
            return False
        for deadline in self.deadlines:
            deadline.told_others()
        return True

    @property
    def remaining(self) -> float:
        """Seconds until the first of its deadlines."""
        return min(deadline.remaining for deadline in self.deadlines)

    @property
    def ignored(self) -> bool:
        """The code was told, and went on."""
        return any(deadline.ignored for deadline in self.deadlines)

    def check(self) -> None:
        """Raise where the time is up, though the code caught the exception and went on."""
        if any(deadline.passed for deadline in self.deadlines):
            raise Expired


# In a context variable and not by thread alone, since tasks of an event loop share their thread.
_guards: contextvars.ContextVar[_Guard | None] = contextvars.ContextVar(
    "restified_magics_guard", default=None
)


def guard() -> _Guard | None:
    """The guard of this thread, or None where nothing limits its time."""
    found = _guards.get()
    return found if found is not None and found.watch.thread == threading.get_ident() else None


@contextlib.contextmanager
def interruptible(besides: Besides | None = None) -> Iterator[None]:
    """Code that a deadline of this thread may interrupt: the cells, and nothing of this package.

    Args:
        besides: what has to be told besides, when the time is up.
    """
    here = guard()
    if here is None:
        yield
        return
    here.check()
    here.besides = besides
    before = here.arm()
    try:
        yield
    finally:
        here.disarm(before)
        if besides is not None:
            besides.end()
        here.check()  # also where it caught the exception, and made another one of it


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Code between cells, which no deadline may interrupt half way."""
    watch = _watch()
    before = watch.armed
    if before is None:
        yield
        return
    before.disarm()
    try:
        yield
    finally:
        watch.armed = before


class _Alarm:
    """The process's timer, which rings in the main thread: one for all calls that are limited there."""

    def __init__(self) -> None:
        self._guards: list[_Guard] = []
        self._before: Callable[[], object] = lambda: None

    @contextlib.contextmanager
    def watching(self, guard: _Guard) -> Iterator[None]:
        """Ring for this guard. Calls of different tasks need not end in the order in which they began."""
        guard.tracing = sys.gettrace()
        if not self._guards:
            self._take()
        self._guards.append(guard)
        self._set()
        try:
            yield
        finally:
            self._guards.remove(guard)
            if self._guards:
                self._set()
            else:
                self._before()
            if sys.gettrace() is not guard.tracing:
                sys.settrace(guard.tracing)

    def _take(self) -> None:
        """Remember somebody else's timer, which goes on afterwards with the time that is left."""
        started = time.monotonic()
        handler = signal.signal(signal.SIGALRM, self._ring)
        left, interval = signal.setitimer(signal.ITIMER_REAL, 0)

        def give_back() -> None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, handler)
            if left:
                rest = max(left - (time.monotonic() - started), 1e-6)
                signal.setitimer(signal.ITIMER_REAL, rest, interval)

        self._before = give_back

    def _set(self) -> None:
        first = min(guard.remaining for guard in self._guards)
        signal.setitimer(signal.ITIMER_REAL, max(first, 1e-6), _AGAIN)

    def _ring(self, _signum: int, frame: types.FrameType | None) -> None:
        armed = _watch().armed
        if armed is None or not armed.due() or armed.tell(frame):
            return
        if armed.ignored:
            _insist(frame, armed)
        raise Expired


_alarm = _Alarm()


def _insist(frame: types.FrameType | None, guard: _Guard) -> None:
    """Raise once more at the next line of the cells' code: that is where it catches what is raised now.

    ``while True: try: … except BaseException: pass`` ends by nothing else: an exception that is raised by a
    signal comes up where the code waits, which is inside of its ``try``.
    """

    def again(_frame: types.FrameType, event: str, _argument: object) -> object:
        if event == "line" and guard.watch.armed is guard:
            raise Expired  # with this Python ends the tracing
        return again

    while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
        frame.f_trace = again
        frame = frame.f_back
    sys.settrace(lambda *_: None)  # f_trace counts only while there is something


@contextlib.contextmanager
def _watcher(guard: _Guard) -> Iterator[None]:
    """Look at the first deadline of a guard from a thread beside."""
    deadline, watch = guard.deadlines[0], guard.watch

    def look() -> None:
        deadline._changed.wait(deadline.remaining)
        while not deadline._over:
            with watch.lock:
                armed = watch.armed
                if armed is not None and deadline in armed.deadlines and deadline.due():
                    waits = armed.tell(sys._current_frames().get(watch.thread))
                    if not waits:
                        stop_thread(watch.thread, Expired)
            deadline._changed.wait(max(_AGAIN, deadline.remaining))
            if not deadline._over:
                deadline._changed.clear()

    thread = threading.Thread(target=look, name="restified-deadline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        deadline._over = True
        deadline._changed.set()
        thread.join()
        guard.disarm()


def stop_thread(thread: int, exception: type[BaseException] | None = Expired) -> None:
    """Raise an exception in another thread at its next Python instruction; None takes it back."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread), ctypes.py_object(exception) if exception is not None else None
    )


class Blocked(Expired):
    """Raised where the time is up, and the code could not be stopped."""


def within(deadline: Deadline, work: Callable[[], T], abandon: Callable[[], Callable[[], object]]) -> T:
    """Run `work` in this context, and end with it or at the deadline.

    In the main thread it runs there. In another one it runs in a thread of its own, so that the
    caller goes on even where that thread is blocked in C code and cannot be stopped by anyone:
    then `abandon` is called, and `Blocked` raised; what `abandon` returned is called when it ends at last.

    Raises:
        Expired: the time was up, and `work` was stopped.
        Blocked: the time was up, and `work` could not be stopped.
    """
    if threading.current_thread() is threading.main_thread():
        with deadline.watched():
            return work()
    values: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()
    leaving = threading.Lock()
    afterwards: list[Callable[[], object]] = []

    def run() -> None:
        try:
            with deadline.watched():
                values.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by who waits
            errors.append(error)
        finally:
            with leaving:
                done.set()
            for finish in afterwards:
                finish()

    context = contextvars.copy_context()
    threading.Thread(target=lambda: context.run(run), name="restified-call", daemon=True).start()
    try:
        # in short waits, so that an exception raised in this thread by another one comes through
        ends: float | None = None
        while not done.wait(_AGAIN):
            if (around := guard()) is not None:
                around.check()  # the deadline of a call around this one
            if ends is None and deadline.passed:
                ends = time.monotonic() + GRACE
            if ends is not None and time.monotonic() >= ends:
                raise Blocked
    except BaseException as ending:
        deadline.expire()
        if not done.wait(0 if isinstance(ending, Blocked) else GRACE):
            with leaving:
                if not done.is_set():
                    afterwards.append(abandon())
        raise
    for error in errors:
        raise error
    return values[0]
