"""Calls in Jupyter kernels, on an event loop in a thread of its own: what they decode blocks nobody else."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import os
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.progress import Progress, progress_of
from restified_magics.errors import RestifiedError
from restified_magics.in_kernel.kernel_model import KernelModel
from restified_magics.in_kernel.kernel_pool import ENDING
from restified_magics.isolated.isolated_call import Given, Wanted, rendered

__all__ = ["KernelCalls"]

_KEPT = 8  # Models whose kernels are kept ready
_LOOK = 0.2  # seconds between two looks at how far a call is

Report = Callable[[Progress], object]

_begun: contextvars.ContextVar[list[Call] | None] = contextvars.ContextVar("begun", default=None)


class _ServedModel(KernelModel):
    """A Model that keeps a bounded part of what its cells put out, and whose calls can be looked at."""

    def __init__(self, source: Any, *, limit: int, **options: Any) -> None:
        super().__init__(source, **options)
        self._output_limit = limit

    def _begin(self, params: Mapping[str, Any] | None) -> Call:
        call = super()._begin(params)
        begun = _begun.get()
        if begun is not None:
            begun.append(call)
        return call


class KernelCalls:
    """Runs calls in fresh kernels; the Models that were called last have kernels ready."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._models: collections.OrderedDict[tuple[str, str | None], KernelModel] = collections.OrderedDict()

    async def run(self, wanted: Wanted, report: Report | None = None) -> Given:
        """A call in a kernel; cancelling the awaiting task interrupts and ends it.

        Args:
            wanted: the call.
            report: is told how far it is, in another thread.
        """
        self._check_open(wanted)
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="restified-kernel-calls", daemon=True
            )
            self._thread.start()
        made = asyncio.run_coroutine_threadsafe(self._call(wanted, report), self._loop)
        return await asyncio.wrap_future(made)

    async def _call(self, wanted: Wanted, report: Report | None) -> Given:
        try:
            self._check_open(wanted)
            model = self._model(wanted)
            async with _followed(report):
                # what cells print is recorded, never written to where the server writes
                result = await model.run_async(wanted.params, timeout=wanted.timeout)
            return rendered(result.value, wanted)
        except Exception as error:  # noqa: BLE001 - told to who called
            return Given(error=error)
        except KeyboardInterrupt:  # a cell raised it; in a loop it would end the loop
            return Given(error=RestifiedError(f"{wanted.name}: a cell raised KeyboardInterrupt"))

    def _check_open(self, wanted: Wanted) -> None:
        if self._closed:
            raise RestifiedError(f"{wanted.name}: the server is shutting down")

    def _model(self, wanted: Wanted) -> KernelModel:
        if not isinstance(wanted.source, str):
            return _ServedModel(wanted.source, cwd=wanted.cwd, name=wanted.name, limit=wanted.max_output)
        key = (os.path.join(wanted.root, wanted.source), wanted.cwd)
        model = self._models.pop(key, None)
        if model is None:
            model = _ServedModel(key[0], cwd=wanted.cwd, limit=wanted.max_output)
        self._models[key] = model
        while len(self._models) > _KEPT:
            self._models.popitem(last=False)  # its kernels end with it, which a call that runs still holds
        return model

    def close(self) -> None:
        """End all kernels and the loop."""
        self._closed = True
        loop, self._loop = self._loop, None
        for model in list(self._models.values()):
            model.close()
        self._models.clear()
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join(ENDING)
            if not self._thread.is_alive():
                loop.close()


@contextlib.asynccontextmanager
async def _followed(report: Report | None) -> AsyncIterator[None]:
    """Report how far the call is that is made here."""
    if report is None:
        yield
        return
    begun: list[Call] = []
    _begun.set(begun)
    looking = asyncio.create_task(_look(begun, report))
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _look(begun: list[Call], report: Report) -> None:
    told = None
    while True:
        await asyncio.sleep(_LOOK)
        progress = progress_of(begun[-1]) if begun else None
        if progress is not None and progress.cell is not None and progress != told:
            told = progress
            report(progress)
