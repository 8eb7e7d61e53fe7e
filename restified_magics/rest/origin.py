"""Whether a request that runs code was meant by the person whose cookie it bears.

A GET that runs a notebook is as dangerous as a POST, and Jupyter checks a GET less: any page could hold
a picture with its URL, and so could the text of a notebook that nobody trusts, which Jupyter shows on a page
of its own. So a cookie counts only together with the token against forgery (``_xsrf``) that belongs to it, in
the query or in the header ``X-XSRFToken``: the pages of :mod:`restified_magics.rest.pages` send it, and no
other can know it.
"""

from __future__ import annotations

import hmac
from typing import Any

from restified_magics.rest.problems import Problem

__all__ = ["NotLoggedIn", "NotMeant", "check_origin", "is_opened"]

_ADVICE = "Open it from /restified/ of this server, or send a token: Authorization: token …"


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
    if "Origin" in headers and not handler.check_origin():
        raise _refusal(handler, "Another site sent this request, and it was not run.")
    if not handler.identity_provider.auth_enabled and not _is_of_browser(headers):
        return  # whoever reaches such a server may run code, but for the pages that a browser shows
    if not _bears_token(handler):
        raise _refusal(handler, f"A cookie alone does not run a notebook. {_ADVICE}")


def is_opened(headers: Any) -> bool:
    """Whether a person has opened the URL in a browser, which does not say so everywhere without TLS."""
    if "Sec-Fetch-Mode" in headers:
        return bool(headers["Sec-Fetch-Mode"] == "navigate")
    return _is_of_browser(headers) and "text/html" in headers.get("Accept", "")


def _bears_token(handler: Any) -> bool:
    """Whether the request has the token that belongs to its cookie.

    Neither Jupyter nor JupyterHub, which changes tornado's own method too, asks a GET for it: for the one it
    does that it comes from a page of its own, for the other that somebody followed a link.
    """
    headers = handler.request.headers
    given = (
        handler.get_query_argument("_xsrf", "") or headers.get("X-XSRFToken") or headers.get("X-CSRFToken")
    )
    if not given:
        return False
    # each is masked anew where it is written
    tokens = (handler._decode_xsrf_token(text)[1] for text in (given, str(handler.xsrf_token, "ascii")))
    first, second = (token or b"" for token in tokens)
    return bool(first) and hmac.compare_digest(first, second)


def _is_of_browser(headers: Any) -> bool:
    """Whether a browser sent it; one that tells nothing else, as without TLS, tells its name."""
    told = ("Origin", "Referer", "Sec-Fetch-Site", "Cookie")
    return any(name in headers for name in told) or headers.get("User-Agent", "").startswith("Mozilla/")


def _refusal(handler: Any, detail: str) -> Problem:
    headers = handler.request.headers
    is_page = headers.get("Sec-Fetch-Dest", "document") == "document" and "text/html" in headers.get(
        "Accept", ""
    )
    kind = NotMeant if is_page and handler.request.method == "GET" else Problem
    return kind(403, detail)
