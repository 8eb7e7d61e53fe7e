"""Calls on a Dask cluster: each in a process of its own there, as it would be here."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import Any

from restified_magics.isolated.isolated_call import Given, Wanted, call, rehearse
from restified_magics.isolated.isolation import IsolatedExecutor

__all__ = ["DaskCalls"]

_LOOK = 0.2  # seconds between two looks at whether a call is still wanted

_executors: list[IsolatedExecutor] = []
_making = threading.Lock()


class DaskCalls:
    """Gives calls to the workers of a scheduler.

    Workers need the same Python and packages as the server, and find the notebooks' folders under the
    same paths; the notebook itself is sent along.

    Args:
        address: of the scheduler, for instance ``tcp://10.0.0.5:8786``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def run(self, wanted: Wanted, limit: float | None) -> Given:
        """A call on a worker; cancelling the awaiting task ends it there.

        Args:
            wanted: the call.
            limit: seconds after which its process is killed, or None.
        """
        from distributed import Client  # an optional dependency, and slow to import

        async with self._connecting:
            if self._client is None:
                self._client = await Client(self._address, asynchronous=True, name="restified")
        future = self._client.submit(_on_worker, wanted, limit, pure=False)
        try:
            given: Given = await future
        except asyncio.CancelledError:
            await future.cancel()
            raise
        return given

    async def close(self) -> None:
        """Let go of the cluster; what it runs for this server is cancelled."""
        if self._client is not None:
            await self._client.close()


def _on_worker(wanted: Wanted, limit: float | None) -> Given:
    """Make the call in a process of this worker, for as long as somebody wants it."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    future = _executor(worker.state.nthreads).submit_within(limit, call, wanted)
    while True:
        try:
            return future.result(_LOOK)
        except concurrent.futures.TimeoutError:
            if future.done():
                raise
        task = worker.state.tasks.get(key)
        if task is None or task.state == "cancelled":
            future.cancel()


def _executor(workers: int) -> IsolatedExecutor:
    with _making:
        if not _executors:
            preload = ["restified_magics.isolated.isolated_call"]
            _executors.append(IsolatedExecutor(workers, preload=preload, initializer=rehearse))
        return _executors[0]
