"""Calls over the network: bounded, isolated, cancelled with who asked for them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import logging
import os
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from restified_magics.core.notebook import Notebook
from restified_magics.core.result import Result
from restified_magics.errors import MediaError, RestifiedError
from restified_magics.in_kernel.kernel_specs import BrokenKernelSpec, kernel_spec
from restified_magics.in_process.packing import packed
from restified_magics.isolated.isolated_call import Given, Wanted, call, rehearse
from restified_magics.isolated.isolation import IsolatedExecutor
from restified_magics.rest import metrics
from restified_magics.rest.dask_calls import DaskCalls
from restified_magics.rest.failed_runs import FailedRuns
from restified_magics.rest.jobs import Job, Jobs
from restified_magics.rest.kernel_calls import KernelCalls
from restified_magics.rest.problems import NOTHING, Problem, Shown, problem_of
from restified_magics.rest.served import Served, ServedNotebooks
from restified_magics.signature.reading import bind_json, bind_text

__all__ = ["CallRequest", "CallService", "Engine", "Limits", "Listed"]

Engine = Literal["auto", "python", "kernel"]

_KNOWN = 30.0  # seconds: kernelspecs are rarely installed
_GRACE = 2.0  # seconds that a process has to end a call by itself, before it is ended


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much calls may take.

    Attributes:
        concurrency: how many run at once.
        queue: how many more may wait.
        timeout: seconds that one may take, or None.
        max_result: bytes of a rendered value.
        max_output: characters of outputs that are kept for the notebook of a failed call.
        max_memory: bytes of address space of a call's process; 0 is without limit.
        max_listed: notebooks that are looked at for a list of Models.
    """

    concurrency: int
    queue: int
    timeout: float | None = 300.0
    max_result: int = 128 << 20
    max_output: int = 4 << 20
    max_memory: int = 0
    max_listed: int = 10_000


@dataclasses.dataclass(frozen=True)
class CallRequest:
    """What is asked for.

    Attributes:
        path: the notebook.
        values: by name.
        from_text: the values are text and are read by the parameters' types, else they are JSON.
        accept: an ``Accept`` header.
        id: names the request in answers and in the log.
        large: there is so much in it that reading it takes long.
    """

    path: str
    values: Mapping[str, Any]
    from_text: bool
    accept: str
    id: str
    large: bool = False


@dataclasses.dataclass(frozen=True)
class Listed:
    """A list of Models.

    Attributes:
        models: the Models.
        missing: why some may be missing, or None where none is.
    """

    models: list[Served]
    missing: str | None = None


