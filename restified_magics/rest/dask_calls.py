"""Calls on a Dask cluster: each in a process of its own there, as it would be here."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from restified_magics.errors import NotebookError, TaskDied
from restified_magics.isolated.isolated_call import Given, Wanted, call, rehearse
from restified_magics.isolated.isolation import IsolatedExecutor
from restified_magics.isolated.wanted import result_while_wanted
from restified_magics.rest.problems import Problem

__all__ = ["DaskCalls"]

_CONNECT = 10.0  # seconds in which a scheduler must answer
_LEAVE = 5.0  # seconds that letting go of the cluster may take: its scheduler may be gone
_ASK = 1.0  # seconds in which a scheduler must say whether it has workers

_executors: list[IsolatedExecutor] = []
_making = threading.Lock()


class DaskCalls:
    """Gives calls to the workers of a scheduler.

    Workers need the same Python and packages as the server, and find the notebooks' folders under the
    same paths; the notebook itself is sent along.

    Dask is imported, and its client works, in threads: the server's event loop waits for neither.

    Args:
        address: of the scheduler, for instance ``tcp://10.0.0.5:8786``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None
        self._attempt: asyncio.Task[None] | None = None
        self._aside: set[asyncio.Task[Any]] = set()

    async def run(self, wanted: Wanted, limit: float | None) -> Given:
        """A call on a worker; cancelling the awaiting task ends it there.

        Args:
            wanted: the call.
            limit: seconds after which its process is killed, or None. The time that it waits for the
                scheduler and for a worker is among them.

        Raises:
            Problem: 503, there is no scheduler, or it has no worker.
            TaskDied: the worker ended, and so did those to which Dask gave the call after it.
            TimeoutError: there was no answer in time.
        """
        latest = None if limit is None else time.monotonic() + limit
        client = await self._connected(limit)
        future = client.get_executor(pure=False).submit(_on_worker, wanted, limit)
        left = None if latest is None else max(0.0, latest - time.monotonic())
        ended = asyncio.wrap_future(future)
        ended.add_done_callback(
            lambda each: each.cancelled() or each.exception()
        )  # what it has is read below
        try:
            await asyncio.wait([ended], timeout=left)
        finally:
            if not future.done():
                self._do_aside(future.cancel)  # which waits for the scheduler
        if not future.done() or future.cancelled():
            raise await self._why(client)
        return _given(future)

    async def _connected(self, limit: float | None) -> Any:
        """A client whose scheduler is there; one that has lost it never finds it again by itself."""
        if self._client is None or self._client.status != "running":
            if self._attempt is None or self._attempt.done():
                self._attempt = asyncio.create_task(self._connect())
            done, _ = await asyncio.wait([self._attempt], timeout=limit)
            if not done:
                raise self._no_scheduler()
            self._attempt.result()
        return self._client

    async def _connect(self) -> None:
        lost, self._client = self._client, None
        if lost is not None:
            self._do_aside(_close, lost)
        try:
            self._client = await asyncio.to_thread(_new_client, self._address)
        except (OSError, ValueError) as error:
            raise self._no_scheduler() from error
        except ImportError as error:
            raise Problem(
                503, "Calls run on Dask, which is not there: pip install 'restified_magics[dask]'"
            ) from error

    async def _why(self, client: Any) -> Exception:
        """Why there is no answer."""
        if client.status != "running":
            return Problem(503, "The connection to the Dask scheduler was lost during the call. Call again.")
        asked = asyncio.create_task(asyncio.to_thread(client.ncores))
        done, _ = await asyncio.wait([asked], timeout=_ASK)
        if done and asked.exception() is None and not asked.result():
            return Problem(
                503,
                "The Dask scheduler has no worker. Start one: dask worker, with the scheduler's address.",
            )
        return TimeoutError("no worker of Dask gave an answer in time")

    def _no_scheduler(self) -> Problem:
        return Problem(
            503, "No Dask scheduler answers at RestifiedApp.dask_scheduler. Start one: dask scheduler."
        )

    def _do_aside(self, function: Callable[..., object], *args: Any) -> None:
        task = asyncio.create_task(asyncio.to_thread(function, *args))
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def close(self) -> None:
        """Let go of the cluster; what it runs for this server is cancelled."""
        if self._client is not None:
            self._do_aside(_close, self._client)
        if self._aside:
            await asyncio.wait(self._aside, timeout=2 * _LEAVE)


def _new_client(address: str) -> Any:
    from distributed import Client  # an optional dependency, and slow to import

    return Client(address, name="restified", timeout=_CONNECT, set_as_default=False)


def _close(client: Any) -> None:
    with contextlib.suppress(Exception):  # its scheduler may be gone, and then nothing is left to be told
        client.close(timeout=_LEAVE)


def _given(future: concurrent.futures.Future[Given]) -> Given:
    """What the worker gave."""
    from distributed import KilledWorker  # it is there: the call was made

    try:
        return future.result()
    except KilledWorker as error:
        raise TaskDied(
            "the workers of Dask that had the call ended, one after the other. Does it need more memory than "
            "they have?"
        ) from error


def _on_worker(wanted: Wanted, limit: float | None) -> Given:
    """Make the call in a process of this worker, for as long as somebody wants it."""
    from distributed import get_worker

    if not os.path.isdir(os.path.join(wanted.root, wanted.cwd or "")):
        reason = (
            "the worker of Dask that was to run it cannot see its folder. Make the server's folder available "
            "on all workers, under the same path"
        )
        return Given(error=NotebookError(wanted.name, reason))
    executor = _executor(get_worker().state.nthreads)
    return result_while_wanted(executor.submit_within(limit, call, wanted))


def _executor(workers: int) -> IsolatedExecutor:
    with _making:
        if not _executors:
            preload = ["restified_magics.isolated.isolated_call"]
            _executors.append(IsolatedExecutor(workers, preload=preload, initializer=rehearse))
        return _executors[0]
