"""A process with all that it has started, also in sessions of their own, and their end.

Only the standard library is used, and nothing of this package: the warden executes this source, too.
"""

from __future__ import annotations

import contextlib
import os
import signal

__all__ = ["descendants", "end_tree", "how_it_ended"]


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have; where the system tells."""
    found: list[int] = []
    todo = [pid]
    while todo:
        folder = f"/proc/{todo.pop()}/task"
        with contextlib.suppress(OSError, ValueError):  # it ends while it is looked at
            for task in os.listdir(folder):
                with open(f"{folder}/{task}/children") as file:
                    children = [int(child) for child in file.read().split()]
                found += children
                todo += children
    return found


def end_tree(group: int) -> None:
    """Kill a process group, and all that its leader has started and that still belongs to it.

    Args:
        group: the group's number, which is that of its leader's process.
    """
    left = descendants(group)
    with contextlib.suppress(OSError):
        os.killpg(group, signal.SIGKILL)
    for child in left:
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL)


def how_it_ended(code: int | None) -> str:
    """An exit code in words that go on after the name of a process.

    Example:
        >>> how_it_ended(3), how_it_ended(-11)
        ('ended by itself with exit code 3', 'crashed by SIGSEGV')
    """
    if code is None:
        return "ended"
    if code >= 0:
        return f"ended by itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return "was killed by SIGKILL: from outside, or because the machine had no memory left"
    return f"crashed by {name}"
