"""Every exception that restified_magics raises.

::

    RestifiedError
    ├── NotebookError       not a notebook, unreadable, not to be written, or no function can be made of it
    ├── ParameterError      values that a Model does not take (also a TypeError)
    ├── CallError           a call ended early; it can be opened as a notebook: `error.save(path)`
    │   ├── CellError       a cell of the Model raised
    │   ├── ReturnError     the value of the `return` cell cannot leave the kernel
    │   ├── ModelTimeout    the call took longer than it may (also a TimeoutError)
    │   ├── ModelCancelled  the call was cancelled while it ran
    │   └── KernelDied      the kernel of a call ended, or did not start
    ├── MediaError          a returned value cannot be had in this media type (also a TypeError)
    ├── TaskDied            the process of an isolated task ended before the task did
    └── ModelRecursionError Models that call each other without an end (also a RecursionError)

    NotebookWarning         something in a notebook has no effect, and the author should know

All of them can be pickled, so that they cross threads, processes and clusters as they are.
"""

from __future__ import annotations

import functools
import linecache
import os
import pathlib
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restified_magics.core.result import Result

__all__ = [
    "CallError",
    "CellError",
    "KernelDied",
    "MediaError",
    "ModelCancelled",
    "ModelRecursionError",
    "ModelTimeout",
    "NotebookError",
    "NotebookWarning",
    "ParameterError",
    "RestifiedError",
    "ReturnError",
    "TaskDied",
    "can_cross",
    "show_as",
]


_MOST_CAUSES = 8  # of an error that crosses
_LEFT = (
    "; it did not end, since it is blocked in C code or catches every exception, and so it was left to "
    "itself: what it still does reaches nobody"
)
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


class NotebookWarning(UserWarning):
    """A cell or a tag of a notebook has no effect in a call."""


