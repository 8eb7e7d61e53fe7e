"""REST: whatever the contents manager says is what runs, at whatever base URL, in whatever kernel."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from conftest import cell, node, parameters, returns
from pytest_jupyter.jupyter_core import *  # noqa: F403  (the fixtures of these tests, and of no others)
from pytest_jupyter.jupyter_server import *  # noqa: F403
from rest_server import is_running, serving
from tornado.httpclient import HTTPClientError

import restified_magics
from restified_magics.rest.rest_handler import SERVICE


@pytest.fixture
def jp_server_config():
    return {
        "ServerApp": {
            "jpserver_extensions": {
                "restified_magics": True,
                "jupyter_server_terminals": False,
            }
        },
        "RestifiedApp": {"concurrency": 1, "show_messages": True},
    }


@pytest.fixture
def fetch(jp_asyncio_loop, jp_fetch):
    """jp_fetch, awaited."""
    asyncio.set_event_loop(jp_asyncio_loop)  # its client makes a future before it awaits

    def fetched(*parts, **options):
        return jp_asyncio_loop.run_until_complete(jp_fetch(*parts, **options))

    return fetched


def put(root, path, *cells, **metadata):
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(node(*cells, **metadata)))


def test_base_url(fetch, jp_root_dir, jp_base_url):
    """Below a base URL with odd characters, as JupyterHub's, everything is where its links say it is."""
    put(jp_root_dir, "sub folder/area.ipynb", parameters("x: int = 2"), returns("x * 2"))
    answer = fetch("restified", "sub folder", "area.ipynb", params={"x": "4"})
    assert json.loads(answer.body) == 8
    document = json.loads((fetch("api", "restified", "openapi.json")).body)
    assert document["servers"] == [{"url": jp_base_url.rstrip("/")}]
    assert list(document["paths"]) == ["/restified/sub%20folder/area.ipynb"]
    page = (fetch("restified/")).body.decode()
    assert f'href="{jp_base_url}restified/sub%20folder/area.ipynb?_xsrf=' in page
    job = fetch("restified", "sub folder", "area.ipynb", headers={"Prefer": "respond-async"})
    assert job.headers["Location"].startswith(f"{jp_base_url}api/restified/jobs/")
    with pytest.raises(HTTPClientError) as caught:
        fetch("restified", "sub folder", "area.ipynb", params={"x": "many"})
    assert caught.value.code == 422
    assert json.loads(caught.value.response.body)["parameters"] == {"x": "must be a whole number, not 'many'"}


def test_the_service_can_be_replaced(fetch, jp_serverapp):
    """Handlers ask the service that they are given, and nothing else."""
    from restified_magics.isolated.isolated_call import Given
    from restified_magics.rest.problems import Problem

    asked = []

    class Small:
        async def call(self, request):
            asked.append((request.path, request.values, request.from_text))
            if request.path == "busy.ipynb":
                raise Problem(503, "Busy.", headers={"Retry-After": "7"})
            return Given("text/plain", b"from elsewhere")

        async def close(self):
            pass

    real = jp_serverapp.web_app.settings[SERVICE]
    jp_serverapp.web_app.settings[SERVICE] = Small()
    try:
        answer = fetch("restified", "any.ipynb", params={"x": "1"})
        assert (answer.body, answer.headers["Content-Type"]) == (b"from elsewhere", "text/plain")
        with pytest.raises(HTTPClientError) as caught:
            fetch("restified", "busy.ipynb", method="POST", body="")
        assert caught.value.response.headers["Retry-After"] == "7"
        assert asked == [("any.ipynb", {"x": "1"}, True), ("busy.ipynb", {}, False)]
    finally:
        jp_serverapp.web_app.settings[SERVICE] = real


MANAGER = """
from jupyter_server.services.contents.largefilemanager import LargeFileManager, AsyncLargeFileManager

def changed(model, content):
    if model["type"] == "notebook" and content:
        for cell in model["content"]["cells"]:
            cell["source"] = cell["source"].replace("THE FILE", "THE MANAGER")
    return model

class SyncManager(LargeFileManager):
    def get(self, path, content=True, type=None, format=None, **options):
        return changed(super().get(path, content=content, type=type, format=format, **options), content)

class AsyncManager(AsyncLargeFileManager):
    async def get(self, path, content=True, type=None, format=None, **options):
        model = await super().get(path, content=content, type=type, format=format, **options)
        return changed(model, content)
"""


