"""Which notebooks a server serves: a path of a URL → the notebook that the contents manager has there."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import fnmatch
import os
import pathlib
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager, FileContentsManager
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager, LargeFileManager
from tornado.web import HTTPError

from restified_magics.core.lint import is_model
from restified_magics.core.notebook import Notebook
from restified_magics.core.sources import Source, open_source
from restified_magics.rest.problems import Problem

__all__ = ["Served", "ServedNotebooks"]

# those that give what is in the file; others may put a notebook together from anything, as jupytext does
_PLAIN = (AsyncFileContentsManager, FileContentsManager, AsyncLargeFileManager, LargeFileManager)

# what leads elsewhere on some system; a colon is part of many a name where it is no drive
_UNSAFE = "\\\x7f:" if os.name == "nt" else "\\\x7f"

_KEPT = 64  # notebooks of other managers


@dataclasses.dataclass(frozen=True)
class Served:
    """A notebook that may be called.

    Attributes:
        path: where it is for callers, separated by slashes.
        notebook: what was read of it.
        source: what a Model of it is made of: the path below the root, or the node.
        root: the folder of the server.
        cwd: where its cells run; None is the folder of its file.
    """

    path: str
    notebook: Notebook
    source: str | dict[str, Any]
    root: str
    cwd: str | None


class ServedNotebooks:
    """The notebooks of a contents manager.

    Args:
        contents: Jupyter's contents manager.
        allowed: patterns (``*``, ``?``, ``[…]``) of paths that may be called.
        refused: patterns of those that may not, though they are allowed.
    """

    def __init__(self, contents: Any, allowed: Sequence[str] = ("*",), refused: Sequence[str] = ()) -> None:
        self._contents = contents
        self._allowed = tuple(allowed)
        self._refused = tuple(refused)
        self._read: collections.OrderedDict[str, tuple[Any, Source, dict[str, Any]]] = (
            collections.OrderedDict()
        )

    @property
    def root(self) -> str:
        """The folder that paths start from."""
        return os.path.abspath(os.path.expanduser(getattr(self._contents, "root_dir", "") or os.getcwd()))

    async def find(self, path: str) -> Served:
        """The notebook at a path.

        Raises:
            Problem: 404, there is none that may be called, for whatever reason; 500, it cannot be read.
        """
        if not self._may_be_called(path):
            raise _missing(path)
        if type(self._contents) in _PLAIN:
            return await self._from_file(path)
        return await self._from_manager(path)

    async def all(self, most: int) -> list[str]:
        """The paths of the notebooks that may be called, at most so many."""
        if type(self._contents) in _PLAIN:
            return await asyncio.to_thread(self._walk, most)
        found: list[str] = []
        folders, seen = [""], {os.path.realpath(self.root)}
        while folders and len(found) < most:
            model = await self._asked(folders.pop(0), content=True, kind="directory")
            for entry in sorted(model["content"], key=lambda entry: entry["path"]):
                path = entry["path"].strip("/")
                if entry["type"] == "directory" and not _is_hidden(path):
                    folder = os.path.realpath(os.path.join(self.root, *path.split("/")))
                    if folder not in seen and _is_inside(folder, self.root):  # links may lead in a circle
                        seen.add(folder)
                        folders.append(path)
                elif entry["type"] == "notebook" and self._may_be_called(path):
                    found.append(path)
        return found[:most]

    # ------------------------------------------------------------------ in files

    async def _from_file(self, path: str) -> Served:
        # what Jupyter has to say about this path: hidden files, its own rules, its own hooks
        await self._asked(path, content=False)
        return await asyncio.to_thread(self._open, path)

    def _open(self, path: str) -> Served:
        root = self.root
        file = os.path.join(root, *path.split("/"))
        if not os.path.isfile(file) or not _is_inside(file, root):
            raise _missing(path)
        named = file if path.startswith("~") else path  # a name, and nobody's home
        notebook = open_source(named, folder=pathlib.Path(root)).current()
        return Served(path, notebook, path, root, None)

    def _walk(self, most: int) -> list[str]:
        found = []
        for path in self._files():
            if self._may_be_called(path):
                found.append(path)
                if len(found) == most:
                    break
        return found

    def _files(self) -> Iterator[str]:
        root = self.root
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not _is_hidden(name))
            below = pathlib.Path(folder).relative_to(root)
            for name in sorted(files):
                if name.endswith(".ipynb") and _is_inside(os.path.join(folder, name), root):
                    yield (below / name).as_posix()

    # ------------------------------------------------------- in other managers

    async def _from_manager(self, path: str) -> Served:
        file = os.path.join(self.root, *path.split("/"))
        if os.path.lexists(file) and not _is_inside(file, self.root):
            raise _missing(path)
        model = await self._asked(path, content=True, kind="notebook")
        stamp = (str(model.get("last_modified")), model.get("hash"))
        known = self._read.get(path)
        node = model["content"]
        if known is not None and known[0] == stamp and known[2] == node:
            source, node = known[1:]
        else:
            source = await asyncio.to_thread(open_source, node, name=path)
            self._read[path] = stamp, source, node
            while len(self._read) > _KEPT:
                self._read.popitem(last=False)
        notebook = source.current()
        if not (path.endswith(".ipynb") or is_model(notebook)):
            raise _missing(
                path
            )  # jupytext makes a notebook of any script, and not each is meant to be called
        folder = os.path.dirname(file)
        cwd = folder if os.path.isdir(folder) else None
        return Served(path, notebook, node, self.root, cwd)

    async def _asked(self, path: str, *, content: bool, kind: str | None = None) -> dict[str, Any]:
        try:
            model: dict[str, Any] = await ensure_async(self._contents.get(path, content=content, type=kind))
        except HTTPError as error:
            if error.status_code in (400, 403, 404):
                raise _missing(path) from None
            raise Problem(500, f"{path} cannot be read.") from error
        except (OSError, ValueError):
            raise _missing(path) from None
        if model["type"] != (kind or "notebook"):
            raise _missing(path)
        return model

    # --------------------------------------------------------------------- paths

    def _may_be_called(self, path: str) -> bool:
        steps = path.split("/")
        return (
            not any(character < " " or character in _UNSAFE or _is_no_text(character) for character in path)
            and not any(step in ("", ".", "..") for step in steps)
            and (self._shows_hidden or not any(step.startswith(".") for step in steps))
            and any(fnmatch.fnmatchcase(path, pattern) for pattern in self._allowed)
            and not any(fnmatch.fnmatchcase(path, pattern) for pattern in self._refused)
        )

    @property
    def _shows_hidden(self) -> bool:
        return bool(getattr(self._contents, "allow_hidden", False))


def _is_no_text(character: str) -> bool:
    """Whether it stands for a byte of a file's name that is not UTF-8, which no URL can name."""
    return "\ud800" <= character <= "\udfff"


def _is_hidden(path: str) -> bool:
    return posixpath.basename(path).startswith(".")


def _is_inside(file: str, root: str) -> bool:
    """Whether a file is below the root with all links followed."""
    return os.path.realpath(file).startswith(os.path.realpath(root).rstrip(os.sep) + os.sep)


def _missing(path: str) -> Problem:
    shown = path if path.isprintable() and len(path) < 200 else "that name"
    return Problem(404, f"There is no notebook {shown}. /restified/ lists those that there are.")
