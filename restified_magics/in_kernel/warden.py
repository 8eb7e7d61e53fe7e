"""A process that ends our kernels when this process is gone, however it ended.

Kernels are in process groups of their own, so that they and all that they start can be ended
together. A process that is killed cannot do that any more: the warden, which holds a pipe from it,
sees the pipe end, kills the groups that it was told of, and removes their folders.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import subprocess
import sys
import threading

from restified_magics.core import process_tree

__all__ = ["Warden", "warden"]

_PROGRAM = """
import select, shutil, sys

parent, groups, rest = os.getppid(), {}, b""
while os.getppid() == parent:
    if not select.select([0], [], [], 1)[0]:
        continue
    read = os.read(0, 65536)
    if not read:
        break
    *lines, rest = (rest + read).split(b"\\n")
    for line in lines:
        group, _, folder = line.decode("utf-8", "surrogateescape").partition(" ")
        if folder:
            groups[int(group)] = folder
        else:
            groups.pop(int(group), None)
for group in groups:
    if group:
        end_tree(group)
for folder in groups.values():
    shutil.rmtree(folder, ignore_errors=True)
"""


class Warden:
    """Knows the process groups of the running kernels, and outlives this process by a moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and a program of ours
            [sys.executable, "-I", "-S", "-c", inspect.getsource(process_tree) + _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def watch(self, group: int, folder: str) -> None:
        """Kill this process group, with what it started, and remove this folder when this process is gone.

        Args:
            group: the group; 0 for a folder alone, of which there is one.
            folder: the folder.
        """
        self._tell(f"{group} {folder}\n")

    def forget(self, group: int) -> None:
        """The group has ended."""
        self._tell(f"{group}\n")

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        with self._lock, contextlib.suppress(OSError, ValueError):  # it was killed, or closed
            if pipe is not None:
                pipe.write(line.encode("utf-8", "surrogateescape"))
                pipe.flush()

    def close(self) -> None:
        """End it: whatever it still watches is killed."""
        with self._lock, contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()


_wardens: dict[int, Warden] = {}
_making = threading.Lock()


def warden() -> Warden | None:
    """The warden of this process, or None where there are no process groups."""
    if not hasattr(os, "killpg"):
        return None
    with _making:
        if os.getpid() not in _wardens:
            _wardens[os.getpid()] = Warden()
        return _wardens[os.getpid()]
