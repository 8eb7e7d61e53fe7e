"""Whether a request that runs code was meant by the person whose cookie it bears.

A GET that runs a notebook is as dangerous as a POST, and Jupyter checks a GET less: any page could hold
a picture with its URL. So a cookie counts only for requests that come from Jupyter's own pages.
"""

from __future__ import annotations

from typing import Any

from tornado.web import HTTPError

from restified_magics.problems import Problem

__all__ = ["check_origin"]

_ADVICE = "Open it from a page of this server, such as /restified/, or send a token: Authorization: token …"


def check_origin(handler: Any) -> None:
    """Refuse a request to run code that another site may have sent.

    Args:
        handler: a handler of Jupyter Server, who the user is being known.

    Raises:
        Problem: 403.
    """
    if handler.token_authenticated:
        return  # no other site knows the token
    headers = handler.request.headers
    site = headers.get("Sec-Fetch-Site")
    if headers.get("Origin") is not None and not handler.check_origin():
        raise Problem(403, "Another site sent this request, and it was not run.")
    if site == "same-origin":
        return
    allowed = headers.get("Origin") is not None and (handler.allow_origin or handler.allow_origin_pat)
    if site is not None and not allowed:
        raise Problem(
            403, f"This request did not come from a page of this server, and was not run. {_ADVICE}"
        )
    if not handler.identity_provider.auth_enabled:
        return  # whoever reaches such a server may run code; browsers were sorted out above
    try:
        handler.check_xsrf_cookie()
    except HTTPError:
        raise Problem(403, f"A cookie alone does not run a notebook. {_ADVICE}") from None
