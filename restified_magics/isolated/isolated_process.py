"""A process that does tasks, one after the other, seen from the process that wants them done."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.process
import multiprocessing.resource_tracker
import multiprocessing.util
import os
import pickle
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from restified_magics.core.process_tree import descendants, how_it_ended
from restified_magics.errors import TaskDied
from restified_magics.in_kernel.warden import warden
from restified_magics.isolated.isolated_child import RAISED, REPORT, Child, serve
from restified_magics.isolated.mark import Mark, shared_memory

__all__ = ["Initializer", "IsolatedProcess", "NotStarted", "can_fork"]

Initializer = Callable[[], object] | None

_HEADER = struct.Struct("!cQ")
_GONE = 1.0  # seconds: a killed process is gone at once, unless the machine has no time at all
_SILENCE = 10  # seconds in the middle of a message
_LONGEST_SOCKET = 103  # bytes of its path: `sun_path` of macOS without its end; Linux has four more
_ATTEMPTS = 20  # rounds of ending what a task started; a process that has ended starts nothing new


class NotStarted(Exception):  # noqa: N818 - no error of a task: it never began
    """The process was gone before it had the task."""


def can_fork() -> bool:
    """Whether there is a fork server here."""
    return "forkserver" in multiprocessing.get_all_start_methods()


class IsolatedProcess:
    """A process that waits for a task, and for another one when it has told how that went.

    Args:
        preload: modules that the fork server has imported.
        fork: fork it from the server; else it is a new Python, which takes much longer.
        initializer: what it does before it waits.
    """

    def __init__(self, preload: Sequence[str], *, fork: bool, initializer: Initializer = None) -> None:
        self._lock = threading.Lock()
        self._closed = self._killed = False
        self._began: float | None = None
        self._tasks = 0
        self._connection, theirs = multiprocessing.Pipe()
        _let_go_of_silence(self._connection)
        with contextlib.ExitStack() as undo:
            undo.callback(self._connection.close)
            with theirs:
                self._handle: _Forked | _Spawned = (
                    _Forked(theirs, preload, initializer) if fork else _Spawned(theirs, initializer)
                )
            undo.pop_all()
        self.pid = self._handle.pid
        watching = warden()
        if watching is not None:
            watching.watch(self.pid, os.devnull)

    @property
    def usable(self) -> bool:
        """Whether it waits for a task."""
        return not self._killed and not wait([self._handle.sentinel], 0)

    @property
    def age(self) -> float:
        """Seconds since it was given its first task; 0 if it was given none."""
        return 0.0 if self._began is None else time.monotonic() - self._began

    def send(self, content: bytes) -> None:
        """Give it a task.

        Raises:
            NotStarted: it is gone.
        """
        self._tasks += 1
        if self._began is None:
            self._began = time.monotonic()
        if self._handle.mark is not None:
            self._handle.mark.clear()  # of the task before
        try:
            self._connection.send_bytes(content)
        except OSError as error:
            raise NotStarted from error

    def outcome(self, seconds: float | None, hear: Callable[[Any], None]) -> Any:
        """What the task returned, or raise what it raised.

        Args:
            seconds: how long it may take, or None.
            hear: gets what it reports meanwhile.

        Raises:
            TimeoutError: it took longer.
            TaskDied: its process ended before the task did.
        """
        latest = None if seconds is None else time.monotonic() + seconds
        try:
            while True:
                kind, content = self._message(latest)
                if kind != REPORT:
                    break
                hear(pickle.loads(content))  # noqa: S301 - from a process of ours
        except _TimeIsUp:
            raise TimeoutError(f"the task was stopped after {seconds:g} s, its timeout") from None
        except (EOFError, OSError):
            self.kill()
            raise TaskDied(f"the process of the task {how_it_ended(self._handle.exit_code())}") from None
        if kind == RAISED:
            error, text = pickle.loads(content)  # noqa: S301
            error.add_note(f"In the process of the task:\n{text}")
            raise error
        return pickle.loads(content)  # noqa: S301

    def _message(self, latest: float | None) -> tuple[bytes, bytearray]:
        first = self._piece(latest)
        kind, size = _HEADER.unpack_from(first)
        content = bytearray(memoryview(first)[_HEADER.size :])
        while len(content) < size:
            content += self._piece(latest)
        return kind, content

    def _piece(self, latest: float | None) -> bytes:
        left = None if latest is None else latest - time.monotonic()
        if left is not None and left <= 0:
            raise _TimeIsUp
        ready = wait([self._connection, self._handle.sentinel], left)
        if not ready:
            raise _TimeIsUp
        if self._connection not in ready:
            raise EOFError  # ended, though what it started may still hold the connection
        return self._connection.recv_bytes()

    @property
    def where(self) -> tuple[int, int] | None:
        """The call and the cell at which its task is, or was; 0 is none. None where that is not known."""
        mark = self._handle.mark
        return None if mark is None else (mark.numbers[0], mark.numbers[1])

    @property
    def ended_between(self) -> bool:
        """Whether it has ended after a task, before it began with the next one that it was given."""
        return self._tasks > 1 and self.where == (0, 0)

    def kill(self) -> None:
        """End it, and all that it has started, at once; from any thread, more than once too."""
        with self._lock:
            if not self._killed:
                self._killed = True
                # one that has ended may have left its group, but its number may be another's by now
                _end_all(self.pid, leader=not wait([self._handle.sentinel], 0))

    def close(self) -> None:
        """End it, wait until it is gone, and let go of it."""
        self.kill()
        with self._lock:
            if self._closed:
                return
            self._closed = True
            wait([self._handle.sentinel], _GONE)
            self._connection.close()
            self._handle.close()
        watching = warden()
        if watching is not None:
            watching.forget(self.pid)


def _let_go_of_silence(connection: Connection) -> None:
    """Do not wait for ever for the rest of a message: what a task has forked may write there as well."""
    if os.name == "posix":
        with socket.socket(fileno=os.dup(connection.fileno())) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _SILENCE, 0))


class _TimeIsUp(Exception):  # noqa: N818 - a `TimeoutError` is an `OSError`, and the connection raises those
    pass


# ---------------------------------------------------------------- two ways to start

_servers: dict[tuple[int, tuple[str, ...]], multiprocessing.forkserver.ForkServer] = {}
_making = threading.Lock()


def _server(preload: Sequence[str]) -> multiprocessing.forkserver.ForkServer:
    """The fork server of this process that has imported these; it ends with this process."""
    key = (os.getpid(), tuple(preload))
    with _making:
        if key not in _servers:
            server = multiprocessing.forkserver.ForkServer()
            server.set_forkserver_preload(["restified_magics.isolated.isolated_child", *preload])
            _servers[key] = server
        return _servers[key]


def _begun(server: multiprocessing.forkserver.ForkServer) -> None:
    """Start a fork server that Ctrl-C does not reach: it imports for a while before it ignores it by itself.

    Its children inherit that, and unblock it: see :meth:`Child._bootstrap`.
    """
    _have_room_for_sockets()
    # it unblocks the signals that it has blocked itself, so that it has to run before
    multiprocessing.resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        server.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _have_room_for_sockets() -> None:
    """Let multiprocessing have a folder where the path of a socket has room, if ``TMPDIR`` leaves none.

    Newer versions of Python do so themselves: https://github.com/python/cpython/issues/132124.
    """
    config: dict[str, Any] = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    with _making:
        if _has_room(config.get("tempdir") or os.path.join(tempfile.gettempdir(), "pymp-12345678")):
            return
        folder = tempfile.mkdtemp(prefix="pymp-", dir="/tmp")  # as short as POSIX has it
        multiprocessing.util.Finalize(None, shutil.rmtree, args=(folder,), exitpriority=-100)
        config["tempdir"] = folder


def _has_room(folder: str) -> bool:
    return len(os.fsencode(os.path.join(folder, "listener-12345678"))) <= _LONGEST_SOCKET


class _Forked:
    """Forked from a server, the standard library's, without importing the parent's ``__main__``."""

    def __init__(self, theirs: Connection, preload: Sequence[str], initializer: Initializer) -> None:
        server = _server(preload)
        _begun(server)
        memory = shared_memory()
        try:
            self.mark: Mark | None = Mark(memory)
            with _server_needed(preload):
                self.sentinel, writing = server.connect_to_new_process([theirs.fileno(), memory])
        finally:
            os.close(memory)
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, self.sentinel)
            with _server_needed(preload):
                with open(writing, "wb") as pipe:
                    pipe.write(pickle.dumps({}) + pickle.dumps(Child(initializer)))
                self.pid: int = multiprocessing.forkserver.read_signed(self.sentinel)
            undo.pop_all()

    def exit_code(self) -> int | None:
        """What it ended with, once it has; None where the server cannot tell."""
        if not wait([self.sentinel], 1.0):
            return None
        try:
            code: int = multiprocessing.forkserver.read_signed(self.sentinel)
        except (OSError, EOFError):
            return None
        return code

    def close(self) -> None:
        os.close(self.sentinel)
        if self.mark is not None:
            self.mark.close()


@contextlib.contextmanager
def _server_needed(preload: Sequence[str]) -> Iterator[None]:
    try:
        yield
    except (ConnectionError, EOFError):
        raise TaskDied(
            "the fork server ended. Does one of the modules that it imports ahead end or crash Python? "
            f"They are: {', '.join(preload) or 'none'}"
        ) from None


class _Spawned:
    """A new Python, where there is no fork."""

    mark: Mark | None = None

    def __init__(self, theirs: Connection, initializer: Initializer) -> None:
        self._process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(theirs, initializer), daemon=True
        )
        self._process.start()
        self.sentinel = self._process.sentinel
        self.pid: int = self._process.pid or 0

    def exit_code(self) -> int | None:
        """What it ended with, once it has."""
        self._process.join(1.0)
        return self._process.exitcode

    def close(self) -> None:
        self._process.join()
        self._process.close()


# ------------------------------------------------------------------------ ending


def _end_all(pid: int, *, leader: bool) -> None:
    """Kill a process if it is there, its group, and on Linux whatever else descends from it."""
    if not hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)  # on Windows that ends a process at once
        return
    if leader and sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)  # from here on it starts nothing
        for _ in range(_ATTEMPTS):
            # orphans are its children, since it is a subreaper
            living = [child for child in descendants(pid) if _is_living(child)]
            if not living:
                break
            for child in living:
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    if leader:  # before it is a group, it is a process
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _is_living(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
