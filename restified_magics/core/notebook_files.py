"""Where a notebook is written: whole or not at all, and never over the one that is called."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import stat
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from restified_magics.core.notebook import Notebook
from restified_magics.errors import NotebookError

__all__ = ["notebook_file", "refuse_itself", "told_of", "write_notebook"]


def refuse_itself(notebook: Notebook, path: str | os.PathLike[str]) -> None:
    """Refuse to write over the notebook that is called: its author has no other.

    Args:
        notebook: what is called.
        path: where something is to be written, also by a link that leads to the notebook.

    Raises:
        NotebookError: it is the same file.
    """
    if notebook.path is None:
        return
    try:
        same = os.path.samefile(os.path.expanduser(path), notebook.path)
    except OSError:  # one of them is not there
        return
    if same:
        raise NotebookError(os.fspath(path), "this is the notebook itself. Write to another file")


def notebook_file(path: str | os.PathLike[str], notebook: Notebook | None = None) -> pathlib.Path:
    """A file that a notebook can be written to.

    Args:
        path: the file.
        notebook: what is called, and must not be written over; or None.

    Raises:
        NotebookError: its folder is not there, it has not the ending of a notebook, or it is the notebook
            that is called.
        OSError: there can be no file of that name.
    """
    name = os.fspath(path)
    target = pathlib.Path(path).expanduser()
    if name == "-":
        raise NotebookError(name, "a notebook is written to a file. Name it, as in 'executed.ipynb'")
    if target.suffix != ".ipynb":
        raise NotebookError(
            name, f"a notebook is written to a file that ends in .ipynb. Write {target.name + '.ipynb'!r}"
        )
    if not target.absolute().parent.is_dir():
        raise NotebookError(name, f"there is no folder {target.parent} to write it to. Make it first")
    if is_folder(target):
        raise NotebookError(name, "is a folder. Write the notebook under another name")
    if notebook is not None:
        refuse_itself(notebook, target)
    return target


def is_folder(path: pathlib.Path) -> bool:
    """Whether a path is a folder.

    Raises:
        OSError: it is none, and can be no file either: `Path.is_dir` does not tell that since Python 3.14.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return False


def write_notebook(node: Mapping[str, Any], path: pathlib.Path) -> None:
    """Write a notebook's JSON to a file as Jupyter does, whole or not at all.

    Raises:
        OSError: the file cannot be written; what was there before is still there.
    """
    text = json.dumps(node, indent=1, ensure_ascii=False, default=str) + "\n"
    half = path.with_name(f".{path.name[:40]}.{os.getpid()}.{threading.get_ident()}")
    with told_of(path):
        try:
            half.write_text(text, encoding="utf-8", errors="surrogatepass", newline="\n")
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


@contextlib.contextmanager
def told_of(path: pathlib.Path) -> Iterator[None]:
    """What goes wrong with a file names that file: not the one that is written first, and not none at all."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), os.fspath(path)) from error
