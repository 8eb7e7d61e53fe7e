"""Calls in Jupyter kernels, on an event loop in a thread of its own: what they decode blocks nobody else."""

from __future__ import annotations

import asyncio
import collections
import os
import threading

from restified_magics.errors import RestifiedError
from restified_magics.in_kernel.kernel_model import KernelModel
from restified_magics.isolated.isolated_call import Given, Wanted, rendered

__all__ = ["KernelCalls"]

_KEPT = 8  # Models whose kernels are kept ready


class KernelCalls:
    """Runs calls in fresh kernels; the Models that were called last have kernels ready."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._models: collections.OrderedDict[tuple[str, str | None], KernelModel] = collections.OrderedDict()

    async def run(self, wanted: Wanted) -> Given:
        """A call in a kernel; cancelling the awaiting task interrupts and ends it."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="restified-kernel-calls", daemon=True
            )
            self._thread.start()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._call(wanted), self._loop))

    async def _call(self, wanted: Wanted) -> Given:
        try:
            model = self._model(wanted)
            if wanted.record:
                value = (await model.run_async(wanted.params, timeout=wanted.timeout)).value
            else:
                value = await model.execute_async(wanted.params, timeout=wanted.timeout)
            return rendered(value, wanted)
        except Exception as error:  # noqa: BLE001 - told to who called
            return Given(error=error)
        except KeyboardInterrupt:  # a cell raised it; in a loop it would end the loop
            return Given(error=RestifiedError(f"{wanted.name}: a cell raised KeyboardInterrupt"))

    def _model(self, wanted: Wanted) -> KernelModel:
        if not isinstance(wanted.source, str):
            return KernelModel(wanted.source, cwd=wanted.cwd, name=wanted.name)
        key = (os.path.join(wanted.root, wanted.source), wanted.cwd)
        model = self._models.pop(key, None) or KernelModel(key[0], cwd=wanted.cwd)
        self._models[key] = model
        while len(self._models) > _KEPT:
            self._models.popitem(last=False)[1].close()
        return model

    def close(self) -> None:
        """End all kernels and the loop."""
        for model in self._models.values():
            model.close()
        self._models.clear()
        loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()
            loop.close()
