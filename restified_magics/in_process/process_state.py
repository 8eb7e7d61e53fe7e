"""What a process has only once: the folder, ``sys.path``, ``sys.argv``, ``__main__``, the shell's names.

Calls that need it alike run side by side, others wait for each other. A call that waits for a
nested one does not run meanwhile, so that its hold is lent to it: no order of nesting deadlocks.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import sys
import threading
import types
from collections.abc import AsyncIterator, Callable
from typing import Any

from restified_magics.in_process.local_modules import swap_in
from restified_magics.in_process.shell import GLOBALS

__all__ = ["Hold", "held", "held_async", "release"]


@dataclasses.dataclass(eq=False, slots=True)
class Hold:
    """What one call needs of the process, and whether it has it.

    Attributes:
        version: the notebook that runs.
        folder: the current folder and first entry of ``sys.path``; None leaves both.
        main: the call's own ``__main__``; None leaves it, so that calls can share the rest.
        shell: the shell whose names become those of `main`; None leaves them.
        parent: the hold of the call that this one is nested in, which waits for it.
    """

    version: object
    folder: str | None
    main: types.ModuleType | None = None
    shell: Any = None
    parent: Hold | None = None
    group: _Group | None = None
    thread: int = 0
    lent: int = 0

    def fits(self, group: _Group) -> bool:
        """Whether it can run beside the members of the group."""
        return self.main is None and group.main is None and self.folder == group.folder


class _Group:
    """Calls that need the same and run side by side. Groups nest as calls do; the last is in force."""

    __slots__ = ("folder", "main", "members", "nested", "undo")

    def __init__(self, hold: Hold, *, nested: bool) -> None:
        self.folder = hold.folder
        self.main = hold.main
        self.nested = nested
        self.members: set[Hold] = set()
        self.undo = _apply(hold)


_lock = threading.Lock()
_changed = threading.Condition(_lock)
_groups: list[_Group] = []
_waiting: collections.deque[Hold] = collections.deque()
_wakers: dict[Hold, Callable[[], object]] = {}


class held:  # noqa: N801 - reads as a verb: `with held(hold)`
    """Wait until the process is as `hold` needs it, and put everything back afterwards."""

    __slots__ = ("_hold",)

    def __init__(self, hold: Hold) -> None:
        self._hold = hold

    def __enter__(self) -> None:
        hold = self._hold
        with _lock:
            if not _granted(hold):
                _enqueue(hold)
                try:
                    while not _granted(hold):
                        _changed.wait()
                finally:
                    _dequeue(hold)

    def __exit__(self, *error: object) -> None:
        release(self._hold)


@contextlib.asynccontextmanager
async def held_async(hold: Hold) -> AsyncIterator[None]:
    """As `held`, without blocking the event loop meanwhile."""
    with _lock:
        granted = _granted(hold, blocking=False)
        if not granted:
            _enqueue(hold)
    if not granted:
        import asyncio  # slow to import, and a call in a thread does not need it

        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        _wakers[hold] = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            while True:
                with _lock:
                    if _granted(hold, blocking=False):
                        break
                await woken.wait()
                woken.clear()
        finally:
            with _lock:
                del _wakers[hold]
                _dequeue(hold)
    try:
        yield
    finally:
        release(hold)


def release(hold: Hold) -> None:
    """Give up a hold; a second time does nothing, so that a call may be given up from outside."""
    with _lock:
        group = hold.group
        if group is None:
            return
        hold.group = None
        group.members.discard(hold)
        if hold.parent is not None:
            hold.parent.lent -= 1
        # a group below the one in force ends when those above it have ended
        while _groups and not _groups[-1].members:
            _groups.pop().undo()
        _wake()


def _enqueue(hold: Hold) -> None:
    _waiting.append(hold)
    if hold.parent is not None:
        hold.parent.lent += 1  # it waits for this call, and so does not run


def _dequeue(hold: Hold) -> None:
    _waiting.remove(hold)
    if hold.parent is not None:
        hold.parent.lent -= 1
    _wake()  # the next in the queue may go along


def _wake() -> None:
    if _waiting:
        _changed.notify_all()
        for waker in list(_wakers.values()):
            with contextlib.suppress(RuntimeError):  # its loop is closed, and nobody waits there
                waker()


def _granted(hold: Hold, *, blocking: bool = True) -> bool:
    """Let the hold join the group in force, or begin a new one, if that disturbs no call that runs.

    A call with `blocking` keeps its thread until it ends, so that others of the same thread, which
    wait in an event loop, do not run meanwhile either.
    """
    hold.thread = threading.get_ident()
    top = _groups[-1] if _groups else None
    parent = hold.parent if hold.parent is not None and hold.parent.group is not None else None
    first = not _waiting or _waiting[0] is hold
    if top is None:
        if not first:
            return False
    elif parent is not None:
        if top is not parent.group:
            return False
        if not hold.fits(top):
            if not all(_rests(member, hold, blocking) for member in top.members):
                return False
            top = None
    elif hold.fits(top) and not top.nested:
        if not first:
            return False
    elif blocking and any(member.thread == hold.thread for member in top.members):
        if not all(_rests(member, hold, blocking) for member in top.members):
            return False
        top = None
    else:
        return False
    if top is None:
        top = _Group(hold, nested=bool(_groups))
        _groups.append(top)
    top.members.add(hold)
    hold.group = top
    if hold.parent is not None:
        hold.parent.lent += 1
    return True


def _rests(member: Hold, hold: Hold, blocking: bool) -> bool:
    """Whether a call cannot run while `hold` does."""
    return member is hold.parent or member.lent > 0 or (blocking and member.thread == hold.thread)


def _apply(hold: Hold) -> Callable[[], None]:
    """Make the process what `hold` needs, and return what puts it back."""
    try:
        folder: str | None = os.getcwd()
    except OSError:  # the current folder was removed
        folder = None
    path, entries = sys.path, list(sys.path)
    argv, arguments = sys.argv, list(sys.argv)
    main = sys.modules.get("__main__")
    shell = hold.shell
    names = (shell.user_module, shell.user_ns, shell.user_ns_hidden) if shell is not None else None
    swap_out: Callable[[], None] | None = None
    if hold.folder is not None:
        if hold.folder != folder:
            os.chdir(hold.folder)
        if not entries or entries[0] != hold.folder:
            path.insert(0, hold.folder)
        swap_out = swap_in(hold.folder, hold.version)
    if hold.main is not None:
        sys.modules["__main__"] = hold.main
        if shell is not None:
            own = hold.main.__dict__
            shell.user_module, shell.user_ns = hold.main, own
            # what `%who` does not list: names that the cells have not made
            hidden = {**GLOBALS, "In": own.get("_ih"), "Out": own.get("_oh")}
            shell.user_ns_hidden = {**shell.user_ns_hidden, **hidden}

    def undo() -> None:
        if shell is not None and names is not None:
            shell.user_module, shell.user_ns, shell.user_ns_hidden = names
        if main is not None:
            sys.modules["__main__"] = main
        if swap_out is not None:
            swap_out()
        path[:] = entries
        sys.path = path
        argv[:] = arguments
        sys.argv = argv
        if folder is not None:
            try:  # noqa: SIM105 - `suppress` costs more than all the rest here
                os.chdir(folder)
            except OSError:  # it was removed by the call
                pass

    return undo
