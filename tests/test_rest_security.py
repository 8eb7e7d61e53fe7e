"""REST: what must not happen. After each test the next request is answered, and no process or slot is lost."""

from __future__ import annotations

import concurrent.futures
import html
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from urllib.parse import quote

import psutil
import pytest
from conftest import node, parameters, returns
from rest_server import TOKEN, is_running, serving

PUBLIC = {
    "echo.ipynb": [parameters("x = 1\ny = None\ntoken = 'none'"), returns("[x, y, token]")],
    "sum.ipynb": [parameters("x: int = 1"), returns("x + 1")],
    "text.ipynb": [parameters("s: str = ''"), returns("s")],
    "depth.ipynb": [
        parameters("y = None"),
        "depth = 0\nwhile y:\n    y = y[0] if isinstance(y, list) else y['a']\n    depth += 1",
        returns("depth"),
    ],
    "marks.ipynb": [
        parameters("path = 'x'"),
        "import pathlib\npathlib.Path(path).write_text('ran')",
        returns("path"),
    ],
    "loop.ipynb": ["while True:\n    pass"],
    "stubborn.ipynb": [
        "import signal, threading\nfor n in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):\n"
        "    signal.signal(n, signal.SIG_IGN)\n"
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
    ],
    "exit.ipynb": ["import os\nos._exit(0)", returns("1")],
    "segfault.ipynb": ["import ctypes\nctypes.string_at(0)", returns("1")],
    "hog.ipynb": ["x = bytearray(1 << 33)", returns("1")],
    "leaves.ipynb": [
        parameters("path = 'pids'\ndaemon = False"),
        "import os, time\nif os.fork() == 0:\n    if daemon:\n        os.setsid()\n        if os.fork(): os._exit(0)\n"
        "    open(path, 'w').write(f'{os.getpid()}\\n')\n    time.sleep(1000)\n"
        "while not (os.path.exists(path) and open(path).read().endswith('\\n')): time.sleep(0.01)",
        returns("int(open(path).read())"),
    ],
    "prints.ipynb": ["while True:\n    print('x' * 10000)"],
    "large.ipynb": [parameters("size = 100_000_000"), returns("b'x' * size")],
    "input.ipynb": ["input('?')", returns("1")],
    "state.ipynb": [
        "import os, json\njson.left = getattr(json, 'left', 0) + 1\nos.environ['LEFT'] = '1'\nos.chdir('/')",
        returns("json.left"),
    ],
    "itself.ipynb": [
        parameters("url = ''\ndepth = 0"),
        "import urllib.request, urllib.error, json\nrequest = urllib.request.Request(f'{url}?depth={depth + 1}&url={url}',"
        " headers={'Authorization': 'token " + TOKEN + "'})\n"
        "try:\n    said = 'done' if depth == 2 else json.load(urllib.request.urlopen(request))\n"
        "except urllib.error.HTTPError as error:\n    said = error.code",
        returns("said"),
    ],
    "html.ipynb": [
        returns("class P:\n    def _repr_html_(self): return '<script>alert(1)</script>'\nP()"),
    ],
    "svg.ipynb": [
        returns("class P:\n    def _repr_svg_(self): return '<svg><script>alert(1)</script></svg>'\nP()")
    ],
    "hostile.ipynb": [
        returns(
            "class P:\n    def _repr_mimebundle_(self, **o):\n"
            "        return {'text/html\\r\\nSet-Cookie: a=b': 'x', 'text/javascript; a=b': 'y', 'text/plain': 'z'}\nP()"
        ),
    ],
    "secrets.ipynb": [
        "import os",
        returns("repr(dict(os.environ))"),
    ],
    "raises.ipynb": ["raise ValueError('the-password-of-somebody')", returns("1")],
    "must.ipynb": [parameters("n: int"), returns("n")],
    "forks.ipynb": [
        parameters("size = 1"),
        "import os, time\nchild = os.fork() == 0",
        "if not child and size == 1: os.wait()",
        returns("('child' if child else 'parent') * size"),
    ],
    "told.ipynb": [
        parameters("kind = 'key'"),
        "class Text(str):\n    def __str__(self): raise ValueError('the-password-of-somebody')",
        "given = {'key': {'the-password-of-somebody': object()}, 'text': Text('x')}",
        returns("given[kind]"),
    ],
    "interrupts.ipynb": ["raise KeyboardInterrupt", returns("1")],
    "slow.ipynb": [
        parameters("seconds = 0.5\npath = ''"),
        "import os, time\nif path: open(path, 'w').write(f'{os.getpid()}\\n')",
        "time.sleep(seconds)",
        returns("'slept'"),
    ],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    outside = tmp_path_factory.mktemp("outside")
    for name, cells in PUBLIC.items():
        (root / name).write_text(json.dumps(node(*cells)))
    one = json.dumps(node(returns("'reached'")))
    for path in (
        ".hidden.ipynb",
        ".hidden/model.ipynb",
        "folder.ipynb/model.ipynb",
        "refused/model.ipynb",
        "~root/x.ipynb",
    ):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(one)
    (root / "notes.txt").write_text("text")
    (outside / "model.ipynb").write_text(one)
    (root / "link.ipynb").symlink_to(outside / "model.ipynb")
    (root / "linked").symlink_to(outside)
    (root / "inside.ipynb").symlink_to(root / "sum.ipynb")
    config = {
        "RestifiedApp": {
            "concurrency": 2,
            "queue": 10,
            "timeout": 20.0,
            "max_memory_bytes": 4 << 30,
            "max_body_bytes": 1 << 20,
            "refused": ["refused/*"],
            "failed_runs_dir": "failed",
            "max_failed_runs": 5,
        }
    }
    with serving(root, tmp_path_factory.mktemp("state"), config) as running:
        yield running


@pytest.fixture(autouse=True)
def _next_request_is_answered(server):
    yield
    assert server.call("sum.ipynb", x=41).json == 42
    assert server.is_idle()


# ---------------------------------------------------------------------- names

HOSTILE = [
    "x=1;evil()",
    '__import__("os").system("touch /tmp/pwned")',
    "class",
    "__builtins__",
    "__name__",
    "get_ipython",
    "print",
    "\uff54\uff4f\uff4b\uff45\uff4e2",
    "х",  # Cyrillic
    "",
    "a\0b",
    "a\nb",
    "x\n",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(server, name):
    """A name that is no parameter is refused, whatever it is, in query and body; nothing is run."""
    for answer in (server.call("echo.ipynb", **{name: "1"}), server.post("echo.ipynb", {name: 1})):
        assert answer.status == 422
        assert list(answer.json["parameters"]) == [name]


def test_a_name_that_is_no_text(server):
    """A query that is not UTF-8 is malformed."""
    for query in ("%ff=1", "x=%ff", "x=%ed%a0%80"):
        assert server.get(f"/restified/echo.ipynb?{query}").status == 400


def test_look_alike_names_are_one(server):
    """Python reads full-width letters as the plain ones, and so does a call; both at once are one too many."""
    assert server.call("echo.ipynb", **{"\uff58": "2"}).json[0] == 2
    assert server.post("echo.ipynb", {"\uff58": 2, "x": 3}).status == 422


# --------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "value",
    [
        "'",
        '"',
        "\\",
        "\u2028",
        "\x00",
        "'''\"\"\"\\n",
        "{x}",
        "$(id)",
        "%(x)s",
        "é" * 1000,
        "1e999",
        "\U0001f600",
    ],
)
def test_text_arrives_as_it_is(server, value):
    """Text is never part of a program: what arrives is what was sent."""
    assert server.post("text.ipynb", {"s": value}).json == value
    assert server.call("text.ipynb", s=value).json == value


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"y": NaN}', 400),
        (b'{"y": Infinity}', 400),
        (b'{"y": 1e999}', 400),
        (b'{"y": 1e-999}', 400),
        (b'{"y": ' + b"9" * 5000 + b"}", 400),
        (b'{"x": 1, "x": 2}', 400),
        (b'{"y": {"a": 1, "a": 2}}', 400),
        (b'{"y": "\\ud800"}', 400),
        (b'{"y": "\xff"}', 400),
        (b'\xef\xbb\xbf{"y": 1}', 400),
        (b"[1]", 400),
        (b'"x"', 400),
        (b"null", 400),
        (b"{", 400),
        (b"x=1", 400),
        (b"", 200),
        (b"  ", 200),
        (b"{}", 200),
    ],
)
def test_bodies(server, body, status):
    """Only a JSON object in UTF-8 is taken, with numbers that are numbers and names that are there once."""
    assert server.post("echo.ipynb", body).status == status


