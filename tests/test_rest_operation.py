"""REST over days: jobs expire, failed runs do not pile up, a full disk or an odd Model harms nobody else."""

from __future__ import annotations

import json
import os
import threading
import time

import psutil
import pytest
from conftest import node, parameters, returns
from rest_server import TOKEN, serving

CONFIG = {
    "failed_runs_dir": "failed",
    "job_seconds": 1.0,
    "max_jobs": 2,
    "show_messages": True,
    "timeout": 5.0,
}


def put(root, path, *cells):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(node(*cells)))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server whose limits are low."""
    root = tmp_path_factory.mktemp("root")
    put(root, "doubled.ipynb", parameters("x = 1"), returns("x * 2"))
    put(root, "numbers.ipynb", parameters("x: list[int] = []"), returns("len(x)"))
    put(root, "anything.ipynb", parameters("x = None"), returns("len(x)"))
    put(root, "fails.ipynb", parameters("x = 1"), returns("1 / 0"))
    put(root, "slow.ipynb", "import time\ntime.sleep(1000)", returns("1"))
    put(root, "huge_message.ipynb", returns("int('x' * 50_000_000)"))
    (root / "beside").mkdir()
    (root / "beside" / "only_there.py").write_text("class Mine(Exception): ...\n")
    put(root, "beside/own.ipynb", "import only_there", "raise only_there.Mine('z')", returns("1"))
    put(root, "odd/digits.ipynb", parameters(f"n = 0x{'f' * 5000}"), returns("n % 7"))
    put(root, "odd/surrogate.ipynb", parameters(r"x = '\ud800'"), returns("len(x)"))
    with serving(root, tmp_path_factory.mktemp("state"), {"RestifiedApp": CONFIG}) as running:
        yield running


def begin(server, path, **values):
    """A job's URL."""
    answer = server.call(path, {"Prefer": "respond-async"}, **values)
    assert answer.status == 202, answer.body
    return answer.headers["Location"]


def ended(server, url):
    while (job := server.get(url).json)["state"] in ("queued", "running"):
        time.sleep(0.02)
    return job["state"]


def test_jobs_expire(server):
    """`job_seconds` after their end they are forgotten, though nobody asks."""
    url = begin(server, "doubled.ipynb")
    assert ended(server, url) == "done"
    while server.get("/api/restified/health").json["jobs"]:
        time.sleep(0.05)
    assert server.get(url).status == 404


def test_jobs_that_have_ended_make_room(server):
    """`max_jobs` are those that wait and run; further ones are refused in words."""
    first = begin(server, "doubled.ipynb")
    assert ended(server, first) == "done"
    running = [begin(server, "slow.ipynb") for _ in range(2)]
    refused = server.call("doubled.ipynb", {"Prefer": "respond-async"})
    assert (refused.status, refused.headers["Retry-After"]) == (503, "30")
    assert "2 jobs wait or run already" in refused.json["detail"]
    for url in running:
        assert server.send("DELETE", url).status == 204
    assert server.is_idle()


def test_an_exception_that_the_server_has_no_class_of(server):
    """One of a module beside the notebook is told with its cell and line as any other, and kept."""
    answer = server.call("beside/own.ipynb")
    assert (answer.status, answer.json["cell"], answer.json["line"]) == (500, 2, 1)
    assert answer.json["ename"] == "Mine"
    assert (server.root / answer.json["failed_run"]).exists()


@pytest.mark.parametrize(
    ("value", "name"), [("__import__('os')._exit(3)", "TaskDied"), ("object()", "MediaError")]
)
def test_a_call_that_leaves_no_result_is_kept_with_its_values(server, value, name):
    """Its process died, or its value cannot be had: what it was given, and where it failed, is there in Jupyter."""
    put(server.root, "no_result.ipynb", parameters("n = 1"), returns(value))
    answer = server.call("no_result.ipynb", n=42)
    assert answer.status == 500
    assert answer.json.get("cell") == (2 if name == "TaskDied" else None)
    kept = json.loads((server.root / answer.json["failed_run"]).read_text())
    assert kept["cells"][0]["source"] == "n = 42"
    assert [output["ename"] for output in kept["cells"][1]["outputs"]] == [name]


