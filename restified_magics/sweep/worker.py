"""The other side of a sweep: the calls of a batch, made in a process that is there for them.

A process keeps the Models of the sweeps that it works for, and on a cluster their files.
"""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import os
import pathlib
import pickle
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import restified_magics
from restified_magics.core.model import Model
from restified_magics.errors import RestifiedError, TaskDied
from restified_magics.in_process.program import compiled
from restified_magics.in_process.python_model import PythonModel
from restified_magics.in_process.tracebacks import failure_of
from restified_magics.isolated.isolated_child import marks, report
from restified_magics.isolated.marking_model import MarkingModel
from restified_magics.sweep.parcels import (
    HEAVIEST,
    Answer,
    Item,
    Parcel,
    Went,
    of_ended,
    pack_value,
    portable,
)
from restified_magics.sweep.store import Store

__all__ = ["PRELOADED", "hard_limit", "made_here", "opened", "run_far", "run_here", "run_there"]

#: What the process imports that those of calls are forked from.
PRELOADED = ("restified_magics.isolated.isolated_call", "restified_magics.sweep.worker")

_KEPT = 4  # Models that a worker keeps: a cluster may run several sweeps
_GRACE = 5.0  # seconds that a call has to end by itself when its time is up
_getpid = os.getpid  # of the interpreter, whatever a cell puts in its place
_PAUSE = 0.002  # seconds between two reports: hearing one takes as long as a short call


def run_here(
    model: Model,
    items: Sequence[Item],
    timeout: float | None,
    moment: float,
    store: Store | None,
) -> tuple[list[Went], float]:
    """Run calls of a batch in this process, with the objects themselves.

    Args:
        model: the Model.
        items: the calls.
        timeout: seconds that each may take.
        moment: seconds after which no more of them is begun.
        store: keeps each value as soon as it is there, or None.

    Returns:
        How each call went that was made; and the seconds.
    """
    started = time.perf_counter()
    outcomes: list[Went] = []
    for item in items:
        outcomes.append(made_here(model, item, timeout, store))
        if time.perf_counter() - started > moment:
            break
    return outcomes, time.perf_counter() - started


def made_here(model: Model, item: Item, timeout: float | None, store: Store | None) -> Went:
    """Make one call in this process: see :func:`run_here`."""
    try:
        with _seeded(item.seed, restore=True):
            value = model.execute(item.params, timeout=timeout)
        return Went(True, value, _kept(store, item, value))
    except Exception as error:  # noqa: BLE001 - told to who asked for the sweep
        return Went(False, error)


def run_there(
    parcel: Parcel,
    batch: bytes,
    timeout: float | None,
    moment: float,
    *,
    folder: str | None = None,
    store: Store | None = None,
) -> tuple[list[Answer], float]:
    """Run calls of a batch in a process that is there for it, on this machine.

    The process may end before the batch does. So the answers of calls that have ended while others follow
    are reported, where somebody hears it, and it is marked which call and cell runs.

    Args:
        parcel: the Model.
        batch: the calls.
        timeout: seconds that each may take.
        moment: seconds after which no more of them is begun.
        folder: where the cells run, in place of the parcel's own.
        store: keeps each value as soon as it is there, or None.

    Returns:
        The answers that were not reported, and the seconds that all of those took that were made.
    """
    _reseed()
    model = opened(parcel, folder)
    items: Sequence[Item] = pickle.loads(batch)  # noqa: S301 - from who asked for the sweep
    answers: list[Answer] = []
    weight = 0
    where = marks()
    now = started = told = time.perf_counter()
    for place, item in enumerate(items, 1):
        where[1], where[0] = 0, place
        answers.append(_answer(model, item, timeout, store))
        weight += answers[-1].weight
        now = time.perf_counter()
        if now - started > moment or weight > HEAVIEST:
            break
        if place < len(items) and now - told >= _PAUSE:
            if report(answers):
                answers = []
            told = now
    return answers, now - started


def run_far(
    parcel: Parcel, batch: bytes, timeout: float | None, moment: float
) -> tuple[list[Answer | None], float]:
    """As :func:`run_there`, on a worker that may be anywhere: the batch gets a process of its own.

    The answer None is that of a call to be made again, since its process ended before it was heard.
    The files of the parcel are laid into a folder of the worker's, where the cells run. When Dask cancels
    the batch, its process is ended.
    """
    from restified_magics.isolated.wanted import result_while_wanted  # most sides of a sweep never need it

    _check(parcel.version)
    limit = hard_limit(timeout, moment)
    bare = parcel._replace(files=b"")
    heard: list[Answer] = []
    future = _executor(parcel.imports).submit_heard(
        heard.extend, limit, run_there, bare, batch, timeout, moment, folder=_folder(parcel)
    )
    answers: list[Answer | None] | None
    try:
        last, seconds = result_while_wanted(future)
        answers = [*heard, *last]
    except (TaskDied, TimeoutError) as error:
        answers, seconds = of_ended(heard, future.where, error), moment
        if answers is None:
            raise
    if not parcel.files:
        for answer in answers:
            if answer is not None:
                _explain_missing(answer)
    return answers, seconds


def hard_limit(timeout: float | None, moment: float) -> float | None:
    """Seconds that a batch may take: its calls end by themselves when their time is up, if anything works."""
    return None if timeout is None else moment + timeout + _GRACE


