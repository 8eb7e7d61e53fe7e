"""The routes of the REST interface: each handler reads a request, asks the service, and writes the answer."""

from __future__ import annotations

import asyncio
import functools
import http
import json
import uuid
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from jupyter_server.auth.decorator import authorized
from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat

from restified_magics.isolated.isolated_call import Given
from restified_magics.rest import pages
from restified_magics.rest.jobs import Job
from restified_magics.rest.openapi import all_described, described, document
from restified_magics.rest.origin import NotLoggedIn, NotMeant, check_origin, is_opened
from restified_magics.rest.problems import Problem, problem_of
from restified_magics.rest.request_values import RESERVED, from_body, from_query
from restified_magics.rest.service import CallRequest, CallService

__all__ = ["MAX_BODY", "MAX_CONTAINERS", "MAX_VALUES", "SERVICE", "handlers"]

#: Keys of the application's settings: the `CallService`, bytes of a body, lists and objects in it, values of
#: a query.
SERVICE = "restified_service"
MAX_BODY = "restified_max_body"
MAX_CONTAINERS = "restified_max_containers"
MAX_VALUES = "restified_max_values"

_LARGE = 1 << 14  # bytes: reading more is not for the event loop
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
# what a notebook returns is never a page of Jupyter's origin: its scripts run in an origin of their own
_SANDBOX = "sandbox allow-scripts; default-src 'unsafe-inline' data: blob:; frame-ancestors 'self'"

# the methods of an identity provider that can tell users apart: Jupyter's own make up a name for each request
_WHO = ("get_user", "get_user_token", "get_user_cookie")

_NO_CREDENTIALS = "No valid credentials. Send the token of the server: Authorization: token …"


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
        raise Problem(403, _NO_CREDENTIALS)

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
            problem = Problem(status_code, told or http.HTTPStatus(status_code).phrase, headers=headers)
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