@pytest.mark.parametrize("manager", ["SyncManager", "AsyncManager"])
def test_other_contents_managers(tmp_path, manager):
    """A manager that makes a notebook of something else, as jupytext does, is asked for what runs."""
    (tmp_path / "own_manager.py").write_text(MANAGER)
    root = tmp_path / "root"
    put(
        root,
        "sub/model.ipynb",
        parameters("x: int = 1"),
        "import os",
        returns("['THE FILE', x, os.getcwd()]"),
    )
    put(root, "fails.ipynb", "raise ValueError", returns("1"))
    with serving(
        root, tmp_path, {"ServerApp": {"contents_manager_class": f"own_manager.{manager}"}}
    ) as server:
        for x in (2, 3):
            assert server.call("sub/model.ipynb", x=x).json == ["THE MANAGER", x, str(root / "sub")]
        assert server.call("fails.ipynb").json["cell"] == 1
        assert server.call("sub/nothing.ipynb").status == 404
        assert server.call("sub").status == 404
        assert list(server.get("/api/restified/openapi.json").json["paths"]) == [
            "/restified/fails.ipynb",
            "/restified/sub/model.ipynb",
        ]


TEXTS = """
import nbformat
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

class TextManager(AsyncLargeFileManager):
    \"""Every script is a notebook, as with jupytext.\"""
    async def get(self, path, content=True, type=None, format=None, **options):
        if not path.endswith(".py"):
            model = await super().get(path, content=content, type=type, format=format, **options)
            for entry in model["content"] if model["type"] == "directory" and content else ():
                entry["type"] = "notebook" if entry["path"].endswith(".py") else entry["type"]
            return model
        model = await super().get(path, content=content, type="file", format="text")
        if content:
            tags = ["return"] if "return" in model["content"] else []
            cell = nbformat.v4.new_code_cell(model["content"], metadata={"tags": tags})
            model["content"] = nbformat.v4.new_notebook(cells=[cell])
        return {**model, "type": "notebook", "format": "json"}
"""


@pytest.mark.parametrize("manager", [None, "own_manager.AsyncManager"])
def test_a_list_that_is_not_whole_says_so(tmp_path, manager):
    """Of more notebooks than are looked at the others are missing: the page, the JSON and the log say so."""
    root = tmp_path / "root"
    for name in ("a", "b"):
        put(root, f"{name}.ipynb", returns("1"))
    (tmp_path / "own_manager.py").write_text(MANAGER)
    config = {"RestifiedApp": {"max_listed": 2}}
    if manager:
        config["ServerApp"] = {"contents_manager_class": manager}
    with serving(root, tmp_path, config) as server:

        def told():
            listed, document = (
                server.get(f"/api/restified/{name}").json for name in ("models", "openapi.json")
            )
            assert [each["path"] for each in listed["models"]] == ["a.ipynb", "b.ipynb"]
            assert len(document["paths"]) == 2
            page = server.get("/restified/", headers={"Accept": "text/html"}).body.decode()
            return listed["missing"], document["x-missing"], page

        missing, in_document, page = told()
        assert missing is in_document is None
        assert "max_listed" not in page
        put(root, "c.ipynb", returns("1"))
        for _ in range(2):
            missing, in_document, page = told()
            assert missing == in_document
            assert missing.startswith("There are more than 2 notebooks.")
            assert missing in page
        assert server.call("c.ipynb").json == 1
        log = server.log.read_text()
    assert log.count(missing) == 1


def test_what_other_managers_find_is_not_always_meant(tmp_path):
    """Links that leave the folder, or lead in a circle; scripts that are no Models, though they can be opened."""
    (tmp_path / "own_texts.py").write_text(TEXTS)
    root = tmp_path / "root"
    put(root, "model.ipynb", returns("1"))
    put(tmp_path / "outside", "model.ipynb", returns("'outside'"))
    (root / "linked").symlink_to(tmp_path / "outside")
    (root / "link.ipynb").symlink_to(tmp_path / "outside" / "model.ipynb")
    (root / "circle").symlink_to(root)
    (root / "setup.py").write_text("import pathlib\npathlib.Path('ran').touch()")
    (root / "model.py").write_text("# return\n2")
    config = {"ServerApp": {"contents_manager_class": "own_texts.TextManager"}}
    with serving(root, tmp_path, config) as server:
        listed = server.get("/api/restified/models").json["models"]
        assert [each["path"] for each in listed] == ["model.ipynb", "model.py"]
        assert [server.call(name).json for name in ("model.ipynb", "model.py")] == [1, 2]
        for path in ("linked/model.ipynb", "link.ipynb", "setup.py"):
            assert server.call(path).status == 404
    assert not (root / "ran").exists()


