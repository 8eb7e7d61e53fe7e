"""A Model and the values of calls as bytes that travel: packed here, unpacked and run on the other side.

What travels is the notebook's content, never a path: the other side may be another machine. It needs this
package, in the same version, and nothing else of ours.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import importlib.util
import itertools
import os
import pathlib
import pickle
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import restified_magics
from restified_magics.core.model import Model
from restified_magics.core.telling import shorten
from restified_magics.errors import ModelTimeout, ParameterError, RestifiedError, ReturnError, TaskDied
from restified_magics.in_process.program import compiled
from restified_magics.in_process.python_model import PythonModel
from restified_magics.isolated.isolated_child import report
from restified_magics.sweep.store import Key, Store
from restified_magics.wire.encoding import Unencodable, pack, unpack

__all__ = [
    "PRELOADED",
    "Answer",
    "Item",
    "Parcel",
    "Went",
    "hard_limit",
    "open_answer",
    "opened",
    "pack_items",
    "pack_model",
    "run_far",
    "run_here",
    "run_there",
    "timed_out",
]

#: What the process imports that those of calls are forked from.
PRELOADED = ("restified_magics.isolated.isolated_call", "restified_magics.sweep.parcels")

_KEPT = 4  # Models that a worker keeps: a cluster may run several sweeps
_GRACE = 10.0  # seconds that a call has to end by itself when its time is up


class Item(NamedTuple):
    """One call of a sweep.

    Attributes:
        number: its position in the sweep, counted from 0.
        params: the values by name.
        seed: what random generators begin with, or None.
        key: where a store keeps its value, or None.
    """

    number: int
    params: Mapping[str, Any]
    seed: int | None = None
    key: Key | None = None


class Went(NamedTuple):
    """How a call went, for who asked for it.

    Attributes:
        well: it has a value.
        what: the value, or the exception.
        kept: the value is in the store already.
    """

    well: bool
    what: Any
    kept: bool = False


class Answer(NamedTuple):
    """How a call went, as it travels: a value as bytes, or an error.

    Attributes:
        kind: ``"pickle"``, ``"pack"`` or ``"error"``.
        content: bytes; JSON and its buffers; or the exception.
        kept: the value is in the store already.
    """

    kind: str
    content: Any
    kept: bool = False


class Parcel(NamedTuple):
    """What travels of a Model.

    Attributes:
        version: of this package.
        content: the pickled description of the Model.
        files: the files beside the notebook that it needs, pickled by relative path; empty if there are none.
        digest: names both.
    """

    version: str
    content: bytes
    files: bytes
    digest: str


def pack_model(model: Model, *, files: Sequence[str | os.PathLike[str]] = (), local: bool) -> Parcel:
    """Make a parcel of a Model.

    Args:
        model: the Model.
        files: paths and patterns of files that travel with it, from the notebook's folder on.
        local: it stays on this machine, so that its folder is there.

    Raises:
        FileNotFoundError: a path or pattern names nothing.
        ValueError: a path leads out of the notebook's folder.
    """
    notebook = model.notebook
    folder = model.cwd or notebook.folder
    described = {
        "kind": "python" if isinstance(model, PythonModel) else "kernel",
        "kernel_name": getattr(model, "kernel_name", None),
        "node": {**notebook.node},
        "name": model.name,
        "timeout": model.timeout,
        "cwd": os.fspath(folder) if local and folder is not None else None,
    }
    content = pickle.dumps(described, protocol=5)
    packed = (
        pickle.dumps(_contents(files, folder or pathlib.Path()), protocol=5) if files and not local else b""
    )
    digest = hashlib.sha256(content + packed).hexdigest()
    return Parcel(restified_magics.__version__, content, packed, digest)


def pack_items(items: Sequence[Item], name: str) -> bytes:
    """Make bytes of the calls of a batch.

    Raises:
        ParameterError: a value cannot travel; it names the value.
    """
    try:
        return pickle.dumps(items, protocol=5)
    except Exception:
        for item in items:
            for key, value in item.params.items():
                try:
                    pickle.dumps(value, protocol=5)
                except Exception as error:
                    problem = (
                        f"cannot go to another process: {shorten(value)} ({type(error).__name__}: {error})"
                    )
                    raise ParameterError(name, {key: problem}) from error
        raise


def open_answer(answer: Answer, model: Model) -> Any:
    """The value of a call, or raise what it raised."""
    if answer.kind == "error":
        raise answer.content
    if answer.kind == "pack":
        data, buffers = answer.content
        return unpack(data, buffers)
    try:
        return pickle.loads(answer.content)  # noqa: S301 - from a worker of ours
    except Exception as error:
        reason = (
            f"it cannot be read in this process ({type(error).__name__}: {error}). Return plain data instead"
        )
        raise ReturnError(model.name, cell=_returning(model), reason=reason) from error


# ---------------------------------------------------------------- the other side


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
        try:
            with _seeded(item.seed, restore=True):
                value = model.execute(item.params, timeout=timeout)
            outcomes.append(Went(True, value, _kept(store, item, value)))
        except Exception as error:  # noqa: BLE001 - told to who asked for the sweep
            outcomes.append(Went(False, error))
        if time.perf_counter() - started > moment:
            break
    return outcomes, time.perf_counter() - started


def run_there(
    parcel: Parcel,
    batch: bytes,
    timeout: float | None,
    moment: float,
    folder: str | None = None,
    store: Store | None = None,
) -> tuple[list[Answer], float]:
    """Run calls of a batch in a process that is there for it, on this machine.

    Each call that has ended while others follow is reported, as its place in the batch and its answer: the
    process may end before the batch does.

    Args:
        parcel: the Model.
        batch: the calls.
        timeout: seconds that each may take.
        moment: seconds after which no more of them is begun.
        folder: where the cells run, in place of the parcel's own.
        store: keeps each value as soon as it is there, or None.

    Returns:
        The answers of those that were made, and the seconds that they took.
    """
    model = opened(parcel, folder)
    items: Sequence[Item] = pickle.loads(batch)  # noqa: S301 - from who asked for the sweep
    answers: list[Answer] = []
    started = time.perf_counter()
    for place, item in enumerate(items):
        answers.append(_answer(model, item, timeout, store))
        if time.perf_counter() - started > moment:
            break
        report((place, answers[-1]))
    return answers, time.perf_counter() - started


def run_far(parcel: Parcel, batch: bytes, timeout: float | None, moment: float) -> tuple[list[Answer], float]:
    """As :func:`run_there`, on a worker that may be anywhere: its calls get a process of their own.

    The files of the parcel are laid into a folder of the worker's, where the cells run. When Dask cancels
    the batch, its process is ended.
    """
    from restified_magics.isolated.wanted import result_while_wanted  # most sides of a sweep never need it

    _check(parcel.version)
    limit = hard_limit(timeout, moment)
    bare = parcel._replace(files=b"")
    future = _executor().submit_within(limit, run_there, bare, batch, timeout, moment, _folder(parcel))
    heard: dict[int, Answer] = {}
    future.on_report = lambda told: heard.update([told])
    try:
        answers, seconds = result_while_wanted(future)
    except (TaskDied, TimeoutError):
        if 0 not in heard:
            raise
        # of this batch that is all; the call that ended the process is the first of another one
        ended = itertools.takewhile(heard.__contains__, itertools.count())
        answers, seconds = [heard[place] for place in ended], moment
    if not parcel.files:
        for answer in answers:
            _explain_missing(answer)
    return answers, seconds


def hard_limit(timeout: float | None, moment: float) -> float | None:
    """Seconds that a batch may take: its calls end by themselves when their time is up, if anything works."""
    return None if timeout is None else moment + timeout + _GRACE


def _answer(model: Model, item: Item, timeout: float | None, store: Store | None) -> Answer:
    try:
        with _seeded(item.seed, restore=False):
            value = model.execute(item.params, timeout=timeout)
        return _packed(value, model)._replace(kept=_kept(store, item, value))
    except Exception as error:  # noqa: BLE001 - told to who asked for the sweep
        return Answer("error", _portable(error))


def _kept(store: Store | None, item: Item, value: Any) -> bool:
    """Keep a value; where that fails, who asked for the sweep tries again, and tells why."""
    if store is None or item.key is None:
        return False
    try:
        store.put(item.key, value)
    except RestifiedError:
        return False
    return True


def _packed(value: Any, model: Model) -> Answer:
    """The value as bytes: pickled; or encoded, as from a kernel, where its class is the notebook's own."""
    if type(value).__module__ != "__main__":
        with contextlib.suppress(Exception):
            return Answer("pickle", pickle.dumps(value, protocol=5))
    try:
        data, buffers = pack(value)
    except Unencodable as error:
        raise ReturnError(model.name, cell=_returning(model), reason=str(error)) from None
    return Answer("pack", (data, [bytes(buffer) for buffer in buffers]))


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same and can travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was dumped just now
    except Exception:  # noqa: BLE001 - classes of a notebook's own may fail in any way
        return RestifiedError(f"{type(error).__name__}: {error}")
    return error


