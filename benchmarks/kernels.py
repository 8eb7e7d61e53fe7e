"""Calls in a kernel: one class for each way, and for each part of one call."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.systems import Nbclient, Papermill, System
from benchmarks.workloads import Workload

__all__ = ["PARTS", "SYSTEMS"]


class Request(System):
    """One ``execute_request`` to a running kernel, by jupyter_client: no notebook and no values."""

    modules = ("jupyter_client",)

    def setup(self, workload: Workload) -> None:
        from jupyter_client.manager import start_new_kernel

        self.value = workload.value
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        self.client.execute_interactive("1", silent=True, output_hook=lambda _message: None)
        return self.value


class Restified(System):
    """``KernelModel(path).execute(params)``: a fresh kernel a call, which the pool has at hand."""

    modules = ("restified_magics.in_kernel.kernel_model",)
    reuse = False

    def setup(self, workload: Workload) -> None:
        from restified_magics import KernelModel

        self.model = KernelModel(workload.path, reuse=self.reuse)
        self.model.warm()

    def rest(self) -> None:
        pool = self.model._pool(self.model.notebook)
        while len(pool._ready) < pool.size or pool._starting:
            time.sleep(0.005)

    def call(self, params: dict[str, Any]) -> object:
        return self.model.execute(params)


class Pressed(Restified):
    """Ten calls a second, as of a slider that is dragged: how long each of them takes."""

    def rest(self) -> None:
        time.sleep(0.1)


class InARow(Restified):
    """One call right after the other: as fast as kernels can be started anew."""

    def rest(self) -> None:
        """Do nothing: the next call comes at once."""


class Reused(Restified):
    """The same in one kernel that is kept: what is left is the conversation."""

    reuse = True


class Lent(Restified):
    """Taking a kernel from the pool and giving it back to be ended."""

    def setup(self, workload: Workload) -> None:
        super().setup(workload)
        self.value = workload.value

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        pool = self.model._pool(self.model.notebook)
        pool.give_back(pool.lend().result())
        return self.value


class Prepared(Restified):
    """Making a call of values: checks, encoding, the request."""

    def setup(self, workload: Workload) -> None:
        super().setup(workload)
        self.value = workload.value

    def call(self, params: dict[str, Any]) -> object:
        from restified_magics.in_kernel.kernel_python import PythonRequest

        PythonRequest(self.model._begin(params), record=False)
        return self.value


SYSTEMS: dict[str, type[System]] = {
    "one request": Request,
    "KernelModel": Restified,
    "ten a second": Pressed,
    "in a row": InARow,
    "its conversation": Reused,
    "its kernel, lent": Lent,
    "its request, made": Prepared,
    "nbclient": Nbclient,
    "papermill": Papermill,
}

#: What the time of one call goes to, and what it is where kernels have no time to be started ahead.
PARTS = ("its conversation", "its kernel, lent", "its request, made", "ten a second", "in a row")
