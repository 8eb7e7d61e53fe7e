"""A Model: parameters → bind → `_run` → `Result`. The one seam that every kind of Model fills."""

from __future__ import annotations

import abc
import contextlib
import inspect
import os
import pathlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from restified_magics.core import summary
from restified_magics.core.calls import Call, current_call
from restified_magics.core.cell_bar import cell_bar
from restified_magics.core.notebook import Notebook
from restified_magics.core.notebook_files import notebook_file
from restified_magics.core.parameter_sets import ParameterSets, refuse_wrong_sets
from restified_magics.core.result import Result
from restified_magics.core.runs import Run
from restified_magics.core.sources import open_source
from restified_magics.core.telling import shorten
from restified_magics.errors import NotebookError
from restified_magics.signature.parameters import Parameter, bind

if TYPE_CHECKING:
    import concurrent.futures

    from restified_magics.widgets.dashboard import Dashboard
    from restified_magics.widgets.forms import Form

__all__ = ["Model", "Record"]

#: Where outputs go: where the caller's go, into the result, or both.
Record = Literal["quiet", "echo"] | None


class _Doc:
    """The docstring of a class; of an instance, what its notebook says: ``help(model)``, ``model?``."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def __get__(self, model: Model | None, owner: type | None = None) -> str | None:
        return self._text if model is None else summary.text(model)


class Model(abc.ABC):
    """A notebook as a function.

    Args:
        source: a path, a URL that papermill reads, or a notebook node (or dict) of nbformat.
            A relative path starts at the current folder, or inside a Model at its notebook's folder.
        cwd: the folder in which the cells run; None is the notebook's own folder.
        timeout: seconds that a call may take; None is without limit.
        name: how messages call a notebook that is not a file.

    Raises:
        NotebookError: it is not a notebook, or no function can be made of it.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Mapping[str, Any],
        *,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        name: str | None = None,
    ) -> None:
        caller = current_call()
        self._source = open_source(source, folder=caller.notebook.folder if caller else None, name=name)
        self.cwd = None if cwd is None else pathlib.Path(os.path.abspath(os.path.expanduser(cwd)))
        self.timeout = _seconds(timeout)
        self._accepted: Notebook | None = None
        self._name = self._current().name
        if self.cwd is not None and not self.cwd.is_dir():
            raise NotebookError(
                self.name, f"cwd={os.fspath(self.cwd)!r} is not a folder. Make it, or correct cwd="
            )

    # ------------------------------------------------------------ what it is

    @property
    def notebook(self) -> Notebook:
        """The newest version of the notebook: a file is read again when it changed."""
        return self._current()

    @property
    def name(self) -> str:
        """The notebook's path as it was given."""
        return self._name

    @property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters by name, in the notebook's order.

        Example:
            >>> import restified_magics
            >>> restified_magics.PythonModel("examples/fibonacci.ipynb").parameters["n"].default
            15
        """
        return dict(self.notebook.fields.parameters)

    @property
    def problems(self) -> list[str]:
        """What its author should know: tags and cells without effect, fields that could not be read."""
        return self.notebook.problems

    @property
    def __signature__(self) -> inspect.Signature:
        return summary.signature(self.notebook)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.__doc__ = _Doc(cls.__doc__)  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __copy__(self) -> Model:
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __getstate__(self) -> dict[str, Any]:
        # what it was made of, so that it can go to another process, where a file is read anew
        return {**self.__dict__, "_accepted": None}

    def _repr_mimebundle_(self, **_options: object) -> dict[str, str]:
        # and not `_repr_pretty_`, so that a list of Models shows their short reprs
        return {"text/plain": summary.text(self, cells=True), "text/html": self._repr_html_()}

    def _repr_html_(self) -> str:
        return summary.html(self)

    # ---------------------------------------------------------------- calls

    def __call__(self, /, *unnamed: Any, **params: Any) -> Any:
        """Call the Model: ``model(x=42)`` is ``model.execute({"x": 42})``. Values are given by name.

        Example:
            >>> import restified_magics
            >>> fibonacci = restified_magics.PythonModel("examples/fibonacci.ipynb")
            >>> fibonacci(n=20)
            6765
        """
        if unnamed:
            name = next((each for each in self.parameters if each not in params), "name")
            raise TypeError(f"{self.name} takes values by name, as in {name}={shorten(unnamed[0])}")
        return self.execute(params)

    def execute(self, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Run the Model and return the value of its ``return`` cell.

        What the cells print or display goes where the caller's output goes, at once.

        Args:
            params: values by the names of the parameters.
            timeout: seconds that this call may take; None is the Model's own limit.

        Raises:
            ParameterError: a value is missing, unknown or of the wrong kind. No cell was run.
            CellError: a cell raised; that exception is the ``__cause__`` where it is in this process.
            ModelTimeout: the call took longer than its timeout.
            NotebookError: the file changed and is not a notebook any more.

        Example:
            >>> import restified_magics
            >>> restified_magics.PythonModel("examples/fibonacci.ipynb").execute({"n": 20})
            6765
        """
        return self._run(self._begin(params), self._limit(timeout), record=None)

    def run(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        echo: bool = False,
        save: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> Result:
        """As :meth:`execute`, and return a `Result`: the value, all outputs, names, the notebook.

        Outputs are in the Result, bare expressions and figures too.

        Args:
            params: values by the names of the parameters.
            timeout: seconds that this call may take; None is the Model's own limit.
            echo: what the cells print or display goes where the caller's output goes, too.
            save: a file for the executed notebook, however the call ends: also when a cell fails, the time
                is up, or it is interrupted.
            progress: show a bar, cell by cell.

        Raises:
            NotebookError: as in :meth:`execute`, or `save` cannot be written there: no cell was run.

        Example:
            >>> import restified_magics
            >>> result = restified_magics.PythonModel("examples/fibonacci.ipynb").run({"n": 20})
            >>> result.value, len(result.outputs) == len(result.notebook.cells)
            (6765, True)
        """
        call = self._begin(params)
        with _saved(call, save), cell_bar(call) if progress else contextlib.nullcontext():
            self._run(call, self._limit(timeout), record="echo" if echo else "quiet")
        return call.result

    async def execute_async(
        self, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Any:
        """As :meth:`execute`; top-level ``await`` in the cells runs on the caller's event loop.

        Cancelling the awaiting task cancels the call.

        Example:
            >>> import asyncio, restified_magics
            >>> fibonacci = restified_magics.PythonModel("examples/fibonacci.ipynb")
            >>> asyncio.run(fibonacci.execute_async({"n": 20}))
            6765
        """
        return await self._run_async(self._begin(params), self._limit(timeout), record=None)

    async def run_async(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        echo: bool = False,
        save: str | os.PathLike[str] | None = None,
    ) -> Result:
        """As :meth:`run`, on the caller's event loop."""
        call = self._begin(params)
        with _saved(call, save):
            await self._run_async(call, self._limit(timeout), record="echo" if echo else "quiet")
        return call.result

    def start(
        self,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_end: Callable[[Run], object] | None = None,
    ) -> Run:
        """Begin a call in a thread of its own, and return at once with a `Run`: state, progress, cancel.

        Args:
            params: values by the names of the parameters.
            timeout: seconds that this call may take; None is the Model's own limit.
            on_end: called with the Run, in its thread, once it has ended.

        Raises:
            ParameterError: a value is missing, unknown or of the wrong kind. Nothing was begun.

        Example:
            >>> import restified_magics
            >>> run = restified_magics.PythonModel("examples/fibonacci.ipynb").start({"n": 20})
            >>> run.value()
            6765
        """
        return Run(self, params, timeout=timeout, on_end=on_end)

    # --------------------------------------------------------------- sweeps

    def map(  # noqa: PLR0913 - all are options of one sweep
        self,
        params: Any = None,
        *,
        grid: Mapping[str, Iterable[Any]] | None = None,
        workers: int | None = None,
        executor: concurrent.futures.Executor | None = None,
        as_completed: bool = False,
        progress: bool = False,
        on_error: Literal["raise", "return"] = "raise",
        retries: int = 0,
        timeout: float | None = None,
        to_frame: bool = False,
        store: str | os.PathLike[str] | None = None,
        seed: int | None = None,
        files: Sequence[str | os.PathLike[str]] = (),
    ) -> Any:
        """Call the Model for many sets of values: in this process, in several, or on a cluster.

        Args:
            params: the sets: mappings from any iterable, or a DataFrame, whose rows they are.
            grid: values by name, of which all combinations are called.
            workers: that many isolated processes of this machine; of a `KernelModel`, kernels.
            executor: any `concurrent.futures.Executor` instead, ``client.get_executor()`` of Dask too.
            as_completed: give an iterator of outcomes (number, params, value, error) as they come, in which
                only a few sets are in memory at any time.
            progress: show a bar, with the number of calls that failed.
            on_error: ``"raise"`` ends the sweep at the first call that fails; ``"return"`` goes on, and its
                exception is in the place of the value.
            retries: how many times a call that failed is made again.
            timeout: seconds that each call may take.
            to_frame: give a DataFrame of the given and the returned values, a row a call.
            store: a folder that keeps each finished call, so that a sweep that was ended goes on there.
            seed: random generators of each call begin with a number made of this and its position; a
                parameter named ``seed`` gets it too. In kernels and threads only such a parameter does.
            files: files that the cells read or import, from the notebook's folder on, also as patterns.
                They go to the workers of Dask, which may not share this machine's folders.

        Returns:
            The values in the order of the sets; or as `as_completed` and `to_frame` say.

        Raises:
            ParameterError: values that the Model does not take.
            CellError: a cell raised.
            TaskDied: the process of a call ended before the call did.

        Example:
            >>> import restified_magics
            >>> fibonacci = restified_magics.PythonModel("examples/fibonacci.ipynb")
            >>> fibonacci.map([{"n": 10}, {"n": 20}])
            [55, 6765]
            >>> fibonacci.map(grid={"n": range(3, 6)}, to_frame=True)["value"].tolist()
            [2, 3, 5]
        """
        # the other way up: sweeps are made of executors, which need the Models
        from restified_magics.sweep.mapping import framed_outcomes, sweep, unframeable

        if as_completed and to_frame:
            raise ValueError(
                "as_completed= gives outcomes as they come, and to_frame= a whole table: leave one out"
            )
        sets = ParameterSets(params, grid)
        if on_error == "raise":
            refuse_wrong_sets(self.notebook, sets)
        unnamed = () if not to_frame else ("value", "error") if on_error == "return" else ("value",)
        outcomes = sweep(
            self,
            unframeable(sets, unnamed) if unnamed else sets,
            sets.count,
            workers=workers,
            executor=executor,
            progress=progress,
            on_error=on_error,
            retries=retries,
            timeout=timeout,
            store=store,
            seed=seed,
            files=files,
        )
        if as_completed:
            return outcomes
        in_order = sorted(outcomes, key=lambda outcome: outcome.number)
        if to_frame:
            return framed_outcomes(in_order)
        return [outcome.value if outcome.error is None else outcome.error for outcome in in_order]

    # ---------------------------------------------------------------- forms

    def form(
        self,
        fields: Mapping[str, Any] | None = None,
        /,
        *,
        values: Mapping[str, Any] | None = None,
        run: Literal["button", "auto"] | None = None,
        debug: bool = False,
        timeout: float | None = None,
        presets: Mapping[str, Mapping[str, Any]] | None = None,
        run_from_url: bool | None = None,
        tracebacks: bool | None = None,
        **named: Any,
    ) -> Form:
        """A form for the Model, to be shown in JupyterLab, Notebook or Voila: the last line of a cell.

        Args:
            fields: what a field is to be, by the name of its parameter, as for ``ipywidgets.interact``:
                bounds ``(0, 10)`` or ``(0, 10, 2)``, a list or dict of choices, the value to begin with,
                a widget, ``fixed(3)``. Others are as the notebook says.
            values: what the fields begin with, by name. One that no field can show, such as a table, is
                handed over as it is.
            run: ``"button"``, or ``"auto"`` after each change; None is what the notebook's title says.
            debug: tracebacks of errors are unfolded.
            timeout: seconds that a call may take; None is the Model's own limit.
            presets: sets of values to choose from, by name.
            run_from_url: whether ``?run`` in the address of a Voila page runs the Model when the page is
                opened; None is what the notebook's title says (``run-from-url: true``), else not.
            tracebacks: show tracebacks and source lines of errors and warnings, and offer the run as a
                notebook, which has the source; None is yes, but not in Voila.
            **named: as `fields`.

        Raises:
            ParameterError: a name in `values` is no parameter, or a value does not fit.

        Example:
            >>> import restified_magics
            >>> form = restified_magics.PythonModel("examples/fibonacci.ipynb").form(n=(0, 90))
            >>> form.state
            'idle'
        """
        # the one way up: what a person does with a Model first. ipywidgets is slow to import
        from restified_magics.widgets.forms import Form

        self._check_named(fields)
        return Form(
            self,
            {**(fields or {}), **named},
            values=values,
            run=run,
            debug=debug,
            timeout=timeout,
            presets=presets,
            run_from_url=run_from_url,
            tracebacks=tracebacks,
        )

    def dashboard(self, fields: Mapping[str, Any] | None = None, /, **options: Any) -> Dashboard:
        """A page for the Model: title and text of its notebook, its form, result and outputs.

        Args:
            fields: as for :meth:`form`.
            **options: as for :meth:`form`.

        Example:
            >>> import restified_magics
            >>> dashboard = restified_magics.PythonModel("examples/fibonacci.ipynb").dashboard(debug=True)
            >>> dashboard.form.state
            'idle'
        """
        from restified_magics.widgets.dashboard import Dashboard

        return Dashboard(self.form(fields, **options))

    def bind(
        self,
        widgets: Mapping[str, Any],
        *,
        on_result: Callable[[Any], object] | None = None,
        run: Literal["button", "auto"] = "auto",
        timeout: float | None = None,
    ) -> Form:
        """Wire widgets that you lay out yourself: the Model runs on their values.

        Args:
            widgets: widgets with a ``value``, by the names of the parameters. Others keep their defaults.
            on_result: called with the value of each run that went well.
            run: ``"auto"`` after each change, or ``"button"``.
            timeout: seconds that a call may take; None is the Model's own limit.

        Returns:
            A form without fields: Run, Cancel, status, result and outputs, to show or not to show.

        Example:
            >>> import ipywidgets, restified_magics
            >>> slider = ipywidgets.IntSlider(value=20)
            >>> form = restified_magics.PythonModel("examples/fibonacci.ipynb").bind({"n": slider})
            >>> form.values
            {'n': 20}
        """
        from restified_magics.widgets.forms import bind

        self._check_named(widgets)
        return bind(self, widgets, on_result=on_result, run=run, timeout=timeout)

    def _check_named(self, fields: object) -> None:
        """Raise TypeError where fields come without the names of their parameters."""
        if fields is not None and not isinstance(fields, Mapping):
            name = next(iter(self.parameters), "name")
            raise TypeError(f"{self.name} takes fields by name, as in {{{name!r}: …}}, not {shorten(fields)}")

    # -------------------------------------------------------------- the seam

    def _give_up(self, call: Call) -> Callable[[], object]:  # noqa: ARG002 - most kinds hold nothing
        """Leave a call to itself that cannot be stopped; what is returned is called when it ends at last."""
        return lambda: None

    @abc.abstractmethod
    def _run(self, call: Call, timeout: float | None, *, record: Record) -> Any:
        """Run the cells of ``call.notebook`` with ``call.params``; fill ``call.result``; return the value.

        Args:
            call: the call.
            timeout: seconds that it may take, or None.
            record: whether its outputs go into the result, instead of where the caller's go or as well.
        """

    @abc.abstractmethod
    async def _run_async(self, call: Call, timeout: float | None, *, record: Record) -> Any:
        """The same on the running event loop."""

    def _accept(self, notebook: Notebook) -> None:  # noqa: B027 - most kinds accept all
        """Raise a NotebookError where this kind of Model cannot run the notebook."""

    def _current(self) -> Notebook:
        notebook = self._source.current()
        if notebook is not self._accepted:
            self._accept(notebook)
            self._accepted = notebook
        return notebook

    def _begin(self, params: Mapping[str, Any] | None) -> Call:
        notebook = self._current()
        if params is not None and not isinstance(params, Mapping):
            raise TypeError(f"params must be a mapping from names to values, not {shorten(params)}")
        return Call(notebook, bind(notebook.fields.parameters, params or {}, notebook.name), current_call())

    def _limit(self, timeout: float | None) -> float | None:
        return self.timeout if timeout is None else _seconds(timeout)


@contextlib.contextmanager
def _saved(call: Call, path: str | os.PathLike[str] | None) -> Iterator[None]:
    """Write the executed notebook when the call has ended, however it ended."""
    result = call.result
    if path is not None:
        notebook_file(path, call.notebook)  # an hour later would be late to hear that it cannot be there
    try:
        yield
    except BaseException as error:
        result.error = error
        result.cell = None if call.cell is None else call.cell.number
        if path is not None:
            try:
                result.save(path)
            except (OSError, NotebookError) as failure:
                error.add_note(f"The notebook of this call could not be saved: {failure}")
            else:
                error.add_note(
                    f"Saved the notebook of this call, up to where it ended, as {os.fspath(path)!s}"
                )
        raise
    if path is not None:
        result.save(path)


def _seconds(timeout: float | None) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout must be a number of seconds or None, not {shorten(timeout)}")
    if not 0 < timeout < threading.TIMEOUT_MAX:
        too_long = ", and less than 292 years (None is without limit)" if timeout > 0 else ""
        raise ValueError(f"timeout must be more than 0 seconds{too_long}, not {timeout!r}")
    return timeout
