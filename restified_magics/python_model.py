"""`PythonModel`: the cells of a notebook, run in this process."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import importlib.machinery
import os
import sys
import time
import types
from collections.abc import Coroutine, Generator, Iterator, Mapping
from typing import Any, Literal, get_args

from restified_magics.capture import DROP, Recorder, drop_outputs, follow_threads, recording
from restified_magics.deadline import Blocked, Deadline, Expired, guard, interruptible, shielded, within
from restified_magics.errors import CellError, ModelRecursionError, ModelTimeout, NotebookError
from restified_magics.figures import claim_figures, close_figures, flush_figures
from restified_magics.loops import CallLoop
from restified_magics.model import Call, Model, current_call, reset_current_call, set_current_call
from restified_magics.notebook import Notebook
from restified_magics.parameters import revive
from restified_magics.process_state import Hold, held, held_async, release
from restified_magics.program import Program, Step, compiled
from restified_magics.shell import GLOBALS, SESSION_GLOBALS, display, running_shell, shell, shell_installed
from restified_magics.tracebacks import cell_error, from_first_cell, message

__all__ = ["PythonModel", "Scope", "execute_notebook"]

Scope = Literal["view", "share", "isolated"]

_Cells = Generator[Coroutine[Any, Any, Any], Any, Any]

# A spawned child of multiprocessing would run `__file__` as a script, were it not for this spec's
# name, which tells it that there is nothing to import.
_SPEC = importlib.machinery.ModuleSpec("__main__", None)
_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect is slow to import
_PYTHON = ("python", "ipython", "python2", "python3", "ipython3", "sage")


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
            raise ValueError(f"scope must be one of {', '.join(map(repr, get_args(Scope)))}, or None, not {scope!r}")
        super().__init__(source, cwd=cwd, timeout=timeout, name=name)
        self.scope = scope

    @property
    def free_names(self) -> tuple[str, ...]:
        """The names that the cells take from the View, found without running them.

        A Model with free names depends on who calls it: in plain Python its names are not there.
        """
        return compiled(self.notebook).free_names

    def _accept(self, notebook: Notebook) -> None:
        language = notebook.language
        if language is not None and language not in _PYTHON:
            raise NotebookError(
                notebook.name,
                f"is a notebook in {language}, and PythonModel runs Python. KernelModel runs it in its own kernel",
            )

    # ----------------------------------------------------------------- calls

    def _run(self, call: Call, timeout: float | None, *, record: bool) -> Any:
        if timeout is None:
            if guard() is None:
                return self._here(call, record)
            with shielded():
                return self._here(call, record)
        deadline = Deadline(timeout)
        with shielded(), _timeout(deadline, call):
            return within(deadline, lambda: self._here(call, record), lambda: _give_up(call))

    def _here(self, call: Call, record: bool) -> Any:
        """Run the cells in this thread."""
        program = compiled(call.notebook)
        loop: CallLoop | None = None
        with _Running(self, call, program, record) as hold, held(hold):
            cells = _cells(call, program, record)
            try:
                awaited = next(cells)
                loop = CallLoop()
                while True:
                    try:
                        value = loop.run(awaited)
                    except BaseException as error:
                        awaited = cells.throw(error)
                    else:
                        awaited = cells.send(value)
            except StopIteration as ended:
                call.result.value = ended.value
                return ended.value
            finally:
                if loop is not None:
                    loop.close()

    async def _run_async(self, call: Call, timeout: float | None, *, record: bool) -> Any:
        if timeout is None:
            return await self._there(call, record)
        deadline = Deadline(timeout)
        with _timeout(deadline, call):
            try:
                async with asyncio.timeout(timeout):
                    with deadline.watched():
                        return await self._there(call, record)
            except TimeoutError as error:
                if deadline.passed and not isinstance(error, ModelTimeout):
                    raise Expired from error
                raise

    async def _there(self, call: Call, record: bool) -> Any:
        """Run the cells on the running event loop."""
        program = compiled(call.notebook)
        with _Running(self, call, program, record) as hold:
            async with held_async(hold):
                cells = _cells(call, program, record)
                try:
                    awaited = next(cells)
                    while True:
                        try:
                            value = await _interruptible(awaited)
                        except BaseException as error:
                            awaited = cells.throw(error)
                        else:
                            awaited = cells.send(value)
                except StopIteration as ended:
                    call.result.value = ended.value
                    return ended.value


def execute_notebook(
    path: str | os.PathLike[str] | Mapping[str, Any],
    params: Mapping[str, Any] | None = None,
    *,
    scope: Scope | None = None,
    cwd: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
) -> Any:
    """Run a notebook once with these parameters and return the value of its ``return`` cell.

    The same as ``PythonModel(path, …).execute(params)``: arguments and errors are described there.

    Example:
        >>> import restified_magics
        >>> restified_magics.execute_notebook("examples/fibonacci.ipynb", {"n": 20})
        6765
    """
    return PythonModel(path, scope=scope, cwd=cwd, timeout=timeout).execute(params)


class _Running:
    """A call from its beginning to its end: its namespace, its outputs, and what it needs of the process.

    A class and not a generator, since of a call that takes microseconds every one counts.
    """

    __slots__ = ("_before", "_call", "_outputs", "_started", "_streams", "_token")

    def __init__(self, model: PythonModel, call: Call, program: Program, record: bool) -> None:
        self._call = call
        self._outputs: contextlib.ExitStack | None = None
        self._token: Any = None
        parent = call.parent
        instance = None
        if record or program.needs_shell:
            self._outputs = contextlib.ExitStack()
            instance = self._outputs.enter_context(shell_installed())
        main = _give_namespace(call, program, model.scope)
        if record:
            call.sink = Recorder(len(call.notebook.cells))
            call.result.outputs = call.sink.outputs
        elif parent is not None:
            call.sink = parent.sink
        self._before = dict(call.namespace) if record else None
        folder = model.cwd or call.notebook.folder
        call.hold = Hold(
            folder=None if folder is None else str(folder),
            main=main,
            shell=None if main is None else instance or running_shell(),
            parent=None if parent is None else parent.hold,
        )
        if self._outputs is not None and record:
            self._outputs.enter_context(recording(instance))

    def __enter__(self) -> Hold:
        self._token = set_current_call(self._call)
        self._streams = sys.stdout, sys.stderr
        self._started = time.perf_counter()
        hold: Hold = self._call.hold
        return hold

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        call, result = self._call, self._call.result
        result.duration = time.perf_counter() - self._started
        close_figures(call)
        if (sys.stdout, sys.stderr) != self._streams:
            sys.stdout, sys.stderr = self._streams
        call.ended = call.sink is not DROP
        reset_current_call(self._token)
        if self._outputs is not None:
            self._outputs.close()
        if self._before is not None:
            result.namespace = {
                name: value
                for name, value in call.namespace.items()
                if name != "_" and (name not in self._before or self._before[name] is not value)
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
            raise RuntimeError(f"scope={scope!r} needs a running IPython, whose names the cells would use")
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
    return main


# ---------------------------------------------------------------------- cells


def _cells(call: Call, program: Program, record: bool) -> _Cells:
    """Run the steps in order; coroutines of cells that await are yielded to who can await them."""
    names = call.namespace
    recorder = call.sink if record else None
    careful = record or program.uses_last or guard() is not None
    modules = sys.modules
    claim_figures()
    steps = iter(program.steps)
    step = None
    while True:
        try:
            for step in steps:
                if careful or not step.plain:
                    value = yield from _step(step, call, recorder)
                    if step.returns:
                        return value
                    continue
                # most cells: this is all that a call costs, so no function call here
                if step.body is not None:
                    exec(step.body, names)
                if step.last is not None:
                    eval(step.last, names)
                if "matplotlib.pyplot" in modules:
                    flush_figures(call, _show)
            return None
        except (Expired, GeneratorExit, KeyboardInterrupt, ModelRecursionError):
            raise
        except BaseException as error:
            if step is None or (isinstance(error, asyncio.CancelledError) and _cancelled()):
                raise
            failure = cell_error(error, step, call.notebook.name)
            if recorder is not None:
                recorder.error(failure.ename, failure.evalue, failure.traceback)
            if step.cell.raises:
                continue
            if running_shell() is not None:
                # %debug goes to where a traceback ends: into the Model
                failure.with_traceback(from_first_cell(error.__traceback__))
            raise failure from error


def _step(step: Step, call: Call, recorder: Recorder | None) -> _Cells:
    """Run one cell with everything that a cell may have; return the value of its last expression."""
    call.cell = step.cell
    if recorder is not None:
        recorder.begin(step.cell.number)
    if step.error is not None:
        raise _again(step.error, step.filename)
    names = call.namespace
    body, last = step.body, step.last
    if step.automagic is not None and step.name not in names:
        body, last = None, step.automagic
    given = call.params
    if step.pieces and given:
        body = None
        for piece in step.pieces:
            if not piece.targets or not piece.targets <= given.keys():
                yield from _evaluated(piece.code, names, step.on_loop)
            for name in piece.names:
                if name in given:
                    names[name] = revive(given[name], names)
    value = None
    if body is not None:
        yield from _evaluated(body, names, step.on_loop)
    if last is not None:
        value = yield from _evaluated(last, names, step.on_loop)
        if value is not None and names.get("_", call.last) is call.last:
            names["_"] = call.last = value
    if recorder is not None and value is not None and _is_shown(step):
        _record_value(recorder, value)
    flush_figures(call, _show, shown=value)
    return value


def _evaluated(code: types.CodeType, names: dict[str, Any], on_loop: bool) -> _Cells:
    if on_loop and not code.co_flags & _COROUTINE:
        return (yield _evaluated_on_loop(code, names))
    if guard() is None:
        value = eval(code, names)
    else:
        with interruptible():
            value = eval(code, names)
    if code.co_flags & _COROUTINE:
        value = yield value
    return value


async def _evaluated_on_loop(code: types.CodeType, names: dict[str, Any]) -> Any:
    return eval(code, names)


def _again(error: Exception, filename: str) -> Exception:
    """A new exception like one that the compiler raised, since each call's has its own traceback."""
    new = type(error)(*error.args)
    if isinstance(new, SyntaxError):
        new.filename = filename
    return new