@pytest.mark.parametrize("start", [b"[", b'{"a":', b'{"y":[{"a":'])
@pytest.mark.parametrize("deep", [501, 600, 950, 1000, 100_000])
def test_deep_nesting_is_refused_at_once(server, start, deep):
    """A value that is nested more than 500 deep is refused, and the limit told: no stack holds any depth."""
    levels = start.count(b"[") + start.count(b"{")
    answer = server.post("echo.ipynb", b'{"y":' + start * -(-deep // levels))
    assert answer.status == 400
    assert "a value may be 500 lists and objects" in answer.json["detail"]


@pytest.mark.parametrize(("start", "end"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
def test_deep_nesting_is_taken(server, start, end):
    """A value that is nested 500 deep arrives as it is."""
    times = 500 // (start.count(b"[") + start.count(b"{"))
    answer = server.post("depth.ipynb", b'{"y":' + start * times + b"0" + end * times + b"}")
    assert (answer.status, answer.body) == (200, b"500")


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "multipart/form-data; boundary=x",
    ],
)
def test_content_types(server, kind):
    """A body that does not say that it is JSON is refused: 415."""
    headers = {} if kind is None else {"Content-Type": kind}
    answer = server.send("POST", "/restified/echo.ipynb", headers=headers, body=b'{"x": 1}')
    assert answer.status == 415
    assert (
        server.post("echo.ipynb", {"x": 5}, {"Content-Type": "application/json; charset=UTF-8"}).json[0] == 5
    )


def test_get_with_a_body_and_post_with_a_query(server):
    """Values come one way only."""
    assert server.send("GET", "/restified/echo.ipynb", body=b'{"x": 2}').status == 400
    answer = server.send(
        "POST", "/restified/echo.ipynb?x=1", headers={"Content-Type": "application/json"}, body=b"{}"
    )
    assert answer.status == 400


def test_a_body_over_the_limit(server):
    """A body that is too large is refused by its announced length, and in chunks before it is buffered."""
    head = f"POST /restified/echo.ipynb HTTP/1.1\r\nHost: localhost:{server.port}\r\nAuthorization: token {TOKEN}\r\n"
    head += "Content-Type: application/json\r\n"
    announced = server.raw(f"{head}Content-Length: 99999999\r\nConnection: close\r\n\r\n".encode())
    assert announced.startswith(b"HTTP/1.1 413")
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    sent = server.raw(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk * 1000)
    assert sent.startswith(b"HTTP/1.1 413")
    assert process.memory_info().rss - before < 30_000_000


def test_many_values_and_a_long_url(server):
    """A thousand values, or a URL of 70 kB, are refused."""
    assert server.call("echo.ipynb", **{f"a{n}": 1 for n in range(1000)}).status == 400
    long = server.raw(
        b"GET /restified/echo.ipynb?y="
        + b"x" * 70_000
        + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert not long.startswith(b"HTTP/1.1 2")


# --------------------------------------------------------------------- access


def _mark(server, **options):
    """A request that leaves a file where it is run: what it said, and whether it was run."""
    path = server.root / f"mark-{time.monotonic_ns()}"
    answer = server.get(f"/restified/marks.ipynb?path={quote(str(path))}", **options)
    return answer, path.exists()


def test_no_credentials(server):
    """403 as JSON for a program, whatever it accepts; a wrong token is none; nothing is run."""
    for headers in (
        {},
        {"Authorization": "token wrong"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
    ):
        answer, ran = _mark(server, token=None, headers=headers)
        assert (answer.status, answer.kind, ran) == (403, "application/problem+json", False)
        assert TOKEN.encode() not in answer.body
    assert server.get("/restified/marks.ipynb?path=x&token=wrong", token=None).status == 403
    assert server.get("/restified/nothing.ipynb", token=None).status == 403
    posted = server.post("sum.ipynb", {}, {"Authorization": "token wrong"}, token=None)
    assert (posted.status, posted.json["detail"][:20]) == (403, "No valid credentials")
    for path in (
        "/api/restified/openapi.json",
        "/api/restified/health",
        "/api/restified/jobs",
        "/api/restified/models/sum.ipynb",
    ):
        assert server.get(path, token=None).status == 403
    page = server.get("/restified/", token=None, headers={"Accept": "text/html"})
    assert (page.status, page.headers["Location"]) == (302, "/login?next=%2Frestified%2F")
    assert server.get("/restified/", token=None).status == 403


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
@pytest.mark.parametrize("route", ["", "/", "/nothing", "/jobs/1/2/3", "/health/now", "/nothing/<b>"])
def test_routes_that_there_are_not(server, method, route):
    """What is asked for below /api/restified is answered in JSON: 404, and 403 to a stranger, as elsewhere."""
    for token, status in (("header", 404), (None, 403)):
        answer = server.send(method, f"/api/restified{quote(route)}", token=token, headers={"Accept": "*/*"})
        assert (answer.status, answer.kind) == (status, "application/problem+json")
        assert answer.json["status"] == status
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert server.send(method, f"/api/restifiedly{route}").kind != "application/problem+json"


def test_a_person_without_credentials_is_told_where_to_log_in(server):
    """A browser shows a page with a link, which does not lead back: another site may have given the address."""
    browser = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    without_tls = {"Accept": "text/html,*/*;q=0.8", "User-Agent": "Mozilla/5.0"}
    for headers in (browser, without_tls):
        answer, ran = _mark(server, token=None, headers=headers)
        assert (answer.status, answer.kind, ran) == (403, "text/html; charset=utf-8", False)
        assert b'<a href="/restified/">Log in</a>' in answer.body
    script, ran = _mark(server, token=None, headers={**without_tls, "Sec-Fetch-Mode": "cors"})
    assert (script.status, script.kind, ran) == (403, "application/problem+json", False)
    assert server.post("sum.ipynb", {}, browser, token=None).kind == "application/problem+json"


def test_token_forms(server):
    """The token in the header, in both forms, and in the query."""
    for form in ("token", "Bearer", "bearer"):
        assert (
            server.get("/restified/sum.ipynb", token=None, headers={"Authorization": f"{form} {TOKEN}"}).json
            == 2
        )
    assert server.get(f"/restified/sum.ipynb?token={TOKEN}", token=None).json == 2
    cross = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert server.call("sum.ipynb", cross).json == 2  # who knows the token is no stranger


@pytest.fixture(scope="module")
def cookie(server):
    """The cookies of a person who has logged in."""
    answer = server.get(f"/restified/?token={TOKEN}", token=None)
    cookies = [value.partition(";")[0] for value in answer.headers.get_all("Set-Cookie")]
    return "; ".join(cookies)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Referer": "https://evil.example/"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"},
        {"Sec-Fetch-Site": "cross-site", "Referer": "http://127.0.0.1/"},
        # a picture or a link in a notebook that nobody trusts, which JupyterLab shows on its own page
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Referer": "{own}/lab/tree/mail.ipynb"},
    ],
)
def test_a_cookie_alone_runs_nothing(server, cookie, headers):
    """A request with a cookie is not run, wherever it comes from: it must bear what only our pages know."""
    headers = {name: value.format(own=f"http://127.0.0.1:{server.port}") for name, value in headers.items()}
    answer, ran = _mark(server, token=None, headers={"Cookie": cookie, **headers})
    assert (answer.kind, ran) == ("application/problem+json", False)
    assert answer.status == (404 if "Origin" in headers else 403)  # the one is Jupyter's own check
    body = json.dumps({"path": "never"}).encode()
    posted = server.post("marks.ipynb", body, {"Cookie": cookie, **headers}, token=None)
    assert posted.status in (403, 404)
    assert not (server.root / "never").exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {},
    ],
)
def test_a_person_who_opens_the_url_is_asked(server, cookie, headers):
    """A typed URL, or a link in a mail, shows a page that asks; nothing is run, nor a script in the values."""
    sent = {"Cookie": cookie, "Accept": "text/html,*/*;q=0.8", **headers}
    answer, ran = _mark(server, token=None, headers=sent)
    assert (answer.status, answer.kind, ran) == (403, "text/html; charset=utf-8", False)
    assert b"Run it</a>" in answer.body
    hostile = server.get(
        '/restified/marks.ipynb?path="><script>alert(1)</script>'.replace(" ", "+"), token=None, headers=sent
    )
    assert b"<script" not in hostile.body
    image = {**sent, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}
    assert _mark(server, token=None, headers=image)[0].kind == "application/problem+json"


