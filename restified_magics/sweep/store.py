"""Finished calls of a sweep, kept in a folder: what was done is not done again.

A call is found by what decides its value: the notebook's cells, who runs them and in which folder, the
values, the seed; but not by the files that the cells read. Nothing in an entry is ever executed or unpickled;
one that is damaged, or is another call's, is told and replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from restified_magics.core.notebook import Notebook
from restified_magics.errors import ParameterError, RestifiedError, ReturnError
from restified_magics.wire.encoding import Unencodable, pack, unpack

__all__ = ["ABSENT", "Key", "Store"]

#: What :meth:`Store.get` gives for a call that has not been done.
ABSENT: Any = object()

_MARK = "restified-sweep.json"
_FORMAT = 1


class Key(NamedTuple):
    """What decides the value of a call.

    Attributes:
        name: of its entry.
        asked: what the entry says of itself.
    """

    name: str
    asked: str


class Store:
    """A folder of finished calls.

    Args:
        path: the folder; it is made if it is not there.
        notebook: the version that is called.
        setting: what else decides the values of its calls.

    Raises:
        RestifiedError: the folder holds something else, or cannot be written.

    Example:
        >>> import tempfile, restified_magics
        >>> notebook = restified_magics.PythonModel("examples/fibonacci.ipynb").notebook
        >>> store = Store(tempfile.mkdtemp() + "/calls", notebook)
        >>> done, other = store.key({"n": 20}, None), store.key({"n": 21}, None)
        >>> store.put(done, 6765)
        >>> store.get(done), store.get(other) is ABSENT
        (6765, True)
    """

    def __init__(
        self, path: str | os.PathLike[str], notebook: Notebook, setting: Sequence[str | None] = ()
    ) -> None:
        self.path = pathlib.Path(path).expanduser().absolute()
        self._name = notebook.name
        self._version = _version(notebook, setting)
        self._returning = next((cell.number for cell in notebook.with_role("return")), 0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            mark = self.path / _MARK
            if not mark.exists():
                # another process may begin with the folder at the same time: what it writes is no stranger's
                half = f".{_MARK}."
                others = [entry for entry in self.path.iterdir() if not entry.name.startswith(half)]
                if others and not mark.exists():
                    raise RestifiedError(
                        f"store {self.path}: the folder holds other files. Give one that is empty, or new"
                    )
                _write(mark, json.dumps({"format": _FORMAT}).encode())
            elif json.loads(mark.read_bytes()).get("format") != _FORMAT:
                raise RestifiedError(
                    f"store {self.path}: was written by another version. Give another folder"
                )
        except OSError as error:
            raise RestifiedError(
                f"store {self.path}: cannot be used: {error}. Give another folder"
            ) from error
        except (ValueError, AttributeError) as error:
            whole = json.dumps({"format": _FORMAT})
            raise RestifiedError(
                f"store {self.path}: its file {_MARK} is damaged ({error}). Give another folder; or, to "
                f"go on with what is in this one, write {whole} into that file"
            ) from error

    def get(self, key: Key) -> Any:
        """The value of a call, or `ABSENT`."""
        path = self._place(key)
        try:
            content = path.read_bytes()
            return _value(content, key.asked)
        except FileNotFoundError:
            return ABSENT
        except OSError as error:
            if not path.is_dir():
                raise RestifiedError(f"store {self.path}: cannot be read: {error}") from error
            reason = "it is a folder"
        except (ValueError, LookupError, TypeError) as error:
            reason = str(error) or type(error).__name__
        warnings.warn(
            f"store: {path} is damaged or foreign ({reason}): that call is made again", stacklevel=2
        )
        return ABSENT

    def put(self, key: Key, value: Any) -> None:
        """Keep the value of a call; in any process of this machine.

        Raises:
            ReturnError: the value cannot be kept, which is a matter of this call only.
            RestifiedError: the folder cannot be written.
        """
        try:
            data, buffers = pack(value)
        except Unencodable as error:
            reason = f"store= cannot keep it: {error}"
            raise ReturnError(self._name, cell=self._returning, reason=reason) from None
        parts = [data, *(bytes(buffer) for buffer in buffers)]
        head = json.dumps({"format": _FORMAT, "call": key.asked, "sizes": [len(part) for part in parts]})
        body = head.encode() + b"\n" + b"".join(parts)
        path = self._place(key)
        try:
            path.parent.mkdir(exist_ok=True)
            if path.is_dir():  # not ours: it is not lost, and out of the way
                path.rename(path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.aside"))
            _write(path, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        except OSError as error:
            raise RestifiedError(
                f"store {self.path}: cannot be written: {error.strerror or error}. What was finished before "
                "is kept; make room and run the sweep again, and it goes on from there"
            ) from error

    def _place(self, key: Key) -> pathlib.Path:
        return self.path / key.name[:2] / f"{key.name[2:]}.call"

    def key(self, params: Mapping[str, Any], seed: int | None) -> Key:
        """Where a call is found.

        Raises:
            ParameterError: a value is of a kind by which no call can be found again.
        """
        digest = hashlib.sha256(f"{self._version} {seed}".encode())
        for name in sorted(params):
            try:
                data, buffers = pack(params[name])
            except Unencodable as error:
                problem = f"cannot be told from others by a store: {error}"
                raise ParameterError(self._name, {name: problem}) from None
            for part in (name.encode(), data, *(bytes(buffer) for buffer in buffers)):
                digest.update(len(part).to_bytes(8, "big") + part)
        asked = digest.hexdigest()
        return Key(hashlib.sha256(asked.encode()).hexdigest(), asked)


def _version(notebook: Notebook, setting: Sequence[str | None]) -> str:
    """What an edit of the cells changes, and running them does not."""
    cells = [
        [cell.role, cell.source, cell.raises] for cell in notebook.cells if cell.role not in ("text", "skip")
    ]
    return hashlib.sha256(json.dumps([cells, notebook.kernel_name, *setting]).encode()).hexdigest()


def _value(content: bytes, asked: str) -> Any:
    checksum, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != checksum:
        raise ValueError("its checksum is wrong")
    head, _, rest = body.partition(b"\n")
    described = json.loads(head)
    if described["format"] != _FORMAT or described["call"] != asked:
        raise ValueError("it is another call's")
    parts = []
    for size in described["sizes"]:
        parts.append(rest[:size])
        rest = rest[size:]
    return unpack(parts[0], parts[1:])


def _write(path: pathlib.Path, content: bytes) -> None:
    """Write a file, whole or not at all: the sweep may be killed, and two may share a folder."""
    half = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        half.write_bytes(content)
        half.replace(path)
    finally:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
