"""Kernels at hand: started ahead of need, lent for one call, ended after it, replaced."""

from __future__ import annotations

import asyncio
import atexit
import collections
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from restified_magics.core.environment import environment
from restified_magics.errors import KernelDied
from restified_magics.in_kernel.keeper import keeper
from restified_magics.in_kernel.kernel_process import Kernel
from restified_magics.in_kernel.steps import Steps, nothing

__all__ = ["ENDING", "KernelPool", "Prepare", "release", "release_later", "shared_pool"]

#: Seconds that who closes a pool waits for its kernels to be gone.
ENDING = 5.0

# Seconds that a replacement may wait for the end of the call that took the kernel: to start one takes the
# processor from that call.
_PAUSE = 0.05

#: Steps that make a kernel ready for calls.
Prepare = Callable[[Kernel], Steps[None]]


class KernelPool:
    """Fresh kernels of one kernelspec in one folder.

    ``size`` kernels are kept ready from the first :meth:`warm` or :meth:`lend` on. Whoever asks when none
    is ready waits for one; the longest waiting is served first.

    Args:
        kernel_name: name of the kernelspec.
        cwd: the kernels' folder; None is the current one.
        env: their environment; None is that of this process, without secrets of a Jupyter server.
        size: how many are kept ready.
        limit: how many there may be at once, ready, starting and lent.
        start_timeout: seconds that a kernel may take to start.
        prepare: steps that make a kernel ready for calls.

    Example:
        >>> from restified_magics.in_kernel.kernel_pool import KernelPool
        >>> with KernelPool("python3", size=1) as pool:
        ...     kernel = pool.lend().result()
        ...     pool.give_back(kernel)
    """

    def __init__(
        self,
        kernel_name: str = "python3",
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        size: int = 2,
        limit: int = max(8, 4 * (os.cpu_count() or 1)),
        start_timeout: float = 60.0,
        prepare: Prepare | None = None,
    ) -> None:
        if size < 0 or limit < max(1, size):
            raise ValueError(
                f"size must be 0 or more, and limit at least size and 1, not {size=} and {limit=}"
            )
        self.kernel_name = kernel_name
        self.size = size
        self.limit = limit
        self._start: dict[str, Any] = {
            "cwd": os.path.abspath(cwd or os.getcwd()),
            "env": dict(environment() if env is None else env),
            "timeout": start_timeout,
            "prepare": prepare or nothing,
        }
        self._users = 0
        self._forget()
        _pools.add(self)

    def _forget(self) -> None:
        """Know of no kernel: at the beginning, and in a forked child, which has none of its parent's."""
        self._lock = threading.Lock()
        self._ready: collections.deque[Kernel] = collections.deque()
        self._lent: set[Kernel] = set()
        self._starting = 0
        self._starts: set[asyncio.Task[Any]] = set()
        self._waiting: collections.deque[concurrent.futures.Future[Kernel]] = collections.deque()
        self._warm = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed: it lends no more."""
        return self._closed

    @property
    def start_timeout(self) -> float:
        """Seconds that a kernel may take to start."""
        seconds: float = self._start["timeout"]
        return seconds

    # ---------------------------------------------------------------- lending

    def warm(self) -> None:
        """Start to have kernels ready, and return at once."""
        with self._lock:
            self._warm = True
            self._refill()

    def lend(self) -> concurrent.futures.Future[Kernel]:
        """A kernel, when there is one: it is to be given back. Cancel the future to want it no more."""
        wanted: concurrent.futures.Future[Kernel] = concurrent.futures.Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the pool of {self.kernel_name} is closed. Make another KernelPool")
            self._warm = True
            self._waiting.append(wanted)
            self._serve()
            if self._ready:  # the next one finds a kernel, too
                keeper().submit(self._refill_soon())
            else:
                self._refill()
        return wanted

    def give_back(self, kernel: Kernel, *, again: bool = False) -> None:
        """Take back a kernel that was lent.

        Args:
            kernel: the kernel.
            again: lend it once more, with the state that it has, if it is usable; else it is ended.
        """
        with self._lock:
            self._lent.discard(kernel)
            again = again and kernel.usable and not self._closed and not kernel.has_ended()
            if again:
                self._ready.appendleft(kernel)
                self._serve()
            self._refill()
        if not again:
            _end(kernel)

    def _serve(self) -> None:
        """Give ready kernels to those who wait, in their order. The lock is held."""
        while self._waiting and self._ready:
            kernel = self._ready.popleft()
            if kernel.has_ended():  # it died while nobody used it
                _end(kernel)
                continue
            while self._waiting:
                wanted = self._waiting.popleft()
                if wanted.set_running_or_notify_cancel():
                    self._lent.add(kernel)
                    wanted.set_result(kernel)
                    break
            else:
                self._ready.appendleft(kernel)

    def _refill(self) -> None:
        """Start what is missing. The lock is held."""
        if self._closed or not self._warm:
            return
        waiting = sum(not wanted.cancelled() for wanted in self._waiting)
        missing = self.size + waiting - len(self._ready)
        room = self.limit - len(self._ready) - len(self._lent)
        # those that nobody waits for start one after the other, since each takes half a second of a processor
        at_once = max(1, min(waiting, os.cpu_count() or 1))
        for _ in range(min(missing, room, at_once) - self._starting):
            self._starting += 1
            keeper().submit(self._started())

    async def _refill_soon(self) -> None:
        await asyncio.sleep(_PAUSE)
        with self._lock:
            self._refill()

    async def _started(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - the keeper makes one
        self._starts.add(task)
        kernel: Kernel | None = None
        failure: Exception | None = None
        try:
            if not self._closed:
                kernel = await Kernel.start(self.kernel_name, **self._start)
        except Exception as error:  # noqa: BLE001 - whoever waits is to hear of it
            failure = error
        finally:
            self._starts.discard(task)
            with self._lock:
                self._starting -= 1
        with self._lock:
            if failure is not None:
                self._fail(failure)
            elif kernel is not None and not self._closed:
                self._ready.append(kernel)
                kernel = None
                self._serve()
            self._refill()
        if kernel is not None:
            await kernel.end()

    def _fail(self, failure: Exception) -> None:
        """Tell one who waits that there is no kernel; none is started for nobody. The lock is held."""
        while self._waiting:
            wanted = self._waiting.popleft()
            if wanted.set_running_or_notify_cancel():
                wanted.set_exception(failure)
                break
        self._warm = bool(self._waiting)

    # ----------------------------------------------------------------- ending

    def close(self) -> None:
        """End all kernels, those that are lent too, and wait until they are gone."""
        endings = self._close()
        concurrent.futures.wait(endings, timeout=ENDING)

    def _close(self) -> list[concurrent.futures.Future[None]]:
        with self._lock:
            if self._closed:
                return []
            self._closed = True
            ready, self._ready = list(self._ready), collections.deque()
            waiting, self._waiting = list(self._waiting), collections.deque()
            lent = list(self._lent)
        for wanted in waiting:
            if wanted.set_running_or_notify_cancel():
                wanted.set_exception(KernelDied(self.kernel_name, reason="the pool of kernels was closed"))
        endings = [keeper().submit(kernel.end()) for kernel in ready]
        endings += [keeper().submit(kernel.kill()) for kernel in lent]  # who talks with it, ends it
        return [*endings, keeper().submit(self._stop_starting())]

    async def _stop_starting(self) -> None:
        starts = list(self._starts)
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)

    def __del__(self) -> None:
        for kernel in self.__dict__.get("_ready", ()):
            _end(kernel)

    def __enter__(self) -> KernelPool:
        self.warm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _end(kernel: Kernel) -> None:
    kernel.close()
    _endings.add(keeper().submit(kernel.end()))


#: Kernels that are being ended.
_endings: weakref.WeakSet[concurrent.futures.Future[None]] = weakref.WeakSet()
_pools: weakref.WeakSet[KernelPool] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    endings = list(_endings)
    for pool in list(_pools):
        endings += pool._close()
    concurrent.futures.wait(endings, timeout=ENDING)


def _forget_all() -> None:
    for pool in list(_pools):
        pool._forget()
    _shared.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


# ------------------------------------------------------------------- sharing

_shared: dict[Any, KernelPool] = {}
_sharing = threading.Lock()


def shared_pool(kernel_name: str, cwd: str, env: Mapping[str, str], **options: Any) -> KernelPool:
    """The pool of this process for this kernelspec, folder and environment.

    Each use is to be ended by :func:`release`; with the last one the pool is closed.
    """
    key = (kernel_name, cwd, frozenset(env.items()), frozenset(options.items()))
    with _sharing:
        pool = _shared.get(key)
        if pool is None or pool._closed:
            pool = _shared[key] = KernelPool(kernel_name, cwd=cwd, env=env, **options)
        pool._users += 1
        return pool


def release(pool: KernelPool) -> list[concurrent.futures.Future[None]]:
    """End one use of a shared pool; what is returned is done when its kernels are gone."""
    with _sharing:
        pool._users -= 1
        if pool._users > 0:
            return []
        for key in [key for key, shared in _shared.items() if shared is pool]:
            del _shared[key]
    return pool._close()


async def _released(pool: KernelPool) -> None:
    release(pool)


def release_later(pool: KernelPool) -> None:
    """As :func:`release`, from a finalizer, which may run in the middle of anything."""
    keeper().submit(_released(pool))
