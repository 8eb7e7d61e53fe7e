"""A call in a Python kernel: what is sent there, and what is made of what comes back."""

from __future__ import annotations

import base64
import functools
import importlib.resources
import json
import secrets
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.deadline import Deadline
from restified_magics.core.notebook import Notebook
from restified_magics.core.source import joined_magics
from restified_magics.errors import CellError, ParameterError, ReturnError
from restified_magics.in_kernel.kernel_connection import Message
from restified_magics.in_kernel.kernel_process import Kernel
from restified_magics.in_kernel.outlets import Outlet
from restified_magics.in_kernel.steps import Steps
from restified_magics.in_process.tracebacks import Frame, Raised
from restified_magics.wire.encoding import Unencodable, pack, unpack

__all__ = ["EVENT", "PythonRequest", "prepare"]

#: Messages of ours on iopub: a type that no frontend shows.
EVENT = "application/vnd.restified-magics.event+json"
# in the order in which they import each other
_MODULES = (
    "encoders",
    "encoding_kinds",
    "encoding_classes",
    "encoding_tables",
    "encoding_arrays",
    "encoding_pictures",
    "encoding",
    "once",
    "annotated",
    "magic_code",
    "rewriting",
    "kernel_side",
)
_LOADER = """
import sys, types
package = sys.modules["_restified"] = types.ModuleType("_restified")
package.__path__ = []
for name, source in sources.items():
    module = sys.modules["_restified." + name] = types.ModuleType("_restified." + name)
    module.__package__ = "_restified"
    setattr(package, name, module)
    exec(compile(source, "<_restified." + name + ">", "exec"), module.__dict__)
sys.modules["_restified_kernel"] = package.kernel_side
package.kernel_side.install(get_ipython(), mark)
"""


@functools.cache
def _sources() -> dict[str, str]:
    """The modules that a kernel gets."""
    folder = importlib.resources.files("restified_magics.wire")
    return {name: (folder / f"{name}.py").read_text(encoding="utf-8") for name in _MODULES}


def _bootstrap(mark: str) -> str:
    """The expression that makes our modules in a kernel and leaves no name there."""
    names = f"{{'sources': {_sources()!r}, 'mark': {mark!r}, 'get_ipython': get_ipython}}"
    return f"exec({_LOADER!r}, {names})"


def prepare(kernel: Kernel) -> Steps[None]:
    """Give a kernel what calls need in it."""
    errors: list[Message] = []
    reply = yield from kernel.ask("execute_request", _code(_bootstrap(kernel.mark.path)), hear=errors.append)
    content = reply["content"]
    if content["status"] != "ok":
        raise RuntimeError(
            f"the kernel {kernel.name!r} cannot be prepared for calls: "
            f"{content.get('ename')}: {content.get('evalue')}"
        )


def _code(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "silent": True,
        "store_history": False,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }


