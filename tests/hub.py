"""A JupyterHub whose users have servers of their own, and a client that goes to whichever a path belongs to."""

from __future__ import annotations

import contextlib
import json
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests

ADMIN = "a-secret-of-the-hub"

_CONFIG = """
import json, pathlib
from jupyterhub.proxy import Proxy


class Table(Proxy):
    '''The routes of a proxy in a file: the client of the tests reads them, and goes there itself.'''

    should_start = False
    routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}
        self.write()

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)
        self.write()

    async def get_all_routes(self):
        return self.routes

    def write(self):
        made = pathlib.Path(FOLDER, "routes.part")
        made.write_text(json.dumps({path: route["target"] for path, route in self.routes.items()}))
        made.replace(pathlib.Path(FOLDER, "routes.json"))


c.JupyterHub.proxy_class = Table
c.JupyterHub.bind_url = f"http://127.0.0.1:{PORTS[0]}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{PORTS[1]}"
c.JupyterHub.db_url = f"sqlite:///{FOLDER}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{FOLDER}/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.services = [{"name": "tests", "api_token": ADMIN}]
c.JupyterHub.load_roles = [
    {"name": "tests", "scopes": ["admin:users", "admin:servers", "tokens"], "services": ["tests"]}
]
c.Authenticator.allow_all = True
c.SimpleLocalProcessSpawner.home_dir_template = f"{FOLDER}/{{username}}"
c.Spawner.cmd = [PYTHON, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root"]
c.Spawner.environment = {"JUPYTERHUB_SINGLEUSER_APP": "jupyter_server.serverapp.ServerApp"}
c.Spawner.env_keep = list(__import__("os").environ)
"""


class Hub:
    """A running Hub.

    Args:
        folder: where its state is; the folder of a user lies in it by the user's name.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        with contextlib.ExitStack() as stack:
            probes = [stack.enter_context(socket.socket()) for _ in range(2)]
            for probe in probes:
                probe.bind(("127.0.0.1", 0))
            self.ports = [probe.getsockname()[1] for probe in probes]
        given = {"FOLDER": str(folder), "PORTS": self.ports, "ADMIN": ADMIN, "PYTHON": sys.executable}
        config = folder / "jupyterhub_config.py"
        lines = [f"{name} = {value!r}" for name, value in given.items()]
        config.write_text("\n".join([*lines, _CONFIG]))
        self.log = folder / "hub.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", f"--config={config}"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
            )
        self._until(lambda: self.api("GET", "/").ok)

    def _until(self, condition: Any) -> None:
        latest = time.monotonic() + 120
        while time.monotonic() < latest:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                if condition():
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    def api(self, method: str, path: str) -> requests.Response:
        """A request to the Hub's own API."""
        url = f"http://127.0.0.1:{self.ports[1]}/hub/api{path}"
        return requests.request(method, url, headers={"Authorization": f"token {ADMIN}"}, timeout=60)

    def start(self, user: str) -> None:
        """Start the server of a new user."""
        (self.folder / user).mkdir(exist_ok=True)
        self.api("POST", f"/users/{user}")
        self.api("POST", f"/users/{user}/server")
        self._until(lambda: self.api("GET", f"/users/{user}").json()["servers"].get("", {}).get("ready"))

    def token(self, user: str) -> str:
        """A token of a user, who is made where there is none yet."""
        self.api("POST", f"/users/{user}")
        return str(self.api("POST", f"/users/{user}/tokens").json()["token"])

    def get(self, path: str, session: requests.Session | None = None, **options: Any) -> requests.Response:
        """GET of a path, from where a proxy would have it; redirects are followed the same way."""
        client = session or requests.Session()
        for _ in range(20):
            try:
                answer = client.get(self.url(path), allow_redirects=False, timeout=60, **options)
            except requests.ConnectionError as error:
                raise AssertionError(self.log.read_text()) from error
            if not answer.is_redirect or session is None:
                return answer
            split = urlsplit(answer.headers["Location"])
            path = split.path + (f"?{split.query}" if split.query else "")
            options.pop("params", None)
        raise AssertionError(f"too many redirects, at last to {path}")

    def url(self, path: str) -> str:
        """Where a proxy would have a path from."""
        routes = json.loads((self.folder / "routes.json").read_text())
        longest = max((route for route in routes if path.startswith(route.rstrip("/"))), key=len)
        return str(routes[longest]).rstrip("/").removesuffix(longest.rstrip("/")) + path

    def log_in(self, user: str) -> requests.Session:
        """A person's browser, logged in by the Hub's own form."""
        session = requests.Session()
        form = session.get(self.url("/hub/login"), timeout=60)
        fields = {"username": user, "password": "", "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
        answer = session.post(
            self.url("/hub/login"),
            data=fields,
            headers={"Referer": form.url},
            allow_redirects=False,
            timeout=60,
        )
        assert answer.status_code == 302, answer.text
        return session

    def close(self) -> list[int]:
        """End it with all servers; the processes that are left are returned."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        self.process.wait(60)
        _, left = psutil.wait_procs(children, timeout=30)
        for child in left:
            with contextlib.suppress(psutil.Error):
                child.kill()
        return [child.pid for child in left]


@contextlib.contextmanager
def hub(folder: pathlib.Path) -> Iterator[Hub]:
    """A Hub, ended with the block; nothing of it is left."""
    made = Hub(folder)
    try:
        yield made
    finally:
        left = made.close()
        assert left == [], "the Hub left processes"
