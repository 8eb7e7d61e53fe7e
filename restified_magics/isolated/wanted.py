"""An isolated task that a worker of Dask waits for: it runs for as long as somebody wants it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from restified_magics.isolated.isolation import TaskFuture

__all__ = ["result_while_wanted"]

T = TypeVar("T")

_LOOK = 0.2  # seconds between two looks at whether the task is still wanted


def result_while_wanted(future: TaskFuture[T]) -> T:
    """What an isolated task returned, or raise what it raised; end it when nobody wants it any more.

    Dask cannot stop a thread that waits. So this thread looks by itself whether its own task is still one
    that the scheduler asks for, and ends the process if it is not. Outside a worker it just waits.

    Args:
        future: of the isolated task.

    Raises:
        CancelledError: nobody wanted it any more.
    """
    wanted = _wanted()
    while True:
        try:
            return future.result(_LOOK)
        except TimeoutError:
            if future.done():  # the error is the task's own; or it has ended since
                return future.result()
        if not wanted():
            future.cancel()


def _wanted() -> Callable[[], bool]:
    """Whether the Dask task that this thread runs is still asked for."""
    if "distributed" not in sys.modules:
        return lambda: True
    from distributed import get_worker  # only where it runs already

    try:
        worker = get_worker()
    except ValueError:  # this is no thread of a worker
        return lambda: True
    key = worker.get_current_task()

    def look() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    return look
