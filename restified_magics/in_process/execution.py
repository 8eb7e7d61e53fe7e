"""Run the compiled cells of a call, one after the other. The one place where code is executed."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.deadline import Expired, guard, interruptible
from restified_magics.core.notebook import Cell
from restified_magics.errors import ModelRecursionError
from restified_magics.in_process.capture import Recorder
from restified_magics.in_process.figures import claim_figures, draw_figures, flush_figures
from restified_magics.in_process.program import Program, Step
from restified_magics.in_process.scripts import Scripts
from restified_magics.in_process.shell import code_of_magics, failures_raised, running_shell, shell
from restified_magics.in_process.tracebacks import cell_error, from_first_cell, raised, show_cells_only
from restified_magics.signature.enums import revive
from restified_magics.wire.magic_code import kept

__all__ = ["Cells", "run_cells"]

#: Cells that run: they yield the coroutines of those that await, and return the call's value.
Cells = Generator[Coroutine[Any, Any, Any], Any, Any]

_COROUTINE = 0x80  # inspect.CO_COROUTINE; inspect is slow to import


def run_cells(call: Call, program: Program, *, record: bool) -> Cells:
    """Run the steps in order; coroutines of cells that await are yielded to who can await them."""
    names = call.namespace
    recorder = call.sink if record else None
    quick = not (record or program.looks_back or guard() is not None)
    modules = sys.modules
    claim_figures()
    steps = _steps(call, program, quick=quick)
    step = None
    while True:
        try:
            for code, calls, step in steps:
                if code is not None:  # most cells, and this is all that they cost: no function call here
                    exec(code, names)
                    if calls and "matplotlib.pyplot" in modules:
                        flush_figures()
                    continue
                if quick and step.plain and step.last is not None:
                    if step.body is not None:
                        exec(step.body, names)
                    value = eval(step.last, names)
                    if "matplotlib.pyplot" in modules:
                        flush_figures(shown=value if step.returns else None)
                else:
                    value = (
                        yield from _step(step, call, recorder)
                        if not step.magics
                        else _with_magics(step, call, recorder)
                    )
                if step.returns:
                    return value
            return None
        except (Expired, ModelRecursionError):
            raise
        except KeyboardInterrupt as error:
            if running_shell() is not None:
                show_cells_only(error)
            raise
        except BaseException as error:
            if step is None or _ends_the_call(error):
                raise
            _tell_error(error, step, call, recorder)


def _steps(
    call: Call, program: Program, *, quick: bool
) -> Iterator[tuple[types.CodeType | None, bool, Step]]:
    """The steps, each as who follows the call has been told of it."""
    steps = iter(program.quick if quick else ((None, True, each) for each in program.steps))
    return steps if call.follow is None else _told(steps, call.follow)


def _told(
    steps: Iterator[tuple[types.CodeType | None, bool, Step]], follow: Callable[[Cell], object]
) -> Iterator[tuple[types.CodeType | None, bool, Step]]:
    for each in steps:
        follow(each[2].cell)
        yield each


def _tell_error(error: BaseException, step: Step, call: Call, recorder: Recorder | None) -> None:
    """Raise what a cell raised as a CellError, unless the cell may raise."""
    failure = cell_error(raised(error), step.cell, call.notebook.name)
    if recorder is not None:
        recorder.error(failure.ename, failure.evalue, failure.traceback)
    if step.cell.raises:
        return
    if running_shell() is not None:
        # %debug goes to where a traceback ends: into the Model
        failure.with_traceback(from_first_cell(error.__traceback__))
    raise failure from error


def _with_magics(step: Step, call: Call, recorder: Recorder | None) -> Cells:
    """Run a cell with magics, with the code that they run as a part of it."""
    try:
        with code_of_magics(step.filename, step.cell.source, step.keeps):
            value = yield from _step(step, call, recorder)
    finally:
        inner = kept(call.namespace)
    return inner if value is None else value


def _step(step: Step, call: Call, recorder: Recorder | None) -> Cells:
    """Run one cell with everything that a cell may have; return the value of its last expression."""
    call.cell = step.cell
    if recorder is not None:
        recorder.begin(step.cell.number)
    if call.history is not None and step.cell.count:
        call.history.begin(step.cell.count, step.cell.source)
    if step.error is not None:
        raise _again(step.error, step.filename)
    names = call.namespace
    body, last = step.body, step.last
    if step.automagic is not None and step.name not in names:
        body, last = None, step.automagic
    if step.pieces and call.params:
        body = None
        yield from _pieces(step, names, call.params)
    value = None
    if body is not None:
        yield from _evaluated(body, names, step.on_loop)
    if last is not None:
        with failures_raised() if step.captures else contextlib.nullcontext():
            value = yield from _evaluated(last, names, step.on_loop)
        if value is not None and not (recorder is None and call.history is None) and _is_shown(step):
            if call.history is not None:
                call.history.shown(value)
            if recorder is not None:
                _record_value(recorder, value)
    flush_figures(shown=value)
    return value


def _pieces(step: Step, names: dict[str, Any], given: Mapping[str, Any]) -> Cells:
    """Run the body of a cell with parameters, with the given values at their assignments."""
    for piece in step.pieces:
        if not piece.targets or not piece.targets <= given.keys():
            yield from _evaluated(piece.code, names, step.on_loop)
        elif piece.annotation is not None:
            yield from _evaluated(piece.annotation, names, step.on_loop)
        for name in piece.names:
            if name in given:
                names[name] = revive(given[name], names)


def _evaluated(code: types.CodeType, names: dict[str, Any], on_loop: bool) -> Cells:
    if on_loop and not code.co_flags & _COROUTINE:
        return (yield _evaluated_on_loop(code, names))
    if guard() is None:
        value = eval(code, names)
    else:
        with interruptible(Scripts()):
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


def _ends_the_call(error: BaseException) -> bool:
    """Whether it is who awaits the call that wants no more of it, and not a cell that raised."""
    if isinstance(error, GeneratorExit):
        return from_first_cell(error.__traceback__) is None
    # who has not imported asyncio, which takes long, was not cancelled by it
    cancelled = getattr(sys.modules.get("asyncio"), "CancelledError", ())
    return isinstance(error, cancelled) and _cancelled()


def _cancelled() -> bool:
    """Whether the task that awaits the call was cancelled, and not just something in the Model."""
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


# -------------------------------------------------------------------- display


def _is_shown(step: Step) -> bool:
    """Whether Jupyter would show the cell's last expression: not after a semicolon."""
    from IPython.core.displayhook import DisplayHook

    return step.shows and not DisplayHook.semicolon_at_end_of_expression(step.cell.source)


def _record_value(recorder: Recorder, value: Any) -> None:
    instance = shell()
    if "matplotlib.figure" in sys.modules and running_shell() is None:
        draw_figures(instance)
    data, metadata = instance.display_formatter.format(value)
    if data:
        recorder.result(data, metadata)