class RestifiedError(Exception):
    """The base of all errors of this package: ``except RestifiedError`` catches every one."""

    def _render_traceback_(self) -> list[str]:
        """What IPython prints: the caller's lines down to the call, and the message; nothing of ours."""
        lines = ["-" * 75, f"{type(self).__name__:<42}Traceback (most recent call last)"]
        for frame, number in traceback.walk_tb(self.__traceback__):
            filename = frame.f_code.co_filename
            if filename.startswith(_OURS):
                break
            if f"{os.sep}IPython{os.sep}" not in filename and f"{os.sep}ipykernel{os.sep}" not in filename:
                lines.append(f"{_place(filename)}, line {number}")
                lines.append(f"----> {number} {linecache.getline(filename, number).strip()}")
        return [*lines, f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception rebuilds from `args`, which for these classes is the finished message.
        # The causes come along, since "which exception was it" matters there too.
        return _rebuild, (type(self), self.args, {**self.__dict__, "__cause__": _causes(self)})


class NotebookError(RestifiedError):
    """A file or object that cannot be called as a notebook.

    Attributes:
        path: the notebook as it was named by the caller.
        reason: what is wrong with it, one sentence.
    """

    def __init__(self, path: object, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class ParameterError(RestifiedError, TypeError):
    """Values that the Model does not take. No cell was run.

    Attributes:
        notebook: the name of the Model's notebook.
        problems: what is wrong, by the name of the parameter; all problems of a call at once.

    Example:
        >>> print(ParameterError("area.ipynb", {"widht": "is not a parameter. Did you mean 'width'?"}))
        area.ipynb: widht is not a parameter. Did you mean 'width'?
    """

    def __init__(self, notebook: str, problems: Mapping[str, str]) -> None:
        told = [f"{name} {problem}" for name, problem in problems.items()]
        super().__init__(f"{notebook}: {told[0]}" if len(told) == 1 else "\n  ".join([f"{notebook}:", *told]))
        self.notebook = notebook
        self.problems = dict(problems)


class CallError(RestifiedError):
    """A call that began, and ended before it gave its value.

    Attributes:
        result: the call's :class:`~restified_magics.core.result.Result` up to then, or None.
    """

    result: Result | None = None

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write the call as a notebook, to open and debug it: its values, its outputs, its traceback.

        It runs in Jupyter as it is, and is a Model. Outputs are there where the call was recorded, as that
        of ``run`` is.

        Args:
            path: the notebook's file, best beside the Model's, whose folder its cells expect.

        Returns:
            The path.

        Raises:
            NotebookError: the folder is not there, the name does not end in ``.ipynb``, or it is the Model's.
            OSError: the file cannot be written.

        Example:
            >>> import tempfile, restified_magics
            >>> cell = {"cell_type": "code", "metadata": {}, "source": "1 / 0", "outputs": []}
            >>> node = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
            >>> try:
            ...     restified_magics.PythonModel(node).run()
            ... except restified_magics.CellError as error:
            ...     error.save(tempfile.mkdtemp() + "/failed.ipynb").name
            'failed.ipynb'
        """
        if self.result is None:
            raise RestifiedError(f"there is no notebook to save: nothing is left of the call ({self})")
        self.result.error = self
        return self.result.save(path)


class CellError(CallError):
    """A cell of the Model raised. In the same process the exception itself is the ``__cause__``.

    Attributes:
        notebook: the path or name of the Model's notebook.
        cell: position of the cell that was running, counted from 1 over all cells of the notebook.
        cell_id: the cell's ``id`` in the file, or None where it has none.
        line: the line of that cell, counted from 1, or None where it is not known.
        source_line: the text of that line.
        ename: class name of the exception, as in an ``error`` output of nbformat.
        evalue: its message.
        traceback: the traceback as text, from the Model's first frame on.
        result: the call's :class:`~restified_magics.core.result.Result` up to the failure.
    """

    def __init__(  # noqa: PLR0913 - all of it is what the caller wants to know
        self,
        notebook: str,
        *,
        cell: int,
        cell_id: str | None,
        line: int | None,
        source_line: str,
        ename: str,
        evalue: str,
        where: str = "",
        traceback: Sequence[str] = (),
        result: Result | None = None,
    ) -> None:
        place = f"{notebook}, cell {cell}" + (f", line {line}" if line else "") + where
        super().__init__(f"{place}: {ename}: {evalue}" if evalue else f"{place}: {ename}")
        self.notebook = notebook
        self.cell = cell
        self.cell_id = cell_id
        self.line = line
        self.source_line = source_line
        self.ename = ename
        self.evalue = evalue
        self.traceback = list(traceback)
        self.result = result

    def _render_traceback_(self) -> list[str]:
        """What IPython prints for this error: the Model's own frames, none of this package."""
        return self.traceback


class ModelTimeout(CallError, TimeoutError):  # noqa: N818 - the word of the field
    """The call took longer than its ``timeout``, and was stopped.

    Attributes:
        notebook: the path or name of the Model's notebook.
        seconds: the time it was given, in seconds.
        cell: position of the cell that was running, counted from 1, or None between cells.
        stopped: False where a thread could not be stopped, since it is blocked in C code or catches
            every exception: the call was left to itself, and what it still does reaches neither a result
            nor an output.
        result: the call's :class:`~restified_magics.core.result.Result` up to then.
    """

    def __init__(
        self,
        notebook: str,
        *,
        seconds: float,
        cell: int | None = None,
        stopped: bool = True,
        result: Result | None = None,
    ) -> None:
        place = f"{notebook}, cell {cell}" if cell else notebook
        left = "" if stopped else _LEFT
        super().__init__(f"{place}: stopped after {seconds:g} s, the call's timeout{left}")
        self.notebook = notebook
        self.seconds = seconds
        self.cell = cell
        self.stopped = stopped
        self.result = result


class ModelCancelled(CallError):  # noqa: N818 - the word of the field
    """The call was cancelled while it ran.

    Attributes:
        notebook: the path or name of the Model's notebook.
        cell: position of the cell that was running, counted from 1, or None between cells.
        stopped: False where a thread could not be stopped, since it is blocked in C code or catches
            every exception: the call was left to itself, and what it still does reaches neither a result
            nor an output.
        result: the call's :class:`~restified_magics.core.result.Result` up to then.

    Example:
        >>> print(ModelCancelled("rows.ipynb", cell=4))
        rows.ipynb, cell 4: cancelled
    """

    def __init__(
        self, notebook: str, *, cell: int | None = None, stopped: bool = True, result: Result | None = None
    ) -> None:
        place = f"{notebook}, cell {cell}" if cell else notebook
        left = "" if stopped else _LEFT
        super().__init__(f"{place}: cancelled{left}")
        self.notebook = notebook
        self.cell = cell
        self.stopped = stopped
        self.result = result


class ReturnError(CallError):
    """The cells have run, and the value of the ``return`` cell cannot leave the kernel.

    Attributes:
        notebook: the path or name of the Model's notebook.
        cell: position of the ``return`` cell, counted from 1.
        reason: what it is, and what to return instead.
        result: the call's :class:`~restified_magics.core.result.Result`, without the value.

    Example:
        >>> print(ReturnError("rows.ipynb", cell=4, reason="it is a generator. Return a list of it"))
        rows.ipynb, cell 4: the value cannot be returned: it is a generator. Return a list of it
    """

    def __init__(self, notebook: str, *, cell: int, reason: str, result: Result | None = None) -> None:
        super().__init__(f"{notebook}, cell {cell}: the value cannot be returned: {reason}")
        self.notebook = notebook
        self.cell = cell
        self.reason = reason
        self.result = result


class MediaError(RestifiedError, TypeError):
    """A returned value cannot be had in the form that was asked for.

    Attributes:
        reason: what cannot be written, and what to return instead.
        offered: the media types in which the value can be had, or may be.
    """

    def __init__(self, reason: str, offered: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offered = list(offered)


class KernelDied(CallError):  # noqa: N818 - the word of the field
    """The kernel of a call ended before the call did, or did not start.

    Attributes:
        notebook: the path or name of the Model's notebook.
        reason: how it ended, and what can be done.
        cell: position of the cell that was running, counted from 1, or None between cells.
        said: the last lines that the kernel's program wrote by itself.
        result: the call's :class:`~restified_magics.core.result.Result` up to then.

    Example:
        >>> print(KernelDied("rows.ipynb", reason="the kernel was killed by SIGKILL", cell=3))
        rows.ipynb, cell 3: the kernel was killed by SIGKILL
    """

    def __init__(
        self,
        notebook: str,
        *,
        reason: str,
        cell: int | None = None,
        said: str = "",
        result: Result | None = None,
    ) -> None:
        place = f"{notebook}, cell {cell}" if cell else notebook
        super().__init__(f"{place}: {reason}" + (f". It said:\n{said}" if said else ""))
        self.notebook = notebook
        self.reason = reason
        self.cell = cell
        self.said = said
        self.result = result


class TaskDied(CallError):  # noqa: N818 - as the kernel of a call
    """The process of an isolated task ended before the task did: it crashed, or something ended it.

    Attributes:
        reason: how it ended, and what can be done.
        notebook: the path or name of the Model's notebook, where the task was a call; else empty.
        cell: position of the cell that was running, counted from 1, or None where it is not known.
        result: the call's :class:`~restified_magics.core.result.Result`, with its values; or None.

    Example:
        >>> print(TaskDied("the process of the task crashed by SIGSEGV"))
        the process of the task crashed by SIGSEGV
        >>> print(TaskDied("the process crashed by SIGSEGV", notebook="rows.ipynb", values="n=3", cell=2))
        rows.ipynb, cell 2, with n=3: the process crashed by SIGSEGV
    """

    def __init__(
        self,
        reason: str,
        *,
        notebook: str = "",
        values: str = "",
        cell: int | None = None,
        result: Result | None = None,
    ) -> None:
        place = f"{notebook}, cell {cell}" if cell else notebook
        place += f", with {values}" if values else ""
        super().__init__(f"{place}: {reason}" if place else reason)
        self.reason = reason
        self.notebook = notebook
        self.cell = cell
        self.result = result


class ModelRecursionError(RestifiedError, RecursionError):
    """Models call each other in a circle, or too deep.

    Attributes:
        chain: the notebooks of the calls, the outermost first.
    """

    def __init__(self, chain: Sequence[str]) -> None:
        shown = list(chain) if len(chain) <= 8 else [*chain[:4], "…", *chain[-3:]]
        super().__init__(
            f"Models nested {len(chain)} deep: {' → '.join(shown)}. Does one of them call itself?"
        )
        self.chain = list(chain)


def _rebuild(cls: type[RestifiedError], args: tuple[Any, ...], state: dict[str, Any]) -> RestifiedError:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__cause__ = _with_causes(state.pop("__cause__"))
    error.__dict__.update(state)
    if isinstance(error, CallError) and error.result is not None:
        error.result.error = error  # which did not cross with it, lest they hold each other
    return error


def _causes(error: BaseException) -> list[tuple[bytes | None, str]]:
    """The causes of an error, the nearest first: as bytes, and in words for who has no such class."""
    found: list[tuple[bytes | None, str]] = []
    cause = error.__cause__
    while cause is not None and len(found) < _MOST_CAUSES:
        try:
            words = f"{type(cause).__name__}: {cause}"
        except Exception:  # noqa: BLE001 - its message may be made by anything
            words = type(cause).__name__
        found.append((crossing(cause), words))
        cause = None if isinstance(cause, RestifiedError) else cause.__cause__  # ours take theirs along
    return found


def _with_causes(found: Sequence[tuple[bytes | None, str]]) -> BaseException | None:
    cause: BaseException | None = None
    for content, words in reversed(found):
        made = arrived(content)
        if made is None:
            made = RestifiedError(words)
        if cause is not None:
            made.__cause__ = cause
        cause = made
    return cause


def _place(filename: str) -> str:
    """A file as IPython calls it, which for its cells is their number."""
    from IPython import get_ipython  # it is imported: this is asked by IPython

    shell = get_ipython()
    named = shell.compile.format_code_name(filename) if shell is not None else None
    return " ".join(named) if named else filename


def show_as(error: BaseException, lines: Sequence[str]) -> None:
    """Let IPython print these lines for an exception of Python's that comes through as itself."""
    # a partial, and no function of its own, so that the exception can be pickled still
    error._render_traceback_ = functools.partial(list, list(lines))  # type: ignore[attr-defined]


def crossing(value: object) -> bytes | None:
    """A value as bytes that another process makes it of; None where it does not survive that."""
    import pickle  # here, since only crossing a process needs it

    try:
        content = pickle.dumps(value)
        pickle.loads(content)  # noqa: S301 - what was dumped just now
    except Exception:  # noqa: BLE001 - classes of a notebook's own may fail in any way
        return None
    return content


def arrived(content: bytes | None) -> Any:
    """What :func:`crossing` made the bytes of; None where there is no such class here."""
    import pickle

    try:
        return None if content is None else pickle.loads(content)  # noqa: S301 - from a process of ours
    except Exception:  # noqa: BLE001 - a module beside the notebook, a class whose making fails here
        return None


def can_cross(value: object) -> bool:
    """Whether a value survives a pickle there and back, and so can go to another process."""
    return crossing(value) is not None