class PythonRequest:
    """One call as a Python kernel gets it.

    Args:
        call: the call.
        record: whether values of bare expressions are wanted.

    Raises:
        ParameterError: a value cannot go to another process.
    """

    def __init__(self, call: Call, *, record: bool) -> None:
        self._call = call
        self._nonce = secrets.token_hex(16)
        self._buffers: list[Any] = []
        self._value: Any = None
        self._failure: BaseException | None = None
        cells = _cells(call.notebook)
        self._numbers = {cell["number"] for cell in cells}
        self._request = {
            "nonce": self._nonce,
            "cells": cells,
            "file": None if call.notebook.path is None else str(call.notebook.path),
            "params": self._params(call),
            "record": record,
            "chain": json.dumps([each.notebook.name for each in call.chain()]),
        }

    def _params(self, call: Call) -> dict[str, Any]:
        packed: dict[str, Any] = {}
        problems: dict[str, str] = {}
        for name, value in call.params.items():
            try:
                data, buffers = pack(value)
            except Unencodable as error:
                problems[name] = f"cannot be handed to a kernel: {error}".replace("Return", "Give")
            else:
                packed[name] = [data.decode("ascii"), len(self._buffers), len(buffers)]
                self._buffers += buffers
        if problems:
            raise ParameterError(call.notebook.name, problems)
        return packed

    def talk(self, kernel: Kernel, outlet: Outlet, deadline: Deadline | None) -> Steps[Any]:
        """Run the cells in the kernel; return the value of the `return` cell."""
        kernel.mark.begin()
        payload = json.dumps(self._request).encode("ascii")
        buffers: list[Any] = []
        if str(kernel.info.get("implementation")) == "ipython":
            code, buffers = "None", [payload, *self._buffers]
        else:  # another implementation may not hand the buffers of a request to its code
            parts = [base64.b64encode(part).decode("ascii") for part in (payload, *self._buffers)]
            code = f"*map(__import__('base64').b64decode, {parts!r}),"
            code = f"(lambda first, *rest: (first, rest))({code[:-1]})"
            code = f"*{code}"
        code = f"await __import__('_restified_kernel').call({code})"

        def hear(message: Message) -> None:
            kind, content = message["msg_type"], message["content"]
            event = content["data"].get(EVENT) if kind == "display_data" else None
            if event is None:
                number = message["metadata"].get(EVENT)
                if isinstance(number, int) and number in self._numbers:
                    outlet.begin(number)
                outlet.put(kind, content)
            elif isinstance(event, dict) and event.get("nonce") == self._nonce:  # any other is an imitation
                self._hear(json.loads(event["body"]), message["buffers"], outlet)

        def look() -> None:
            number = kernel.mark.cell
            if number is not None and number in self._numbers:
                outlet.reached(number)

        try:
            reply = yield from kernel.ask(
                "execute_request", _code(code), hear=hear, look=look, deadline=deadline, buffers=buffers
            )
        finally:
            look()
        if self._failure is not None:
            raise self._failure
        outlet.settle()
        content = reply["content"]
        if content["status"] != "ok":
            raise _outside(self._call, content)
        return self._value

    def _hear(self, event: dict[str, Any], buffers: list[memoryview], outlet: Outlet) -> None:
        kind, call = event["kind"], self._call
        outlet.begin(event["cell"])
        if kind == "error" and event["interrupts"]:
            self._failure = KeyboardInterrupt()
        elif kind == "error":
            failure = outlet.failed(_raised(event["error"], call.notebook))
            self._failure = self._failure or failure
        elif kind == "value":
            data, *rest = buffers
            self._value = unpack(data, rest)
        elif kind == "unencodable":
            self._failure = ReturnError(call.notebook.name, cell=event["cell"], reason=event["reason"])
        elif kind == "problem":
            self._failure = RuntimeError(event["reason"])


def _cells(notebook: Notebook) -> list[dict[str, Any]]:
    """The cells that a call runs, and where parameters are assigned in them."""
    sites: dict[int, dict[tuple[int, int], list[str]]] = {}
    for name, parameter in notebook.fields.parameters.items():
        for index, line, column in parameter.sites:
            sites.setdefault(index, {}).setdefault((line, column), []).append(name)
    cells = []
    for cell in notebook.to_run:
        places = sites.get(cell.number - 1, {})
        cells.append(
            {
                "number": cell.number,
                "count": cell.count,
                "source": cell.source,
                "joined": joined_magics(cell.source),
                "returns": cell.role == "return",
                "raises": cell.raises,
                "sites": [[line, column, names] for (line, column), names in places.items()],
            }
        )
    return cells


def _raised(told: dict[str, Any], notebook: Notebook) -> Raised:
    """What a kernel tells of an exception."""
    frames = []
    for number, filename, function, line, text in told["frames"]:
        if number is None:
            lines: list[str] = [""] * (line - 1) + [text]
            frames.append(Frame(filename, function, line, lines))
        else:
            lines = notebook.cells[number - 1].source.split("\n")
            frames.append(Frame(filename, function, line, lines, (notebook.name, number)))
    return Raised(
        ename=told["ename"],
        evalue=told["evalue"],
        frames=frames,
        last=told["last"],
        cause=None if told["cause"] is None else _raised(told["cause"], notebook),
        explicit=told["explicit"],
        line=told["line"],
        told=told["told"],
    )


def _outside(call: Call, content: dict[str, Any]) -> Exception:
    """An error between cells: a cell may have interrupted the kernel, or have broken what we need."""
    cell = call.cell
    return CellError(
        call.notebook.name,
        cell=cell.number if cell is not None else 1,
        cell_id=cell.id if cell is not None else None,
        line=None,
        source_line="",
        ename=str(content.get("ename")),
        evalue=str(content.get("evalue")),
        traceback=content.get("traceback") or [],
    )