@web.stream_request_body
class CallHandler(RestHandler):
    """``/restified/<path>.ipynb``: a call."""

    methods = "GET, POST, OPTIONS"
    _call: asyncio.Task[Given] | None = None
    _has_left = False

    async def prepare(self) -> None:
        """Refuse what is too large, and who may not call, before the body is there."""
        self._body: list[bytes] = []
        self._size = 0
        await super().prepare()
        if self.request.method in ("GET", "POST"):
            check_origin(self)
        length = self.request.headers.get("Content-Length", "").partition(",")[0].strip()
        if length.isdecimal() and int(length) > self.most:
            raise self._too_large()

    def refuse_stranger(self) -> None:
        """A person is told where to log in, a program what to send."""
        if self.request.method == "GET" and is_opened(self.request.headers):
            raise NotLoggedIn(403, _NO_CREDENTIALS)
        super().refuse_stranger()

    def answer_problem(self, problem: Problem) -> None:
        """A person who opened the URL has a page; everything else is JSON."""
        if isinstance(problem, NotMeant):
            values = [(name, value) for name, value in parse_qsl(self.request.query) if name not in RESERVED]
            page = pages.confirm(self.request.uri, values, self.xsrf)
        elif isinstance(problem, NotLoggedIn):
            # nobody is led back here from there: then a link of another site would run without a question
            page = pages.log_in(self.url("restified") + "/")
        else:
            super().answer_problem(problem)
            return
        self.set_status(problem.status)
        self.set_header("Content-Security-Policy", pages.POLICY)
        self.set_header("Referrer-Policy", "same-origin")  # its link must say where it is from
        self.finish(page, set_content_type="text/html; charset=utf-8")

    @property
    def most(self) -> int:
        """Bytes that a body may have."""
        return int(self.settings[MAX_BODY])

    def _too_large(self) -> Problem:
        return Problem(
            413, f"The body has more than {self.most} bytes. Send less, or raise RestifiedApp.max_body_bytes."
        )

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body, as long as it is not too large."""
        self._size += len(chunk)
        if self._size <= self.most:
            self._body.append(chunk)
        elif not self._finished:
            self._body.clear()
            self.answer_problem(self._too_large())

    def on_connection_close(self) -> None:
        """Who left wants no result."""
        super().on_connection_close()
        self._has_left = True
        if self._call is not None:
            self._call.cancel()

    @authorized("execute")
    async def get(self, path: str) -> None:
        """Call with the values of the query."""
        if self._finished:  # its body was too large
            return
        if self._size:
            raise Problem(400, "A GET has no body: give the values in the query, or use POST.")
        values = from_query(self.request.query, most=self.settings[MAX_VALUES])
        await self._answer(path, values, from_text=True)

    @authorized("execute")
    async def post(self, path: str) -> None:
        """Call with the values of a JSON body."""
        if self._finished:
            return
        if from_query(self.request.query, most=self.settings[MAX_VALUES]):
            raise Problem(400, "A POST has its values in the body, as a JSON object, and none in the query.")
        body = b"".join(self._body)
        self._body.clear()
        content_type = self.request.headers.get("Content-Type")
        read = functools.partial(from_body, body, content_type, most=self.settings[MAX_CONTAINERS])
        values = await asyncio.to_thread(read) if len(body) > _LARGE else read()
        await self._answer(path, values, from_text=False)

    def _is_alone(self) -> bool:
        """Whether who asked has left."""
        return self._has_left

    async def _answer(self, path: str, values: dict[str, Any], *, from_text: bool) -> None:
        if self._is_alone():  # while the body was read
            return
        accept = self.request.headers.get("Accept", "")
        large = self._size > _LARGE or len(self.request.query) > _LARGE
        request = CallRequest(path, values, from_text, accept, self.request_id, large)
        preferences = self.request.headers.get("Prefer", "").lower().replace(";", ",").split(",")
        if "respond-async" in map(str.strip, preferences):
            job = await self.service.begin(request, self.owner)
            url = _url_of_job(self, job)
            self.set_status(202)
            self.set_header("Location", url)
            self.set_header("Preference-Applied", "respond-async")
            self.finish(json.dumps(job.described(url)))
            return
        self._call = asyncio.ensure_future(self.service.call(request))
        try:
            given = await self._call
        except asyncio.CancelledError:
            if self._is_alone():
                return
            raise Problem(503, "The server ended the call.", headers={"Retry-After": "30"}) from None
        answer_value(self, given)


def answer_value(handler: RestHandler, given: Given) -> None:
    """Write a rendered value. Nothing but its media type comes from the notebook."""
    handler.set_header("Content-Security-Policy", _SANDBOX)
    handler.set_header("Vary", "Accept")
    handler.log.debug("[%s] %s: answered", handler.request_id, handler.request.path)
    handler.finish(given.body, set_content_type=given.media_type)


class IndexHandler(RestHandler):
    """``/restified/``: the page that lists the Models."""

    def refuse_stranger(self) -> None:
        """A person is sent to the login page, a program is told."""
        if "text/html" not in self.request.headers.get("Accept", ""):
            super().refuse_stranger()
        url = self.get_login_url()
        self.redirect(url if "?" in url else url_concat(url, {"next": self.request.uri}))

    def get_login_url(self) -> str:
        """Where a person logs in: this is no API, whose callers are never sent there."""
        return JupyterHandler.get_login_url(self)  # type: ignore[no-any-return]

    @authorized("read")
    async def get(self) -> None:
        """The page."""
        self.service.warm()
        listed = await self.service.models()
        self.set_header("Content-Security-Policy", pages.POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        host = f"{self.request.protocol}://{self.request.host}"
        page = await asyncio.to_thread(pages.index, listed, self.base_url, host, self.xsrf)
        self.finish(page, set_content_type="text/html; charset=utf-8")


class OpenApiHandler(RestHandler):
    """``/api/restified/openapi.json``: the OpenAPI document."""

    @authorized("read")
    async def get(self) -> None:
        """The document, with a schema for each Model."""
        listed = await self.service.models()
        made = await asyncio.to_thread(lambda: json.dumps(document(listed, self.base_url)))
        self.finish(made)


class ModelsHandler(RestHandler):
    """``/api/restified/models/<path>``: what a Model is."""

    @authorized("read")
    async def get(self, path: str = "") -> None:
        """One Model, or all of them."""
        if path:
            served = await self.service.find(path)
            self.finish(json.dumps(await asyncio.to_thread(described, served, self.base_url)))
            return
        listed = await self.service.models()
        told = await asyncio.to_thread(all_described, listed.models, self.base_url)
        self.finish(json.dumps({"models": told, "missing": listed.missing}))


class JobsHandler(RestHandler):
    """``/api/restified/jobs``: the calls that run by themselves."""

    @authorized("execute")
    async def get(self) -> None:
        """All of this user."""
        told = [job.described(_url_of_job(self, job)) for job in self.service.jobs.of(self.owner)]
        self.finish(json.dumps({"jobs": told}))


class JobHandler(RestHandler):
    """``/api/restified/jobs/<id>``: one of them."""

    methods = "GET, DELETE, OPTIONS"

    @authorized("execute")
    async def get(self, identity: str) -> None:
        """How far it is."""
        job = self.service.jobs.find(identity, self.owner)
        self.finish(json.dumps(job.described(_url_of_job(self, job))))

    @authorized("execute")
    async def delete(self, identity: str) -> None:
        """End a job and forget it."""
        await self.service.jobs.cancel(self.service.jobs.find(identity, self.owner))
        self.set_status(204)
        self.finish()


class JobResultHandler(RestHandler):
    """``/api/restified/jobs/<id>/result``: the value of one, as a call would have answered."""

    @authorized("execute")
    async def get(self, identity: str) -> None:
        """The value, or what went wrong."""
        job = self.service.jobs.find(identity, self.owner)
        if job.given is None:
            raise job.problem or Problem(404, f"The job has no result: it is {job.state}.")
        answer_value(self, job.given)


def _url_of_job(handler: RestHandler, job: Job) -> str:
    return handler.url("api/restified/jobs", job.id)


class HealthHandler(RestHandler):
    """``/api/restified/health``: whether calls can be made now."""

    @authorized("read")
    def get(self) -> None:
        """How many calls run and wait."""
        service = self.service
        told = {
            "status": "ok",
            "running": service.running,
            "waiting": service.waiting,
            "jobs": len(service.jobs),
        }
        self.finish(json.dumps(told))


class UnknownHandler(RestHandler):
    """``/api/restified/…``: whatever else is asked for there is a program's question, too."""

    methods = "OPTIONS"

    async def prepare(self) -> None:
        """There is nothing, which is told to those who may know."""
        await super().prepare()
        if self.request.method != "OPTIONS":
            raise Problem(
                404, "There is no such route: below /api/restified are models, openapi.json, jobs, health."
            )


def handlers() -> list[tuple[str, type[RestHandler]]]:
    """The routes, below the server's base URL."""
    api = "/api/restified"
    return [
        (r"/restified/?", IndexHandler),
        (r"/restified/(.+)", CallHandler),
        (rf"{api}/openapi\.json", OpenApiHandler),
        (rf"{api}/models/?", ModelsHandler),
        (rf"{api}/models/(.+)", ModelsHandler),
        (rf"{api}/jobs/?", JobsHandler),
        (rf"{api}/jobs/([^/]+)", JobHandler),
        (rf"{api}/jobs/([^/]+)/result", JobResultHandler),
        (rf"{api}/health", HealthHandler),
        (rf"{api}(?:/.*)?", UnknownHandler),
    ]
