"""What a call needs inside a Python kernel: its cells, run as Jupyter runs them.

The source of this module is sent to the kernel, whose Python may be another one (3.8 and newer) and
need not have this package: only the standard library, IPython, and the modules that encode values. It is
executed there as a module of the package ``_restified``. The cells are handed to IPython as they are, so
that magics, history, tracebacks and ``await`` are those of Jupyter; what a call changes, the values of
parameters and the value of the `return` cell, is changed in the tree that IPython has parsed.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import json
import linecache
import mmap
import os
import signal
import sys
import threading
import traceback
import warnings
from typing import Any

from .encoding import Unencodable, pack, unpack
from .magic_code import MagicCode, kept, through_magics
from .rewriting import rewrite

__all__ = ["EVENT", "call", "install"]

#: Messages of ours on iopub: a type that no frontend shows.
EVENT = "application/vnd.restified-magics.event+json"

_NOBODY = (
    "{} cannot be used in a Model: there is nobody to answer. Make it a parameter "
    "(a cell with the tag `parameters`), or give that cell the tag `skip`"
)

_NO_DEBUGGER = (
    "breakpoint() cannot be used here: there is no terminal to type in. Call the Model in Jupyter or in a "
    "terminal, without a kernel of its own, to debug it, or take the line out"
)

_running: Any = None
_mark: Any = None
_shell: Any = None
_publisher: Any = None


def install(shell, mark):
    """Prepare the kernel for calls, once.

    Args:
        shell: its IPython shell.
        mark: the file by which the caller sees where a call is, and can stop it.
    """
    global _shell, _publisher, _mark
    _mark = _shared(mark)
    if _mark is not None:
        _mark[:8] = b"%8d" % 0  # the caller sees that these bytes are shared
    _shell, _publisher = shell, shell.display_pub
    shell.ast_transformers.append(_Rewriter())
    shell.showtraceback = _forgiving(shell.showtraceback)
    shell.compile.get_code_name = _remembering(shell.compile.get_code_name)
    for names in (shell.user_ns, shell.user_ns_hidden):  # the latter is what `%who` does not list
        names["exit"] = names["quit"] = _end_call
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        kernel.raw_input, kernel.getpass = (
            _refusing(_NOBODY.format(name)) for name in ("input()", "getpass()")
        )
    if "PYTHONBREAKPOINT" not in os.environ:
        sys.breakpointhook = _refusing(_NO_DEBUGGER)
    warnings.filterwarnings("ignore", "To exit: use")
    shell.run_cell("None", silent=True)  # what the first cell would pay for


async def call(payload, buffers=()):
    """Run the cells of one call, and tell how it goes by messages.

    Args:
        payload: JSON with the cells, the places of the parameters, and the values that were given.
        buffers: binary parts of the values.
    """
    global _running
    if payload is None:
        first, *buffers = _shell.kernel.get_parent("shell")["buffers"]
        payload = bytes(first)
    running = _Call(json.loads(payload), buffers)
    _running = running
    try:
        with running.values_hidden():
            await running.run()
    finally:
        _running = None
        _publisher.session.metadata = running.metadata


class _Call:
    def __init__(self, request, buffers):
        self.nonce = request["nonce"]
        self.cells = request["cells"]
        self.sources = {cell["number"]: cell["source"] for cell in self.cells}
        self.record = request["record"]
        self.params = request["params"]
        self.buffers = buffers
        self.files = {}
        self.magic_code: Any = None
        self.named = True
        self.metadata = _publisher.session.metadata
        os.environ["RESTIFIED_MAGICS_CHAIN"] = request["chain"]
        self.cell: Any = None
        self.todo = None
        self.shown: Any = None
        self.value = None
        self.problem = None
        names = _shell.user_ns
        if request["file"] is not None:
            names["__file__"] = request["file"]

    async def run(self):
        for cell in self.cells:
            if _mark is not None and _mark[8]:
                return
            self.cell = cell
            # every output says of which cell it is, so that a cell without any costs no message
            _publisher.session.metadata = {**self.metadata, EVENT: cell["number"]}
            if _mark is not None:
                _mark[:8] = b"%8d" % cell["number"]
            else:
                self.tell({"kind": "cell"})
            error = await self.run_cell(cell)
            if self.problem is not None:
                self.tell({"kind": "problem", "reason": self.problem})
                return
            if error is not None:
                interrupts = isinstance(error, KeyboardInterrupt)  # which is no failure of a cell
                self.tell({"kind": "error", "error": self.told(error), "interrupts": interrupts})
                if interrupts or not cell["raises"]:
                    return
            elif cell["returns"]:
                self.give_back()
                return

    async def run_cell(self, cell):
        """Run one cell as a kernel does, and return the exception that it raised, or None."""
        source, problem = cell["source"], None
        try:
            code = _transformed(cell)
        except Exception:
            code, problem = source, sys.exc_info()
        options = {"transformed_cell": code, "preprocessing_exc_tuple": problem}
        self.todo, self.named = cell, False
        self.shown = result = None
        _count_from(cell["count"])
        awaits = "await" in code or "async" in code  # asking IPython compiles the cell once more
        awaits = awaits and _shell.should_run_async(source, **options)
        interrupts = _awaits_cancelled() if awaits else _interrupted_at_once()
        try:
            with interrupts, _seen() as hidden, self.magics(cell, code):
                result = await _shell.run_cell_async(source, store_history=True, **options)
        except Exception:
            if self.shown is None:
                raise
            return self.shown  # IPython has tripped over it: its message raises
        finally:
            self.todo = None
            if cell["returns"]:
                _close_figure(self.value)
            _shell.events.trigger("post_execute")
            _shell.events.trigger("post_run_cell", result)
            for stream in (sys.stdout, sys.stderr):
                if getattr(stream, "_flush_pending", True):
                    stream.flush()
        error = result.error_before_exec or result.error_in_exec
        return hidden[0] if error is None and hidden and source.lstrip().startswith("%%capture") else error

    @contextlib.contextmanager
    def magics(self, cell, code):
        """Compile what the magics of a cell run as the part of the cell that it is."""
        if "get_ipython" not in code:
            yield
            return
        before = _shell.compile
        self.magic_code = _shell.compile = MagicCode(before, cell["source"])
        try:
            yield
        finally:
            self.magic_code.filename = None
            _shell.compile, self.magic_code = before, None
            inner = kept(_shell.user_ns)
            if self.value is None:
                self.value = inner

    def give_back(self):
        """Send the value of the `return` cell."""
        try:
            data, buffers = pack(self.value)
        except Unencodable as error:
            self.tell({"kind": "unencodable", "reason": str(error)})
        else:
            self.tell({"kind": "value"}, [data, *buffers])

    def tell(self, event, buffers=()):
        """Send a message of ours, after all that the cells have put out."""
        # as text of its own: it may hold characters that no message may
        body = json.dumps({**event, "cell": self.cell["number"]})
        content = {"data": {EVENT: {"nonce": self.nonce, "body": body}}, "metadata": {}, "transient": {}}
        _publisher.session.send(
            _publisher.pub_socket,
            "display_data",
            content,
            parent=_publisher.parent_header,
            ident=_publisher.topic,
            buffers=list(buffers),
        )

    @contextlib.contextmanager
    def values_hidden(self):
        """Do not format values of bare expressions that nobody will see."""
        if self.record:
            yield
            return
        hook = _shell.displayhook
        hook.compute_format_data = lambda _result: ({}, {})
        try:
            yield
        finally:
            del hook.compute_format_data

    # ------------------------------------------------------- what is changed

    def rewritten(self, tree, cell):
        """The cell's tree with the values that were given, and the value of a `return` cell kept."""
        lost = rewrite(tree, cell, self.params, self.magic_code)
        if lost:
            self.problem = (
                "{} cannot be given: IPython {} in this kernel reads cell {} in another way".format(
                    " and ".join(lost), sys.modules["IPython"].__version__, cell["number"]
                )
            )
        return tree

    def given(self, name):
        """The value of a parameter, made where it is assigned: its class may be defined just before."""
        data, first, count = self.params[name]
        return unpack(data.encode(), self.buffers[first : first + count], _shell.user_ns)

    def keep(self, value):
        """Take the value of the `return` cell; it is displayed as ever."""
        self.value = value
        return value

    def take(self, value):
        """Take the value that the `return` cell has assigned; an assignment displays nothing."""
        self.value = value

    # -------------------------------------------------------------- failures

    def told(self, error, depth=0):
        """What can be told of an exception in another process."""
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        nested = getattr(error, "traceback", None) if type(error).__name__ == "CellError" else None
        if nested is not None or depth > 50:
            cause = None
        own = isinstance(error, SyntaxError) and error.filename in self.files
        # without its own frames, and with all that there is of the members of an exception group
        last = "".join(traceback.format_exception(type(error), error, None, chain=False))
        return {
            "ename": type(error).__name__,
            "evalue": _message(error),
            "frames": self.frames(error.__traceback__),
            "last": last.rstrip("\n").split("\n"),
            "cause": None if cause is None else self.told(cause, depth + 1),
            "explicit": error.__cause__ is not None,
            "line": error.lineno if own else None,
            "told": nested,
        }

    def frames(self, found):
        """The frames from the first cell on, without IPython's own."""
        while found is not None and found.tb_frame.f_code.co_filename not in self.files:
            found = found.tb_next
        frames = []
        while found is not None:
            code = found.tb_frame.f_code
            name = code.co_filename
            if not name.startswith("<_restified") and os.sep + "IPython" + os.sep + "core" not in name:
                frames.append(
                    (name, code.co_name, found.tb_lineno, self.sources.get(self.files.get(name), ""))
                )
            found = found.tb_next
        told = []
        for place, number, line in through_magics(frames):
            name = frames[place][0]
            text = "" if name in self.files else linecache.getline(name, line)
            told.append([self.files.get(name), name, frames[number][1], line, text])
        return told


