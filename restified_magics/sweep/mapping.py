"""One Model over many sets of values, on any `concurrent.futures.Executor`: :meth:`Model.map`.

What a sweep is given, and what it gives: outcomes as they come, or a table.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import numbers
import os
import pathlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from restified_magics.core.model import Model
from restified_magics.core.telling import in_words, shorten
from restified_magics.in_process.python_model import PythonModel
from restified_magics.sweep.crews import crew_for
from restified_magics.sweep.running import CrewedSweep, Outcome, Read, RunningSweep
from restified_magics.sweep.store import Store

__all__ = ["OnError", "framed_outcomes", "sweep", "unframeable", "until_failure"]

OnError = Literal["raise", "return"]


class _Bar(Protocol):
    """What is used of tqdm."""

    def update(self, n: float = 1) -> object: ...
    def set_postfix(self, ordered_dict: Any = None, refresh: bool = True, **kwargs: Any) -> None: ...
    def close(self) -> None: ...


def sweep(  # noqa: PLR0913 - the options of `Model.map`
    model: Model,
    sets: Iterable[Mapping[str, Any]],
    count: int | None = None,
    *,
    workers: int | None = None,
    executor: concurrent.futures.Executor | None = None,
    progress: bool = False,
    on_error: OnError = "raise",
    retries: int = 0,
    timeout: float | None = None,
    store: str | os.PathLike[str] | None = None,
    seed: int | None = None,
    files: Sequence[str | os.PathLike[str]] = (),
    read: Read | None = None,
) -> Generator[Outcome, None, None]:
    """Call the Model for each set of values, and give the outcomes as they come.

    The arguments are those of :meth:`Model.map`, and `read`, which makes a value for a parameter of what
    was given; None is :meth:`Parameter.coerce`.
    """
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error must be 'raise' or 'return', not {on_error!r}")
    wholes: dict[str, Any] = {"workers": workers, "retries": retries, "seed": seed}
    for name, whole in wholes.items():
        if whole is not None and (isinstance(whole, bool) or not isinstance(whole, numbers.Integral)):
            raise TypeError(f"{name} must be a whole number, not {shorten(whole)}")
    if workers is not None and executor is not None:
        raise ValueError("give workers= or executor=, not both: an executor has its own workers")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor must be a concurrent.futures.Executor, not {shorten(executor)}. For isolated "
            "processes of this machine write workers=, for Dask executor=client.get_executor()"
        )
    if retries < 0:
        raise ValueError(f"retries must be 0 or more, not {retries}")
    if seed is not None:
        _check_seed(model, executor)
    kept = None if store is None else Store(store, model.notebook, _setting(model))
    limit = model._limit(timeout)
    crew = crew_for(model, workers, executor, files, limit, kept)
    options: dict[str, Any] = {"retries": retries, "limit": limit, "seed": seed, "store": kept, "read": read}
    run = RunningSweep(model, **options) if crew is None else CrewedSweep(model, crew, count, **options)
    shown = functools.partial(_bar, model, count) if progress else None
    outcomes = _given(run, enumerate(sets), shown)
    return until_failure(outcomes) if on_error == "raise" else outcomes


def until_failure(outcomes: Generator[Outcome, None, None]) -> Generator[Outcome, None, None]:
    """The outcomes, until a call has failed, whose error is raised."""
    with contextlib.closing(outcomes):
        for outcome in outcomes:
            if outcome.error is not None:
                outcome.error.add_note(f"In call {outcome.number + 1} of the sweep")
                raise outcome.error
            yield outcome


def _setting(model: Model) -> tuple[str, str | None, str | None]:
    """What of a Model decides its values, besides the notebook: who runs it, and a folder that was given."""
    folder = None if model.cwd is None else str(pathlib.Path(model.cwd).absolute())
    return type(model).__name__, getattr(model, "kernel_name", None), folder


def _check_seed(model: Model, executor: concurrent.futures.Executor | None) -> None:
    """A seed that reaches no generator is refused. A parameter named seed gets it anywhere."""
    if "seed" in model.notebook.fields.parameters:
        return
    advice = "Add a parameter named seed to the notebook, and begin its generators with it"
    if not isinstance(model, PythonModel):
        raise ValueError(f"seed= does not reach the random generators of a kernel. {advice}")
    if isinstance(executor, concurrent.futures.ThreadPoolExecutor):
        raise ValueError(
            f"seed= does not work with threads, which share their generators. {advice}; or use workers="
        )


def framed_outcomes(outcomes: Iterable[Outcome]) -> Any:
    """A DataFrame of the values given and returned, a row a call; with the errors, where there are any."""
    import pandas as pd  # slow to import, and only who asks for a DataFrame has it

    rows = list(outcomes)
    frame = pd.DataFrame([dict(outcome.params) for outcome in rows])
    for name in frame:
        frame[name] = _exact(frame[name], [outcome.params.get(str(name)) for outcome in rows])
    values = [outcome.value for outcome in rows]
    frame["value"] = _exact(pd.Series(values, dtype=None if rows else object), values)
    if any(outcome.error is not None for outcome in rows):
        told = [None if outcome.error is None else in_words(outcome.error) for outcome in rows]
        frame["error"] = pd.Series(told, dtype=object)
    return frame


def _exact(series: Any, values: Sequence[Any]) -> Any:
    """The values as a Series in which whole numbers stay exact, also where some are missing."""
    import pandas as pd

    there = [value for value in values if value is not None]
    if series.dtype.kind != "f" or not all(
        isinstance(value, numbers.Integral) and not isinstance(value, bool) for value in there
    ):
        return series
    fit = all(-(2**63) <= value < 2**63 for value in there)
    return pd.Series(values, dtype="Int64" if there and fit else object) if there else series


def unframeable(sets: Iterable[Mapping[str, Any]], names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The sets of a sweep, until one has a value that would have the column of what is returned.

    Raises:
        ValueError: a parameter has one of these names.
    """
    for given in sets:
        taken = [name for name in names if isinstance(given, Mapping) and name in given]
        if taken:
            raise ValueError(
                f"to_frame= has a column named {taken[0]} of its own, and so has a parameter that is given. "
                "Leave to_frame= out, or write as_completed=True, whose outcomes have both"
            )
        yield given


def _given(
    run: RunningSweep,
    sets: Iterator[tuple[int, Mapping[str, Any]]],
    shown: Callable[[], _Bar] | None,
) -> Generator[Outcome, None, None]:
    failed = 0
    with contextlib.ExitStack() as ending:
        ending.callback(run.stop)
        bar = None if shown is None else shown()
        if bar is not None:
            ending.callback(bar.close)
        for outcome in run.outcomes(sets):
            failed += outcome.error is not None
            if bar is not None:
                bar.update()
                if failed:
                    bar.set_postfix(failed=failed)
            yield outcome


def _bar(model: Model, count: int | None) -> _Bar:
    from tqdm.auto import tqdm  # it looks whether there is a notebook, which takes a moment

    bar: _Bar = tqdm(total=count, desc=model.notebook.title, unit="call")
    return bar
