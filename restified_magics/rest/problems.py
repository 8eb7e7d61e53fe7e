"""Errors as HTTP tells them: the one place where an exception gets its status and its words.

RFC 9457, ``application/problem+json``. Nothing that a notebook said is in it unless it was asked for.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import http
from typing import Any

from restified_magics.errors import (
    CellError,
    KernelDied,
    MediaError,
    ModelRecursionError,
    NotebookError,
    ParameterError,
    ReturnError,
    TaskDied,
)
from restified_magics.isolated.isolated_call import NotAcceptable, TooLarge

__all__ = ["NOTHING", "PROBLEMS", "Problem", "Shown", "problem_of", "title_of"]

#: Status → what it means here, for the OpenAPI document.
PROBLEMS = {
    400: "The request is malformed",
    403: "No credentials, or not allowed to execute, or sent by another site",
    404: "There is no such notebook",
    405: "Notebooks are called by GET and POST",
    406: "The value cannot be had in an accepted media type",
    413: "The request, or the value, is too large",
    415: "The body is not JSON",
    422: "Parameters are missing, unknown or wrong: all of them",
    500: "The call failed",
    503: "Too many calls are waiting",
    504: "The call took too long",
}


# as RFC 9110 has them; Python says so from 3.13 on
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


def title_of(status: int) -> str:
    """What a status is called, in every version of Python."""
    return _TITLES.get(status) or http.HTTPStatus(status).phrase


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """What went wrong with a request.

    Attributes:
        status: the HTTP status.
        detail: what it is and what to do, one or two sentences.
        fields: more members of the JSON object.
        headers: headers of the answer.
    """

    def __init__(
        self, status: int, detail: str, *, headers: dict[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.fields = fields
        self.headers = headers or {}

    def body(self, request_id: str) -> dict[str, Any]:
        """The JSON object.

        Example:
            >>> Problem(404, "There is no notebook a.ipynb.").body("1f")["title"]
            'Not Found'
        """
        return {
            "type": "about:blank",
            "title": title_of(self.status),
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
            **self.fields,
        }


@dataclasses.dataclass(frozen=True)
class Shown:
    """What of a failed call is told.

    Attributes:
        messages: the exception's class and message.
        tracebacks: its traceback too.
    """

    messages: bool = False
    tracebacks: bool = False


NOTHING = Shown()


def problem_of(error: BaseException, name: str, shown: Shown = NOTHING) -> Problem:
    """What an exception of a call is for its caller.

    Args:
        error: the exception.
        name: the notebook, as the caller knows it.
        shown: what is told of an exception in a cell.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, ParameterError):
        told = "; ".join(f"{parameter} {problem}" for parameter, problem in error.problems.items())
        return Problem(422, f"{name}: {told}", parameters=error.problems)
    if isinstance(error, NotAcceptable):
        return Problem(406, f"{name}: {error}", offered=error.offered)
    if isinstance(error, TooLarge):
        return Problem(413, f"{name}: {error}. Return less, or raise RestifiedApp.max_result_bytes")
    if isinstance(error, MediaError):
        return Problem(500, _unreturned(name, error.reason, shown))
    if isinstance(error, TimeoutError):  # ours, and that of an isolated task
        return Problem(
            504,
            f"{name}: the call was stopped, since it took longer than RestifiedApp.timeout",
            **_place(getattr(error, "cell", None)),
        )
    if isinstance(error, CellError):
        return _failed_cell(error, name, shown)
    return _failed(error, name, shown)


def _failed_cell(error: CellError, name: str, shown: Shown) -> Problem:
    where = f"cell {error.cell}" + (f", line {error.line}" if error.line else "")
    fields: dict[str, Any] = {**_place(error.cell, error.line), "cell_id": error.cell_id}
    if shown.messages:
        fields |= {"ename": error.ename, "evalue": error.evalue, "source_line": error.source_line}
    if shown.tracebacks:
        fields["traceback"] = error.traceback
    said = f": {error.ename}: {error.evalue}" if shown.messages else ". RestifiedApp.show_messages tells why"
    return Problem(500, f"{name}, {where} failed{said}", **fields)


def _unreturned(name: str, reason: str, shown: Shown) -> str:
    """What its own methods raised may be in the reason, and so may its keys."""
    return f"{name}: the value cannot be returned" + (
        f": {reason}" if shown.messages else ". RestifiedApp.show_messages tells why"
    )


def _failed(error: BaseException, name: str, shown: Shown) -> Problem:
    if isinstance(error, NotebookError):
        return Problem(500, f"{name} cannot be called: {error.reason}")
    if isinstance(error, ReturnError):
        return Problem(500, _unreturned(name, error.reason, shown), **_place(error.cell))
    if isinstance(error, KernelDied):
        return Problem(500, f"{name}: {error.reason}", **_place(error.cell))
    if isinstance(error, ModelRecursionError):
        return Problem(
            500, f"{name}: the notebooks call each other without an end. Does one of them call itself?"
        )
    if isinstance(error, RecursionError):
        return Problem(422, f"{name}: a value is nested too deep to be handed over")
    if isinstance(error, TaskDied):
        return Problem(500, f"{name}: {error.reason}", **_place(error.cell))
    if isinstance(error, concurrent.futures.CancelledError):
        return Problem(503, f"{name}: the call was cancelled")
    return Problem(500, f"{name}: the call failed in a way that was not foreseen; the log has more")


def _place(cell: int | None, line: int | None = None) -> dict[str, Any]:
    return {key: value for key, value in (("cell", cell), ("line", line)) if value is not None}