def test_a_cookie_from_a_page_of_this_server_runs(server, cookie):
    """Its links and forms, and scripts that send the header, have the token that belongs to the cookie."""
    page = {"Cookie": cookie, "Accept": "text/html", "Sec-Fetch-Site": "none"}
    listed = html.unescape(server.get("/restified/", token=None, headers=page).body.decode())
    own = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin"}
    (link,) = re.findall(r'<a href="(/restified/sum\.ipynb[^"]*)">Call it', listed)
    assert server.get(link, token=None, headers=own).json == 2
    (form,) = re.findall(r'<form action="/restified/must\.ipynb">(.*?)</form>', listed)
    (hidden,) = re.findall(r'name="_xsrf" value="([^"]+)"', form)
    assert server.get(f"/restified/must.ipynb?_xsrf={quote(hidden)}&n=3", token=None, headers=own).json == 3
    asked = server.get("/restified/sum.ipynb?x=4&_xsrf=stale", token=None, headers=page)
    (link,) = re.findall(r'<a href="([^"]*)">Run it', html.unescape(asked.body.decode()))
    assert server.get(link, token=None, headers=own).json == 5
    header = {"X-XSRFToken": hidden, "Origin": f"http://127.0.0.1:{server.port}"}
    assert server.get("/restified/sum.ipynb", token=None, headers={**own, **header}).json == 2
    assert server.post("sum.ipynb", {}, {**own, **header}, token=None).json == 2
    assert server.post("sum.ipynb", {}, own, token=None).status == 403