def _shared(path):
    """The caller's bytes, or None where they cannot be had: the caller may be on another machine."""
    try:
        with open(path, "rb+") as file:
            return mmap.mmap(file.fileno(), 0)
    except (OSError, ValueError):
        return None


class _Rewriter(ast.NodeTransformer):
    """Changes the tree of the cell that a call runs, and of nothing else that IPython parses."""

    def visit(self, tree):
        running = _running
        if running is None or running.todo is None:
            return tree
        cell, running.todo = running.todo, None
        return running.rewritten(tree, cell)


# ------------------------------------------------------------------- the shell


def _transformed(cell):
    """The cell as Python, its lines with the numbers that they have in the notebook."""
    source = cell["source"]
    blank = len(source) - len(source.lstrip())
    blank = source.count("\n", 0, source.rfind("\n", 0, blank) + 1)  # lines that IPython drops
    code = _shell.transform_cell(source)
    if cell["joined"] is not None and code.rstrip("\n").count("\n") + blank < source.rstrip("\n").count("\n"):
        code = _shell.transform_cell(cell["joined"])
    word = code.strip()
    if word in ("exit", "quit") and _shell.user_ns.get(word) is _end_call:
        code = word + "()"  # as a cell of one word does in Jupyter
    return "\n" * blank + code


