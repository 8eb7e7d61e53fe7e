"""IPython's shell: the running one, or a private one where there is none."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from restified_magics.core.calls import current_call
from restified_magics.wire.magic_code import MagicCode

__all__ = [
    "GLOBALS",
    "SESSION_GLOBALS",
    "InstalledShell",
    "code_of_magics",
    "failures_raised",
    "has_line_magic",
    "prompts_refused",
    "running_shell",
    "shell",
]

_private: Any = None
_making = threading.RLock()
_installed = 0


def running_shell() -> Any:
    """The shell that the user works in, or None in plain Python. Never imports IPython."""
    module = sys.modules.get("IPython.core.interactiveshell")
    if module is None:
        return None
    instance = getattr(module, "InteractiveShell", None) and module.InteractiveShell._instance
    return None if instance is _private else instance


def shell() -> Any:
    """The running shell, or a private one that is made at the first need and seen by calls only."""
    return running_shell() or _private_shell()


def _private_shell() -> Any:
    global _private
    with _making:
        if _private is None:
            import tempfile

            from IPython.core.interactiveshell import ExecutionResult, InteractiveShell
            from IPython.core.profiledir import ProfileDir
            from traitlets.config import Config

            class CallShell(InteractiveShell):  # type: ignore[misc]
                """A shell for calls in plain Python: it has no windows, and changes no backend."""

                _stored: Any = None
                _own: Any = None
                last_execution_result: Any

                def enable_gui(self, gui: str | None = None) -> None:
                    pass

                def enable_matplotlib(self, gui: str | None = None) -> tuple[str | None, str]:
                    return gui, "inline"  # figures of a call are displayed after each cell in any case

                @property
                def db(self) -> Any:
                    """What `%store` has kept in the user's own sessions, looked up when it is asked for."""
                    if self._stored is None:
                        self._stored = _stored_by_sessions()
                    return self._own if self._stored is None else self._stored

                @db.setter
                def db(self, value: object) -> None:
                    self._own = value  # by IPython 8, where it cannot keep anything without pickleshare

                def del_var(self, varname: str, by_name: bool = False) -> None:
                    if self.last_execution_result is None:  # `%xdel` looks there: nobody has typed anything
                        self.last_execution_result = ExecutionResult(None)
                    super().del_var(varname, by_name)

            folder = tempfile.TemporaryDirectory(prefix="restified-ipython-")
            atexit.register(folder.cleanup)
            main, hook, path = sys.modules["__main__"], sys.displayhook, list(sys.path)
            try:
                _private = CallShell(
                    # no history file and no profile in the user's home for a shell nobody types in
                    config=Config(HistoryManager={"enabled": False}),
                    ipython_dir=folder.name,
                    profile_dir=ProfileDir.create_profile_dir(folder.name),
                    user_module=types.ModuleType("__main__"),
                )
                _private.magics_manager.register_lazy("store", "IPython.extensions.storemagic")
            finally:
                sys.modules["__main__"], sys.displayhook, sys.path[:] = main, hook, path
        return _private


def _stored_by_sessions() -> Any:
    import importlib

    from IPython.paths import get_ipython_dir

    try:
        pickleshare = importlib.import_module("IPython.external.pickleshare")
    except ImportError:  # IPython 8, which does not install it
        try:
            pickleshare = importlib.import_module("pickleshare")
        except ImportError:
            return None
    return pickleshare.PickleShareDB(os.path.join(get_ipython_dir(), "profile_default", "db"))


class InstalledShell:
    """Inside, `get_ipython()` and `display` find a shell, in plain Python too.

    Attributes:
        shell: the running shell, or the private one.
    """

    def __init__(self) -> None:
        global _installed
        running = running_shell()
        self.shell = _private_shell() if running is None else running
        self._holds = running is None
        if self._holds:
            with _making:
                _installed += 1
                _shell_class()._instance = self.shell

    def release(self) -> None:
        """Take it away, unless another call needs it: at the end, or where a call is left to itself."""
        global _installed
        with _making:
            if not self._holds:
                return
            self._holds = False
            _installed -= 1
            if not _installed and _shell_class()._instance is self.shell:
                _shell_class()._instance = None


def _shell_class() -> Any:
    return sys.modules["IPython.core.interactiveshell"].InteractiveShell


