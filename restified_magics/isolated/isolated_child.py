"""What runs inside an isolated process: it waits for a task, does it, and tells how it went.

The fork server imports this module before it forks, so that a forked process has it at hand.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.spawn
import os
import pickle
import signal
import struct
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from restified_magics.isolated.mark import Mark

__all__ = [
    "PIECE",
    "RAISED",
    "REPORT",
    "VALUE",
    "Child",
    "in_fork_server",
    "marks",
    "report",
    "serve",
]

#: Bytes of a message that are sent at once, so that who receives can look at the clock in between.
PIECE = 1 << 20

#: What a message is.
VALUE, RAISED, REPORT = b"v", b"e", b"r"

_SUBREAPER = 36  # prctl: who loses its parent below this process becomes its child

#: Parameters of glibc's mallopt. A process of one task gives no memory back before it ends, or it would touch
#: new pages at every array; these are the values that the allocator itself arrives at in a process that lives
#: (`DEFAULT_MMAP_THRESHOLD_MAX`, and twice that).
_MALLOPT = {-3: 32 << 20, -1: 64 << 20}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD: bytes

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_parent: Connection | None = None
_mark: Mark | None = None
_nowhere = memoryview(bytearray(16)).cast("q")
_own = 0  # this process, as its task began
_getpid = os.getpid  # of the interpreter, whatever a cell puts in its place
_handlers: dict[int, Any] = {}  # what the server was started with, of signals that it ignores


class Child:
    """What the fork server's child is told to be: the standard library asks it to `_bootstrap`.

    Args:
        initializer: what it does before it waits for its task.
    """

    def __init__(self, initializer: Callable[[], object] | None) -> None:
        self._initializer = initializer

    def _bootstrap(self, _parent_sentinel: object = None) -> int:
        inherited: Sequence[int] = multiprocessing.forkserver.get_inherited_fds() or ()
        # a task that uses multiprocessing's fork server gets one of its own, which ends with it
        _renew_fork_server()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the server was started without
        for number, handler in _handlers.items():
            signal.signal(number, handler)
        serve(Connection(inherited[0]), self._initializer, Mark(inherited[1]))
        return 0


def _renew_fork_server() -> None:
    server: Any = multiprocessing.forkserver._forkserver
    with contextlib.suppress(OSError):
        os.close(server._forkserver_alive_fd)
    server.__init__()


def serve(
    connection: Connection, initializer: Callable[[], object] | None = None, mark: Mark | None = None
) -> None:
    """Wait for a task, do it, and wait for another one or to be killed."""
    global _mark, _own, _parent
    _be_alone()
    _write_by_lines()
    # a spawned one is a daemon, so that its parent need not wait for it; it may have children all the same
    process: Any = multiprocessing.process.current_process()
    process._config["daemon"] = False
    if initializer is not None and not connection.poll():  # while there is time
        initializer()
    _parent, _mark, _own = connection, mark, _getpid()
    with contextlib.suppress(EOFError, OSError):  # nobody needs this process any more
        while True:
            # killed where it waits, together with all that a task left running
            kind, told = _done(connection.recv_bytes())
            if _getpid() != _own:  # the task forked, and this is not the process that was asked
                os._exit(0)
            _flush()
            _tell(kind, told)


def _done(content: bytes) -> tuple[bytes, bytes]:
    """Do a task: what to tell of it, and which kind of message that is."""
    gc.enable()  # the server has none, so that no page of it is copied for nothing
    try:
        setting, task = pickle.loads(content)  # noqa: S301 - from the parent process
        _prepare(setting)
        function, args, kwargs = _Unpickler(io.BytesIO(task), setting["main"]).load()
        del content, task  # which may be large
        return VALUE, pickle.dumps(function(*args, **kwargs), protocol=5)
    except BaseException as error:  # noqa: BLE001 - raised again by who waits
        return RAISED, _picked(error)


def report(value: object) -> bool:
    """Tell something to who waits for this task, while it runs: see `IsolatedExecutor.submit_heard`.

    Returns:
        Whether it was told. Outside an isolated process nobody listens.
    """
    if _parent is None or _getpid() != _own:
        return False
    try:
        _tell(REPORT, pickle.dumps(value, protocol=5))
    except OSError:
        return False
    return True


def marks() -> memoryview:
    """Two numbers that who waits for the task can read when its process is gone: ``future.where``.

    They are the call, of several, that the task makes, and the cell that runs, counted from 1. Outside an
    isolated process nobody reads them.
    """
    return _nowhere if _mark is None or _getpid() != _own else _mark.numbers


def _tell(kind: bytes, content: bytes) -> None:
    assert _parent is not None  # noqa: S101 - it was there when the task came
    view = memoryview(content)
    _parent.send_bytes(b"".join((kind, struct.pack("!Q", len(content)), view[:PIECE])))
    for start in range(PIECE, len(content), PIECE):
        _parent.send_bytes(view[start : start + PIECE])


def _be_alone() -> None:
    """Be a session and process group that can be killed with all that it starts."""
    if hasattr(os, "setsid"):
        with contextlib.suppress(OSError):
            os.setsid()
    if _libc is not None:
        _libc.prctl(_SUBREAPER, 1, 0, 0, 0)


def _write_by_lines() -> None:
    """Each line that is printed goes out at once and whole, so that those of several processes do not mix."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # there is none where there is no stream
        if reconfigure is not None:
            reconfigure(line_buffering=True, write_through=False)