def test_another_host(server):
    """A name that a stranger's DNS points here is not answered."""
    answer, ran = _mark(server, headers={"Host": "evil.example"})
    assert (answer.status, ran) == (403, False)


def test_head_and_options_run_nothing(server):
    """Neither HEAD nor OPTIONS ever runs a notebook."""
    path = server.root / "from-head"
    for method in ("HEAD", "OPTIONS"):
        for token in ("header", None):
            answer = server.send(method, f"/restified/marks.ipynb?path={quote(str(path))}", token=token)
            assert answer.status == (200 if method == "OPTIONS" else 405 if token else 403)
    assert not path.exists()


def test_a_parameter_that_is_called_as_a_credential(server):
    """`token` in a query is Jupyter's, and no notebook sees it; in a body it is the parameter."""
    assert server.get(f"/restified/echo.ipynb?token={TOKEN}&_xsrf=abc", token=None).json == [1, None, "none"]
    assert server.post("echo.ipynb", {"token": "mine"}).json == [1, None, "mine"]
    assert server.post("echo.ipynb", {"_xsrf": "mine"}).status == 422


def test_an_authorizer_that_denies(tmp_path):
    """Who may not execute, may not call: 403, nothing is run; and a user sees own jobs only."""
    (tmp_path / "root").mkdir()
    for name in ("marks.ipynb", "slow.ipynb"):
        (tmp_path / "root" / name).write_text(json.dumps(node(*PUBLIC[name])))
    (tmp_path / "own_access.py").write_text(
        "from jupyter_server.auth import Authorizer, IdentityProvider, User\n"
        "class OwnAuthorizer(Authorizer):\n"
        "    def is_authorized(self, handler, user, action, resource):\n"
        "        return action == 'read' or user.username != 'reader'\n"
        "class OwnIdentity(IdentityProvider):\n"
        "    def get_user(self, handler):\n"
        "        name = handler.request.headers.get('X-User')\n"
        "        handler._token_authenticated = bool(name)\n"
        "        return User(name) if name else None\n"
    )
    config = {
        "ServerApp": {
            "authorizer_class": "own_access.OwnAuthorizer",
            "identity_provider_class": "own_access.OwnIdentity",
        }
    }
    with serving(tmp_path / "root", tmp_path, config) as server:
        for method in ("GET", "POST"):
            answer = server.send(method, "/restified/marks.ipynb", headers={"X-User": "reader"})
            assert (answer.status, answer.kind) == (403, "application/problem+json")
        assert not (tmp_path / "root" / "x").exists()
        assert server.get("/api/restified/models/marks.ipynb", headers={"X-User": "reader"}).status == 200
        job = server.call("slow.ipynb", {"X-User": "ann", "Prefer": "respond-async"})
        url = job.headers["Location"]
        assert server.get(url, headers={"X-User": "ann"}).status == 200
        assert server.get(url, headers={"X-User": "bob"}).status == 404
        assert server.get(url + "/result", headers={"X-User": "bob"}).status == 404
        assert server.send("DELETE", url, headers={"X-User": "bob"}).status == 404
        assert server.get("/api/restified/jobs", headers={"X-User": "bob"}).json["jobs"] == []


