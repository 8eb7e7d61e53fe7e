"""REST: notebooks as endpoints of a real Jupyter Server."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from urllib.parse import quote

import pytest
from conftest import EXAMPLES, node, parameters, returns
from rest_server import TOKEN, serving

FAILS = node(
    parameters("x = 1"), "a = 1\nb = [secret for secret in ['hunter2']]\nraise ValueError(b)", returns("x")
)


def put(root, path, *cells, **metadata):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        json.dumps(
            cells[0] if isinstance(cells[0], dict) and "cells" in cells[0] else node(*cells, **metadata)
        )
    )
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    put(root, "fibonacci.ipynb", json.loads((EXAMPLES / "fibonacci.ipynb").read_text()))
    put(
        root,
        "échelle & co/area 50%.ipynb",
        parameters("width: int = 3  # Width [mm]\nheight = 2"),
        returns("width * height"),
    )
    put(root, "echo.ipynb", parameters("x = 1\ny = None\nname = 'a'"), returns("[x, y, name]"))
    put(
        root,
        "needs.ipynb",
        parameters("since: date"),
        "from datetime import timedelta",
        returns("since + timedelta(days=1)"),
    )
    put(root, "fails.ipynb", FAILS)
    put(root, "table.ipynb", returns("import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', '<y>']})"))
    put(root, "rows.ipynb", parameters("n = 0"), returns("[{'a': 1}] * n"))
    put(
        root,
        "figure.ipynb",
        "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])",
        returns("fig"),
    )
    put(root, "data.ipynb", returns("b'\\x00\\xff'"))
    put(
        root,
        "slow.ipynb",
        parameters("seconds = 60.0"),
        "import time",
        "time.sleep(seconds)",
        returns("'slept'"),
        "'never run'",
    )
    put(root, "beside/helper_of_test.py.ipynb", returns("1"))
    (root / "beside" / "helper_of_test.py").write_text("VALUE = 42\n")
    put(
        root,
        "beside/uses.ipynb",
        "import os, helper_of_test",
        returns("[helper_of_test.VALUE, os.path.basename(os.getcwd())]"),
    )
    put(root, "magic.ipynb", "%matplotlib inline\nx = !echo hello", returns("x"))
    put(root, "object.ipynb", returns("object()"))
    put(root, "of_colab.ipynb", 'width = 3 #@param {type:"integer"}', "width * 2")
    put(root, "no_model.ipynb", "width = 3")
    (root / "broken.ipynb").write_text("{")
    config = {"RestifiedApp": {"concurrency": 2, "queue": 20, "failed_runs_dir": "failed runs", "warm": True}}
    with serving(root, tmp_path_factory.mktemp("state"), config) as running:
        yield running


def test_get_and_post(server):
    """GET takes values from the query, POST from a JSON object; the answer is the bare JSON of the value."""
    for answer in (server.call("fibonacci.ipynb", n=20), server.post("fibonacci.ipynb", {"n": 20})):
        assert (answer.status, answer.body, answer.kind) == (200, b"6765", "application/json")
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Etag" not in answer.headers
    assert server.call("fibonacci.ipynb").json == 610
    assert server.send("POST", "/restified/fibonacci.ipynb").json == 610
    assert server.call("échelle & co/area 50%.ipynb", width=4).json == 8


def test_values_are_read_by_their_types(server):
    """Text is read by the type of the default, JSON is checked by it; a date is a date."""
    assert server.call("echo.ipynb", x="2", y="[1, 2]", name="7").json == [2, [1, 2], "7"]
    assert server.call("echo.ipynb", x="0.5", y="", name="a b&c=é").json == [0.5, None, "a b&c=é"]
    assert server.post("echo.ipynb", {"x": 2, "y": {"a": [None]}, "name": "'\"\\\u2028"}).json == [
        2,
        {"a": [None]},
        "'\"\\\u2028",
    ]
    assert server.call("needs.ipynb", since="2026-01-31").json == "2026-02-01"


def test_all_wrong_values_are_told_at_once(server):
    """422 names every bad parameter, in the words of Python's ParameterError."""
    answer = server.post("fibonacci.ipynb", {"n": "x", "m": 3})
    assert answer.status == 422
    assert answer.kind == "application/problem+json"
    assert answer.json["parameters"] == {
        "n": "must be a whole number, not 'x'",
        "m": "is not a parameter. Known: n",
    }
    assert server.call("needs.ipynb").json["parameters"] == {"since": "is required"}
    assert (
        server.call("needs.ipynb", since="soon")
        .json["parameters"]["since"]
        .startswith("must be a date such as")
    )
    twice = server.get("/restified/fibonacci.ipynb?n=1&n=2")
    assert (twice.status, twice.json["parameters"]) == (422, {"n": "is given twice"})