def _returning(model: Model) -> int:
    ends = model.notebook.with_role("return")
    return ends[0].number if ends else 0


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
_executors: dict[int, Any] = {}


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
            model = _models[key] = _made(pickle.loads(parcel.content), folder)  # noqa: S301 - as above
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
        return PythonModel(described["node"], scope="isolated", **options)
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


def _executor() -> Any:
    from restified_magics.isolated.isolation import IsolatedExecutor  # most sides of a sweep never need it

    with _lock:
        if os.getpid() not in _executors:
            _executors[os.getpid()] = IsolatedExecutor(preload=PRELOADED)
        return _executors[os.getpid()]


def _contents(files: Sequence[str | os.PathLike[str]], folder: pathlib.Path) -> dict[str, bytes]:
    root = folder.absolute()
    found: dict[str, bytes] = {}
    for given in files:
        path = pathlib.Path(given)
        paths = [path] if path.is_absolute() else sorted(root.glob(os.fspath(given)))
        inner = [each for top in paths for each in (sorted(top.rglob("*")) if top.is_dir() else [top])]
        chosen = [each for each in inner if each.is_file()]
        if not chosen:
            raise FileNotFoundError(
                f"files=: {os.fspath(given)} names no file in {root}. Write it as seen from there"
            )
        for each in chosen:
            if not each.resolve().is_relative_to(root.resolve()):
                raise ValueError(
                    f"files=: {os.fspath(given)} is not in the notebook's folder, {root}. Put it there"
                )
            found[each.resolve().relative_to(root.resolve()).as_posix()] = each.read_bytes()
    return found


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


def timed_out(error: BaseException, name: str, timeout: float | None) -> BaseException:
    """What a call's time being up is called, wherever it was noticed."""
    if isinstance(error, TimeoutError) and not isinstance(error, ModelTimeout) and timeout is not None:
        return ModelTimeout(name, seconds=timeout)
    return error