def test_a_huge_message_is_cut(server):
    """The server does not carry what a notebook puts into an exception."""
    before = psutil.Process(server.process.pid).memory_info().rss
    answer = server.call("huge_message.ipynb")
    assert answer.status == 500
    assert len(answer.json["evalue"]) < 21_000
    assert psutil.Process(server.process.pid).memory_info().rss - before < 40_000_000


def test_failed_runs_leave_other_notebooks_alone(server):
    """Old ones are removed, as long as they are ours."""
    put(server.root, "failed/thesis.ipynb", returns("1"))
    put(server.root, "failed/fails-20200101-000000-abcdef.ipynb", returns("1"))
    for path in (server.root / "failed").glob("*.ipynb"):
        os.utime(path, (0, 0))
    assert server.call("fails.ipynb").status == 500
    assert (server.root / "failed" / "thesis.ipynb").exists()
    assert not (server.root / "failed" / "fails-20200101-000000-abcdef.ipynb").exists()


def test_a_failed_run_that_cannot_be_kept(server, tmp_path):
    """The answer is as it would be, jobs end, and no token comes into the log."""
    root = tmp_path / "root"
    put(root, "fails.ipynb", returns("1 / 0"))
    (root / "failed").write_text("a file")
    with serving(root, tmp_path, {"RestifiedApp": CONFIG}) as other:
        answer = other.send("GET", f"/restified/fails.ipynb?token={TOKEN}")
        assert (answer.status, answer.json["cell"]) == (500, 1)
        assert "failed_run" not in answer.json
        assert ended(other, begin(other, "fails.ipynb")) == "failed"
        log = other.log.read_text()
        assert "the failed run cannot be kept" in log
        assert TOKEN not in log


def test_odd_models_keep_nobody_from_the_others(server):
    """The page, the list and the document are there, whatever one Model has for a default."""
    page = server.get("/restified/", headers={"Accept": "text/html"})
    assert page.status == 200
    assert "doubled.ipynb" in page.body.decode()
    told = {each["path"]: each for each in server.get("/api/restified/models").json["models"]}
    assert "n" not in told["doubled.ipynb"].get("problems", [])
    assert {"odd/digits.ipynb", "odd/surrogate.ipynb", "doubled.ipynb"} <= set(told)
    assert "/restified/doubled.ipynb" in server.get("/api/restified/openapi.json").json["paths"]
    assert server.call("odd/surrogate.ipynb").json == 1


def test_a_large_body_keeps_nobody_waiting(server):
    """A list with half a million wrong items is refused, and the server answers others meanwhile."""
    refused = []

    def send():
        refused.append(server.post("numbers.ipynb", {"x": ["a"] * 500_000}))

    thread = threading.Thread(target=send)
    thread.start()
    answered = 0
    while thread.is_alive():
        assert server.get("/api/status").status == 200
        answered += 1
    thread.join()
    assert answered > 3  # while the body came, was read, and was found wrong
    assert refused[0].status == 422
    assert "has 500,000 problems inside" in refused[0].json["parameters"]["x"]


def test_more_lists_and_objects_than_are_taken(server):
    """Millions of small lists are refused before they are read, which would let nobody else be answered."""
    most = [[], {}, [{}]] * 62_499 + [[]]  # with the list, and with the body itself, 250,000 of them
    fits = server.post("anything.ipynb", {"x": [*most, []]})
    assert (fits.status, fits.body) == (200, b"187499")
    refused = server.post("anything.ipynb", {"x": [*most, [], []]})
    assert refused.status == 413
    assert "max_containers" in refused.json["detail"]
    torn = b'{"x":[' + b"[]," * 300_000  # who reads it finds that it is no JSON
    assert server.post("anything.ipynb", torn).status == 413


@pytest.mark.parametrize("text", ["[", '"[', '\\"[{', "\\", '[\\\\"'])
def test_brackets_in_text_are_no_lists(server, text):
    """What looks like a list and stands in a text is text, whatever stands around it."""
    values = [text] * 300_000
    answer = server.post("anything.ipynb", {"x": values})
    assert (answer.status, answer.body) == (200, b"300000")
