"""Where a task is, in memory that is there when its process is gone: two numbers."""

from __future__ import annotations

import mmap
import os
import tempfile

__all__ = ["Mark", "shared_memory"]

_SIZE = 16


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

    Attributes:
        numbers: the two.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, _SIZE)
        self.numbers = memoryview(self._memory).cast("q")

    def clear(self) -> None:
        """Make both 0 again."""
        self.numbers[0] = self.numbers[1] = 0

    def close(self) -> None:
        """Let go of the memory."""
        self.numbers.release()
        self._memory.close()
