"""stdout for the result and nothing else: whatever else is written there goes to stderr."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import click

from restified_magics.core.media import JSON, TEXT, offered, render
from restified_magics.errors import RestifiedError

__all__ = ["Give", "results_only", "written"]

#: Gives bytes to who called the command.
Give = Callable[[bytes], None]


@contextlib.contextmanager
def results_only() -> Iterator[Give]:
    """While this lasts, stdout belongs to what is given, and all other writing to it ends up in stderr.

    That of Python's ``print`` as well as that of C code and of the programs that a cell starts.
    """
    if sys.stdout is None:
        raise RestifiedError(
            "stdout is closed, and results are written there. Send it somewhere: > /dev/null"
        )
    sys.stdout.flush()
    kept = os.dup(1)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)  # what cells print appears at once, also in a pipe
    os.dup2(2, 1)

    def give(content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(kept, view) :]

    try:
        yield give
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def written(value: Any, give: Give, *, media_type: str | None, output: str | None) -> None:
    """Write a result to stdout, or to a file.

    Args:
        value: what the Model returned.
        give: writes to stdout.
        media_type: the form that was asked for, or None: the file's ending decides; without a file text is
            text, None is nothing, and anything else is JSON, or what is best.
        output: a file; None or ``-`` is stdout.

    Raises:
        MediaError: the value cannot be had so.
        UsageError: it is binary, and stdout is a terminal.
        OSError: the file cannot be written.
    """
    if output is not None and output != "-":
        guessed = media_type or mimetypes.guess_type(output)[0]
        _to_file(pathlib.Path(output).expanduser(), render(value, guessed or offered(value)[0]))
        return
    if media_type is None:
        if value is None:
            return
        media_type = TEXT if isinstance(value, str) else offered(value)[0]
    content = render(value, media_type)
    is_text = media_type == JSON or media_type.startswith("text/")
    if os.isatty(1):
        if not is_text:
            raise click.UsageError(f"the result is {media_type}. Write it to a file, with -o FILE")
        if media_type == JSON:
            content = json.dumps(json.loads(content), indent=2, ensure_ascii=False).encode()
    if is_text and not content.endswith(b"\n"):
        content += b"\n"
    give(content)


def _to_file(path: pathlib.Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"-o {path}: there is no folder {path.parent}. Make it first")
    if path.exists() and not path.is_file():  # a pipe, /dev/stdout
        path.write_bytes(content)
        return
    handle, half = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(half, 0o666 & ~umask)
        os.replace(half, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(half)
        raise
