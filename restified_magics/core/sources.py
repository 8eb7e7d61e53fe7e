"""Where a Model's notebook comes from: a file that may change, a URL, a node."""

from __future__ import annotations

import collections
import os
import pathlib
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from restified_magics.core.notebook import Notebook
from restified_magics.core.notebook_json import load_json, read_notebook
from restified_magics.core.telling import nearest
from restified_magics.errors import NotebookError, NotebookWarning

__all__ = ["Source", "open_source"]

_READ_AT_ONCE = 0.1  # seconds: a file written so short ago may change again within its time stamp


class Source:
    """Where a Model's notebook comes from; `current` is its newest version."""

    def current(self) -> Notebook:
        raise NotImplementedError


class _Fixed(Source):
    """A notebook that cannot change: a node, or a URL, which is read once."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook

    def current(self) -> Notebook:
        return self._notebook


_Stamp = tuple[int, int, int]


class _File(Source):
    """A file: read again when its stamp (time, size, inode) changed."""

    _opened: ClassVar[collections.OrderedDict[tuple[str, str], _File]] = collections.OrderedDict()
    _opening = threading.Lock()
    _kept = 256

    def __init__(self, path: pathlib.Path, name: str) -> None:
        self._path = os.fspath(path)
        self._name = name
        self._lock = threading.Lock()
        self._read: tuple[_Stamp | None, Notebook] | None = None
        self._unsettled: bytes | None = None

    @classmethod
    def open(cls, path: pathlib.Path, name: str) -> _File:
        """One object a file and name, so that Models and magics share what was read and compiled."""
        key = (os.fspath(path), name)
        with cls._opening:
            file = cls._opened.pop(key, None) or cls(path, name)
            cls._opened[key] = file
            while len(cls._opened) > cls._kept:
                cls._opened.popitem(last=False)
        return file

    def __reduce__(self) -> tuple[object, ...]:
        return _File.open, (pathlib.Path(self._path), self._name)  # in another process it is read there

    def current(self) -> Notebook:
        read = self._read
        if read is not None and read[0] == self._stamp():  # what nearly every call finds
            return read[1]
        with self._lock:
            stamp = self._stamp()
            if self._read is not None and self._read[0] == stamp:
                return self._read[1]
            if not self._is_regular():
                raise NotebookError(
                    self._name,
                    "is a pipe or a device, which can be read once. Write it to a file, and name that",
                )
            try:
                with open(self._path, "rb") as file:
                    content = file.read()
            except OSError as error:
                raise NotebookError(self._name, _unreadable(self._path, error)) from error
            # Two versions written within a tick of the file system's clock have the same stamp:
            # one that is younger than that is read again, and kept if it is the same.
            settled = time.time() - stamp[0] / 1e9 > _READ_AT_ONCE and stamp == self._stamp()
            known = self._read is not None and content == self._unsettled
            if known and self._read is not None:
                notebook = self._read[1]
            else:
                notebook = read_notebook(load_json(content, self._name), self._name, pathlib.Path(self._path))
            self._read = (stamp if settled else None, notebook)
            self._unsettled = None if settled else content
        if not known:
            _warn(notebook)
        return notebook

    def _stamp(self) -> _Stamp:
        try:
            status = os.stat(self._path)
        except OSError as error:
            raise NotebookError(self._name, _unreadable(self._path, error)) from error
        return (status.st_mtime_ns, status.st_size, status.st_ino)

    def _is_regular(self) -> bool:
        return os.path.isfile(self._path) or os.path.isdir(self._path)  # of a folder the reading tells


def open_source(source: object, *, folder: pathlib.Path | None = None, name: str | None = None) -> Source:
    """What a Model is made of → its `Source`, read once to see that it is a notebook.

    Args:
        source: a path, a URL that papermill reads (``file://``, ``https://``, ``s3://``, ``gs://`` …), a
            notebook node of nbformat, or the same as a plain dict; or what was read already.
        folder: relative paths start here instead of the current folder.
        name: how messages call a notebook that is not a file.

    Raises:
        NotebookError: it is not a notebook, cannot be read, or no function can be made of it.
    """
    opened: Source
    if isinstance(source, Notebook):
        return _Fixed(source)
    if isinstance(source, Mapping):
        notebook = read_notebook(_plain(source), name or "<notebook>", None)
        _warn(notebook)
        return _Fixed(notebook)
    if not isinstance(source, (str, os.PathLike)):
        raise NotebookError(
            name or f"<{type(source).__name__}>",
            f"a Model is made of a path, a URL or a notebook node, not of {type(source).__name__}",
        )
    text = os.fspath(source)
    if not isinstance(text, str):
        text = os.fsdecode(text)
    text = _local(text)
    if not text or "\0" in text:
        reason = "the path has a NUL in it, which no path can have" if text else "the path is empty"
        raise NotebookError(ascii(text), f"{reason}. Write that of a notebook, as in 'model.ipynb'")
    if "://" in text:
        notebook = read_notebook(load_json(_fetch(text), text), text, None)
        _warn(notebook)
        return _Fixed(notebook)
    path = pathlib.Path(text).expanduser()
    opened = _File.open(pathlib.Path(os.path.abspath((folder or pathlib.Path()) / path)), text)
    opened.current()
    return opened


def _plain(node: Any) -> Any:
    """A copy of bare dicts and lists: who unpickles nodes of nbformat imports it, which takes a second."""
    if isinstance(node, Mapping):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, list) else node


def _local(text: str) -> str:
    """The path that a ``file://`` URL names; other texts as they are."""
    if not text.lower().startswith("file:/"):
        return text
    # here, since few name a file so
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost"):
        raise NotebookError(
            text,
            f"names a file of the machine {parts.netloc!r}, which cannot be read from here. Write its path",
        )
    return url2pathname(parts.path)


def _fetch(url: str) -> bytes:
    # papermill takes more than a second to import, and only these need it
    from papermill.iorw import papermill_io

    try:
        read = papermill_io.read(url)
    except Exception as error:  # each of papermill's handlers has errors of its own
        raise NotebookError(url, f"cannot be read: {type(error).__name__}: {error}") from error
    return read.encode() if isinstance(read, str) else bytes(read)


def _unreadable(path: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        if os.path.islink(path):
            return f"is a symbolic link to {os.readlink(path)}, which is not there. Correct the link"
        folder, name = os.path.split(path)
        try:
            beside = [found for found in os.listdir(folder) if found.endswith(".ipynb")]
        except OSError:
            return f"there is no folder {folder}. Correct the path, or the current folder"
        close = nearest(name.removesuffix(".ipynb"), [each.removesuffix(".ipynb") for each in beside])
        hint = f"Did you mean {close + '.ipynb'!r}?" if close else "Correct the path, or the current folder"
        return f"there is no such file in {folder}. {hint}"
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):
        return "is a folder, not a notebook. Name a notebook in it"
    return f"cannot be read: {error.strerror or error}"


def _warn(notebook: Notebook) -> None:
    """Give the notebook's warnings once a version, at the caller's own line."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("restified_magics."):
        level, frame = level + 1, frame.f_back
    for text in notebook.warnings:
        warnings.warn(f"{notebook.name}, {text}", NotebookWarning, stacklevel=level)