@pytest.mark.parametrize(
    "wrong", [{"concurrency": 0}, {"refused": ["['secret/*']"]}, {"failed_runs_dir": "../x"}]
)
def test_a_wrong_configuration_serves_nothing(tmp_path, wrong):
    """Where one value is wrong Jupyter has none of the others either; what was forbidden must not be served."""
    root = tmp_path / "root"
    put(root, "secret/model.ipynb", returns("1"))
    config = {"RestifiedApp": {"refused": ["secret/*"], **wrong}}
    with serving(root, tmp_path, config) as server:
        for path in ("/restified/secret/model.ipynb", "/api/restified/models"):
            assert server.get(path).status == 404
    options = [
        f"--RestifiedApp.{name}={value[0] if isinstance(value, list) else value}"
        for name, value in wrong.items()
    ]
    done = subprocess.run(
        [sys.executable, "-m", "restified_magics", "serve", str(root), "--no-browser", "--port=0", *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert next(iter(wrong)) in done.stderr


def test_a_server_without_credentials(tmp_path):
    """Programs may call it; a page of another site, which a browser without TLS tells little of, may not."""
    root = tmp_path / "root"
    put(root, "model.ipynb", parameters("x: int = 1"), returns("x"))
    with serving(root, tmp_path, {"IdentityProvider": {"token": ""}}) as server:
        assert server.get("/restified/model.ipynb?x=2", token=None).json == 2
        for headers in (
            {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"},
            {"Referer": "https://evil.example/"},
            {"Cookie": "a=b"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert server.get("/restified/model.ipynb", token=None, headers=headers).status == 403


def test_a_type_that_cannot_travel(fetch, jp_root_dir):
    """The notebook is then read where it runs."""
    declared = "from typing import Annotated\nfrom pydantic import Field\nx: Annotated[str, Field(pattern='^a+$')] = 'a'"
    put(jp_root_dir, "pattern.ipynb", parameters(declared), returns("x * 2"))
    assert json.loads(fetch("restified", "pattern.ipynb", params={"x": "aa"}).body) == "aaaa"
    with pytest.raises(HTTPClientError) as caught:
        fetch("restified", "pattern.ipynb", params={"x": "b"})
    assert caught.value.code == 422


def test_another_kernelspec(tmp_path):
    """A notebook of another kernelspec runs in a kernel of it: here, the same Python with a variable set."""
    kernels = tmp_path / "data" / "kernels" / "with_variable"
    kernels.mkdir(parents=True)
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "With variable",
        "language": "python",
        "env": {"ONLY_THERE": "42"},
    }
    (kernels / "kernel.json").write_text(json.dumps(spec))
    root = tmp_path / "root"
    here = {"name": "with_variable", "language": "python", "display_name": "x"}
    put(
        root,
        "there.ipynb",
        parameters("x = 1"),
        "import os",
        returns("[os.environ.get('ONLY_THERE'), x]"),
        kernelspec=here,
    )
    put(root, "fails.ipynb", parameters("x = 1"), "raise ValueError(x)", returns("x"), kernelspec=here)
    plot = "import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])"
    put(root, "figure.ipynb", plot, returns("fig"), kernelspec=here)
    put(root, "slow.ipynb", "import time\ntime.sleep(1000)", returns("1"), kernelspec=here)
    put(root, "prints.ipynb", "for _ in range(100):\n    print('printed ' * 1000)", "1 / 0", kernelspec=here)
    put(root, "absent.ipynb", returns("1"), kernelspec={**here, "name": "not_installed"})
    bash = {"name": "bash", "language": "bash", "display_name": "Bash"}
    put(root, "bash.ipynb", parameters("n=15"), returns("echo $((n * 2))"), kernelspec=bash)
    paths = os.pathsep.join([str(tmp_path / "data"), os.environ.get("JUPYTER_PATH", "")])
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = paths
    try:
        limits = {"timeout": 20.0, "failed_runs_dir": "failed", "max_output_characters": 9000}
        with serving(root, tmp_path, {"RestifiedApp": limits}) as server:
            assert server.call("there.ipynb", x=5).json == ["42", 5]
            assert server.call("bash.ipynb", n=4).json == 8
            assert server.call("bash.ipynb", n="$(id)").status == 422
            failed = server.call("fails.ipynb")
            assert (failed.status, failed.json["cell"]) == (500, 2)
            assert server.call("figure.ipynb").body.startswith(b"\x89PNG")
            refused = server.call("figure.ipynb", {"Accept": "image/svg+xml"})
            assert (refused.status, refused.json["offered"]) == (406, ["image/png"])
            absent = server.call("absent.ipynb")
            assert absent.status == 500
            assert "not_installed" in absent.json["detail"]
            url = server.call("slow.ipynb", {"Prefer": "respond-async"}).headers["Location"]
            while server.get(url).json.get("progress") != {"done": 0, "total": 2, "cell": 1}:
                time.sleep(0.05)
            assert server.send("DELETE", url).status == 204
            assert server.is_idle()
            assert server.call("prints.ipynb").status == 500
            [kept] = (root / "failed").glob("prints*.ipynb")
            assert 9000 < kept.stat().st_size < 20_000
            assert "outputs after 9000 characters are left out" in kept.read_text()
            assert "printed printed" not in server.log.read_text()
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before


def test_on_a_dask_cluster(tmp_path):
    """With the address of a scheduler, calls run on its workers, each in a process of its own there."""
    import dask.config
    from distributed import LocalCluster

    root = tmp_path / "root"
    put(root, "where.ipynb", parameters("x = 1"), "import os", returns("[os.getppid(), x]"))
    put(root, "fails.ipynb", "raise ValueError", returns("1"))
    put(
        root,
        "slow.ipynb",
        "import os, time\nopen('pid', 'w').write(f'{os.getpid()}\\n')\ntime.sleep(1000)",
        returns("1"),
    )
    options = {"n_workers": 1, "threads_per_worker": 2, "processes": True, "dashboard_address": ":0"}
    patience = dask.config.set({"distributed.comm.timeouts.connect": "120s"})  # of a machine with much to do
    with patience, LocalCluster(host="127.0.0.1", **options) as cluster:
        config = {"RestifiedApp": {"dask_scheduler": cluster.scheduler_address}}
        with serving(root, tmp_path, config) as server:
            parent, x = server.call("where.ipynb", x=5).json
            assert x == 5
            assert server.tasks() == []
            assert parent not in [
                child.pid for child in psutil.Process(server.process.pid).children(recursive=True)
            ]
            assert server.call("fails.ipynb").json["cell"] == 1
            url = server.call("slow.ipynb", {"Prefer": "respond-async"}).headers["Location"]
            while not (root / "pid").exists() or not (root / "pid").read_text().endswith("\n"):
                time.sleep(0.05)
            assert server.send("DELETE", url).status == 204
            pid = int((root / "pid").read_text())
            latest = time.monotonic() + 20
            while is_running(pid):
                assert time.monotonic() < latest
                time.sleep(0.05)


def test_a_large_notebook_blocks_nobody(tmp_path):
    """While a notebook of 20 MB is read for the first time, and 50 calls run, the server answers others."""
    root = tmp_path / "root"
    big = node(parameters("x: int = 1"), returns("x + 1"))
    big["cells"].insert(
        0, {**cell("1"), "outputs": [{"output_type": "stream", "name": "stdout", "text": "x" * 20_000_000}]}
    )
    root.mkdir()
    (root / "big.ipynb").write_text(json.dumps(big))
    with serving(root, tmp_path, {"RestifiedApp": {"concurrency": 2, "queue": 100}}) as server:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(50) as pool:
            calls = [pool.submit(server.call, "big.ipynb", x=n) for n in range(50)]
            answered = 0
            while not all(call.done() for call in calls):
                assert server.get("/api/status", timeout=10).status == 200
                answered += 1
            assert [call.result().json for call in calls] == [n + 1 for n in range(50)]
            assert answered >= 3


def test_the_extension_is_light_and_in_order():
    """`jupyter server extension list` finds the extension in order; nothing of a call is imported for that."""
    program = (
        "import sys, restified_magics\n"
        "from jupyter_server.extension.manager import ExtensionPackage\n"
        "package = ExtensionPackage(name='restified_magics', enabled=True)\n"
        "print(package.validate(), package.version, list(package.extension_points))\n"
        "print([name for name in sys.modules if name.startswith('restified_magics')])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    order, imported = done.stdout.splitlines()
    assert order == f"True {restified_magics.__version__} ['restified']"
    assert imported == "['restified_magics', 'restified_magics.rest', 'restified_magics.rest.server']"


def test_every_trait_is_documented():
    """What can be configured is listed with its help by `jupyter restified --help-all`."""
    done = subprocess.run(
        [sys.executable, "-m", "restified_magics.rest.server", "--help-all"],
        capture_output=True,
        text=True,
        check=True,
    )
    from restified_magics.rest.server import RestifiedApp

    for name, trait in RestifiedApp.class_own_traits(config=True).items():
        assert trait.help, name
        assert f"--RestifiedApp.{name}=" in done.stdout
