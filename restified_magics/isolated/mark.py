"""Where a task is, in memory that is there when its process is gone: two numbers."""

from __future__ import annotations

import mmap
import os
import struct
import tempfile

__all__ = ["Mark", "shared_memory"]

_NUMBER = struct.Struct("q")
_SIZE = 2 * _NUMBER.size


def shared_memory() -> int:
    """A descriptor of memory for a `Mark`, which processes inherit; at their end it is gone."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("restified-mark")
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _SIZE)
    return descriptor


class Mark:
    """Two numbers that one process writes, and another reads; both are 0 at first.

    Args:
        descriptor: of the memory; it may be closed then.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _SIZE)

    def write(self, place: int, number: int) -> None:
        """Write the first (0) or the second (1) number."""
        _NUMBER.pack_into(self._memory, place * _NUMBER.size, number)

    def read(self) -> tuple[int, int]:
        """Both numbers."""
        first, second = (_NUMBER.unpack_from(self._memory, place * _NUMBER.size)[0] for place in (0, 1))
        return first, second

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