# ---------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "path",
    [
        "../outside/model.ipynb",
        "%2e%2e/outside/model.ipynb",
        "..%2foutside%2fmodel.ipynb",
        "%252e%252e/outside/model.ipynb",
        "x/../sum.ipynb",
        "./sum.ipynb",
        "..\\outside\\model.ipynb",
        "%2e%2e%5coutside%5cmodel.ipynb",
        "%c0%ae%c0%ae/outside/model.ipynb",
        "/etc/model.ipynb",
        "//sum.ipynb",
        "folder.ipynb//model.ipynb",
        "sum.ipynb/",
        "sum.ipynb;x=1",
        ";sum.ipynb",
        ".hidden.ipynb",
        ".hidden/model.ipynb",
        "link.ipynb",
        "linked/model.ipynb",
        "sum.ipynb%00",
        "%00sum.ipynb",
        "sum.ipynb%0a",
        "C:/model.ipynb",
        "C:%5cmodel.ipynb",
        "file:///etc/passwd",
        "http://127.0.0.1/x.ipynb",
        "folder.ipynb",
        "notes.txt",
        "refused/model.ipynb",
        "",
        "a" * 5000 + ".ipynb",
    ],
)
def test_paths_that_lead_elsewhere(server, path):
    """Hidden files, other folders by any spelling, links out of the root, folders, texts: never run."""
    data = f"GET /restified/{path} HTTP/1.1\r\nHost: localhost:{server.port}\r\nAuthorization: token {TOKEN}\r\nConnection: close\r\n\r\n"
    answer = server.raw(data.encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400")) or (
        path in ("", "/") and b" 200 " in answer[:20]
    )
    assert b"reached" not in answer


