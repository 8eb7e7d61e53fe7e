"""`KernelModel`: the cells of a notebook, run in a Jupyter kernel of their own."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import time
import weakref
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.deadline import Deadline, shielded
from restified_magics.core.environment import environment
from restified_magics.core.model import Model, Record
from restified_magics.core.notebook import Notebook
from restified_magics.errors import KernelDied, ModelTimeout, NotebookError, RestifiedError, show_as
from restified_magics.in_kernel.keeper import keeper
from restified_magics.in_kernel.kernel_language import LanguageRequest, preparation
from restified_magics.in_kernel.kernel_pool import (
    ENDING,
    KernelPool,
    Prepare,
    release,
    release_later,
    shared_pool,
)
from restified_magics.in_kernel.kernel_process import Kernel, TimeIsUp
from restified_magics.in_kernel.kernel_python import PythonRequest, prepare
from restified_magics.in_kernel.kernel_specs import BrokenKernelSpec, installed_kernels, kernel_spec
from restified_magics.in_kernel.outlets import Outlet
from restified_magics.in_kernel.steps import ForFuture, Steps, drive, drive_async
from restified_magics.in_process.awaiting import between_cells

__all__ = ["KernelModel"]

#: How the kernels are installed that this package knows.
_INSTALL = {
    "bash": ": pip install bash_kernel && python -m bash_kernel.install --sys-prefix",
    "deno": ": pip install deno && deno jupyter --install",
    "ir": ": install R's package IRkernel (r-cran-irkernel on Debian)",
    "python3": ": pip install ipykernel",
}


class KernelModel(Model):
    """A notebook called as a function in a Jupyter kernel, of any language.

    Each call has a fresh kernel, which is ended after it; others are started ahead of need. Values of
    parameters and the value that is returned are copies: they go from process to process.

    Args:
        source: a path, a URL that papermill reads, or a notebook node (or dict) of nbformat.
        kernel_name: the kernelspec to use; None is the notebook's own.
        reuse: keep one kernel, and what calls leave in it, for all calls; they wait for each other.
        cwd: the folder in which the cells run; None is the notebook's own folder.
        timeout: seconds that a call may take once it has a kernel; None is without limit.
        start_timeout: seconds that a kernel may take to start.
        name: how messages call a notebook that is not a file.

    Raises:
        NotebookError: it is not a notebook, or its kernelspec is not installed.

    Example:
        >>> import restified_magics
        >>> with restified_magics.KernelModel("examples/fibonacci.ipynb") as fibonacci:
        ...     fibonacci(n=20)
        6765
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        kernel_name: str | None = None,
        reuse: bool = False,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        start_timeout: float = 60.0,
        name: str | None = None,
    ) -> None:
        self._kernel_name = kernel_name
        self.reuse = reuse
        self.start_timeout = start_timeout
        self._output_limit: int | None = None  # characters that a call keeps of its outputs
        self._shares = _Shares()
        self._languages: dict[str, str] = {}
        super().__init__(source, cwd=cwd, timeout=timeout, name=name)
        weakref.finalize(self, self._shares.drop).atexit = False

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_shares": None}  # kernels stay with the process that started them

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._shares = _Shares()
        weakref.finalize(self, self._shares.drop).atexit = False

    @property
    def kernel_name(self) -> str:
        """The name of the kernelspec that runs it."""
        return self._kernel_of(self.notebook)

    def _kernel_of(self, notebook: Notebook) -> str:
        return self._kernel_name or notebook.kernel_name or "python3"

    def _accept(self, notebook: Notebook) -> None:
        name = self._kernel_of(notebook)
        try:
            spec = kernel_spec(name)
        except BrokenKernelSpec as error:
            raise NotebookError(notebook.name, str(error)) from error
        if spec is None:
            known = ", ".join(installed_kernels()) or "none"
            raise NotebookError(
                notebook.name,
                f"needs the kernel {name!r}, which is not installed. Installed: {known}. Install it"
                f"{_INSTALL.get(name, '')}, or choose one of them: kernel_name= in Python, "
                "--kernel=NAME in a magic or a shell",
            )

    def _language(self, kernel_name: str) -> str:
        """The language of a kernelspec, in lower case."""
        if kernel_name not in self._languages:
            spec = kernel_spec(kernel_name)
            self._languages[kernel_name] = str(spec.language).lower() if spec is not None else ""
        return self._languages[kernel_name]

    # -------------------------------------------------------------- kernels

    def warm(self) -> None:
        """Start kernels now, so that the first call does not wait for one; return at once."""
        self._pool(self.notebook).warm()

    def close(self) -> None:
        """End its kernels, also where calls are running. A later call starts others."""
        self._shares.close()

    def __enter__(self) -> KernelModel:
        self.warm()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pool(self, notebook: Notebook) -> KernelPool:
        """The pool for kernels like those that a call needs now."""
        name = self._kernel_of(notebook)
        language = self._language(name)
        return self._shares.pool(
            name,
            prepare if language == "python" else preparation(language),
            str(self.cwd or notebook.folder or os.getcwd()),
            start_timeout=self.start_timeout,
            alone=self.reuse,
        )

    # ---------------------------------------------------------------- calls

    def _run(self, call: Call, timeout: float | None, *, record: Record) -> Any:
        with shielded():
            return drive(self._steps(call, timeout, record))

    async def _run_async(self, call: Call, timeout: float | None, *, record: Record) -> Any:
        return await between_cells(drive_async(self._steps(call, timeout, record)))

    def _steps(self, call: Call, timeout: float | None, record: Record) -> Steps[Any]:
        language = self._language(self._kernel_of(call.notebook))
        request: PythonRequest | LanguageRequest = (
            PythonRequest(call, record=record is not None)
            if language == "python"
            else LanguageRequest(call, language, record=record is not None)
        )
        outlet = Outlet(call, record, self._output_limit)
        with _told(call, timeout):
            try:
                return (yield from self._talk(call, request, outlet, timeout))
            except _NeverBegun:  # as if it had died before it was lent: the next one is asked, once
                return (yield from self._talk(call, request, outlet, timeout))

    def _talk(
        self, call: Call, request: PythonRequest | LanguageRequest, outlet: Outlet, timeout: float | None
    ) -> Steps[Any]:
        """Make the call in a kernel of the pool."""
        pool = self._pool(call.notebook)
        kernel = yield from _lent(pool, timeout)
        started = time.perf_counter()
        deadline = None if timeout is None else Deadline(timeout)
        self._shares.lent.add(kernel)
        try:
            value = yield from request.talk(kernel, outlet, deadline)
        except KernelDied as error:
            # with `reuse` the state is lost that earlier calls have left, which the caller is to know
            if kernel.mark.untouched and kernel.has_ended() and not (kernel.closing or self.reuse):
                raise _NeverBegun(error.notebook, reason=error.reason, said=error.said) from None
            raise
        finally:
            self._shares.lent.discard(kernel)
            pool.give_back(kernel, again=self.reuse)
            call.result.duration = time.perf_counter() - started
        call.result.value = value
        return value


