"""stdout for the result and nothing else: whatever else is written there goes to stderr."""

from __future__ import annotations

import contextlib
import json
import mimetypes
import os
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import click

from restified_magics.command_line.abrupt_exit import abrupt_exits_told
from restified_magics.core.media import CSV, HTML, JSON, PDF, PNG, SVG, TEXT, offered, render
from restified_magics.core.notebook import Notebook
from restified_magics.core.notebook_files import is_folder, refuse_itself, told_of
from restified_magics.errors import MediaError, RestifiedError

__all__ = ["WHOLE_PROCESS", "Give", "check_ending", "check_output", "results_only", "written"]

#: The object of click's context where the process is there for the command only.
WHOLE_PROCESS = object()


class Give:
    """Gives bytes to who called the command.

    Args:
        descriptor: stdout as it was given.

    Attributes:
        is_terminal: a person reads it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_terminal = os.isatty(descriptor)

    def __call__(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]


@contextlib.contextmanager
def results_only() -> Iterator[Give]:
    """While this lasts, stdout belongs to what is given, and all other writing to it ends up in stderr.

    That of Python's ``print`` as well as that of C code and of the programs that a cell starts. Where the
    process is there for the command only, it lasts to its end: threads and handlers of the Model that run
    then write to stderr, too.
    """
    context = click.get_current_context(silent=True)
    for_good = context is not None and context.find_root().obj is WHOLE_PROCESS
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
    try:
        with abrupt_exits_told():
            yield Give(kept)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        if not for_good:
            os.dup2(kept, 1)
        os.close(kept)


def check_output(output: str | None, notebook: Notebook) -> None:
    """Refuse a file that cannot be written to, before a call of the notebook that may take long.

    Raises:
        UsageError: its folder is not there, or it is a folder.
        NotebookError: it is the notebook itself.
    """
    if output is None or output == "-":
        return
    path = pathlib.Path(output).expanduser()
    if is_folder(path):
        raise click.UsageError(f"-o {path}: is a folder. Name a file in it")
    if not path.absolute().parent.is_dir():
        raise click.UsageError(f"-o {path}: there is no folder {path.parent}. Make it first")
    refuse_itself(notebook, path)


def check_ending(output: str | None, flag: str, media_type: str) -> None:
    """Refuse a file whose ending says another form than a flag of the command does.

    Raises:
        UsageError: they contradict each other.
    """
    said = mimetypes.guess_type(output or "")[0]
    if said in {JSON, CSV, HTML, PNG, SVG, PDF} and said != media_type:
        ending = mimetypes.guess_extension(media_type)
        raise click.UsageError(
            f"-o {output}: its ending says another form than {flag}. Leave {flag} out, or end it in {ending}"
        )


def written(value: Any, give: Give, *, media_type: str | None, output: str | None) -> None:
    """Write a result to stdout, or to a file.

    Args:
        value: what the Model returned.
        give: writes to stdout.
        media_type: the form that was asked for, or None: bytes and text go into a file as they are, of
            anything else its ending decides; without a file text is text, None is nothing, and anything else
            is JSON, or what is best.
        output: a file; None or ``-`` is stdout.

    Raises:
        MediaError: the value cannot be had so, or it is binary and stdout is a terminal. It says in which
            file the value is, since the call may have taken long.
        OSError: the file cannot be written.
    """
    path = None if output is None or output == "-" else pathlib.Path(output).expanduser()
    try:
        content = _content(value, media_type, path, to_terminal=give.is_terminal)
    except MediaError as error:
        raise MediaError(_and_where(f"{error}", value, path), error.offered) from None
    if content is None:
        return
    try:
        if path is None:
            give(content)
        else:
            with told_of(path):
                _to_file(path, content)
    except BrokenPipeError:  # who read it has enough
        raise
    except OSError as error:
        error.add_note(_and_where("", value, None))
        raise


def _content(
    value: Any, media_type: str | None, path: pathlib.Path | None, *, to_terminal: bool
) -> bytes | None:
    if path is not None:
        return render(value, media_type) if media_type else _of_ending(value, path)
    if media_type is None:
        if value is None:
            return None
        media_type = TEXT if isinstance(value, str) else offered(value)[0]
    content = render(value, media_type)
    is_text = media_type == JSON or media_type.startswith("text/")
    if to_terminal:
        if not is_text:
            raise MediaError(f"the result is {media_type}, and stdout is a terminal: use -o FILE")
        if media_type == JSON:
            content = json.dumps(json.loads(content), indent=2, ensure_ascii=False).encode()
    return content + b"\n" if is_text and not content.endswith(b"\n") else content


def _and_where(told: str, value: Any, path: pathlib.Path | None) -> str:
    """What went wrong, and in which file the value is, if it has one."""
    folder = None if path is None else os.fspath(path.absolute().parent)
    stem = "restified" if path is None else path.stem[:40]
    kept = _kept(value, folder, stem) or (folder and _kept(value, None, stem))
    return ". ".join(filter(None, [told, kept and f"What the call returned is in {kept}"]))


def _kept(value: Any, folder: str | None, stem: str) -> str | None:
    """A new file with a value in a form that it has; None where it has none, or cannot be written there."""
    for form in offered(value):
        with contextlib.suppress(MediaError, OSError), contextlib.ExitStack() as undo:
            content = render(value, form)
            ending = mimetypes.guess_extension(form) or ""
            handle, kept = tempfile.mkstemp(prefix=f"{stem}-", suffix=ending, dir=folder)
            undo.callback(os.unlink, kept)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            undo.pop_all()
            return kept
    return None


def _of_ending(value: Any, path: pathlib.Path) -> bytes:
    """A value in the form that the ending of a file says."""
    form, forms = mimetypes.guess_type(path.name)[0], offered(value)
    if isinstance(value, bytes | bytearray | memoryview) and form != JSON:
        return bytes(value)
    if isinstance(value, str) and form != JSON and (form or TEXT).startswith("text/"):
        return render(value, TEXT)
    if not path.suffix:
        return render(value, forms[0])
    if form not in forms:
        endings = ", ".join(filter(None, map(mimetypes.guess_extension, forms)))
        kind = type(value).__name__
        raise MediaError(
            f"-o {path}: a value of type {kind} cannot be had as {path.suffix}, only as {endings}", forms
        )
    return render(value, form)


def _to_file(path: pathlib.Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    if path.exists() and not path.is_file():  # a pipe, /dev/stdout
        path.write_bytes(content)
        return
    handle, half = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name[:40]}.")
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
