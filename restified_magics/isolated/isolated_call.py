"""A call of a Python notebook inside a process of its own: what it is given, and what it gives, as bytes.

The fork server imports this module ahead, so that a forked process has all that most calls need.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from restified_magics.core.accept import choose
from restified_magics.core.media import offered, render
from restified_magics.core.model import Model
from restified_magics.core.progress import progress_of
from restified_magics.errors import CellError, RestifiedError
from restified_magics.in_process.capture import Recorder
from restified_magics.in_process.packing import packed, unpacked
from restified_magics.in_process.shell import shell
from restified_magics.in_process.tracebacks import failure_of
from restified_magics.isolated.isolated_child import in_fork_server, report
from restified_magics.isolated.marking_model import MarkingModel

__all__ = ["Given", "NotAcceptable", "TooLarge", "Wanted", "call", "given", "rehearse", "rendered"]

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,100}")
_MOST_TEXT = 20_000  # characters of an error's message, and of each line of its traceback
_MOST_LINES = 1000
_LOOK = 0.2  # seconds between two looks at how far a call is


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A call to be made.

    Attributes:
        source: the notebook's path below `root`, or its node where it is no file.
        name: how messages call it.
        root: the folder that a path starts from.
        cwd: where its cells run; None is the notebook's own folder.
        params: the values by name.
        accept: the media types that the caller takes, an ``Accept`` header.
        timeout: seconds that the call may take, or None.
        record: keep the outputs, for the notebook of a call that failed.
        follow: tell how far the call is while it runs.
        max_result: bytes that the rendered value may have.
        max_output: characters of outputs that are kept.
        max_memory: bytes of address space that the process may use; 0 is without limit.
        packed: the notebook, read and compiled, for an isolated process.
    """

    source: str | Mapping[str, Any]
    name: str
    root: str
    cwd: str | None
    params: Mapping[str, Any]
    accept: str
    timeout: float | None
    record: bool
    follow: bool
    max_result: int
    max_output: int
    max_memory: int
    packed: bytes = b""


@dataclasses.dataclass(frozen=True)
class Given:
    """How a call went: a rendered value, or an error."""

    media_type: str = ""
    body: bytes = b""
    error: Exception | None = None


class NotAcceptable(RestifiedError):  # noqa: N818 - the word of HTTP
    """The value cannot be had in a media type that the caller takes.

    Attributes:
        offered: the media types in which it can be had.
    """

    def __init__(self, accept: str, offered: list[str]) -> None:
        super().__init__(f"the value can be had as {', '.join(offered)}, and not as {accept}")
        self.offered = offered


class TooLarge(RestifiedError):  # noqa: N818 - as above
    """The rendered value has more bytes than may be returned."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the value has {size} bytes, and at most {limit} may be returned")


def call(wanted: Wanted) -> Given:
    """Make the call in this process, which is thrown away after it."""
    os.chdir(wanted.root)
    sys.argv = [""]
    Recorder.process_limit = wanted.max_output
    _let_output_fall()
    if wanted.max_memory:
        _limit_memory(wanted.max_memory)
    return given(lambda: _model(wanted.packed, wanted.cwd), wanted)


def given(make: Callable[[], Model], wanted: Wanted) -> Given:
    """Run a Model and render its value; every error is given, none is raised."""
    model: Model | None = None
    try:
        model = make()
        with _followed(model) if wanted.follow else contextlib.nullcontext():
            if wanted.record:
                value = model.run(wanted.params, timeout=wanted.timeout).value
            else:
                value = model.execute(wanted.params, timeout=wanted.timeout)
        return rendered(value, wanted)
    except Exception as error:  # noqa: BLE001 - told to who called
        return Given(error=_bounded(error))
    except BaseException as error:  # noqa: BLE001 - a cell raised what would end a server
        return Given(error=_bounded(failure_of(error, getattr(model, "call", None), wanted.name)))


def _bounded(error: Exception) -> Exception:
    """The error as a server can use it: nobody there looks at its cause, and its message may be huge."""
    error.__cause__ = error.__context__ = None
    if isinstance(error, CellError):
        error.evalue = _cut(error.evalue)
        error.traceback = [_cut(line) for line in error.traceback[-_MOST_LINES:]]
        error.args = tuple(_cut(each) if isinstance(each, str) else each for each in error.args)
    return error


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} … ({len(text):,} characters)"


def rendered(value: Any, wanted: Wanted) -> Given:
    """The value as bytes of the media type that the caller likes best."""
    # a notebook may name a type as it likes, and the name becomes a header
    types = [media_type for media_type in offered(value) if _MEDIA_TYPE.fullmatch(media_type)]
    chosen = choose(wanted.accept, types)
    if chosen is None:
        return Given(error=NotAcceptable(wanted.accept, types))
    body = render(value, chosen)
    if len(body) > wanted.max_result:
        return Given(error=TooLarge(len(body), wanted.max_result))
    return Given(f"{chosen}; charset=utf-8" if chosen.startswith("text/") else chosen, body)


def _model(content: bytes, cwd: str | None = None) -> MarkingModel:
    notebook: Any = unpacked(content)
    return MarkingModel(notebook, scope="isolated", cwd=cwd)


@contextlib.contextmanager
def _followed(model: Any) -> Iterator[None]:
    """Report how far its call is."""
    ended = threading.Event()

    def look() -> None:
        told = None
        while not ended.wait(_LOOK):
            if model.call is None or model.call.cell is None:
                continue
            progress = progress_of(model.call)
            if progress != told:
                told = progress
                report(progress)

    threading.Thread(target=look, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _let_output_fall() -> None:
    """What C code and subprocesses write is nobody's to read; Python's output is recorded, or falls too."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _limit_memory(size: int) -> None:
    import resource  # not on Windows, where there is no such limit

    resource.setrlimit(resource.RLIMIT_AS, (size, size))


_REHEARSED = (
    ("parameters", "# How many.\n# ## Section\nx: int = 1  # Label [mm] (0..10 step 1)\ny = 'a'\nz = 2.0"),
    ("", "def f(a):\n    return a + 1\nb = [f(x) for _ in range(3)]"),
    ("return", "b"),
)


def _rehearsal() -> bytes:
    cells = [
        {"cell_type": "code", "metadata": {"tags": [tag]}, "source": source, "outputs": []}
        for tag, source in _REHEARSED
    ]
    node = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return packed(MarkingModel(node, scope="isolated").notebook)


_rehearsed = _rehearsal() if in_fork_server() else b""


def rehearse() -> None:
    """Make a call, so that the next one finds what it needs: imported, and in memory."""
    model = _model(_rehearsed or _rehearsal())
    render(model.execute({"x": 2}, timeout=60.0), "application/json")


if in_fork_server():
    shell()  # it takes longer to make than a call, and is shared by those that need one
    rehearse()
