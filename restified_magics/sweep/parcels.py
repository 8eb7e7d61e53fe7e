"""A Model, the values of calls and their answers as bytes that travel between the two sides of a sweep.

What travels is the notebook's content, never a path: the other side may be another machine. It needs this
package, in the same version, and nothing else of ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import pathlib
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import restified_magics
from restified_magics.core.model import Model
from restified_magics.core.notebook import Notebook
from restified_magics.core.result import Result
from restified_magics.core.telling import shorten
from restified_magics.errors import ModelTimeout, ParameterError, RestifiedError, ReturnError, TaskDied
from restified_magics.in_process.python_model import PythonModel
from restified_magics.signature.credentials import is_secret
from restified_magics.sweep.store import Key
from restified_magics.wire.encoding import Unencodable, pack, unpack

__all__ = [
    "HEAVIEST",
    "Answer",
    "Item",
    "Parcel",
    "Went",
    "of_call",
    "of_ended",
    "open_answer",
    "pack_items",
    "pack_model",
    "pack_value",
    "portable",
]


#: Bytes of the values of a batch, or of its answers, after which it takes no more calls.
HEAVIEST = 1 << 22

_TOLD = 5  # values of a call that an error names
#: Slow packages: where a notebook imports them, the process that others are forked from has them already.
_SLOW = ("numpy", "pandas", "matplotlib", "matplotlib.pyplot", "scipy", "IPython")


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

    @property
    def weight(self) -> int:
        """Its bytes, but for those of an error."""
        if self.kind == "pickle":
            return len(self.content)
        return sum(map(len, (self.content[0], *self.content[1]))) if self.kind == "pack" else 0


class Parcel(NamedTuple):
    """What travels of a Model.

    Attributes:
        version: of this package.
        content: the pickled description of the Model.
        files: the files beside the notebook that it needs, pickled by relative path; empty if there are none.
        imports: the slow packages that the notebook imports.
        digest: names all of it.
    """

    version: str
    content: bytes
    files: bytes
    imports: tuple[str, ...]
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
    return Parcel(restified_magics.__version__, content, packed, _imports(model), digest)


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


def pack_value(value: Any, model: Model) -> Answer:
    """The value as bytes: pickled; or encoded, as from a kernel, where its class is the notebook's own.

    Raises:
        ReturnError: it cannot travel.
    """
    if type(value).__module__ != "__main__":
        with contextlib.suppress(Exception):
            return Answer("pickle", pickle.dumps(value, protocol=5))
    try:
        data, buffers = pack(value)
    except Unencodable as error:
        raise ReturnError(model.name, cell=_returning(model), reason=str(error)) from None
    return Answer("pack", (data, [bytes(buffer) for buffer in buffers]))


def portable(error: Exception) -> Exception:
    """The error, or one that says the same and can travel."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was dumped just now
    except Exception:  # noqa: BLE001 - classes of a notebook's own may fail in any way
        return RestifiedError(f"{type(error).__name__}: {error}")
    return error


def of_ended(
    heard: Sequence[Answer], where: tuple[int, int] | None, error: Exception
) -> list[Answer | None] | None:
    """What is known of a batch whose process has ended before it did.

    Args:
        heard: the answers of its first calls.
        where: the call and the cell at which it was, as `TaskFuture.where`.
        error: what ended it.

    Returns:
        The answers of the calls up to the one that ran, whose answer is the error: None is that of a call
        which has ended, and whose answer was not heard. Or None, if nothing is known.
    """
    if where is None or where[0] <= len(heard):
        return None
    return [*heard, *[None] * (where[0] - 1 - len(heard)), Answer("error", error)]


def of_call(error: Exception, notebook: Notebook, item: Item, timeout: float | None) -> Exception:
    """What ended the process of a call, which knew no notebook, as what ended the call."""
    cell = getattr(error, "cell", None)
    result = Result(params=dict(item.params), cell=cell, _source=notebook)
    if isinstance(error, TimeoutError) and not isinstance(error, ModelTimeout) and timeout is not None:
        return ModelTimeout(notebook.name, seconds=timeout, cell=cell, result=result)
    if isinstance(error, TaskDied) and not error.notebook:
        return TaskDied(
            error.reason, notebook=notebook.name, values=_told(item.params), cell=cell, result=result
        )
    if type(error).__name__ == "KilledWorker":  # Dask's, which most sweeps never import
        reason = "the workers of Dask that had the call ended, one after the other. Does it need more memory?"
        return TaskDied(reason, notebook=notebook.name, values=_told(item.params), result=result)
    if isinstance(error, ReturnError) and error.result is None:  # it was the value that could not travel
        error.result = result
    return error


def _told(params: Mapping[str, Any]) -> str:
    """The values of a call in one line, but no passwords, and of many only the first."""
    told = [
        f"{name}={'…' if is_secret(name, value) else shorten(value)}"
        for name, value in itertools.islice(params.items(), _TOLD)
    ]
    return ", ".join([*told, f"and {len(params) - _TOLD} more"] if len(params) > _TOLD else told)


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


def _returning(model: Model) -> int:
    ends = model.notebook.with_role("return")
    return ends[0].number if ends else 0


def _imports(model: Model) -> tuple[str, ...]:
    text = "\n".join(cell.source for cell in model.notebook.with_role("code", "parameters", "return"))
    return tuple(name for name in _SLOW if name in text)
