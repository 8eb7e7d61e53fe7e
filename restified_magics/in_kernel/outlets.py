"""Where the outputs go that a kernel sends: into the result, to where the caller's go, or both."""

from __future__ import annotations

import sys
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.model import Record
from restified_magics.in_process.capture import Recorder
from restified_magics.in_process.shell import running_shell
from restified_magics.in_process.tracebacks import Raised, cell_error

__all__ = ["Outlet"]


class Outlet:
    """Takes a call's outputs, cell by cell.

    Args:
        call: the call; what is recorded is in its result.
        record: whether outputs go into the result, to where the caller's go, or both.
        limit: characters of outputs that are kept; None is without limit.
    """

    def __init__(self, call: Call, record: Record, limit: int | None = None) -> None:
        self._call = call
        self._recorder: Recorder | None = None
        self._number = 0
        self._forwards = record != "quiet"
        self._error: dict[str, Any] | None = None
        if record is not None:
            self._recorder = Recorder(len(call.notebook.cells), limit=limit)
            call.result.outputs = self._recorder.outputs

    def begin(self, number: int) -> None:
        """The outputs that follow are those of the cell of this number (from 1)."""
        if number == self._number:
            return
        self.settle()
        self._number = number
        self.reached(number)
        if self._recorder is not None:
            self._recorder.begin(number)

    def reached(self, number: int) -> None:
        """The call has come to the cell of this number; outputs of those before may still be on their way."""
        if self._call.cell is None or self._call.cell.number < number:
            self._call.cell = self._call.notebook.cells[number - 1]

    def put(self, kind: str, content: dict[str, Any]) -> None:
        """An output, as the kernel sends it; messages of other kinds are left alone."""
        if kind == "error":
            self.settle()
            self._error = content  # it is told as ours, if it is the one that ends the cell
            return
        if kind not in ("stream", "display_data", "update_display_data", "execute_result", "clear_output"):
            return
        self.settle()
        if self._recorder is not None:
            _record(self._recorder, kind, content)
        if self._forwards:
            _forward(kind, content)

    def failed(self, error: Raised) -> Exception | None:
        """The cell of `begin` has ended by this exception: the error to raise, or None where it may raise.

        The call may have come to the next one already: what is told of that arrives sooner.
        """
        cell = self._call.notebook.cells[self._number - 1]
        failure = cell_error(error, cell, self._call.notebook.name)
        self._error = None
        if self._recorder is not None:
            self._recorder.error(failure.ename, failure.evalue, failure.traceback)
        if cell.raises:
            return None
        self._call.cell = cell
        return failure

    def settle(self) -> None:
        """Take an error message that did not end its cell as an output like others."""
        content, self._error = self._error, None
        if content is None:
            return
        if self._recorder is not None:
            self._recorder.error(content["ename"], content["evalue"], list(content["traceback"]))
        if self._forwards:
            print("\n".join(content["traceback"]))  # noqa: T201


def _record(recorder: Recorder, kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        recorder.write(content["name"], content["text"])
    elif kind == "clear_output":
        recorder.clear(wait=bool(content.get("wait")))
    elif kind == "execute_result":
        recorder.result(content["data"], content.get("metadata", {}))
    else:
        update = kind == "update_display_data"
        recorder.display(content["data"], content.get("metadata"), content.get("transient"), update)


def _forward(kind: str, content: dict[str, Any]) -> None:
    """Put it out as the caller's own code would."""
    if kind == "stream":
        stream = sys.stderr if content["name"] == "stderr" else sys.stdout
        stream.write(content["text"])
        stream.flush()
        return
    if kind == "execute_result":
        return  # values of bare expressions are not echoed
    shell = running_shell()
    if shell is None:
        module = sys.modules.get("IPython.core.interactiveshell")
        shell = module.InteractiveShell._instance if module is not None else None
    if shell is None:
        if kind == "display_data" and "text/plain" in content["data"]:
            print(content["data"]["text/plain"])  # noqa: T201 - as `display` does in plain Python
        return
    if kind == "clear_output":
        shell.display_pub.clear_output(wait=bool(content.get("wait")))
        return
    shell.display_pub.publish(
        content["data"],
        content.get("metadata") or {},
        transient=content.get("transient") or {},
        update=kind == "update_display_data",
    )
