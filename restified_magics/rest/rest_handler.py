"""What all handlers have in common: who may ask, problems as JSON, headers, the id of the request."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import quote, unquote

from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from restified_magics.rest.problems import Problem, problem_of, title_of
from restified_magics.rest.service import CallService

__all__ = ["NO_CREDENTIALS", "SERVICE", "RestHandler"]

#: Key of the application's settings: the `CallService`.
SERVICE = "restified_service"

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# the methods of an identity provider that can tell users apart: Jupyter's own make up a name for each request
_WHO = ("get_user", "get_user_token", "get_user_cookie")

#: What a program is told that sends none.
NO_CREDENTIALS = "No valid credentials. Send the token of the server: Authorization: token …"


class RestHandler(APIHandler):  # type: ignore[misc]
    """What all have in common: problems as JSON, headers, the id of the request."""

    auth_resource = "restified"
    methods = "GET, OPTIONS"

    @property
    def service(self) -> CallService:
        """What makes the calls."""
        service: CallService = self.settings[SERVICE]
        return service

    @property
    def request_id(self) -> str:
        """Names this request in the answer and in the log."""
        if not hasattr(self, "_request_id"):
            self._request_id = uuid.uuid4().hex[:16]
        return self._request_id

    async def prepare(self) -> None:
        """Refuse who does not say who he is; a server may leave that to its handlers."""
        await super().prepare()
        if self.current_user is None and self.request.method != "OPTIONS":
            self.refuse_stranger()

    def refuse_stranger(self) -> None:
        """There are no credentials, or wrong ones."""
        raise Problem(403, NO_CREDENTIALS)

    def check_xsrf_cookie(self) -> None:
        """Who sends a wrong token is told that by `prepare`, and not that an argument `_xsrf` is missing."""
        try:
            super().check_xsrf_cookie()
        except web.HTTPError:
            if self.current_user is not None:
                raise

    def compute_etag(self) -> None:
        """Answers are not cached, and a checksum of a large one takes long."""

    def set_default_headers(self) -> None:
        """Nothing is cached, nothing is guessed."""
        super().set_default_headers()
        for name, value in _HEADERS.items():
            self.set_header(name, value)
        self.set_header("X-Request-Id", self.request_id)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error is a problem, in JSON: Jupyter's page for errors would hold the token."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        if isinstance(error, Problem):
            problem = error
        elif isinstance(error, web.HTTPError):
            told = error.log_message if status_code < 500 else None
            headers = {}
            if status_code == 405:
                headers = {"Allow": self.methods}
                told = f"{self.request.method} is not for this URL. Use one of {self.methods}"
            problem = Problem(status_code, told or title_of(status_code), headers=headers)
        else:
            problem = problem_of(error or Exception(), self.request.path)
        self.answer_problem(problem)

    def log_exception(self, kind: Any, error: Any, trace: Any) -> None:
        """A problem is no error of ours. The request is not told as it is: its URL may hold the token."""
        if not isinstance(error, Problem | web.HTTPError):
            self.log.error(
                "[%s] %s: not foreseen", self.request_id, self.request.path, exc_info=(kind, error, trace)
            )

    def _log(self) -> None:
        """Jupyter masks what is secret in a URL by the names in it, and reads them as they stand there."""
        self.request.uri = _with_plain_names(self.request.uri)
        if "Referer" in self.request.headers:
            self.request.headers["Referer"] = _with_plain_names(self.request.headers["Referer"])
        super()._log()

    def answer_problem(self, problem: Problem) -> None:
        """Write a problem."""
        body = problem.body(self.request_id)
        self.clear()
        if hasattr(self, "_jupyter_current_user"):  # else the request was refused before anything was asked
            self.set_cors_headers()
        self.set_status(problem.status)
        for name, value in problem.headers.items():
            self.set_header(name, value)
        self.finish(json.dumps(body), set_content_type="application/problem+json")

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """A problem has its own status."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        super().send_error(error.status if isinstance(error, Problem) else status_code, **kwargs)

    def head(self, *_args: str, **_kwargs: str) -> None:
        """What runs code has no HEAD."""
        raise web.HTTPError(405)

    @property
    def xsrf(self) -> str:
        """What a link of ours bears, and no other page knows: see `origin`."""
        return str(self.xsrf_token, "ascii")

    def url(self, *parts: str) -> str:
        """A URL of this server, as callers see it."""
        return str(url_path_join(self.base_url, *parts))

    @property
    def owner(self) -> str:
        """Whose jobs these are: the user, where users can be told apart; a shared token belongs to all."""
        provider = type(self.identity_provider)
        if all(getattr(provider, name) is getattr(IdentityProvider, name) for name in _WHO):
            return ""
        return str(self.current_user.username)


def _with_plain_names(url: str) -> str:
    """The URL without needless escapes in the names of its query."""
    path, mark, query = url.partition("?")
    pairs = (pair.partition("=") for pair in query.split("&"))
    return path + mark + "&".join(f"{quote(unquote(name))}{sign}{value}" for name, sign, value in pairs)