@contextlib.contextmanager
def failures_raised() -> Iterator[None]:
    """Raise what a cell raised that a magic ran for us and kept to itself, as ``%%capture`` does."""
    seen: list[BaseException] = []

    def look(outcome: Any) -> None:
        error = outcome.error_before_exec or outcome.error_in_exec
        if error is not None:
            seen.append(error)

    instance = shell()
    instance.events.register("post_run_cell", look)
    try:
        yield
    finally:
        instance.events.unregister("post_run_cell", look)
    for error in seen:
        raise error


@contextlib.contextmanager
def code_of_magics(filename: str, source: str, keeps: int | None) -> Iterator[None]:
    """Compile what the magics of a cell run as the part of the cell that it is.

    Args:
        filename: under which the cell is compiled.
        source: the cell.
        keeps: the line of the magic that gives the value of the cell, or None.
    """
    instance, call = shell(), current_call()
    before = instance.compile
    code = instance.compile = MagicCode(before, source, lambda: current_call() is call)
    code.filename, code.keeps = filename, keeps
    try:
        yield
    finally:
        code.filename = None
        if instance.compile is code:  # a call that was left to itself may end after the next one began
            instance.compile = before


def has_line_magic(name: str) -> bool:
    """Whether `name` is a line magic of the shell, so that a cell of one line may call it without %."""
    instance = shell()
    return bool(instance.automagic) and instance.find_line_magic(name) is not None


# -------------------------------------------------- the names IPython gives


def get_ipython() -> Any:
    """The shell: the running one, or one made for this call."""
    return shell()


def display(*objects: Any, **options: Any) -> Any:
    """IPython's `display`."""
    from IPython.display import display as show  # IPython is slow to import, and most calls need none of it

    return show(*objects, **options)


def refuse_input(_prompt: object = "") -> NoReturn:
    """``input`` inside a Model."""
    raise RuntimeError(_NOBODY.format("input()"))


_NOBODY = (
    "{} cannot be used in a Model: there is nobody to answer. Make it a parameter "
    "(a cell with the tag `parameters`), or give that cell the tag `skip`"
)
_NO_TERMINAL = (
    "{} cannot be used here: there is no terminal to type in. Call the Model in Jupyter or in a terminal "
    "to debug it, or take the line out"
)

_refused = 0
_asking: tuple[Callable[..., Any], ...] | None = None


@contextlib.contextmanager
def prompts_refused() -> Iterator[None]:
    """In plain Python, `getpass()` is an error in a call, and so is a debugger without a terminal.

    They are there once in a process: what is not in a call asks as ever.
    """
    global _refused, _asking
    if running_shell() is not None:  # which asks where its user is
        yield
        return
    import getpass  # few Models need them
    import pdb

    def refusing(ask: Callable[..., Any], text: str) -> Callable[..., Any]:
        def asked(*args: Any, **options: Any) -> Any:
            if current_call() is not None:
                raise RuntimeError(text)
            return ask(*args, **options)

        return asked

    with _making:
        _refused += 1
        if _asking is None:
            _asking = getpass.getpass, pdb.set_trace, sys.breakpointhook
            getpass.getpass = refusing(getpass.getpass, _NOBODY.format("getpass()"))
            if not _debugs():
                pdb.set_trace = refusing(pdb.set_trace, _NO_TERMINAL.format("pdb.set_trace()"))
                sys.breakpointhook = refusing(sys.breakpointhook, _NO_TERMINAL.format("breakpoint()"))
    try:
        yield
    finally:
        with _making:
            _refused -= 1
            if not _refused:
                getpass.getpass, pdb.set_trace, sys.breakpointhook = _asking
                _asking = None


def _debugs() -> bool:
    """Whether somebody can type into pdb, or the user has another debugger."""
    own = sys.breakpointhook is not sys.__breakpointhook__ or "PYTHONBREAKPOINT" in os.environ
    return own or (sys.stdin is not None and sys.stdin.isatty())


def end_call(code: object = None) -> NoReturn:
    """``exit`` and ``quit`` inside a Model: they end the call, not the caller."""
    raise SystemExit(code)


#: The names that a notebook finds without defining them, besides the builtins.
GLOBALS = {
    "get_ipython": get_ipython,
    "display": display,
    "input": refuse_input,
    "exit": end_call,
    "quit": end_call,
}

#: Those of them that a session has as names of its own, which end or belong to the session.
SESSION_GLOBALS = {"get_ipython": get_ipython, "exit": end_call, "quit": end_call}
