"""A call in a kernel of another language than Python: its cells, one after the other, and the value."""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
from collections.abc import Callable
from typing import Any

from restified_magics.core.calls import Call
from restified_magics.core.deadline import Deadline
from restified_magics.core.notebook import Cell
from restified_magics.core.richness import Rich
from restified_magics.errors import ParameterError, ReturnError
from restified_magics.in_kernel.dialects import DIALECTS, Dialect, Unsayable
from restified_magics.in_kernel.kernel_connection import Message
from restified_magics.in_kernel.kernel_process import Kernel
from restified_magics.in_kernel.kernel_python import EVENT
from restified_magics.in_kernel.outlets import Outlet
from restified_magics.in_kernel.steps import Steps, nothing
from restified_magics.in_process.tracebacks import Raised
from restified_magics.wire.encoding import Unencodable, unpack

__all__ = ["LanguageRequest", "preparation"]

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"(?:: line |<text>:)(\d+):")


def _code(code: str, *, silent: bool) -> dict[str, Any]:
    return {
        "code": code,
        "silent": silent,
        "store_history": not silent,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }


def preparation(language: str) -> Callable[[Kernel], Steps[None]]:
    """What makes a kernel of this language ready for calls."""
    dialect = DIALECTS.get(language)
    return nothing if dialect is None or not dialect.prepare else _Preparation(dialect)


