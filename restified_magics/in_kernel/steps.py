"""Work that waits, written once: as steps that block a thread, or that an event loop awaits.

A generator does the work and yields what it waits for. :func:`drive` waits in the thread,
:func:`drive_async` on the running loop. What interrupts a wait (Ctrl-C, a deadline, a cancelled
task) is thrown into the generator where it waits, so that it can end in order.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Generator
from typing import Any, Protocol, TypeVar

from restified_magics.core.deadline import interruptible

__all__ = ["MOMENT", "ForFuture", "Steps", "Wait", "drive", "drive_async", "nothing"]

#: No wait in a thread is longer, in seconds: an exception that another thread raises comes through.
MOMENT = 0.1

T = TypeVar("T")


class Wait(Protocol):
    """Something to wait for, a moment at most: the steps look again, and wait again."""

    def block(self) -> None:
        """Wait in this thread."""

    async def wait(self) -> None:
        """Wait on the running event loop."""


Steps = Generator[Wait, None, T]


def nothing(*_given: object) -> Steps[None]:
    """Steps where there is nothing to do."""
    yield from ()


class ForFuture:
    """Waits until a future is done, or for so many seconds."""

    def __init__(self, future: concurrent.futures.Future[Any], seconds: float | None = None) -> None:
        self._future = future
        self._seconds = seconds

    def block(self) -> None:
        moment = MOMENT if self._seconds is None else min(MOMENT, self._seconds)
        concurrent.futures.wait([self._future], moment)

    async def wait(self) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def tell(_future: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done.set)

        self._future.add_done_callback(tell)
        with contextlib.suppress(TimeoutError):  # not `wait_for`: it may lose a cancellation
            async with asyncio.timeout(self._seconds):
                await done.wait()


def drive(steps: Steps[T]) -> T:
    """Take all steps, and wait for each in this thread."""
    try:
        waits_for = next(steps)
        while True:
            try:
                with interruptible():
                    waits_for.block()
            except BaseException as error:  # noqa: BLE001 - the steps know what to do
                waits_for = steps.throw(error)
            else:
                waits_for = next(steps)
    except StopIteration as ended:
        value: T = ended.value
        return value
    finally:
        steps.close()


async def drive_async(steps: Steps[T]) -> T:
    """Take all steps, and wait for each on the running event loop."""
    with contextlib.closing(steps):
        try:
            waits_for = next(steps)
            while True:
                try:
                    await waits_for.wait()
                except BaseException as error:  # noqa: BLE001 - the steps know what to do
                    waits_for = steps.throw(error)
                else:
                    waits_for = next(steps)
        except StopIteration as ended:
            value: T = ended.value
            return value
