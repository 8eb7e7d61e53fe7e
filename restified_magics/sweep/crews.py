"""Who makes the calls of a sweep: this process, threads, isolated processes, a pool, a cluster."""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from restified_magics.core.model import Model
from restified_magics.in_process.python_model import PythonModel
from restified_magics.sweep.parcels import Answer, Item, Went, open_answer, pack_items, pack_model
from restified_magics.sweep.store import Store
from restified_magics.sweep.worker import PRELOADED, hard_limit, opened, run_far, run_here, run_there

__all__ = ["MOMENT", "Crew", "Hear", "Here", "crew_for"]

#: Seconds after which a worker begins no more calls of a batch.
MOMENT = 0.5

#: Is told the place of a call in its batch, and how it went.
Hear = Callable[[int, Went], object]


class Crew(NamedTuple):
    """Who does the work.

    Attributes:
        executor: runs the batches.
        size: how many batches run at once.
        submit: gives it a batch, and who hears of each call that has ended before the batch does, from any
            thread. Only isolated processes tell.
        read: what a batch gave → how each call went; and the seconds.
        weight: bytes that a call takes to be sent.
        end: nobody waits any more; it is told whether calls may still run.
    """

    executor: concurrent.futures.Executor
    size: int
    submit: Callable[[Sequence[Item], Hear], concurrent.futures.Future[Any]]
    read: Callable[[Any], tuple[list[Went], float]]
    weight: Callable[[Item], int]
    end: Callable[[bool], object]


class Here(concurrent.futures.Executor):
    """Runs a task at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks the future gets it
            future.set_exception(error)
        return future


def crew_for(
    model: Model,
    workers: int | None,
    executor: concurrent.futures.Executor | None,
    files: Sequence[str | os.PathLike[str]],
    limit: float | None,
    store: Store | None,
) -> Crew:
    """The crew for a Model: as :meth:`Model.map` is told, with `limit` seconds for each call."""
    if files and (executor is None or not _is_dask(executor)):
        raise ValueError("files= go to the workers of a cluster; here the folder is there. Leave files= out")
    end: Callable[[bool], object] = bool  # an executor that was given is not ours to end
    if executor is None and workers is None:
        executor = Here()
    elif executor is None and not isinstance(model, PythonModel):
        # kernels are processes of their own already, so that threads do to wait for them
        executor = concurrent.futures.ThreadPoolExecutor(workers)
        end = functools.partial(_end_threads, executor, model)
    if isinstance(executor, Here | concurrent.futures.ThreadPoolExecutor):
        chosen = executor
        threads = not isinstance(executor, Here)

        def given(items: Sequence[Item], _: Hear) -> concurrent.futures.Future[Any]:
            if threads:  # they share the random generators of this process
                items = [item._replace(seed=None) for item in items]
            return chosen.submit(run_here, model, items, limit, MOMENT, store)

        return Crew(executor, _size(executor), given, lambda done: done, lambda _: 1, end)
    # most sweeps in one process never need it
    from restified_magics.isolated.isolation import IsolatedExecutor, TaskFuture

    if executor is None:
        parcel = pack_model(model, local=True)
        ready = functools.partial(opened, parcel)  # while the call before it runs
        executor = isolated = IsolatedExecutor(
            workers,
            preload=(*PRELOADED, *parcel.imports),
            initializer=ready,
            timeout=hard_limit(limit, MOMENT),
        )
        end = functools.partial(_end_processes, isolated)
    local = not _is_dask(executor)
    parcel = pack_model(model, files=files, local=local)
    work = run_there if local else run_far
    others = executor
    # else Dask may take the answer of a failed batch for that of the same batch, made again
    options: dict[str, Any] = {"store": store} if local else {"pure": False}

    def sent(items: Sequence[Item], hear: Hear) -> concurrent.futures.Future[Any]:
        future = others.submit(work, parcel, pack_items(items, model.name), limit, MOMENT, **options)
        if isinstance(future, TaskFuture):
            future.on_report = lambda told: hear(told[0], _read(told[1], model))
        return future

    def read(done: tuple[list[Answer], float]) -> tuple[list[Went], float]:
        answers, seconds = done
        return [_read(answer, model) for answer in answers], seconds

    return Crew(executor, _size(executor), sent, read, lambda item: len(pack_items([item], model.name)), end)


def _is_dask(executor: concurrent.futures.Executor) -> bool:
    """Whether its workers may be on other machines: only of Dask's is that known."""
    return any(
        kind.__module__.partition(".")[0] in ("dask", "distributed") for kind in type(executor).__mro__
    )


def _read(answer: Answer, model: Model) -> Went:
    try:
        return Went(True, open_answer(answer, model), answer.kept)
    except Exception as error:  # noqa: BLE001 - it is the call's
        return Went(False, error)


def _end_threads(executor: concurrent.futures.Executor, model: Any, running: bool) -> None:
    executor.shutdown(wait=False, cancel_futures=True)
    if running:
        model.close()  # ends the kernels that threads wait for


def _end_processes(executor: Any, _running: bool) -> None:
    executor.kill_workers()


def _size(executor: concurrent.futures.Executor) -> int:
    if isinstance(executor, Here):
        return 1
    for name in ("max_workers", "_max_workers"):
        size = getattr(executor, name, None)
        if isinstance(size, int):
            return size
    ncores = getattr(getattr(executor, "_client", None), "ncores", None)  # of Dask
    return max(1, sum(ncores().values())) if ncores is not None else os.cpu_count() or 1
