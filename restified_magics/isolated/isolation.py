"""`IsolatedExecutor`: a process for every task, forked from a warm one, started ahead of need."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import os
import pickle
import sys
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec, TypeVar

from restified_magics.core.environment import environment
from restified_magics.errors import TaskDied
from restified_magics.isolated.isolated_process import Initializer, IsolatedProcess, NotStarted, can_fork

__all__ = ["IsolatedExecutor", "TaskFuture"]

_ATTEMPTS = 3  # processes that may be gone before they had the task, one after the other

P = ParamSpec("P")
T = TypeVar("T")


class TaskFuture(concurrent.futures.Future[T]):
    """The future of a task that has a process of its own, so that it can be cancelled while it runs.

    Args:
        hear: is called with what the task tells.

    Attributes:
        where: the call and the cell at which the task was when it failed, by `isolated_child.marks`; 0 is
            none. None where that is not known.
    """

    def __init__(self, hear: Callable[[Any], object] | None = None) -> None:
        super().__init__()
        self.where: tuple[int, int] | None = None
        self._hear = hear
        self._process: IsolatedProcess | None = None

    def running(self) -> bool:
        """Whether the task has a process and has not ended."""
        return self._process is not None and not self.done()

    def cancel(self) -> bool:
        """Do not begin the task, or end its process with all that it started. False if it is done."""
        if not super().cancel():
            return False
        process = self._process
        if process is not None:
            process.kill()
        return True

    def _give(self, process: IsolatedProcess | None) -> None:
        self._process = process
        if process is not None and self.cancelled():
            process.kill()

    def _heard(self, told: Any) -> None:
        if self._hear is not None:
            try:
                self._hear(told)
            except Exception:  # noqa: BLE001 - whoever listens does not end the task
                self._hear = None


@dataclasses.dataclass(slots=True)
class _Task:
    future: TaskFuture[Any]
    call: tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
    timeout: float | None


class IsolatedExecutor(concurrent.futures.Executor):
    """Runs every task in a process of its own, or short ones of one kind one after the other in the same.

    A task cannot disturb another one, whatever it does: it may crash, change global state, exit, or run
    for ever. Its process is forked from a server that has imported the packages that tasks need, so
    that it costs milliseconds and not the seconds of a new Python. When the task has ended, or is
    cancelled, or its time is up, the process is killed with all that it started, unless it was told by
    `reuse` that it may have another task.

    As with every executor on processes, functions, arguments and results are pickled.

    Args:
        max_workers: how many tasks run at once; None is the number of processors.
        ahead: how many processes wait for tasks; None is as many as `max_workers`.
        preload: modules that the server imports, once, before it forks.
        initializer: called in each process before it waits for its task, while there is time. What it
            has used is at hand then: pages of memory that a forked process shares are slow at first touch.
        timeout: seconds that a task may take; None is without limit.
        start_method: ``"forkserver"``, or ``"spawn"``, a new Python for each process, which is the default
            where there is no fork.
        reuse: seconds from its first task on in which a process gets further ones, as long as they return;
            0 is a process for every task. Such tasks bear what those before them have left, and mark where
            they are (`isolated_child.marks`): if one has marked nothing when its process ends, it had not
            begun, and is given to another.

    Example:
        >>> import math
        >>> from restified_magics.isolated.isolation import IsolatedExecutor
        >>> with IsolatedExecutor(max_workers=2, timeout=30) as executor:
        ...     list(executor.map(math.factorial, [3, 4, 5]))
        [6, 24, 120]
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        ahead: int | None = None,
        preload: Sequence[str] = (),
        initializer: Initializer = None,
        timeout: float | None = None,
        start_method: Literal["forkserver", "spawn"] | None = None,
        reuse: float = 0.0,
    ) -> None:
        workers = max_workers if max_workers is not None else os.cpu_count() or 1
        if workers < 1:
            raise ValueError(f"max_workers must be at least 1, not {workers}")
        if ahead is not None and ahead < 0:
            raise ValueError(f"ahead must be 0 or more, not {ahead}")
        if start_method == "forkserver" and not can_fork():
            raise ValueError("there is no fork server on this system: use start_method='spawn'")
        self.max_workers = workers
        self.ahead = workers if ahead is None else ahead
        self.timeout = timeout
        self.reuse = reuse
        self._fork = can_fork() if start_method is None else start_method == "forkserver"
        self._preload = tuple(preload)
        self._initializer = initializer
        self._lanes = concurrent.futures.ThreadPoolExecutor(workers, "restified-isolated")
        self._starter = concurrent.futures.ThreadPoolExecutor(1, "restified-isolated-starter")
        self._ender = concurrent.futures.ThreadPoolExecutor(1, "restified-isolated-ender")
        self._lock = threading.Lock()
        self._tasks: dict[int, _Task] = {}
        self._numbers = itertools.count()
        self._ready: collections.deque[IsolatedProcess] = collections.deque()
        self._closed = False
        self._ending = threading.Event()
        weakref.finalize(self, _close_all, self._ready)

    # --------------------------------------------------------------- submitting

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        """Run ``fn(*args, **kwargs)`` in a process of its own, within the executor's `timeout`.

        The future raises what the task raised, with its traceback in a note; `TimeoutError` when the time
        is up; `TaskDied` when its process ended by itself. Its `cancel` also ends a running task.
        """
        return self.submit_within(self.timeout, fn, *args, **kwargs)

    def submit_within(
        self, timeout: float | None, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> TaskFuture[T]:
        """As :meth:`submit`, with a limit of its own.

        Args:
            timeout: seconds that the task may take from when it begins; None is without limit.
            fn: the function.
        """
        return self.submit_heard(None, timeout, fn, *args, **kwargs)

    def submit_heard(
        self,
        hear: Callable[[Any], object] | None,
        timeout: float | None,
        fn: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> TaskFuture[T]:
        """As :meth:`submit_within`, and hear what the task tells by `isolated_child.report` while it runs.

        Args:
            hear: called with it, in a thread of the executor; all of it has been heard when the future is
                done. It is called no more when it has raised an exception.
            timeout: seconds that the task may take from when it begins; None is without limit.
            fn: the function.
        """
        future: TaskFuture[T] = TaskFuture(hear)
        with self._lock:
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            number = next(self._numbers)
            self._tasks[number] = _Task(future, (fn, args, kwargs), timeout)
            self._lanes.submit(self._run, number)
        return future

    def warm(self) -> None:
        """Start the processes that wait for tasks, so that the first task finds one; return at once."""
        with self._lock:
            if not self._closed:
                self._starter.submit(self._fill)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; those that were submitted are still done.

        Args:
            wait: return when all of them have ended and no process is left.
            cancel_futures: cancel those that have not begun.
        """
        with self._lock:
            self._closed = True
            waiting = [task.future for task in self._tasks.values() if not task.future.running()]
            idle = not self._tasks
        if cancel_futures:
            for future in waiting:
                future.cancel()
        self._ending.set()
        if idle:
            _close_all(self._ready)
        self._lanes.shutdown(wait=wait)
        self._ender.shutdown(wait=wait)
        self._starter.shutdown(wait=wait)
        if wait:
            _close_all(self._ready)

    def kill_workers(self) -> None:
        """Cancel all tasks, end those that run, and shut down."""
        with self._lock:
            self._closed = True
            futures = [task.future for task in self._tasks.values()]
        for future in futures:
            future.cancel()
        self.shutdown(wait=True)

    # ------------------------------------------------------------------ running

    def _run(self, number: int) -> None:
        task = self._tasks[number]
        future = task.future
        process = value = None
        returned = False
        try:
            while not future.cancelled():
                process = self._given(task, _packed(task))
                try:
                    value = process.outcome(task.timeout, future._heard)
                    break
                except TaskDied:
                    if future.cancelled() or not process.ended_between:
                        raise
                    process.close()
                    process = None
        except BaseException as error:  # noqa: BLE001 - raised again by who asks the future
            future.where = None if process is None else process.where
            if future.where is not None and isinstance(error, TaskDied | TimeoutError):
                error.cell = future.where[1] or None  # type: ignore[union-attr]
            with contextlib.suppress(concurrent.futures.InvalidStateError):  # it was cancelled meanwhile
                future.set_exception(error)
        else:
            with contextlib.suppress(concurrent.futures.InvalidStateError):
                future.set_result(value)
                # from here on nobody who cancels it ends the process, which may have another task by then
                returned = True
        finally:  # who waits has the result already
            self._ended(number, future, process, returned=returned)

    def _ended(
        self, number: int, future: TaskFuture[Any], process: IsolatedProcess | None, *, returned: bool
    ) -> None:
        pool, leave = self._starter, functools.partial(self._replace, process)
        if process is not None:
            future._give(None)
            if returned and process.age < self.reuse and self._kept(process):
                pool, leave = self._ender, functools.partial(self._expire, process)
            else:
                process.kill()
        if future.cancelled():
            future.set_running_or_notify_cancel()
        with self._lock:
            del self._tasks[number]
            last = self._closed and not self._tasks
        try:
            pool.submit(leave)
        except RuntimeError:  # it was shut down
            leave()
        if last:
            _close_all(self._ready)

    def _given(self, task: _Task, content: bytes) -> IsolatedProcess:
        """A process that has the task."""
        for _ in range(_ATTEMPTS):
            process = self._take()
            task.future._give(process)
            try:
                process.send(content)
            except NotStarted:
                task.future._give(None)
                process.close()
            else:
                return process
        raise TaskDied(
            f"{_ATTEMPTS} processes ended before they had the task. Are they killed from outside, or for "
            "want of memory?"
        )

    def _take(self) -> IsolatedProcess:
        while True:
            try:
                process = self._ready.popleft()
            except IndexError:
                return self._started()
            if process.usable and process.age <= self.reuse:
                return process
            process.close()

    def _started(self) -> IsolatedProcess:
        return IsolatedProcess(self._preload, fork=self._fork, initializer=self._initializer)

    def _replace(self, process: IsolatedProcess | None) -> None:
        if process is not None:
            process.close()
        self._fill()

    def _expire(self, process: IsolatedProcess) -> None:
        """End a process when its time is up, if it waits for another task then; by the ender."""
        self._ending.wait(max(0.0, self.reuse - process.age))
        with contextlib.suppress(ValueError):  # it has one, or is gone
            self._ready.remove(process)
            process.close()

    def _fill(self) -> None:
        """Start the processes that are missing; by the starter."""
        while not self._closed and len(self._ready) < self.ahead:
            try:
                process = self._started()
            except (TaskDied, OSError):
                return  # the task that needs one tells why
            if not self._kept(process):
                process.close()

    def _kept(self, process: IsolatedProcess) -> bool:
        with self._lock:
            if not self._closed:
                keep = self._ready.appendleft if process.age else self._ready.append  # or it gets too old
                keep(process)
            return not self._closed


def _close_all(processes: collections.deque[IsolatedProcess]) -> None:
    while True:
        try:
            process = processes.popleft()
        except IndexError:
            return
        process.close()


def _packed(task: _Task) -> bytes:
    return pickle.dumps((_setting(), pickle.dumps(task.call, protocol=5)), protocol=5)


def _setting() -> Mapping[str, Any]:
    """What a task finds as it is in this process now."""
    try:
        cwd = os.getcwd()
    except OSError:
        cwd = None  # it was deleted
    return {
        "cwd": cwd,
        "path": [entry or cwd or "" for entry in sys.path],
        "argv": sys.argv,
        "environ": environment(),
        "main": _main(),
    }


def _main() -> dict[str, str]:
    """Where this process's ``__main__`` comes from, in the words of `multiprocessing.spawn.prepare`."""
    main = sys.modules["__main__"]
    spec, path = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return {"init_main_from_name": spec.name}
    return {} if path is None else {"init_main_from_path": os.path.abspath(path)}