def _count_from(count):
    """Have the next cell bear this number, as if the cells that are skipped had been run."""
    if count > _shell.execution_count:
        manager = _shell.history_manager
        for sources in (manager.input_hist_parsed, manager.input_hist_raw):
            sources.extend([""] * (count - len(sources)))
        _shell.execution_count = count


@contextlib.contextmanager
def _on_interrupt(handler):
    """Let SIGINT do this."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupted_at_once():
    """Let SIGINT interrupt code that does not await: the kernel would only cancel what awaits."""
    return _on_interrupt(signal.default_int_handler)


def _awaits_cancelled():
    """Let SIGINT cancel what awaits, and wake the loop for it, which the kernel forgets where it is idle."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - this runs in one
    return _on_interrupt(lambda *_: loop.call_soon_threadsafe(task.cancel))


def _forgiving(showtraceback):
    """Show a traceback, or leave it where even that raises: what is told of an error is ours."""

    def shown(*args, **options):
        if _running is not None:
            _running.shown = sys.exc_info()[1]
        with contextlib.suppress(Exception):
            showtraceback(*args, **options)

    return shown


@contextlib.contextmanager
def _seen():
    """The exceptions of cells that a magic runs and keeps to itself, as ``%%capture`` does."""
    seen = []

    def look(outcome=None):
        error = outcome and (outcome.error_before_exec or outcome.error_in_exec)
        if error:
            seen.append(error)

    _shell.events.register("post_run_cell", look)
    try:
        yield seen
    finally:
        _shell.events.unregister("post_run_cell", look)


def _remembering(get_code_name):
    """Remember under which file name a cell is compiled, for its frames in tracebacks."""

    def named(raw_code, *args, **options):
        name = get_code_name(raw_code, *args, **options)
        if _running is not None and not _running.named:  # others are of what the cell runs
            _running.named = True
            _running.files[name] = _running.cell["number"]
            if _running.magic_code is not None:
                _running.magic_code.filename = name
        return name

    return named


def _close_figure(value):
    """A figure that is returned is not displayed a second time with those left open."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and isinstance(value, pyplot.Figure):
        pyplot.close(value)


def _message(error):
    if isinstance(error, SyntaxError):
        return error.msg or ""
    try:
        return str(error)
    except Exception as broken:
        return f"<its message raised {type(broken).__name__}>"


def _refusing(reason):
    def refuse(*_args, **_options):
        raise RuntimeError(reason)

    return refuse


def _end_call(code=None):
    """`exit` and `quit` in a Model end the call."""
    raise SystemExit(code)