@types.coroutine
def _interruptible(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await `coroutine` so that a deadline can interrupt its own steps, and never the event loop."""
    send: Any = coroutine.send
    argument: Any = None
    while True:
        try:
            with interruptible():
                waits_for = send(argument)
        except StopIteration as ended:
            return ended.value
        try:
            argument = yield waits_for
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            send, argument = coroutine.throw, error
        else:
            send = coroutine.send


def _cancelled() -> bool:
    """Whether the task that awaits the call was cancelled, and not just something in the Model."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


@contextlib.contextmanager
def _timeout(deadline: Deadline, call: Call) -> Iterator[None]:
    """Turn this deadline's interrupt into a ModelTimeout; that of a call around it goes on."""
    try:
        yield
    except Expired as error:
        if not deadline.passed:
            raise
        raise ModelTimeout(
            call.notebook.name,
            seconds=deadline.seconds,
            cell=call.cell.number if call.cell is not None else None,
            stopped=not isinstance(error, Blocked),
            result=call.result,
        ) from None


def _give_up(call: Call) -> None:
    """Leave a call to itself: nothing of it reaches anybody, and it holds nothing any more."""
    drop_outputs()
    call.sink = DROP
    if call.hold is not None:
        release(call.hold)


# -------------------------------------------------------------------- display


def _show(figure: Any) -> None:
    """Display a figure where the cell's outputs go: in plain Python there is no such place."""
    call = current_call()
    if running_shell() is None:
        if call is None or call.sink is None:
            return
        _draw_figures(shell())
    display(figure)


def _draw_figures(instance: Any) -> None:
    from IPython.core.pylabtools import select_figure_formats

    select_figure_formats(instance, {"png"})


def _is_shown(step: Step) -> bool:
    """Whether Jupyter would show the cell's last expression: not after a semicolon."""
    from IPython.core.displayhook import DisplayHook

    return step.shows and not DisplayHook.semicolon_at_end_of_expression(step.cell.source)


def _record_value(recorder: Recorder, value: Any) -> None:
    instance = shell()
    if "matplotlib.figure" in sys.modules and running_shell() is None:
        _draw_figures(instance)
    data, metadata = instance.display_formatter.format(value)
    if data:
        recorder.result(data, metadata)


follow_threads()
