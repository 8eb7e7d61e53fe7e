"""`PythonModel`: the cells of a notebook, run in this process."""

from __future__ import annotations

import builtins
import contextlib
import importlib.machinery
import os
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Never, get_args

from restified_magics.core.calls import Call, reset_current_call, set_current_call
from restified_magics.core.deadline import Blocked, Deadline, Expired, guard, shielded, within
from restified_magics.core.model import Model, Record
from restified_magics.core.notebook import Notebook
from restified_magics.core.telling import shorten
from restified_magics.errors import CellError, ModelTimeout, NotebookError
from restified_magics.in_process.capture import (
    DROP,
    Recorder,
    drop_outputs,
    follow_threads,
    give_streams_back,
    recording,
)
from restified_magics.in_process.execution import run_cells
from restified_magics.in_process.figures import close_figures
from restified_magics.in_process.free_names import free_names
from restified_magics.in_process.history import History, looks_back
from restified_magics.in_process.process_state import Hold, held, held_async, release
from restified_magics.in_process.program import Program, compiled
from restified_magics.in_process.shell import (
    GLOBALS,
    SESSION_GLOBALS,
    InstalledShell,
    prompts_refused,
    running_shell,
)

if TYPE_CHECKING:
    from restified_magics.in_process.loops import CallLoop

__all__ = ["PythonModel", "Scope", "execute_notebook"]

Scope = Literal["view", "share", "isolated"]

# A spawned child of multiprocessing would run `__file__` as a script, were it not for this spec's
# name, which tells it that there is nothing to import.
_SPEC = importlib.machinery.ModuleSpec("__main__", None)


