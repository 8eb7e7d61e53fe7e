"""Whether a request that runs code was meant by the person whose cookie it bears.

A GET that runs a notebook is as dangerous as a POST, and Jupyter checks a GET less: any page could hold
a picture with its URL. So a cookie counts only for requests that come from Jupyter's own pages.
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from restified_magics.rest.problems import Problem

__all__ = ["NotLoggedIn", "NotMeant", "check_origin"]

_ADVICE = "Open it from a page of this server, such as /restified/, or send a token: Authorization: token …"


class NotMeant(Problem):
    """A person opened the URL, not from our pages: it may be meant, or a link in a mail. Ask."""


class NotLoggedIn(Problem):
    """A person without credentials opened the URL in a browser. Say where to log in."""


def check_origin(handler: Any) -> None:
    """Refuse a request to run code that another site may have sent.

    Args:
        handler: a handler of Jupyter Server, who the user is being known.

    Raises:
        Problem: 403.
        NotMeant: 403, of a person who can be asked.
    """
    if handler.token_authenticated:
        return  # no other site knows the token
    headers = handler.request.headers
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin is not None and not handler.check_origin():
        raise _refusal(handler, "Another site sent this request, and it was not run.")
    if site == "same-origin":
        return
    allowed = origin is not None and (handler.allow_origin or handler.allow_origin_pat)
    if site is not None and not allowed:
        raise _refusal(handler, f"This request did not come from a page of this server. {_ADVICE}")
    if not handler.identity_provider.auth_enabled:
        return  # whoever reaches such a server may run code; browsers were sorted out above
    try:
        handler.check_xsrf_cookie()
    except HTTPError:
        raise _refusal(handler, f"A cookie alone does not run a notebook. {_ADVICE}") from None


def _refusal(handler: Any, detail: str) -> Problem:
    headers = handler.request.headers
    is_page = headers.get("Sec-Fetch-Dest", "document") == "document" and "text/html" in headers.get(
        "Accept", ""
    )
    kind = NotMeant if is_page and handler.request.method == "GET" else Problem
    return kind(403, detail)
