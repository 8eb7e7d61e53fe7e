"""The thread that starts kernels, watches them start, and ends them, so that nobody waits for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["Keeper", "keeper"]

T = TypeVar("T")


class Keeper:
    """An event loop in a daemon thread; one for the process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="restified-keeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def submit(self, work: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Let the keeper do it; from any thread, a finalizer's too."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)


_keepers: dict[int, Keeper] = {}
_making = threading.Lock()


def keeper() -> Keeper:
    """The keeper of this process; a forked child has none of its parent's threads, and gets its own."""
    found = _keepers.get(os.getpid())
    if found is not None:  # without the lock, since a finalizer may ask in the middle of anything
        return found
    with _making:
        if os.getpid() not in _keepers:
            _keepers[os.getpid()] = Keeper()
        return _keepers[os.getpid()]