class CallService:
    """Makes calls.

    Args:
        notebooks: those that are served.
        limits: how much calls may take.
        engine: ``"auto"``: notebooks for this Python in an isolated process of it, others in a kernel;
            ``"python"`` and ``"kernel"``: always so.
        preload: modules that isolated processes have imported when they begin.
        shown: what callers are told of an exception in a cell.
        failed: keeps failed calls as notebooks, or None.
        jobs: calls that run by themselves.
        dask: a cluster where calls run that would run in an isolated process here, or None.
        log: where it is told what happened.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that a server configures
        self,
        notebooks: ServedNotebooks,
        limits: Limits,
        *,
        engine: Engine = "auto",
        preload: tuple[str, ...] = (),
        shown: Shown = NOTHING,
        failed: FailedRuns | None = None,
        jobs: Jobs | None = None,
        dask: DaskCalls | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self.notebooks = notebooks
        self.limits = limits
        self.engine = engine
        self.shown = shown
        self.failed = failed
        self.jobs = Jobs(most=100, kept=3600.0) if jobs is None else jobs
        self.log = logging.getLogger(__name__) if log is None else log
        self.running = 0
        self.waiting = 0
        self._dask = dask
        self._gate = asyncio.Semaphore(limits.concurrency)
        self._closed = self._warm = self._told_missing = False
        self._packs: weakref.WeakKeyDictionary[Notebook, bytes] = weakref.WeakKeyDictionary()
        self._own: dict[str, tuple[bool, float]] = {}
        self._executor = IsolatedExecutor(
            limits.concurrency,
            preload=["restified_magics.isolated.isolated_call", *preload],
            initializer=rehearse,
        )
        self._kernels = KernelCalls()

    def warm(self) -> None:
        """Start processes, so that the first call finds one; return at once."""
        if not self._warm:
            self._warm = True
            self._executor.warm()

    async def find(self, path: str) -> Served:
        """The notebook at a path.

        Raises:
            Problem: 404, or 500 where it cannot be called.
        """
        try:
            return await self.notebooks.find(path)
        except RestifiedError as error:
            raise problem_of(error, path, self.shown) from None

    async def models(self) -> Listed:
        """The notebooks that say by a tag, or by Colab's `#@param`, that they are to be called.

        Broken ones are left out.
        """
        found = []
        most = self.limits.max_listed
        paths = await self.notebooks.all(most + 1)
        for path in paths[:most]:
            with contextlib.suppress(Problem):
                served = await self.find(path)
                notebook = served.notebook
                if notebook.with_role("parameters", "return") or notebook.fields.parameters:
                    found.append(served)
        if len(paths) <= most:
            return Listed(found)
        missing = (
            f"There are more than {most} notebooks. Only {most} were looked at for this list; the others can "
            "be called all the same. RestifiedApp.allowed says which are looked at, and max_listed how many."
        )
        if not self._told_missing:
            self._told_missing = True
            self.log.warning("The list of Models is not whole. %s", missing)
        return Listed(found, missing)

    async def prepare(self, request: CallRequest) -> tuple[Served, dict[str, Any]]:
        """The notebook, and the values as it takes them; nothing is run.

        Raises:
            Problem: 404, 422, or 500 where it cannot be called.
        """
        served = await self.find(request.path)
        try:
            bind: Any = bind_text if request.from_text else bind_json
            bound = functools.partial(bind, served.notebook.fields.parameters, request.values, request.path)
            return served, await asyncio.to_thread(bound) if request.large else bound()
        except RestifiedError as error:
            raise problem_of(error, request.path, self.shown) from None

    async def call(self, request: CallRequest) -> Given:
        """Make a call and return its rendered value. Cancelling the awaiting task ends the call.

        Raises:
            Problem: whatever went wrong.
        """
        with _counted():
            served, params = await self.prepare(request)
            self._check_room()
            return await self._run(request, served, params, None)

    async def begin(self, request: CallRequest, owner: str) -> Job:
        """Begin a call as a job of this user.

        Raises:
            Problem: it cannot be begun.
        """
        with _counted(over=False):
            served, params = await self.prepare(request)
            self._check_room()
            job = Job(request.path, owner)
            return self.jobs.begin(job, self._run_job(request, served, params, job))

    async def _run_job(
        self, request: CallRequest, served: Served, params: Mapping[str, Any], job: Job
    ) -> Given:
        with _counted():
            try:
                return await self._run(request, served, params, job)
            except Problem:
                raise
            except Exception as error:  # a job that nobody awaits must end in words all the same
                raise await self._told(error, request) from error

    def _check_open(self) -> None:
        if self._closed:
            raise Problem(503, "The server is shutting down.", headers={"Retry-After": "30"})

    def _check_room(self) -> None:
        self._check_open()
        if self.running + self.waiting >= self.limits.concurrency + self.limits.queue:
            raise Problem(
                503,
                f"{self.running} calls run and {self.waiting} wait already. Try again in a moment.",
                headers={"Retry-After": "1"},
            )

    async def _run(
        self, request: CallRequest, served: Served, params: Mapping[str, Any], job: Job | None
    ) -> Given:
        wanted = Wanted(
            source=served.source,
            name=served.path,
            root=served.root,
            cwd=served.cwd,
            params=params,
            accept=request.accept,
            timeout=self.limits.timeout,
            record=self.failed is not None,
            follow=job is not None,
            max_result=self.limits.max_result,
            max_output=self.limits.max_output,
            max_memory=self.limits.max_memory,
        )
        self.waiting += 1
        try:
            await self._gate.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        try:
            self._check_open()  # perhaps while it waited
            if job is not None:
                job.state = "running"
            outcome = await self._made(served, wanted, job)
        except Problem:
            raise
        except (Exception, asyncio.CancelledError) as error:
            self._check_open()  # then that is what ended it
            if isinstance(error, asyncio.CancelledError):
                raise
            raise await self._told(error, request, _known(served, params, error)) from error
        finally:
            self.running -= 1
            self._gate.release()
        if outcome.error is not None:
            self._check_open()
            result = _known(served, params, outcome.error)
            raise await self._told(outcome.error, request, result) from outcome.error
        return outcome

    async def _made(self, served: Served, wanted: Wanted, job: Job | None) -> Given:
        if await self._runs_here(served):
            # the notebook itself, which may be large, stays here
            wanted = dataclasses.replace(wanted, source="", packed=await self._packed(served.notebook))
            limit = None if wanted.timeout is None else wanted.timeout + _GRACE
            if self._dask is not None:
                return await self._dask.run(wanted, limit)
            future = self._executor.submit_heard(None if job is None else job.heard, limit, call, wanted)
            try:
                return await asyncio.shield(asyncio.wrap_future(future))
            except asyncio.CancelledError:
                await asyncio.to_thread(future.cancel)  # which ends all that the call has started
                raise
            except TimeoutError:
                return future.result()  # raises its own, which knows the cell; asyncio has made another of it
        return await self._kernels.run(wanted, None if job is None else job.heard)

    async def _packed(self, notebook: Notebook) -> bytes:
        """The notebook, read and compiled once a version."""
        made = self._packs.get(notebook)
        if made is None:
            made = self._packs[notebook] = await asyncio.to_thread(packed, notebook)
        return made

    async def _runs_here(self, served: Served) -> bool:
        """Whether its kernelspec is this interpreter, as it is."""
        if self.engine != "auto":
            return self.engine == "python"
        name = served.notebook.kernel_name
        if name is None:
            return served.notebook.language in (None, "python", "ipython")
        known, until = self._own.get(name, (False, 0.0))
        if until < time.monotonic():
            known = await asyncio.to_thread(_is_own, name)
            self._own[name] = known, time.monotonic() + _KNOWN
        return known

    async def _told(self, error: Exception, request: CallRequest, result: Result | None = None) -> Problem:
        problem = problem_of(error, request.path, self.shown)
        if self.failed is not None and result is not None and problem.status >= 500:
            try:
                kept = await asyncio.to_thread(self.failed.keep, result, request.path)
            except Exception as failure:  # noqa: BLE001 - a full disk is no reason to lose the answer
                self.log.error(
                    "[%s] %s: the failed run cannot be kept: %s", request.id, request.path, failure
                )
            else:
                problem.fields["failed_run"] = kept
        unforeseen = error if not isinstance(error, RestifiedError | TimeoutError) else None
        self.log.warning("[%s] %s: %s", request.id, request.path, type(error).__name__, exc_info=unforeseen)
        return problem

    async def close(self) -> None:
        """End all calls; no process is left."""
        self._closed = True
        endings = [
            self.jobs.close(),
            asyncio.to_thread(self._executor.kill_workers),
            asyncio.to_thread(self._kernels.close),
        ]
        if self._dask is not None:
            endings.append(self._dask.close())
        # a server whose extension cannot be ended does not end
        for outcome in await asyncio.gather(*endings, return_exceptions=True):
            if isinstance(outcome, Exception):
                self.log.error("not foreseen at the end of the server", exc_info=outcome)


@contextlib.contextmanager
def _counted(*, over: bool = True) -> Iterator[None]:
    """Tell Prometheus how a call ended, and how long it took; or, of one that only begins, how it did not."""
    started = time.perf_counter()
    try:
        yield
    except asyncio.CancelledError:
        metrics.CALLS.labels("cancelled").inc()
        raise
    except Problem as problem:
        metrics.CALLS.labels(str(problem.status)).inc()
        raise
    if not over:
        return
    metrics.CALLS.labels("200").inc()
    metrics.SECONDS.observe(time.perf_counter() - started)


def _is_own(kernel_name: str) -> bool:
    """Whether a kernelspec starts this very Python, the one of this environment, with nothing added."""
    try:
        spec = kernel_spec(kernel_name)
    except BrokenKernelSpec:
        return False  # who calls the notebook in it is told
    if spec is None or spec.language != "python" or spec.env or not spec.argv:
        return False
    if "-m" not in spec.argv or spec.argv[spec.argv.index("-m") + 1] not in (
        "ipykernel_launcher",
        "ipykernel",
    ):
        return False  # another kernel in this Python
    program: str = spec.argv[0]
    major, minor = sys.version_info[:2]
    if program in ("python", f"python{major}", f"python{major}.{minor}"):
        return True  # Jupyter takes its own for these
    # two environments may have links to one interpreter, and so the folder counts
    same_folder = os.path.dirname(program) == os.path.dirname(sys.executable)
    return same_folder and os.path.realpath(program) == os.path.realpath(sys.executable)


def _known(served: Served, params: Mapping[str, Any], error: Exception) -> Result:
    """What there is of a call that failed: of one whose process died, its values and the cell."""
    result: Result | None = getattr(error, "result", None)
    if result is not None:
        return result
    cell: int | None = getattr(error, "cell", None)
    ends = served.notebook.with_role("return") if isinstance(error, MediaError) else []
    if ends:
        cell = ends[-1].number  # all cells have run, and the value is what failed
    return Result(params=dict(params), error=error, cell=cell, _source=served.notebook)
