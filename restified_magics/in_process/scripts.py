"""The processes of ``%%bash`` and the like: they go on when only the cell that waits for them is told to end.

Jupyter's interrupt reaches them as members of the kernel's process group. Here the process is the caller's,
and its other children are none of ours.
"""

from __future__ import annotations

import contextlib
import os
import signal
import types

from restified_magics.core.process_tree import descendants

__all__ = ["Scripts"]

_MAGICS = os.path.join("IPython", "core", "magics", "script.py")
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


class Scripts:
    """What a cell has started by a script magic, to be ended with the cell."""

    __slots__ = ("_processes",)

    def __init__(self) -> None:
        self._processes: list[int] = []

    def tell(self, frame: types.FrameType | None) -> bool:
        """Interrupt the script that a thread waits for, as Ctrl-C does; kill it where it was told before.

        Args:
            frame: where the thread is.

        Returns:
            Whether the thread waits for a script that was told now for the first time.
        """
        if self._processes:
            self._send(_KILL)
            return False
        script = _script(frame)
        if script is not None:
            self._processes = [script, *descendants(script)]
            self._send(signal.SIGINT)
        return script is not None

    def end(self) -> None:
        """Kill what is left of what was told."""
        self._send(_KILL)

    def _send(self, number: int) -> None:
        for process in self._processes:
            with contextlib.suppress(OSError):
                os.kill(process, number)


def _script(frame: types.FrameType | None) -> int | None:
    """The process for which a thread waits in a script magic."""
    while frame is not None:
        if frame.f_code.co_name == "shebang" and frame.f_code.co_filename.endswith(_MAGICS):
            process = frame.f_locals.get("p")
            return None if process is None or process.returncode is not None else int(process.pid)
        frame = frame.f_back
    return None
