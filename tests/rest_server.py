"""A Jupyter Server in a process of its own, as its users have it, and a client that sends any bytes."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import psutil

TOKEN = "a-secret-of-the-server"

# the server is a fresh one: what else is installed there only takes time to load
_OTHERS = (
    "jupyterlab",
    "jupyter_lsp",
    "jupyter_server_terminals",
    "notebook_shim",
    "voila.server_extension",
)


@dataclasses.dataclass
class Answer:
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        return self.headers["Content-Type"] or ""


class Server:
    """A running server.

    Args:
        root: its folder.
        config: traits by class, as in jupyter_server_config.json.
        folder: where its state is.
    """

    def __init__(self, root: pathlib.Path, config: dict[str, Any], folder: pathlib.Path) -> None:
        self.root = root
        self.token = TOKEN
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        server = {
            "ip": "127.0.0.1",
            "port": self.port,
            "port_retries": 0,
            "open_browser": False,
            "allow_root": True,
            "root_dir": str(root),
            "jpserver_extensions": {"restified_magics": True, **dict.fromkeys(_OTHERS, False)},
        }
        made = {**config, "ServerApp": {**server, **config.get("ServerApp", {})}}
        made.setdefault("IdentityProvider", {"token": TOKEN})
        self.base_url = made["ServerApp"].get("base_url", "/")
        file = folder / f"config-{self.port}.json"
        file.write_text(json.dumps(made))
        self.log = folder / f"log-{self.port}.txt"
        environ = {**os.environ, "JUPYTER_TOKEN_OF_TEST": "an-environment-secret", "HOME": str(folder)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", f"--config={file}"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=environ,
                cwd=folder,
            )
        self._until_it_answers()

    def _until_it_answers(self) -> None:
        latest = time.monotonic() + 60
        while time.monotonic() < latest:
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text())
            with contextlib.suppress(OSError):
                if self.get("/api/status").status in (200, 403):
                    return
            time.sleep(0.05)
        raise AssertionError(self.log.read_text())

    # --------------------------------------------------------------- requests

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        body: Any = None,
        token: str | None = "header",
        timeout: float = 60,
    ) -> Answer:
        """One request, below the base URL, with the token unless told otherwise."""
        sent = dict(headers or {})
        if token == "header":
            sent["Authorization"] = f"token {self.token}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        with contextlib.closing(connection):
            url = self.base_url.rstrip("/") + path
            connection.request(method, url, body=body, headers=sent, encode_chunked=hasattr(body, "__next__"))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def get(self, path: str, /, params: dict[str, Any] | None = None, **options: Any) -> Answer:
        """GET, with a query."""
        return self.send("GET", path + ("?" + urlencode(params) if params else ""), **options)

    def call(self, notebook: str, /, headers: dict[str, str] | None = None, **params: Any) -> Answer:
        """GET of a notebook with these values."""
        return self.get(f"/restified/{quote(notebook)}", params, headers=headers)

    def post(
        self, notebook: str, /, body: Any, headers: dict[str, str] | None = None, **options: Any
    ) -> Answer:
        """POST of JSON, or of bytes as they are."""
        sent = {"Content-Type": "application/json", **(headers or {})}
        data = body if isinstance(body, bytes) or hasattr(body, "__next__") else json.dumps(body).encode()
        return self.send("POST", f"/restified/{quote(notebook)}", headers=sent, body=data, **options)

    def raw(self, data: bytes, timeout: float = 20) -> bytes:
        """Send these bytes, and return what comes until the server closes or is silent."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            with contextlib.suppress(OSError):
                connection.sendall(data)
            found = b""
            with contextlib.suppress(OSError):
                while part := connection.recv(1 << 16):
                    found += part
            return found

    # --------------------------------------------------------------- processes

    def tasks(self) -> list[psutil.Process]:
        """The processes that run or wait for calls."""
        own = psutil.Process(self.process.pid)
        servers = [child for child in own.children() if "forkserver" in " ".join(_command(child))]
        return [child for server in servers for child in server.children() if _is_running(child)]

    def is_idle(self, within: float = 20.0) -> bool:
        """Wait until no call runs and no process is left but those that wait for calls."""
        latest = time.monotonic() + within
        while time.monotonic() < latest:
            health = self.get("/api/restified/health").json
            if not health["running"] and not health["waiting"] and len(self.tasks()) <= 4:
                return True
            time.sleep(0.05)
        return False

    def close(self) -> list[int]:
        """End it as an init system does; the processes that it left are returned."""
        children = (
            psutil.Process(self.process.pid).children(recursive=True) if self.process.poll() is None else []
        )
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        latest = time.monotonic() + 10
        while (left := [child.pid for child in children if _is_running(child)]) and time.monotonic() < latest:
            time.sleep(0.02)
        return left


def _command(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def is_running(pid: int) -> bool:
    """Whether there is a process of this number that has not ended."""
    try:
        return _is_running(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def _is_running(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def serving(
    root: pathlib.Path, folder: pathlib.Path, config: dict[str, Any] | None = None
) -> Iterator[Server]:
    """A server for this folder, ended with the block; nothing of it is left."""
    server = Server(root, config or {}, folder)
    try:
        yield server
    finally:
        left = server.close()
        assert left == [], "the server left processes"
