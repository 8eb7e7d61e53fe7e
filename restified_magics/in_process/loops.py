"""Event loops for top-level ``await`` in calls that are not themselves awaited."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from restified_magics.core.deadline import GRACE, guard, interruptible, stop_thread
from restified_magics.in_process.awaiting import awaited, limited

__all__ = ["CallLoop"]

_WAIT = 0.05  # seconds: an exception raised in the waiting thread by another one comes through

_idle: list[_LoopThread] = []
_kept = 4
_here = threading.local()
atexit.register(_here.__dict__.clear)  # the main thread's loop, closed while Python still works


class CallLoop:
    """The event loop of one call: all its cells share it, and tasks of one go on in the next.

    Where no loop runs in this thread the coroutines run here, else in a helper thread, since an
    event loop cannot run inside another one.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: _LoopThread | None = None
        self._spoiled = False

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The value of `coroutine`, or its exception."""
        if not _loop_runs_here():
            return self._run_here(coroutine)
        if self._thread is None:
            self._thread = _idle.pop() if _idle else _LoopThread()
        return self._thread.run(coroutine)

    def _run_here(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            kept: _Kept | None = _here.__dict__.pop("kept", None)
            self._loop = kept.take() if kept is not None else asyncio.new_event_loop()
        try:
            here = guard()
            if here is not None:
                coroutine = limited(awaited(coroutine), here.deadlines)
            return self._loop.run_until_complete(coroutine)
        except KeyboardInterrupt:
            self._spoiled = True  # it may have been interrupted in the middle of its own work
            raise

    def close(self) -> None:
        """Cancel what the cells left running, as the end of a kernel does, and give the loop back."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            as_new = False
            with contextlib.suppress(KeyboardInterrupt, RuntimeError):
                as_new = loop.run_until_complete(_cleared(loop))
            if self._spoiled or not as_new or "kept" in _here.__dict__:
                loop.close()
            else:
                _here.kept = _Kept(loop)
        if self._thread is not None:
            thread, self._thread = self._thread, None
            thread.clear()


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Kept:
    """A loop that waits for this thread's next call, and is closed when the thread or the process ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: asyncio.AbstractEventLoop | None = loop

    def take(self) -> asyncio.AbstractEventLoop:
        loop, self._loop = self._loop, None
        return loop or asyncio.new_event_loop()

    def __del__(self) -> None:
        if self._loop is not None:
            self._loop.close()


class _LoopThread:
    """A helper thread with an event loop, used by one call at a time."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="restified-loop", daemon=True)
        self._thread.start()
        self._stuck = False

    def _serve(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(_bare(coroutine), self._loop)
        try:
            with interruptible():
                while True:
                    with contextlib.suppress(concurrent.futures.TimeoutError):
                        kind, value = future.result(_WAIT)
                        break
                    if future.done():  # the coroutine's own TimeoutError
                        kind, value = future.result()
                        break
        except BaseException:
            future.cancel()
            self._stop()
            raise
        if kind == "error":
            raise value
        return value

    def _stop(self) -> None:
        """Wait until the loop is free again; where its code does not let go, make it."""
        free = threading.Event()
        self._loop.call_soon_threadsafe(free.set)
        if not free.wait(GRACE) and self._thread.ident:
            stop_thread(self._thread.ident)
            self._stuck = True

    def clear(self) -> None:
        if not self._stuck:
            with contextlib.suppress(concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
                as_new = asyncio.run_coroutine_threadsafe(_cleared(self._loop), self._loop).result(GRACE)
                if as_new and len(_idle) < _kept:
                    _idle.append(self)
                    return
        self._loop.call_soon_threadsafe(self._loop.stop)


async def _bare(coroutine: Coroutine[Any, Any, Any]) -> tuple[str, Any]:
    """The outcome as a value: an event loop takes SystemExit and interrupts for its own."""
    try:
        return "value", await coroutine
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised again by who waits
        return "error", error


async def _cleared(loop: asyncio.AbstractEventLoop) -> bool:
    """End what is left on a loop; whether it is as new, which it is not once it has shut down generators."""
    current = asyncio.current_task()
    left = [task for task in asyncio.all_tasks(loop) if task is not current]
    for task in left:
        task.cancel()
    if left and (await asyncio.wait(left, timeout=GRACE))[1]:
        return False  # they catch that they are cancelled
    if not getattr(loop, "_asyncgens", True):  # asyncio offers no other way to ask whether there are any
        return True
    await loop.shutdown_asyncgens()
    return False