def test_paths_that_are_fine(server):
    """A link inside the root, a folder that looks like a notebook, a name that looks like a home."""
    assert server.call("inside.ipynb", x=2).json == 3
    assert server.call("folder.ipynb/model.ipynb").json == "reached"
    assert server.call("~root/x.ipynb").json == "reached"


# -------------------------------------------------------------------- answers


def test_pages_are_sandboxed(server):
    """HTML and SVG with a script in them run in no origin of Jupyter's, and nothing guesses a type."""
    for notebook in ("html.ipynb", "svg.ipynb"):
        answer = server.call(notebook)
        assert b"<script>" in answer.body
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox")
        assert "allow-same-origin" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_hostile_media_type_is_no_header(server):
    """A media type that a notebook made up is a plain one or none: no header can be smuggled in."""
    answer = server.call("hostile.ipynb", {"Accept": "text/javascript, text/plain;q=0.5, */*;q=0.1"})
    assert answer.kind == "text/plain; charset=utf-8"
    assert answer.body == b"z"
    assert not answer.headers.get_all("Set-Cookie") or all(
        "a=b" not in each for each in answer.headers.get_all("Set-Cookie")
    )


def test_hostile_file_names(server):
    """A notebook may have any name; it is told as text in JSON and HTML."""
    name = "<script>alert(1)<\" '.ipynb"
    name = name.replace("/", "")
    (server.root / name).write_text(json.dumps(node(parameters("x: int = 1"), returns("x"))))
    try:
        assert server.call(name).json == 1
        assert server.call(name, x="a").status == 422
        page = server.get("/restified/").body.decode()
        assert "<script" not in page
        assert "&lt;script&gt;" in page
    finally:
        (server.root / name).unlink()


def test_no_secret_is_told(server):
    """No credential reaches a notebook's environment, and no exception's message reaches the caller."""
    told = server.call("secrets.ipynb").body.decode()
    assert "an-environment-secret" not in told
    assert TOKEN not in told
    for notebook, values in (
        ("raises.ipynb", {}),
        ("interrupts.ipynb", {}),
        ("told.ipynb", {"kind": "key"}),
        ("told.ipynb", {"kind": "text"}),
    ):
        answer = server.call(notebook, **values)
        assert answer.status == 500
        assert b"the-password-of-somebody" not in answer.body
    for name in ("token", "%74oken", "%74%6F%6b%65%6e"):  # in whatever form Jupyter takes it for the token
        for path in ("/restified/nothing.ipynb", "/api/restified/models/nothing.ipynb"):
            assert server.get(f"{path}?{name}={TOKEN}&x=%0aforged", token=None).status == 404
            page = f"http://localhost:{server.port}/restified/?{name}={TOKEN}"
            assert server.get(path, headers={"Referer": page}).status == 404
    log = server.log.read_text()
    assert TOKEN not in log
    assert "?token=[secret]&x=%0aforged" in log
    assert "the-password-of-somebody" not in log


