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

__all__ = ["MOMENT", "Crew", "crew_for"]

#: Seconds after which a worker begins no more calls of a batch.
MOMENT = 0.5

_REUSE = 0.1  # seconds from its first call on in which a process is given another batch


class Crew(NamedTuple):
    """Who does the work, where that is not this thread.

    Attributes:
        size: how many batches run at once.
        submit: gives it a batch, and a list for the answers of calls that have ended before the batch does,
            which isolated processes tell, from any thread. The result is the answers of the other calls that
            were made, None of such as are to be made again; and the seconds that all took.
        read: an answer → how the call went.
        weight: bytes that a call takes to be sent.
        end: nobody waits any more; it is told whether calls may still run.
    """

    size: int
    submit: Callable[[Sequence[Item], list[Answer]], concurrent.futures.Future[tuple[list[Any], float]]]
    read: Callable[[Any], Went]
    weight: Callable[[Item], int]
    end: Callable[[bool], object]


def crew_for(
    model: Model,
    workers: int | None,
    executor: concurrent.futures.Executor | None,
    files: Sequence[str | os.PathLike[str]],
    limit: float | None,
    store: Store | None,
) -> Crew | None:
    """The crew for a Model: as :meth:`Model.map` is told, with `limit` seconds for each call.

    None where this thread makes the calls.
    """
    if files and (executor is None or not _is_dask(executor)):
        raise ValueError("files= go to the workers of a cluster; here the folder is there. Leave files= out")
    end: Callable[[bool], object] = bool  # an executor that was given is not ours to end
    if executor is None and workers is None:
        return None
    if executor is None and not isinstance(model, PythonModel):
        # kernels are processes of their own already, so that threads do to wait for them
        executor = concurrent.futures.ThreadPoolExecutor(workers)
        end = functools.partial(_end_threads, executor, model)
    if isinstance(executor, concurrent.futures.ThreadPoolExecutor):
        threads = executor

        def given(items: Sequence[Item], _: list[Answer]) -> concurrent.futures.Future[Any]:
            items = [item._replace(seed=None) for item in items]  # they share this process's generators
            return threads.submit(run_here, model, items, limit, MOMENT, store)

        return Crew(_size(executor), given, lambda went: went, lambda _: 1, end)
    # most sweeps in one process never need it
    from restified_magics.isolated.isolation import IsolatedExecutor

    if executor is None:
        parcel = pack_model(model, local=True)
        ready = functools.partial(opened, parcel)  # while the call before it runs
        executor = isolated = IsolatedExecutor(
            workers,
            preload=(*PRELOADED, *parcel.imports),
            initializer=ready,
            timeout=hard_limit(limit, MOMENT),
            reuse=_REUSE,
        )
        end = functools.partial(_end_processes, isolated)
    local = not _is_dask(executor)
    parcel = pack_model(model, files=files, local=local)
    others = executor

    def sent(items: Sequence[Item], heard: list[Answer]) -> concurrent.futures.Future[Any]:
        asked = (parcel, pack_items(items, model.name), limit, MOMENT)
        if not local:
            # pure: else Dask may take the answer of a failed batch for that of the same batch, made again
            return others.submit(run_far, *asked, pure=False)  # type: ignore[call-arg]
        if isinstance(others, IsolatedExecutor):
            return others.submit_heard(heard.extend, others.timeout, run_there, *asked, store=store)
        return others.submit(run_there, *asked, store=store)

    return Crew(
        _size(executor),
        sent,
        functools.partial(_read, model=model),
        lambda item: len(pack_items([item], model.name)),
        end,
    )


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
    for name in ("max_workers", "_max_workers"):
        size = getattr(executor, name, None)
        if isinstance(size, int):
            return size
    ncores = getattr(getattr(executor, "_client", None), "ncores", None)  # of Dask
    return max(1, sum(ncores().values())) if ncores is not None else os.cpu_count() or 1
