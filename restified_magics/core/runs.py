"""A call that runs while its caller does something else: its state, how far it is, and the way to end it.

Forms watch one while they show it, and whoever serves calls does so too: any kind of Model, the same.
"""

from __future__ import annotations

import contextvars
import copy
import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from restified_magics.core.deadline import Blocked, Deadline, Expired, within
from restified_magics.core.progress import Progress, progress_of
from restified_magics.errors import ModelCancelled

if TYPE_CHECKING:
    from restified_magics.core.model import Model
    from restified_magics.core.notebook import Notebook
    from restified_magics.core.result import Result

__all__ = ["Run", "State"]

State = Literal["running", "done", "failed", "cancelled"]


class Run:
    """A call in a thread of its own. Made by :meth:`Model.start`.

    What ended it is raised by :meth:`value`, and nowhere else: watch :attr:`state`, or :meth:`wait`.

    Args:
        model: the Model to call.
        params: values by the names of the parameters.
        timeout: seconds that the call may take; None is the Model's own limit.
        on_end: called with the Run, in its thread, once it has ended. It should not raise.

    Raises:
        ParameterError: as a call does, before anything runs.

    Example:
        >>> import restified_magics
        >>> run = restified_magics.PythonModel("examples/fibonacci.ipynb").start({"n": 20})
        >>> run.value(), run.state, run.progress.done == run.progress.total
        (6765, 'done', True)
    """

    def __init__(
        self,
        model: Model,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_end: Callable[[Run], object] | None = None,
    ) -> None:
        self._model = model
        self._call = model._begin(params)
        self._limit = model._limit(timeout)
        self._deadline = Deadline(threading.TIMEOUT_MAX / 2)  # never, until it is cancelled
        self._on_end = on_end
        self._over = threading.Event()
        self._deciding = threading.Lock()
        self._wanted = True
        self._error: BaseException | None = None
        self._started = time.perf_counter()
        self._seconds: float | None = None
        # the cells see what whoever starts the run has set, as they do in a plain call
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(self._run,), name="restified-run", daemon=True).start()

    @property
    def notebook(self) -> Notebook:
        """The version of the notebook that it runs."""
        return self._call.notebook

    @property
    def state(self) -> State:
        """``"running"``, and then ``"done"``, ``"failed"`` or ``"cancelled"`` for good."""
        if not self._over.is_set():
            return "running"
        if self._error is None:
            return "done"
        return "cancelled" if isinstance(self._error, ModelCancelled) else "failed"

    @property
    def progress(self) -> Progress:
        """How far it is, cell by cell."""
        progress = progress_of(self._call)
        return progress.completed() if self.state == "done" else progress

    @property
    def elapsed(self) -> float:
        """Seconds since it was started, until it ended."""
        return time.perf_counter() - self._started if self._seconds is None else self._seconds

    @property
    def error(self) -> BaseException | None:
        """What ended it, or None."""
        return self._error

    @property
    def result(self) -> Result:
        """The `Result`, as far as it is there: while it runs, its outputs grow."""
        return self._call.result

    def outputs(self) -> list[list[dict[str, Any]]]:
        """A copy of the outputs so far, of each cell, as nbformat 4 dicts."""
        return [[copy.copy(output) for output in cell] for cell in list(self._call.result.outputs)]

    def cancel(self) -> None:
        """End it as soon as can be; once it has ended, nothing happens. Returns at once.

        A thread that is blocked in C code is given a moment and then left to itself: see
        :class:`~restified_magics.errors.ModelCancelled`.
        """
        with self._deciding:
            self._wanted = False
        self._deadline.expire()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, or so many seconds; tell whether it has."""
        return self._over.wait(timeout)

    def value(self, timeout: float | None = None) -> Any:
        """Wait for the value of the ``return`` cell.

        Args:
            timeout: seconds to wait; the call goes on after them.

        Raises:
            ModelCancelled: it was cancelled.
            TimeoutError: it has not ended yet.
            CellError: a cell raised; and whatever else a call raises.
        """
        if not self._over.wait(timeout):
            raise TimeoutError(
                f"{self._model.name}: still running after {timeout:g} s. Wait longer, or cancel it"
            )
        if self._error is not None:
            raise self._error
        return self._call.result.value

    def _run(self) -> None:
        call = self._call
        try:
            within(
                self._deadline,
                functools.partial(self._model._run, call, self._limit, record="quiet"),
                functools.partial(self._model._give_up, call),
            )
        except BaseException as error:  # noqa: BLE001 - it is told by `value`
            self._error = self._told(error)
        with self._deciding:
            if not self._wanted and self._error is None:
                # it was ready just when it was not wanted any more: whoever cancelled counts on it
                self._error = self._told(Expired())
        if self._error is not None:
            call.result.error = self._error
        self._seconds = time.perf_counter() - self._started
        self._over.set()
        if self._on_end is not None:
            self._on_end(self)

    def _told(self, error: BaseException) -> BaseException:
        if not isinstance(error, Expired):
            return error
        call = self._call
        return ModelCancelled(
            call.notebook.name,
            cell=None if call.cell is None else call.cell.number,
            stopped=not isinstance(error, Blocked),
            result=call.result,
        )
