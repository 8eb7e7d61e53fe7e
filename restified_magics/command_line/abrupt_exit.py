"""``os._exit`` in a cell ends the command with its call, and is told as the failure that it is."""

from __future__ import annotations

import contextlib
import os
import sys
import types
from collections.abc import Iterator
from typing import NoReturn

__all__ = ["abrupt_exits_told"]

_exit = os._exit
_watched: int | None = None


@contextlib.contextmanager
def abrupt_exits_told() -> Iterator[None]:
    """While this lasts, ``os._exit`` of this process says where it was called, and is exit code 1.

    Whatever status the cell gives: there is no value, and 0 would say that there is. A process that a cell
    has forked ends as ever.
    """
    global _watched
    before = _watched, os._exit
    _watched, os._exit = os.getpid(), exit_told
    try:
        yield
    finally:
        _watched, os._exit = before


def exit_told(status: int) -> NoReturn:
    """``os._exit`` meanwhile; a function that another process can import, as what it stands for is."""
    if os.getpid() == _watched:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(OSError):
            text = f"os._exit({status}) ended the call and restified with it, so that there is no value"
            os.write(2, f"Error: {_place()}{text}. Take it out, or raise an exception\n".encode())
        status = 1
    _exit(status)


def _place() -> str:
    """The innermost line of a cell that this thread is in."""
    from restified_magics.in_process.program import cell_of  # other engines and most calls do not need it

    frame: types.FrameType | None = sys._getframe()
    while frame is not None:
        where = cell_of(frame.f_code.co_filename)
        if where is not None:
            return f"{where[0]}, cell {where[1]}, line {frame.f_lineno}: "
        frame = frame.f_back
    return ""