# ------------------------------------------------------------------ behaviour


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    """A server whose calls may take one second."""
    root = tmp_path_factory.mktemp("hasty")
    for name, cells in PUBLIC.items():
        (root / name).write_text(json.dumps(node(*cells)))
    config = {
        "RestifiedApp": {
            "concurrency": 2,
            "timeout": 1.0,
            "failed_runs_dir": "failed",
            "max_output_characters": 50_000,
        }
    }
    with serving(root, tmp_path_factory.mktemp("state"), config) as running:
        yield running


@pytest.mark.parametrize("notebook", ["loop.ipynb", "stubborn.ipynb", "prints.ipynb"])
def test_what_does_not_end(hasty, notebook):
    """A loop, one that ignores every signal, one that prints for ever: 504 with the cell, and the slot is back."""
    answer = hasty.call(notebook)
    assert (answer.status, answer.json["cell"]) == (504, 1)
    assert hasty.is_idle()
    assert hasty.call("sum.ipynb").json == 2
    for kept in (hasty.root / "failed").glob("prints*.ipynb"):
        assert kept.stat().st_size < 200_000


@pytest.mark.parametrize(
    ("notebook", "status"),
    [
        ("exit.ipynb", 500),
        ("segfault.ipynb", 500),
        ("hog.ipynb", 500),
        ("input.ipynb", 500),
        ("interrupts.ipynb", 500),
    ],
)
def test_what_ends_badly(server, notebook, status):
    """An exit, a crash, too much memory, a question to nobody: a failure, never 200."""
    answer = server.call(notebook)
    assert (answer.status, answer.kind) == (status, "application/problem+json")


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_what_a_notebook_forks_does_not_answer(hasty, size):
    """Only the process that was asked tells; one that it has forked, and that goes on as it does, tells nothing."""
    assert hasty.call("forks.ipynb", size=size).json == "parent" * size
    assert hasty.is_idle()


def test_an_interrupt_in_a_cell_tells_its_place(server):
    """As any error does; the call is kept to be opened."""
    told = server.call("interrupts.ipynb").json
    assert (told["cell"], told["line"]) == (1, 1)
    assert told["failed_run"].startswith("failed/interrupts-")


@pytest.mark.parametrize("daemon", [False, True])
def test_children_end_with_the_call(server, tmp_path, daemon):
    """What a notebook leaves running ends with the call, daemons too."""
    pid = server.post("leaves.ipynb", {"path": str(tmp_path / "pids"), "daemon": daemon}).json
    latest = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < latest
        time.sleep(0.01)


def test_a_large_result(server):
    """100 MB come whole; more than the limit is 413."""
    answer = server.call("large.ipynb", {"Accept": "application/octet-stream"})
    assert len(answer.body) == 100_000_000
    assert server.call("large.ipynb", {"Accept": "application/octet-stream"}, size=140_000_000).status == 413


def test_no_state_is_left(server):
    """What a call leaves in modules, environment and folder is seen by no other."""
    assert [server.call("state.ipynb").json for _ in range(4)] == [1, 1, 1, 1]


def test_a_notebook_that_calls_itself(server):
    """A notebook may call the server that runs it; where no place is left it waits, and its time ends it."""
    url = f"http://127.0.0.1:{server.port}/restified/itself.ipynb"
    answer = server.call("itself.ipynb", url=url, depth=1)
    assert answer.json == "done"


def test_edited_while_it_runs(server, tmp_path):
    """A call ends as the notebook that it began with; the next one is the new one."""
    file = server.root / "edited.ipynb"
    file.write_text(json.dumps(node(*PUBLIC["slow.ipynb"])))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(server.call, "edited.ipynb", path=str(tmp_path / "pid"))
        while not (tmp_path / "pid").exists():
            time.sleep(0.01)
        file.write_text(json.dumps(node(returns("'new'"))))
        assert call.result().json == "slept"
    assert server.call("edited.ipynb").json == "new"


def test_more_requests_than_places(server):
    """Of 200 at once, those that find a place are answered, the others get 503 with Retry-After; none hangs."""
    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(lambda _: server.call("slow.ipynb", seconds=0.2), range(200)))
    statuses = {answer.status for answer in answers}
    assert statuses == {200, 503}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 503)
    assert sum(answer.status == 200 for answer in answers) >= 12