def _prepare(setting: Mapping[str, Any]) -> None:
    """Take over what the parent is now; the server was started at another time."""
    if setting["environ"] != os.environ:
        os.environ.clear()
        os.environ.update(setting["environ"])
    sys.path[:] = setting["path"]
    sys.argv = list(setting["argv"])
    if setting["cwd"] is not None:
        os.chdir(setting["cwd"])
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:  # Python's own generator is reseeded by the fork
        numpy.seed()


class _Unpickler(pickle.Unpickler):
    """Imports the parent's ``__main__`` only for a task that is defined there: it may be a whole program."""

    def __init__(self, file: io.BytesIO, main: Mapping[str, str]) -> None:
        super().__init__(file)
        self._main = main

    def find_class(self, module: str, name: str, /) -> Any:
        if module == "__main__" and self._main:
            multiprocessing.spawn.prepare(dict(self._main))
            self._main = {}
        return super().find_class(module, name)


def _picked(error: BaseException) -> bytes:
    """The exception as it can cross, with its traceback as text."""
    text = "".join(traceback.format_exception(error))
    for each in (error, RuntimeError(f"{type(error).__name__}: {error}")):
        try:
            content = pickle.dumps((each, text), protocol=5)
            pickle.loads(content)  # noqa: S301 - what was dumped just now
        except Exception:  # noqa: BLE001, S112 - classes of a task's own may fail in any way
            continue
        return content
    return pickle.dumps((RuntimeError(type(error).__name__), text))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # what a task left there may raise anything
            stream.flush()


def in_fork_server() -> bool:
    """Whether this process is a fork server: its program is one line that names its function."""
    return getattr(sys.modules["__main__"], "main", None) is multiprocessing.forkserver.main


def _become_server() -> None:
    """Make this process a good fork server: what it has imported is shared by all children as it is."""
    sys.path[:] = [entry for entry in sys.path if entry]  # what happens to lie in its folder is no module
    if _libc is not None:
        _keep_memory(_libc)
        _libc.prctl(_SUBREAPER, 1, 0, 0, 0)  # it takes in the orphans of killed tasks, without a word
    warnings.filterwarnings("ignore", message="forkserver: waitpid returned unexpected pid")
    # it ends, and leaves no file behind, when it is not needed: also if all of a terminal is told to end
    for number in (signal.SIGTERM, signal.SIGHUP):
        _handlers[number] = signal.signal(number, signal.SIG_IGN)
    gc.disable()
    os.register_at_fork(before=gc.freeze)


def _keep_memory(libc: ctypes.CDLL) -> None:
    mallopt = getattr(libc, "mallopt", None)  # only glibc has it
    if mallopt is not None:
        for parameter, size in _MALLOPT.items():
            mallopt(parameter, size)


if in_fork_server():
    _become_server()