class _NeverBegun(KernelDied):
    """The kernel ended before it came to a cell."""


class _Shares:
    """The pools that a Model uses: one, but for changes of the environment or the kernelspec."""

    def __init__(self) -> None:
        self._key: Any = None
        self._held: KernelPool | None = None
        self.lent: set[Kernel] = set()

    def pool(
        self, kernel_name: str, prepare: Prepare, cwd: str, *, start_timeout: float, alone: bool
    ) -> KernelPool:
        env = environment()
        key = (os.getpid(), kernel_name, prepare, cwd, env, start_timeout, alone)
        if self._held is not None and key == self._key and not self._held.closed:
            return self._held
        self.drop()
        if alone:
            options: dict[str, Any] = {"size": 1, "limit": 1}
            pool = KernelPool(
                kernel_name, cwd=cwd, env=env, start_timeout=start_timeout, prepare=prepare, **options
            )
        else:
            pool = shared_pool(kernel_name, cwd, env, start_timeout=start_timeout, prepare=prepare)
        self._key, self._held = key, pool
        return pool

    def drop(self) -> None:
        """Use no pool any more, from a finalizer too."""
        pool, self._held = self._held, None
        if pool is not None:
            release_later(pool)

    def close(self) -> None:
        """End the kernels of running calls, and of a pool that nobody else uses; wait until they are gone."""
        endings = [keeper().submit(kernel.kill()) for kernel in list(self.lent)]
        pool, self._held = self._held, None
        if pool is not None:
            endings += release(pool)
        concurrent.futures.wait(endings, ENDING)


def _lent(pool: KernelPool, timeout: float | None) -> Steps[Kernel]:
    """Wait for a kernel; who is interrupted wants it no more."""
    wanted = pool.lend()
    given = False
    # a call's time is that of its cells: starting a kernel has a limit of its own
    latest = None if timeout is None else time.monotonic() + timeout + pool.start_timeout
    try:
        while not wanted.done():
            left = None if latest is None else latest - time.monotonic()
            if left is not None and left <= 0:
                raise TimeIsUp
            yield ForFuture(wanted, left)
        kernel = wanted.result()
        given = True
        return kernel
    finally:
        if not given and not wanted.cancel() and wanted.exception() is None:
            pool.give_back(wanted.result(), again=True)


@contextlib.contextmanager
def _told(call: Call, timeout: float | None) -> Iterator[None]:
    """Turn what ends a call into the errors of a call, with what there is of a result."""
    try:
        yield
    except BaseException as error:
        failure = error
        cell = call.cell.number if call.cell is not None else None
        if isinstance(error, KernelDied):
            failure = KernelDied(
                call.notebook.name, reason=error.reason, cell=cell, said=error.said, result=call.result
            )
        elif isinstance(error, KeyboardInterrupt):
            where = call.notebook.name if cell is None else f"{call.notebook.name}, cell {cell}"
            show_as(error, [f"{where}: interrupted", "KeyboardInterrupt"])
        elif isinstance(error, TimeIsUp) and timeout is not None:
            failure = ModelTimeout(call.notebook.name, seconds=timeout, cell=cell, result=call.result)
        call.result.error = failure
        if isinstance(failure, RestifiedError) and hasattr(failure, "result"):
            failure.result = call.result
        if failure is error:
            raise
        raise failure from None