def test_the_server_answers_while_calls_run(hasty):
    """While 50 calls run and wait, the rest of Jupyter is answered."""
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(hasty.call, "slow.ipynb", seconds=0.1) for _ in range(50)]
        while hasty.get("/api/restified/health").json["running"] < 2:
            time.sleep(0.01)
        for _ in range(5):
            assert hasty.get("/api/status", timeout=5).status == 200
        health = hasty.get("/api/restified/health").json
        assert health["running"] <= 2  # one may have ended just now, and the next not begun
        assert health["running"] + health["waiting"] > 0
        assert {call.result().status for call in calls} == {200}


def test_who_is_refused_before_the_body_is_read_knows_that_the_connection_ends(server):
    """Tornado closes it: who sends the next request by it, as a browser does, must not see it break."""
    asking = {"Accept": "text/html", "User-Agent": "Mozilla/5.0"}
    token = {"Authorization": f"token {TOKEN}"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    for headers, status, ends in ((token, 404, None), (asking, 403, "close"), (token, 404, None)):
        connection.request("GET", "/restified/nothing.ipynb", headers=headers)
        answer = connection.getresponse()
        answer.read()
        assert (answer.status, answer.getheader("Connection")) == (status, ends)
    connection.close()


def _leave(server, path, until):
    data = f"GET /restified/slow.ipynb?seconds=1000&path={quote(str(path))} HTTP/1.1\r\nHost: localhost:{server.port}\r\nAuthorization: token {TOKEN}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(data.encode())
    while not until():
        time.sleep(0.01)
    return connection


def test_a_client_that_leaves(server, tmp_path):
    """Who leaves, while the call waits or runs, takes it along: its process ends, its place is free."""
    health = lambda: server.get("/api/restified/health").json  # noqa: E731
    running = [
        _leave(server, tmp_path / f"pid{n}", lambda n=n: (tmp_path / f"pid{n}").exists()) for n in range(2)
    ]
    queued = [_leave(server, tmp_path / "queued", lambda n=n: health()["waiting"] > n) for n in range(3)]
    for connection in queued:
        connection.close()
    while health()["waiting"]:
        time.sleep(0.01)
    pids = [int((tmp_path / f"pid{n}").read_text()) for n in range(2)]
    for connection in running:
        connection.close()
    assert server.is_idle()
    assert not any(is_running(pid) for pid in pids)
    assert not (tmp_path / "queued").exists()


def test_a_client_that_leaves_after_a_large_body(server, tmp_path):
    """While the body is read in a thread there is no call yet that could be ended: then none is begun."""
    body = json.dumps({"seconds": 1000, "path": str(tmp_path / "pid"), "filling": "x" * 20_000}).encode()
    body = body.replace(b', "filling": "', b"}" + b" " * 20_000)[: len(body) - 100]
    head = (
        f"POST /restified/slow.ipynb HTTP/1.1\r\nHost: localhost:{server.port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: application/json\r\nAuthorization: token {TOKEN}\r\n\r\n"
    )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + body)
    assert server.is_idle()


@pytest.mark.parametrize("engine", ["python", "kernel"])
def test_the_end_of_a_server_under_load(tmp_path, engine):
    """SIGTERM while calls run and wait: all are told, the server ends, and leaves no process (`serving` looks)."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "slow.ipynb").write_text(json.dumps(node(*PUBLIC["slow.ipynb"])))
    config = {"RestifiedApp": {"concurrency": 2, "engine": engine}}
    with serving(tmp_path / "root", tmp_path, config) as server:
        running = [
            _leave(server, tmp_path / f"pid{n}", lambda n=n: (tmp_path / f"pid{n}").exists())
            for n in range(2)
        ]
        waits = lambda n: server.get("/api/restified/health").json["waiting"] > n  # noqa: E731
        waiting = [_leave(server, tmp_path / "never", lambda n=n: waits(n)) for n in range(3)]
        os.kill(server.process.pid, signal.SIGTERM)
        try:
            server.process.wait(30)
        except subprocess.TimeoutExpired:
            pytest.fail(f"the server goes on:\n{server.log.read_text()}")
        for connection in (*running, *waiting):
            said = b""
            while part := connection.recv(1 << 16):
                said += part
            assert not said or said.startswith(b"HTTP/1.1 503 "), said
        pids = [int((tmp_path / f"pid{n}").read_text()) for n in range(2)]
        latest = time.monotonic() + 10
        while any(is_running(pid) for pid in pids):
            assert time.monotonic() < latest
            time.sleep(0.02)
        for connection in (*running, *waiting):
            connection.close()