def test_a_failed_cell_is_a_failure(server):
    """500 with the cell and the line, nothing that the notebook said, and the call kept as a notebook."""
    answer = server.call("fails.ipynb", x=5)
    assert (answer.status, answer.kind) == (500, "application/problem+json")
    told = answer.json
    assert (told["cell"], told["line"], told["status"]) == (2, 3, 500)
    assert told["request_id"] == answer.headers["X-Request-Id"]
    assert b"hunter2" not in answer.body
    assert b"ValueError" not in answer.body
    kept = server.get("/api/contents/" + quote(told["failed_run"]), {"content": 1}).json["content"]
    assert kept["cells"][0]["source"] == "x = 5"
    assert kept["cells"][1]["outputs"][0]["ename"] == "ValueError"
    assert server.call(told["failed_run"]).status == 404


def test_media_types(server):
    """`Accept` picks CSV, HTML, pictures, bytes; what cannot be had is 406, and says what can."""
    assert server.call("table.ipynb").json == [{"a": 1, "b": "x"}, {"a": 2, "b": "<y>"}]
    csv = server.call("table.ipynb", {"Accept": "text/csv"})
    assert (csv.kind, csv.body) == ("text/csv; charset=utf-8", b"a,b\n1,x\n2,<y>\n")
    for rows, body in ((0, b""), (1, b"a\n1\n")):
        csv = server.call("rows.ipynb", {"Accept": "text/csv"}, n=rows)
        assert (csv.status, csv.kind, csv.body) == (200, "text/csv; charset=utf-8", body)
    page = server.call("table.ipynb", {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"})
    assert page.kind == "text/html; charset=utf-8"
    assert b"&lt;y&gt;" in page.body
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in page.headers["Content-Security-Policy"]
    picture = server.call("figure.ipynb")
    assert (picture.kind, picture.body[:4]) == ("image/png", b"\x89PNG")
    assert server.call("figure.ipynb", {"Accept": "image/svg+xml"}).body.lstrip().startswith(b"<?xml")
    assert server.call("data.ipynb").body == b"\x00\xff"
    refused = server.call("figure.ipynb", {"Accept": "text/csv"})
    assert (refused.status, refused.json["offered"][0]) == (406, "image/png")
    assert server.call("object.ipynb").status == 500


def test_a_notebook_runs_in_its_folder(server):
    """It imports the modules beside it, and magics work."""
    assert server.call("beside/uses.ipynb").json == [42, "beside"]
    assert server.call("magic.ipynb").json == ["hello"]


def test_what_cannot_be_called(server):
    """404 where there is no notebook, 500 where it is broken, 405 for other methods."""
    missing = server.call("nothing.ipynb")
    assert (missing.status, "/restified/ lists" in missing.json["detail"]) == (404, True)
    assert server.call("beside").status == 404
    assert server.call("beside/helper_of_test.py").status == 404
    broken = server.call("broken.ipynb")
    assert broken.status == 500
    assert "cannot be called: is not valid JSON" in broken.json["detail"]
    for method in ("PUT", "DELETE", "PATCH", "HEAD"):
        answer = server.send(method, "/restified/fibonacci.ipynb")
        assert answer.status == 405
        assert answer.body == b"" or answer.json["detail"].endswith("Use one of GET, POST, OPTIONS")


def test_a_changed_notebook_is_live(server):
    """What is on disk is what runs."""
    for value in (1, 2):
        put(server.root, "changes.ipynb", returns(str(value)))
        assert server.call("changes.ipynb").json == value


def test_a_job(server):
    """`Prefer: respond-async` answers 202 at once; the job tells its progress, all in the end, and then has the result."""
    answer = server.call("slow.ipynb", {"Prefer": "respond-async"}, seconds=1)
    assert answer.status == 202
    url = answer.headers["Location"]
    seen = []
    while (job := server.get(url).json)["state"] in ("queued", "running"):
        seen.append(job.get("progress"))
        assert server.get(url + "/result").status in (404, 200)  # it may end just now
        time.sleep(0.05)
    assert job["state"] == "done"
    assert {"done": 2, "total": 4, "cell": 3} in seen
    assert (job["progress"]["done"], job["progress"]["total"]) == (4, 4)
    assert server.get(job["result"]).json == "slept"
    assert job["id"] in [each["id"] for each in server.get("/api/restified/jobs").json["jobs"]]
    assert server.send("DELETE", url).status == 204
    assert server.get(url).status == 404


def test_a_job_that_fails_or_is_cancelled(server):
    """A failed job has its problem; DELETE ends one that runs, and its process."""
    url = server.call("fails.ipynb", {"Prefer": "respond-async"}).headers["Location"]
    while (job := server.get(url).json)["state"] in ("queued", "running"):
        time.sleep(0.02)
    assert (job["state"], job["problem"]["cell"]) == ("failed", 2)
    assert server.get(url + "/result").status == 500
    assert server.call("fibonacci.ipynb", {"Prefer": "respond-async"}, n="x").status == 422

    url = server.call("slow.ipynb", {"Prefer": "respond-async"}).headers["Location"]
    while server.get(url).json["state"] != "running":
        time.sleep(0.02)
    assert server.send("DELETE", url).status == 204
    assert server.is_idle()


def test_what_jobs_do_not_have(server):
    """All jobs cannot be deleted at once, nor the result of one: 405, and `Allow` says what there is."""
    for path in ("/api/restified/jobs", "/api/restified/jobs/x/result"):
        answer = server.send("DELETE", path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, OPTIONS")
    assert server.send("POST", "/api/restified/jobs/x").headers["Allow"] == "GET, DELETE, OPTIONS"


def test_openapi(server):
    """The document names every Model with its parameters; it leaves out what is no Model."""
    document = server.get("/api/restified/openapi.json").json
    assert document["openapi"] == "3.1.0"
    paths = document["paths"]
    assert "/restified/fibonacci.ipynb" in paths
    assert "/restified/broken.ipynb" not in paths
    area = paths["/restified/" + quote("échelle & co/area 50%.ipynb")]
    width = area["get"]["parameters"][0]
    assert (width["name"], width["required"], width["schema"]["type"], width["schema"]["default"]) == (
        "width",
        False,
        "integer",
        3,
    )
    assert (
        area["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["height"]["type"]
        == "number"
    )
    assert paths["/restified/needs.ipynb"]["post"]["requestBody"]["required"]
    assert paths["/restified/needs.ipynb"]["get"]["parameters"][0]["schema"]["format"] == "date"


def test_describe(server):
    """One Model is described: title, parameters, problems."""
    told = server.get("/api/restified/models/fibonacci.ipynb").json
    assert told["title"] == "Fibonacci number"
    assert told["parameters"]["properties"]["n"]["default"] == 15
    assert told["url"] == "/restified/fibonacci.ipynb"
    assert told["free_names"] == []
    put(server.root, "takes.ipynb", returns("given_by_the_view + 1"))
    assert server.get("/api/restified/models/takes.ipynb").json["free_names"] == ["given_by_the_view"]
    assert server.get("/api/restified/models/nothing.ipynb").status == 404


def test_the_page(server):
    """A person finds every Model with its parameters, a command to copy, and a link; nothing of it runs."""
    page = server.get("/restified/")
    assert page.kind.startswith("text/html")
    text = page.body.decode()
    assert "Fibonacci number" in text
    assert "of_colab.ipynb" in text
    assert "no_model.ipynb" not in text
    assert "curl" in text
    assert 'href="/restified/%C3%A9chelle%20%26%20co/area%2050%25.ipynb?_xsrf=' in text
    assert "<script" not in text
    assert TOKEN not in text
    assert server.get("/restified").status == 200


def test_the_example_client(server):
    """The client among the examples calls, reads what is wrong, and follows a job."""
    command = [sys.executable, str(EXAMPLES / "client.py"), f"http://127.0.0.1:{server.port}", TOKEN]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "the value: 6765",
        "refused: 422 {'n': \"must be a whole number, not 'many'\", 'm': 'is not a parameter. Known: n'}",
        "the job: done 832040",
    ]


def test_health_and_metrics(server):
    """Whether calls can be made, and Jupyter's own Prometheus page with numbers of calls."""
    assert server.get("/api/restified/health").json["status"] == "ok"
    server.call("fibonacci.ipynb")
    text = server.get("/metrics").body.decode()
    assert 'restified_calls_total{status="200"}' in text
    assert "restified_calls_running 0.0" in text
