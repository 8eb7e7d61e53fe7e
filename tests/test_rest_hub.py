"""REST behind a real JupyterHub: each user's notebooks for that user, at the user's address."""

from __future__ import annotations

import html as escaping
import json
import re
import sys

import pytest
import requests
from conftest import node, parameters, returns
from hub import hub

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no JupyterHub for Windows")

PATH = "/user/anna/restified/area.ipynb"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with hub(tmp_path_factory.mktemp("hub")) as made:
        (made.folder / "anna").mkdir()
        model = node(parameters("x: int = 2"), returns("x * 2"))
        (made.folder / "anna" / "area.ipynb").write_text(json.dumps(model))
        yield made


@pytest.fixture(scope="module")
def tokens(running):
    running.start("anna")
    return {user: running.token(user) for user in ("anna", "bob")}


def test_a_users_token_calls(running, tokens):
    """A token of the Hub does, and the addresses that are told are below the user's."""
    headers = {"Authorization": f"token {tokens['anna']}"}
    answer = running.get(PATH, headers=headers, params={"x": 4})
    assert (answer.status_code, answer.json()) == (200, 8)
    document = running.get("/user/anna/api/restified/openapi.json", headers=headers).json()
    assert document["servers"] == [{"url": "/user/anna"}]


@pytest.mark.parametrize("user", [None, "bob"])
def test_others_are_refused_and_sent_nowhere(running, tokens, user):
    """Without a token, or with one of somebody else: 403 in words that a program reads, and no login page."""
    headers = {} if user is None else {"Authorization": f"token {tokens[user]}"}
    answer = running.get(PATH, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["status"] == 403


def test_a_person_logs_in_and_calls_from_our_page(running, tokens):
    """The Hub's cookie opens the page; with it alone a link runs nothing, but what the page links to does."""
    browser = running.log_in("anna")
    html = {"Accept": "text/html"}
    page = running.get("/user/anna/restified/", browser, headers=html)
    assert page.status_code == 200
    assert "area.ipynb" in page.text
    asked = running.get(f"{PATH}?x=5", browser, headers=html)
    assert asked.status_code == 403
    link = escaping.unescape(re.search(r'href="([^"]+_xsrf=[^"]+)"', asked.text)[1])
    assert link.startswith(f"{PATH}?x=5&")
    answer = running.get(link, browser)
    assert (answer.status_code, answer.json()) == (200, 10)


def test_who_is_not_logged_in_is_told_where(running, tokens):
    """A person whose browser has no cookie gets a page, whose link leads to the Hub's login."""
    browser = {"Accept": "text/html", "User-Agent": "Mozilla/5.0"}
    page = running.get(PATH, headers=browser)
    assert page.status_code == 403
    link = re.search(r'<a href="([^"]+)">Log in</a>', page.text)[1]
    login = running.get(link, requests.Session(), headers=browser)
    assert (login.status_code, login.request.path_url.partition("?")[0]) == (200, "/hub/login")
