"""The outputs of a call, as nbformat outputs of its cells, whatever thread or task they come from."""

from __future__ import annotations

import contextlib
import copy
import io
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TextIO

from restified_magics.core.calls import current_call

__all__ = ["DROP", "Recorder", "drop_outputs", "follow_threads", "give_streams_back", "recording"]


class Recorder:
    """Collects outputs, cell by cell, as a notebook file keeps them.

    Args:
        cells: how many cells the notebook has.
        echo: pass outputs on to where they would go unrecorded.
        outer: the sink of the call around this one, or None where there is none.
        limit: characters of outputs that are kept; None is what holds for all of the process.

    Attributes:
        outputs: for each cell of the notebook its outputs, nbformat 4 dicts.
        process_limit: the limit of all calls of a process; None is without limit.
    """

    process_limit: ClassVar[int | None] = None

    def __init__(
        self, cells: int, *, echo: bool = False, outer: Any = None, limit: int | None = None
    ) -> None:
        self.limit = self.process_limit if limit is None else limit
        self.echo = echo
        self.outer = outer
        self.outputs: list[list[dict[str, Any]]] = [[] for _ in range(cells)]
        self._cell = 0
        self._clear_next = False
        self._shown: dict[str, list[dict[str, Any]]] = {}
        self._size = 0
        self._lock = threading.Lock()

    def begin(self, number: int) -> None:
        """Outputs belong to the cell of this number (from 1) now."""
        with self._lock:
            self._cell = number - 1
            self._clear_next = False

    def write(self, stream: str, text: str) -> None:
        """Text printed to ``stdout`` or ``stderr``."""
        if not text:
            return
        with self._lock:
            room = None if self.limit is None else max(self.limit - self._size, 0)
            kept = text[:room]
            if kept:
                outputs = self._ready()
                if outputs and outputs[-1].get("name") == stream:
                    # the text is held by one name only while it grows, or each print would copy all of it
                    last = outputs[-1]
                    written, last["text"] = last["text"], ""
                    written += kept
                    last["text"] = written
                else:
                    outputs.append({"output_type": "stream", "name": stream, "text": kept})
            self._has_room(len(text))

    def display(
        self,
        data: dict[str, Any],
        metadata: dict[str, Any] | None,
        transient: dict[str, Any] | None,
        update: bool,
    ) -> None:
        """A displayed object; with `update`, in the place of those with the same display id."""
        identity = (transient or {}).get("display_id")
        with self._lock:
            if update:
                for output in self._shown.get(str(identity), ()):
                    output.update(data=_jsonable(data), metadata=_jsonable(metadata or {}))
                return
            self._add(
                {
                    "output_type": "display_data",
                    "data": _jsonable(data),
                    "metadata": _jsonable(metadata or {}),
                },
                identity,
            )

    def result(self, data: dict[str, Any], metadata: dict[str, Any]) -> None:
        """The value of a cell's last expression."""
        with self._lock:
            self._add(
                {
                    "output_type": "execute_result",
                    "execution_count": None,
                    "data": _jsonable(data),
                    "metadata": _jsonable(metadata),
                },
                None,
            )

    def error(self, ename: str, evalue: str, traceback: list[str]) -> None:
        """The exception that a cell raised."""
        with self._lock:
            self._add(
                {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": traceback}, None
            )

    def clear(self, *, wait: bool) -> None:
        """`clear_output`: at once, or when the next output comes."""
        with self._lock:
            self._clear_next = True
            if not wait:
                self._ready()

    def _add(self, output: dict[str, Any], identity: object) -> None:
        if not self._has_room(sum(len(str(value)) for value in output.get("data", {}).values())):
            return
        self._ready().append(output)
        if identity is not None:
            self._shown.setdefault(str(identity), []).append(output)

    def _has_room(self, size: int) -> bool:
        """Whether so many characters more are kept; who comes too late leaves a note, once."""
        if self.limit is None or self._size > self.limit:
            return self.limit is None
        self._size += size
        if self._size > self.limit:
            note = f"[outputs after {self.limit} characters are left out]\n"
            self._ready().append({"output_type": "stream", "name": "stderr", "text": note})
            return False
        return True

    def _ready(self) -> list[dict[str, Any]]:
        outputs = self.outputs[self._cell]
        if self._clear_next:
            self._clear_next = False
            outputs.clear()
        return outputs


class _Drop:
    """Takes the outputs of a call that was given up, and lets them fall."""

    echo = False

    def write(self, stream: str, text: str) -> None: ...
    def display(self, *args: Any) -> None: ...
    def clear(self, *, wait: bool) -> None: ...


DROP = _Drop()


def _jsonable(data: dict[str, Any]) -> dict[str, Any]:
    """A copy that later changes of the objects do not reach; bytes as base64, as Jupyter sends them."""
    import base64  # rarely needed: formatters encode images themselves

    return {
        key: base64.b64encode(value).decode() if isinstance(value, bytes) else copy.deepcopy(value)
        for key, value in data.items()
    }


# ----------------------------------------------------------------- the routes


def _sinks() -> Iterator[Any]:
    """Where an output goes, from the innermost call on; None at last is where it goes unrecorded."""
    call = current_call()
    sink = call.sink if call is not None else None
    while sink is not None:
        yield sink
        if not sink.echo:
            return
        sink = sink.outer
    yield None


class _Stream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` while calls are recorded: each call's text goes to its own sink."""

    def __init__(self, name: str, inner: TextIO) -> None:
        super().__init__()
        self._name = name
        self._inner = inner

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        for sink in _sinks():
            if sink is None:
                self._inner.write(text)
            else:
                sink.write(self._name, text)
        return len(text)

    def flush(self) -> None:
        # one that a Model has kept may outlive what it writes to, and is flushed when it goes away
        if not getattr(self._inner, "closed", False):
            self._inner.flush()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return next(_sinks()) is None and self._inner.isatty()

    def fileno(self) -> int:
        return self._inner.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._inner, "encoding", None) or "utf-8"

    @property
    def buffer(self) -> Any:
        return self._inner.buffer if next(_sinks()) is None else _Bytes(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Bytes(io.RawIOBase):
    """``sys.stdout.buffer`` of a recorded call."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self._stream = stream

    def write(self, data: Any) -> int:
        self._stream.write(bytes(data).decode(self._stream.encoding, "replace"))
        return len(data)

    def writable(self) -> bool:
        return True


def _publisher(inner: Any) -> Any:
    """IPython's display publisher with a route for recorded calls before the one that was there."""
    from IPython.core.displaypub import DisplayPublisher

    class _Publisher(DisplayPublisher):  # type: ignore[misc]
        def publish(
            self,
            data: dict[str, Any],
            metadata: dict[str, Any] | None = None,
            source: Any = None,  # noqa: ARG002 - of IPython's signature, and unused there too
            *,
            transient: dict[str, Any] | None = None,
            update: bool = False,
            **options: Any,
        ) -> None:
            for sink in _sinks():
                if sink is None:
                    inner.publish(data, metadata, transient=transient, update=update, **options)
                else:
                    sink.display(data, metadata, transient, update)

        def clear_output(self, wait: bool = False) -> None:
            for sink in _sinks():
                if sink is None:
                    inner.clear_output(wait)
                else:
                    sink.clear(wait=wait)

        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

    return _Publisher(parent=inner.parent)


_STREAMS = ("stdout", "stderr")
_lock = threading.Lock()
_recorded = 0
_routes: dict[str, Any] = {}


@contextlib.contextmanager
def recording(shell: Any = None) -> Iterator[None]:
    """Send what calls print, and display on `shell`, to their sinks."""
    _install(shell)
    try:
        yield
    finally:
        _uninstall()


def drop_outputs() -> Callable[[], None]:
    """Keep the routes for a call that was given up and may still print, until what is returned is called."""
    _install(None)
    return _uninstall


def give_streams_back(streams: tuple[Any, Any]) -> None:
    """Make these ``sys.stdout`` and ``sys.stderr`` again, routed exactly where calls are recorded now."""
    with _lock:
        for name, stream in zip(_STREAMS, streams, strict=True):
            wanted, found = _unrouted(stream), getattr(sys, name)
            routed = bool(_recorded) and wanted is not None
            if _unrouted(found) is not wanted or isinstance(found, _Stream) != routed:
                setattr(sys, name, _Stream(name, wanted) if routed else wanted)


def _unrouted(stream: Any) -> Any:
    return stream._inner if isinstance(stream, _Stream) else stream


def _install(shell: Any) -> None:
    global _recorded
    with _lock:
        _recorded += 1
        for name in _STREAMS:
            stream = getattr(sys, name)
            if not isinstance(stream, _Stream) and stream is not None:
                setattr(sys, name, _Stream(name, stream))
        if shell is not None and "publisher" not in _routes:
            formatter = shell.display_formatter
            _routes["publisher"] = shell, shell.display_pub, formatter.active_types
            shell.display_pub = _publisher(shell.display_pub)
            formatter.active_types = formatter.format_types  # a terminal shows text only


def _uninstall() -> None:
    global _recorded
    with _lock:
        _recorded -= 1
        if _recorded:
            return
        for name in _STREAMS:
            setattr(sys, name, _unrouted(getattr(sys, name)))
        if "publisher" in _routes:
            shell, publisher, types = _routes.pop("publisher")
            shell.display_pub, shell.display_formatter.active_types = publisher, types


# --------------------------------------------------------- threads of a Model


def _start_in_call(start: Any) -> Any:
    def started(self: threading.Thread) -> None:
        call = current_call()
        if call is not None:
            self._restified_call = call  # type: ignore[attr-defined]
        start(self)

    started._restified = True  # type: ignore[attr-defined]
    return started


def follow_threads() -> None:
    """Let a thread that a cell starts belong to its call; Python passes no context to threads."""
    if not hasattr(threading.Thread.start, "_restified"):
        threading.Thread.start = _start_in_call(threading.Thread.start)  # type: ignore[method-assign]
