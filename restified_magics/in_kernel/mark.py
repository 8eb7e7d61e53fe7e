"""A few bytes that a kernel and who calls it share: the cell that runs, and whether it is to be the last one.

They are a file that both have in memory. What a kernel writes there costs it nothing, can be read while it
is busy, and is still there when it has crashed and its last messages are lost.
"""

from __future__ import annotations

import mmap

__all__ = ["CallMark"]

_DIGITS = 8  # the number of the cell, as text; the byte after it says that the call is to end
_SIZE = 16


class CallMark:
    """The caller's end of the shared bytes.

    Args:
        path: the file, which is made anew; a kernel that sees no such file tells by messages where it is.

    Attributes:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        with open(path, "wb+") as file:
            file.truncate(_SIZE)
            self._bytes = mmap.mmap(file.fileno(), _SIZE)
        self._is_shared = False

    @property
    def cell(self) -> int | None:
        """The number of the cell (from 1) that the kernel has come to, or None before the first one."""
        written = b"" if self._bytes.closed else self._bytes[:_DIGITS].strip(b"\0 ")
        return int(written) if written.isdigit() else None

    @property
    def untouched(self) -> bool:
        """Certain to have come to no cell: the kernel writes here, which it showed as it was prepared."""
        return self._is_shared and not self._bytes.closed and self.cell is None

    def begin(self) -> None:
        """Another call begins."""
        self._is_shared = self._is_shared or self.cell is not None
        self._bytes[:] = bytes(_SIZE)

    def stop(self) -> None:
        """Let no other cell begin, whatever the running one makes of an interrupt."""
        if not self._bytes.closed:
            self._bytes[_DIGITS] = 1

    def close(self) -> None:
        """Let go of the bytes; twice does no harm."""
        self._bytes.close()
