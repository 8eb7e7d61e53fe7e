"""Failed calls, kept as notebooks with their values filled in: a bounded number, for a bounded time."""

from __future__ import annotations

import contextlib
import pathlib
import posixpath
import re
import secrets
import threading
import time

from restified_magics.core.result import Result

__all__ = ["FailedRuns"]

_OURS = re.compile(r".*-\d{8}-\d{6}-[0-9a-f]{6}\.ipynb", re.DOTALL)


class FailedRuns:
    """A folder of notebooks, each a call that failed, with its outputs up to there.

    Args:
        root: the server's folder.
        folder: where in it they are kept, separated by slashes.
        most: how many; the oldest go first.
        days: how long.
    """

    def __init__(self, root: str, folder: str, *, most: int = 50, days: float = 7.0) -> None:
        steps = folder.strip("/").split("/")
        if folder.startswith("/") or any(step in ("", ".", "..") for step in steps):
            raise ValueError(f"failed_runs_dir must be a folder below that of the server, not {folder!r}")
        self.folder = folder.strip("/")
        self._path = pathlib.Path(root, *self.folder.split("/"))
        self._most = most
        self._seconds = days * 86400
        self._lock = threading.Lock()

    def keep(self, result: Result, notebook: str) -> str:
        """Write what there is of the call.

        Args:
            result: what there is of the call.
            notebook: the path of the notebook that was called.

        Returns:
            The path of the kept notebook, below the server's folder.
        """
        stem = posixpath.basename(notebook).removesuffix(".ipynb")[:50]  # a file system has limits
        name = f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.ipynb"
        with self._lock:
            self._path.mkdir(parents=True, exist_ok=True)
            result.save(self._path / name)
            self._forget()
        return f"{self.folder}/{name}"

    def _forget(self) -> None:
        kept = []
        for path in self._path.glob("*.ipynb"):
            if _OURS.fullmatch(path.name):  # nobody else's notebooks
                with contextlib.suppress(OSError):  # another server was faster
                    kept.append((path.stat().st_mtime, path))
        kept.sort()
        latest = time.time() - self._seconds
        for number, (written, path) in enumerate(kept):
            if number < len(kept) - self._most or written < latest:
                with contextlib.suppress(OSError):
                    path.unlink()
