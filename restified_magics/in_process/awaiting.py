"""Coroutines under a deadline: their code is interrupted, and what they await is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any

from restified_magics.core.deadline import Deadline, Expired, guard, shielded
from restified_magics.in_process.scripts import Scripts

__all__ = ["awaited", "between_cells", "limited"]

_LOOK = 0.05  # seconds between looks at whether the time is up, which another thread may decide
_PATIENCE = (
    20  # cancellations that a coroutine may catch, beyond the time of grace, before it is left to itself
)


@types.coroutine
def awaited(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await the coroutine of a cell, so that a deadline can interrupt its own steps.

    Raises:
        Expired: the time is up, and the coroutine catches whatever tells it so.
    """
    here = guard()
    send: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    caught = 0
    while True:
        before = None
        scripts = Scripts()
        if here is not None:
            here.besides = scripts
            before = here.arm()
        try:
            waits_for = send(argument)
        except StopIteration as ended:
            return ended.value
        finally:
            if here is not None:
                here.disarm(before)
                scripts.end()
        try:
            argument = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            send, argument = coroutine.throw, error
            if isinstance(error, asyncio.CancelledError) and here is not None and here.ignored:
                caught += 1
                argument = Expired()  # fewer catch it
                if caught > _PATIENCE:
                    _leave(coroutine)
                    raise argument from error
        else:
            send = coroutine.send


def _leave(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Leave a coroutine to itself for ever: one that catches everything would not end with Python either."""
    import ctypes

    with contextlib.suppress(RuntimeError):
        coroutine.close()
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(coroutine))


@types.coroutine
def between_cells(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await code of this package inside a cell's, whose deadline does not interrupt it half way."""
    send: Callable[[Any], Any] = coroutine.send
    argument: Any = None
    while True:
        try:
            with shielded():
                waits_for = send(argument)
        except StopIteration as ended:
            return ended.value
        try:
            argument = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # noqa: BLE001 - it is for who waits
            send, argument = coroutine.throw, error
        else:
            send = coroutine.send


async def limited(coroutine: Coroutine[Any, Any, Any], deadlines: Iterable[Deadline]) -> Any:
    """Await, and cancel this task once the time is up: again and again while it goes on.

    Raises:
        Expired: the time is up.
    """
    watched = tuple(deadlines)
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    told = 0
    looks: list[asyncio.TimerHandle] = []

    def look() -> None:
        nonlocal told
        for deadline in watched:
            if deadline.due():
                told += 1
                task.cancel()
        next_look = min([_LOOK, *(deadline.remaining or _LOOK for deadline in watched)])
        looks[:] = [loop.call_later(next_look, look)]

    look()
    try:
        value = await coroutine
    except BaseException as error:
        others = isinstance(error, asyncio.CancelledError) and task.cancelling() > told
        if told and not others:  # whatever the code has made of it
            raise Expired from error
        raise
    else:
        if told:
            raise Expired
        return value
    finally:
        looks[0].cancel()
        for _ in range(told):
            task.uncancel()