class PythonModel(Model):
    """A notebook called as a function in this process.

    Args:
        source: a path, a URL that papermill reads, or a notebook node (or dict) of nbformat.
        scope: which names the cells find besides their own: ``"view"``, a snapshot of those of the
            notebook or IPython session that calls (the default there); ``"share"``, they run in that
            namespace itself, as with ``%run -i``; ``"isolated"``, none (the default in plain Python).
        cwd: the folder in which the cells run; None is the notebook's own folder.
        timeout: seconds that a call may take; None is without limit.
        name: how messages call a notebook that is not a file.

    Raises:
        NotebookError: it is not a notebook of Python, or no function can be made of it.

    Example:
        >>> import restified_magics
        >>> fibonacci = restified_magics.PythonModel("examples/fibonacci.ipynb")
        >>> fibonacci(n=20)
        6765
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        scope: Scope | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        if scope is not None and scope not in get_args(Scope):
            raise ValueError(
                f"scope must be one of {', '.join(map(repr, get_args(Scope)))}, or None, not {scope!r}"
            )
        super().__init__(source, cwd=cwd, timeout=timeout, name=name)
        self.scope = scope

    @property
    def free_names(self) -> tuple[str, ...]:
        """The names that the cells take from the View, found without running them.

        A Model with free names depends on who calls it: in plain Python its names are not there.
        """
        return free_names(compiled(self.notebook))

    def _accept(self, notebook: Notebook) -> None:
        if not notebook.is_python:
            raise NotebookError(
                notebook.name,
                f"is in {notebook.language}, and PythonModel runs Python. Use KernelModel; "
                "in magics --kernel, in the shell --engine kernel",
            )

    # ----------------------------------------------------------------- calls

    def _give_up(self, call: Call) -> Callable[[], object]:
        return _give_up(call)

    def _run(self, call: Call, timeout: float | None, *, record: Record) -> Any:
        if timeout is None:
            if guard() is None:
                return self._here(call, record)
            with shielded():
                return self._here(call, record)
        deadline = Deadline(timeout)
        with shielded(), _timeout(deadline, call):
            return within(deadline, lambda: self._here(call, record), lambda: _give_up(call))

    def _here(self, call: Call, record: Record) -> Any:
        """Run the cells in this thread."""
        program = compiled(call.notebook)
        loop: CallLoop | None = None
        with _Running(self, call, program, record) as hold, held(hold):
            cells = run_cells(call, program, record=record is not None)
            try:
                coroutine = next(cells)
                loop = _call_loop()
                while True:
                    try:
                        value = loop.run(coroutine)
                    except BaseException as error:  # noqa: BLE001 - the cell raised it
                        coroutine = cells.throw(error)
                    else:
                        coroutine = cells.send(value)
            except StopIteration as ended:
                call.result.value = ended.value
                return ended.value
            finally:
                if loop is not None:
                    loop.close()

    async def _run_async(self, call: Call, timeout: float | None, *, record: Record) -> Any:
        from restified_magics.in_process.awaiting import between_cells  # with asyncio, slow to import

        return await between_cells(self._within(call, timeout, record))

    async def _within(self, call: Call, timeout: float | None, record: Record) -> Any:
        if timeout is None:
            return await self._there(call, record)
        from restified_magics.in_process.awaiting import limited

        deadline = Deadline(timeout)
        with _timeout(deadline, call), deadline.watched():
            return await limited(self._there(call, record), [deadline])

    async def _there(self, call: Call, record: Record) -> Any:
        """Run the cells on the running event loop."""
        from restified_magics.in_process.awaiting import awaited

        program = compiled(call.notebook)
        with _Running(self, call, program, record) as hold:
            async with held_async(hold):
                cells = run_cells(call, program, record=record is not None)
                try:
                    coroutine = next(cells)
                    while True:
                        try:
                            value = await awaited(coroutine)
                        except BaseException as error:  # noqa: BLE001 - the cell raised it
                            coroutine = cells.throw(error)
                        else:
                            coroutine = cells.send(value)
                except StopIteration as ended:
                    call.result.value = ended.value
                    return ended.value


def _call_loop() -> CallLoop:
    from restified_magics.in_process.loops import CallLoop  # with asyncio, which is slow to import

    return CallLoop()


def execute_notebook(
    path: str | os.PathLike[str] | Mapping[str, Any],
    params: Mapping[str, Any] | None = None,
    *,
    scope: Scope | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
    **values: Never,
) -> Any:
    """Run a notebook once with these parameters and return the value of its ``return`` cell.

    The same as ``PythonModel(path, …).execute(params)``: arguments and errors are described there.

    Example:
        >>> import restified_magics
        >>> restified_magics.execute_notebook("examples/fibonacci.ipynb", {"n": 20})
        6765
    """
    if values:
        given: Mapping[str, object] = values
        shown = ", ".join(f"{name!r}: {shorten(value)}" for name, value in given.items())
        raise TypeError(f"execute_notebook takes values in a dict, as in {{{shown}}}")
    return PythonModel(path, scope=scope, cwd=cwd, timeout=timeout).execute(params)


class _Running:
    """A call from its beginning to its end: its namespace, its outputs, and what it needs of the process.

    A class and not a generator, since of a call that takes microseconds every one counts.
    """

    __slots__ = ("_before", "_call", "_outputs", "_started", "_token")

    def __init__(self, model: PythonModel, call: Call, program: Program, record: Record) -> None:
        self._call = call
        self._outputs: contextlib.ExitStack | None = None
        self._token: Any = None
        parent = call.parent
        instance = None
        if record is not None or program.needs_shell:
            self._outputs = contextlib.ExitStack()
            call.shell = InstalledShell()
            self._outputs.callback(call.shell.release)
            instance = call.shell.shell
        main = _give_namespace(call, program, model.scope)
        if program.prompts:
            self._outputs = self._outputs or contextlib.ExitStack()
            self._outputs.enter_context(prompts_refused())
        if record is not None:
            outer = None if parent is None else parent.sink
            call.sink = Recorder(len(call.notebook.cells), echo=record == "echo", outer=outer)
            call.result.outputs = call.sink.outputs
        elif parent is not None:
            call.sink = parent.sink
        self._before = dict(call.namespace) if record is not None else None
        folder = model.cwd or call.notebook.folder
        call.hold = Hold(
            version=call.notebook,
            folder=None if folder is None else str(folder),
            main=main,
            shell=instance if program.needs_shell and main is not None else None,
            parent=None if parent is None else parent.hold,
        )
        if self._outputs is not None and record is not None:
            self._outputs.enter_context(recording(instance))

    def __enter__(self) -> Hold:
        self._token = set_current_call(self._call)
        self._call.streams = sys.stdout, sys.stderr
        self._started = time.perf_counter()
        hold: Hold = self._call.hold
        return hold

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        call, result = self._call, self._call.result
        result.duration = time.perf_counter() - self._started
        # a call that was left to itself must not change what its caller has meanwhile
        if call.sink is not DROP and (sys.stdout, sys.stderr) != call.streams:
            give_streams_back(call.streams)
        call.ended = call.sink is not DROP
        reset_current_call(self._token)
        if call.figures:
            close_figures(call)
        if self._outputs is not None:
            self._outputs.close()
        if self._before is not None:
            result.namespace = {
                name: value
                for name, value in call.namespace.items()
                if not (name[0] == "_" and looks_back(name))
                and (name not in self._before or self._before[name] is not value)
            }
        if error is not None:
            result.error = error
            if isinstance(error, CellError):
                error.result = result


def _give_namespace(call: Call, program: Program, scope: Scope | None) -> types.ModuleType | None:
    """Give the call its globals, and a ``__main__`` around them where it needs one."""
    running = running_shell()
    if scope is None:
        scope = "isolated" if running is None else "view"
    view: dict[str, Any] = {}
    if scope != "isolated":
        if call.parent is not None:
            view = call.parent.namespace
        elif running is not None:
            view = running.user_ns
        else:
            raise RuntimeError(
                f"scope={scope!r} needs a running IPython, whose names the cells would use. Leave scope= out"
            )
    if scope == "share":
        call.namespace = view
        return None
    main = types.ModuleType("__main__") if program.needs_main else None
    names = call.namespace = {} if main is None else main.__dict__
    names.update(GLOBALS)
    if view:
        names.update(view)
        names.update(SESSION_GLOBALS)
    names["__name__"] = "__main__"
    names["__doc__"] = None
    names["__spec__"] = _SPEC
    names["__builtins__"] = builtins
    if call.notebook.path is not None:
        names["__file__"] = str(call.notebook.path)
    if program.looks_back or program.needs_shell:  # magics keep there what they see; the View's is its own
        history = History(names)
        names["_dh"] = [str(call.notebook.folder or os.getcwd())]
        if program.looks_back:
            call.history = history
    return main


@contextlib.contextmanager
def _timeout(deadline: Deadline, call: Call) -> Iterator[None]:
    """Turn this deadline's interrupt into a ModelTimeout; that of a call around it goes on."""
    try:
        yield
    except Expired as error:
        if not deadline.reached:
            raise
        raise ModelTimeout(
            call.notebook.name,
            seconds=deadline.seconds,
            cell=call.cell.number if call.cell is not None else None,
            stopped=not isinstance(error, Blocked),
            result=call.result,
        ) from None


def _give_up(call: Call) -> Callable[[], None]:
    """Leave a call to itself: nothing of it reaches anybody, and it holds nothing any more."""
    finish = drop_outputs()
    call.sink = DROP
    if call.streams is not None:  # what it has put in their place would go on taking the caller's output
        give_streams_back(call.streams)
    if call.hold is not None:
        release(call.hold)
    if call.shell is not None:
        call.shell.release()
    return finish


follow_threads()
