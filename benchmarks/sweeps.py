"""One class for each way to call a notebook many times: a call of these is a whole sweep.

The pool is what cannot be beaten by much: processes of the standard library that stay, compile the cells once
and are given batches of a size chosen by hand.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from typing import Any

from benchmarks.systems import OURS, Exec, Papermill, Restified, System
from benchmarks.workloads import Workload

__all__ = ["COUNTS", "GROWTH", "SYSTEMS", "WORKERS"]

WORKERS = 2

#: How many calls a sweep has, by workload.
COUNTS = {"trivial": 1000, "work": 64, "longer": 64}

#: How many calls the sweeps have that show how they grow.
GROWTH = (100, 10_000, 100_000)

_exec: Exec | None = None


class Serial(Restified):
    """``model.map(sets)``: one after the other, in this process."""

    options: dict[str, Any] = {}  # noqa: RUF012 - a constant of the class

    def setup(self, workload: Workload) -> None:
        super().setup(workload)
        self.count = COUNTS[workload.name]

    def call(self, params: dict[str, Any]) -> object:
        return _alike(self.model.map([params] * self.count, **self.options))


class Isolated(Serial):
    """``model.map(sets, workers=2)``: isolated processes, started by the sweep and ended with it."""

    options = {"workers": WORKERS}  # noqa: RUF012 - a constant of the class


class Dask(Serial):
    """``model.map(sets, executor=client.get_executor())`` on two worker processes that wait for work."""

    modules = ("restified_magics", "distributed")

    def setup(self, workload: Workload) -> None:
        super().setup(workload)
        import distributed

        self.cluster = distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0"
        )
        self.client = distributed.Client(self.cluster)
        self.options = {"executor": self.client.get_executor()}

    def close(self) -> None:
        self.client.close()
        self.cluster.close()


class Pool(System):
    """Bare ``ProcessPoolExecutor.map`` of the compiled cells."""

    def setup(self, workload: Workload) -> None:
        self.count = COUNTS[workload.name]
        self.chunk = max(1, self.count // 64)
        self.pool = concurrent.futures.ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("fork"), initializer=_set_up, initargs=(workload,)
        )

    def call(self, params: dict[str, Any]) -> object:
        return _alike(list(self.pool.map(_call, [params] * self.count, chunksize=self.chunk)))

    def close(self) -> None:
        self.pool.shutdown()


class PapermillLoop(Papermill):
    """papermill in a loop."""

    def setup(self, workload: Workload) -> None:
        super().setup(workload)
        self.count = COUNTS[workload.name]

    def call(self, params: dict[str, Any]) -> object:
        one = super().call
        return _alike([one(params) for _ in range(self.count)])


def _of(kind: type[Serial], count: int) -> type[Serial]:
    """The same with so many calls, each of which is told."""

    def setup(self: Serial, workload: Workload) -> None:
        kind.setup(self, workload)
        self.count = self.parts = count

    return type(f"{kind.__name__}{count}", (kind,), {"setup": setup})


def _set_up(workload: Workload) -> None:
    global _exec
    _exec = Exec()
    _exec.setup(workload)


def _call(params: dict[str, Any]) -> object:
    assert _exec is not None, "the pool's initializer has run"
    return _exec.call(params)


def _alike(values: list[Any]) -> object:
    """The one value that all calls gave."""
    first = values[0]
    if any(value != first for value in values):
        raise ValueError("calls of one sweep with the same values gave different ones")
    return first


SYSTEMS: dict[str, type[System]] = {
    "pool": Pool,
    "serial": Serial,
    OURS: Isolated,
    "Dask": Dask,
    "papermill": PapermillLoop,
    **{
        f"{name}, {count}": _of(kind, count)
        for name, kind in (("serial", Serial), (OURS, Isolated), ("Dask", Dask))
        for count in GROWTH
    },
}