class _Preparation:
    """Runs a dialect's own code in a kernel; equal for equal dialects, so that Models share a pool."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Preparation) and other._dialect is self._dialect

    def __hash__(self) -> int:
        return hash(self._dialect.language.name)

    def __call__(self, kernel: Kernel) -> Steps[None]:
        said: list[str] = []

        def hear(message: Message) -> None:
            if message["msg_type"] == "error":
                said.extend(message["content"].get("traceback") or [message["content"].get("evalue", "")])

        reply = yield from kernel.ask(
            "execute_request", _code(self._dialect.prepare, silent=False), hear=hear
        )
        if reply["content"]["status"] != "ok":
            told = _COLOURS.sub("", "\n".join(said))
            raise RuntimeError(f"the kernel {kernel.name!r} cannot be prepared for calls: {told}")


def _status_of(written: str) -> dict[str, Any]:
    """How a cell of a shell has ended. Where the shell has too, its kernel just starts another one."""
    try:
        with open(written + ".status", encoding="ascii") as file:
            status = file.read()
    except OSError:
        return {"status": "error", "evalue": "the shell was ended by the cell"}
    return {"status": "ok"} if status == "0" else {"status": "error", "evalue": status}


def _read(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class LanguageRequest:
    """One call as a kernel of another language gets it.

    Args:
        call: the call.
        language: the name of the language, in lower case.
        record: whether the value of the `return` cell is wanted as an output, too.

    Raises:
        ParameterError: the language has no form for a value.
    """

    def __init__(self, call: Call, language: str, *, record: bool) -> None:
        self._call = call
        self._dialect = DIALECTS.get(language)
        self._record = record
        self._nonce = secrets.token_hex(16)
        self._event: dict[str, Any] | None = None
        self._last: dict[str, Any] | None = None
        self._said = ""
        self._sources = self._given()

    def _given(self) -> dict[int, str]:
        """The cells in which parameters are given, as they are run."""
        call, dialect = self._call, self._dialect
        problems: dict[str, str] = {}
        sources: dict[int, str] = {}
        for cell in call.notebook.with_role("parameters"):
            pieces: list[str] = []
            at = 0
            for statement in dialect.language.statements(cell.source) if dialect else ():
                assigned = dialect.language.assigned(statement) if dialect else None
                if dialect is None or assigned is None or assigned.name not in call.params:
                    continue
                try:
                    code = dialect.assignment(assigned, call.params[assigned.name])
                except Unsayable as error:
                    problems[assigned.name] = str(error)
                else:
                    pieces += [cell.source[at : statement.start], code]
                    at = statement.end
            sources[cell.number] = "".join([*pieces, cell.source[at:]])
        if problems:
            raise ParameterError(call.notebook.name, problems)
        return sources

    def talk(self, kernel: Kernel, outlet: Outlet, deadline: Deadline | None) -> Steps[Any]:
        """Run the cells in the kernel; return the value of the `return` cell."""
        call = self._call
        former: list[str] = []  # what a timer prints between two cells is said to be of the one before
        for cell in call.notebook.with_role("code", "parameters", "return"):
            outlet.begin(cell.number)
            self._last, self._said = None, ""
            source = self._sources.get(cell.number, cell.source)
            written = kernel.file(f"{self._nonce}-{cell.number}") if self._is_shell else None
            returns = cell.role == "return"
            if written is not None:
                source = self._as_file(written, source, returns)
            elif returns and self._dialect is not None:
                source = self._dialect.kept(source, shown=self._record)
            reply = yield from kernel.ask(
                "execute_request",
                _code(source, silent=False),
                hear=self._hearer(outlet),
                deadline=deadline,
                former=former,
            )
            former.append(reply["parent_header"]["msg_id"])
            content = reply["content"]
            if written is not None:
                content = _status_of(written)
            elif any(asked.get("source") == "ask_exit" for asked in content.get("payload") or []):
                content = {"status": "error", "ename": "quit", "evalue": "the cell ends the kernel"}
            if content["status"] != "ok":
                failure = outlet.failed(self._raised(content, cell, written))
                if failure is not None:
                    raise failure
            elif returns:
                if written is not None:
                    return self._printed(written + ".value", outlet)
                return (yield from self._value(kernel, cell, outlet, deadline))
        return None

    @property
    def _is_shell(self) -> bool:
        return self._dialect is not None and not self._dialect.give

    def _hearer(self, outlet: Outlet) -> Callable[[Message], None]:
        def hear(message: Message) -> None:
            kind, content = message["msg_type"], message["content"]
            event = content["data"].get(EVENT) if kind == "display_data" else None
            if event is not None:
                if isinstance(event, dict) and event.get("nonce") == self._nonce:  # any other is an imitation
                    self._event = json.loads(event["body"]) if "body" in event else _read(event["file"])
                return
            if kind in ("execute_result", "display_data"):
                self._last = content
            if kind == "stream":
                self._said = (self._said + content["text"])[-2000:]
            outlet.put(kind, content)

        return hear

    # --------------------------------------------------------------- the value

    def _value(self, kernel: Kernel, cell: Cell, outlet: Outlet, deadline: Deadline | None) -> Steps[Any]:
        if self._dialect is None:
            return None if self._last is None else Rich.of(self._last["data"])
        code = self._dialect.give.format(self._nonce, kernel.file("value"))
        reply = yield from kernel.ask(
            "execute_request", _code(code, silent=False), hear=self._hearer(outlet), deadline=deadline
        )
        event = self._event
        if reply["content"]["status"] != "ok" or event is None:
            reason = str(reply["content"].get("evalue") or "the kernel did not send it")
            raise ReturnError(self._call.notebook.name, cell=cell.number, reason=reason)
        if event["kind"] == "unencodable":
            failure = Unencodable(event["type"], event["hint"])
            failure.where = event["where"]
            raise ReturnError(self._call.notebook.name, cell=cell.number, reason=str(failure))
        if event["kind"] == "display":
            return Rich.of(event["data"])
        try:
            return unpack(json.dumps(event["value"]).encode())
        except ValueError as error:
            reason = f"Python has no form for it: {error}"
            raise ReturnError(self._call.notebook.name, cell=cell.number, reason=reason) from None

    def _as_file(self, path: str, source: str, returns: bool) -> str:
        """The command that runs a cell of a shell as a file: whole, of any length, also where it is wrong."""
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(source if source.endswith("\n") else source + "\n")
        run = f". {shlex.quote(path)} < /dev/null"
        if returns:
            run += f" > {shlex.quote(path + '.value')}"
        return f"{run}; printf %s $? > {shlex.quote(path + '.status')}"

    def _printed(self, path: str, outlet: Outlet) -> Any:
        """What the `return` cell of a shell has printed: JSON where it is that, else its lines."""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
        if text and self._record:
            outlet.put("stream", {"name": "stdout", "text": text})
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            # not `splitlines`: to a shell a form feed and U+2028 are characters like others
            return text.removesuffix("\n").split("\n") if text else []

    # -------------------------------------------------------------- failures

    def _raised(self, content: dict[str, Any], cell: Cell, written: str | None) -> Raised:
        ename, evalue = str(content.get("ename") or ""), _COLOURS.sub("", str(content.get("evalue") or ""))
        told = [_COLOURS.sub("", line) for line in content.get("traceback") or []]
        for ours in self._dialect.keep if self._dialect is not None else ():
            if len(ours) > 10:  # what stands around the value is nothing that its author wrote
                evalue, told = evalue.replace(ours, ""), [line.replace(ours, "") for line in told]
        found = _LINE.search("\n".join([evalue, *told]))
        if written is not None:
            ename, evalue, found = self._exit_status(evalue, os.path.basename(written))
        line = int(found[1]) if found else None
        lines = cell.source.count("\n") + 1
        return Raised(
            ename=ename or "Error",
            evalue=evalue.strip(),
            last="\n".join(told or [f"{ename}: {evalue}".strip()]).rstrip("\n").split("\n"),
            line=line if line is not None and line <= lines else None,
        )

    def _exit_status(self, status: str, file: str) -> tuple[str, str, re.Match[str] | None]:
        """What there is to say of a command that failed: its status, and what the shell said of it."""
        said = self._said.splitlines()
        complaint = next((line for line in reversed(said) if file in line or line.startswith("bash: ")), "")
        reason = re.sub(rf"^bash: |\S*{re.escape(file)}: |line \d+: ", "", complaint)
        told = f"{status} ({reason})" if reason else status
        return "ExitStatus", told, _LINE.search(complaint)