def _answer(model: Model, item: Item, timeout: float | None, store: Store | None) -> Answer:
    try:
        with _only_here(), _seeded(item.seed, restore=False):
            value = model.execute(item.params, timeout=timeout)
        return pack_value(value, model)._replace(kept=_kept(store, item, value))
    except Exception as error:  # noqa: BLE001 - told to who asked for the sweep
        return Answer("error", portable(error))
    except BaseException as error:  # noqa: BLE001 - Ctrl-C is for who asked, and this is of a cell's own
        return Answer("error", portable(failure_of(error, getattr(model, "call", None), model.name)))


@contextlib.contextmanager
def _only_here() -> Iterator[None]:
    """What a cell has forked ends with the call: there is one answer, and the next call is made once."""
    own = _getpid()
    try:
        yield
    finally:
        if _getpid() != own:
            os._exit(0)


def _kept(store: Store | None, item: Item, value: Any) -> bool:
    """Keep a value; where that fails, who asked for the sweep tries again, and tells why."""
    if store is None or item.key is None:
        return False
    try:
        store.put(item.key, value)
    except RestifiedError:
        return False
    return True


def _explain_missing(answer: Answer) -> None:
    cause = getattr(answer.content, "__cause__", None)
    if answer.kind == "error" and isinstance(cause, FileNotFoundError | ModuleNotFoundError):
        answer.content.add_note(
            "Only the notebook's content goes to a worker. What it reads or imports from its folder is given "
            "by files="
        )


# ------------------------------------------------------------- kept by a worker

_lock = threading.Lock()
_models: collections.OrderedDict[tuple[str, str | None], Model] = collections.OrderedDict()
_folders: collections.OrderedDict[str, Any] = collections.OrderedDict()
_executors: dict[tuple[int, tuple[str, ...]], Any] = {}
_reseeded = 0  # the process that was


def _reseed() -> None:
    """A process that was forked begins numpy's random numbers anew, as Python does its own by itself."""
    global _reseeded
    generator = sys.modules.get("numpy.random")
    if generator is not None and _reseeded != os.getpid():
        generator.seed()
    _reseeded = os.getpid()


def _check(version: str) -> None:
    if version != restified_magics.__version__:
        raise RestifiedError(
            f"the worker has restified_magics {restified_magics.__version__}, and {version} asks it. "
            "Install the same version on both"
        )


def opened(parcel: Parcel, folder: str | None = None) -> Model:
    """The Model of a parcel, ready to be called; a worker keeps it for the next batch."""
    _check(parcel.version)
    key = (parcel.digest, folder)
    with _lock:
        if key not in _models:
            model = _models[key] = _made(pickle.loads(parcel.content), folder)  # noqa: S301 - from who asked
            if isinstance(model, PythonModel):
                compiled(model.notebook)
            while len(_models) > _KEPT:
                _models.popitem(last=False)
        _models.move_to_end(key)
        return _models[key]


def _made(described: Mapping[str, Any], folder: str | None) -> Model:
    options: dict[str, Any] = {
        "cwd": folder or described["cwd"],
        "timeout": described["timeout"],
        "name": described["name"],
    }
    if described["kind"] == "python":
        return MarkingModel(described["node"], scope="isolated", **options)
    from restified_magics.in_kernel.kernel_model import (
        KernelModel,  # slow to import: it brings jupyter_client
    )

    return KernelModel(described["node"], kernel_name=described["kernel_name"], **options)


def _folder(parcel: Parcel) -> str:
    """A folder with the files of the parcel, gone when the worker ends."""
    with _lock:
        kept = _folders.get(parcel.digest)
        if kept is None:
            kept = _folders[parcel.digest] = tempfile.TemporaryDirectory(prefix="restified-")
            root = pathlib.Path(kept.name)
            for name, content in pickle.loads(parcel.files).items() if parcel.files else ():  # noqa: S301
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            while len(_folders) > _KEPT:
                _folders.popitem(last=False)[1].cleanup()
        return str(kept.name)


def _executor(imports: tuple[str, ...]) -> Any:
    """Processes for as many batches as this worker of Dask works on at once."""
    import distributed  # Dask runs this

    from restified_magics.isolated.isolation import IsolatedExecutor  # most sides of a sweep never need it

    key = (os.getpid(), imports)
    with _lock:
        if key not in _executors:
            threads = distributed.get_worker().state.nthreads
            _executors[key] = IsolatedExecutor(threads, preload=(*PRELOADED, *imports))
        return _executors[key]


@contextlib.contextmanager
def _seeded(seed: int | None, *, restore: bool) -> Iterator[None]:
    """The global random generators begin with the seed; afterwards they go on as before, if that matters."""
    if seed is None:
        yield
        return
    if importlib.util.find_spec("numpy") is not None:
        import numpy.random  # noqa: F401 - a cell that imports it later would find it seeded by chance
    generator = sys.modules.get("numpy.random")
    before = random.getstate(), None if generator is None else generator.get_state()
    random.seed(seed)
    if generator is not None:
        generator.seed(seed)
    try:
        yield
    finally:
        if restore:
            random.setstate(before[0])
            if generator is not None:
                generator.set_state(before[1])
