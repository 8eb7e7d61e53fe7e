"""The routes of the REST interface: each handler reads a request, asks the service, and writes the answer."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import Any
from urllib.parse import parse_qsl

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.httputil import url_concat

from restified_magics.isolated.isolated_call import Given
from restified_magics.rest import pages
from restified_magics.rest.jobs import Job
from restified_magics.rest.openapi import all_described, described, document
from restified_magics.rest.origin import NotLoggedIn, NotMeant, check_origin, is_opened
from restified_magics.rest.problems import Problem
from restified_magics.rest.request_values import RESERVED, from_body, from_query
from restified_magics.rest.rest_handler import NO_CREDENTIALS, RestHandler
from restified_magics.rest.service import CallRequest

__all__ = ["MAX_BODY", "MAX_CONTAINERS", "MAX_VALUES", "handlers"]

#: Keys of the application's settings: bytes of a body, lists and objects in it, values of a query.
MAX_BODY = "restified_max_body"
MAX_CONTAINERS = "restified_max_containers"
MAX_VALUES = "restified_max_values"

_LARGE = 1 << 14  # bytes: reading more is not for the event loop
# what a notebook returns is never a page of Jupyter's origin: its scripts run in an origin of their own
_SANDBOX = "sandbox allow-scripts; default-src 'unsafe-inline' data: blob:; frame-ancestors 'self'"


@web.stream_request_body
class CallHandler(RestHandler):
    """``/restified/<path>.ipynb``: a call."""

    methods = "GET, POST, OPTIONS"
    _call: asyncio.Task[Given] | None = None
    _has_left = False
    _is_read = False

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
            raise NotLoggedIn(403, NO_CREDENTIALS)
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

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """Answer; where the body was not read, Tornado then ends the connection, and that has to be said."""
        if not self._is_read:
            self.set_header("Connection", "close")
        return super().finish(*args, **kwargs)

    def on_connection_close(self) -> None:
        """Who left wants no result."""
        super().on_connection_close()
        self._has_left = True
        if self._call is not None:
            self._call.cancel()

    @authorized("execute")
    async def get(self, path: str) -> None:
        """Call with the values of the query."""
        self._is_read = True
        if self._finished:  # its body was too large
            return
        if self._size:
            raise Problem(400, "A GET has no body: give the values in the query, or use POST.")
        values = from_query(self.request.query, most=self.settings[MAX_VALUES])
        await self._answer(path, values, from_text=True)

    @authorized("execute")
    async def post(self, path: str) -> None:
        """Call with the values of a JSON body."""
        self._is_read = True
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
