"""Notebooks over HTTP: servers on loopback, each with one client or eight, which keep their connections."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

from benchmarks.systems import System
from benchmarks.workloads import Workload

__all__ = ["CLIENTS", "SYSTEMS"]

CLIENTS = 8
_EACH = 4  # requests of each of several clients, one after the other
_TOKEN = "benchmarks"
_OTHERS = ("jupyterlab", "jupyter_lsp", "jupyter_server_terminals", "notebook_shim", "voila.server_extension")

_GATEWAY = """# GET /fib
import json
n = int(json.loads(REQUEST)["args"]["n"][0])
print(json.dumps(fibonacci(n)))"""

_FIBONACCI = """def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a"""


class Server(System):
    """A server and its clients; a call is one request, or with several clients `_EACH` requests of each.

    Attributes:
        clients: how many there are.
        path: what they ask for.
    """

    clients = 1
    path = "/"

    def command(self, port: int, workload: Workload) -> list[str]:
        """What starts it."""
        raise NotImplementedError

    def setup(self, workload: Workload) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        environment = {**os.environ, "BENCHMARKS_NOTEBOOKS": os.path.dirname(workload.path)}
        self._process = process = subprocess.Popen(
            self.command(self.port, workload),
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.process = process.pid
        self._waits: list[float] = []
        self.pool = concurrent.futures.ThreadPoolExecutor(self.clients)
        self.connections = [
            http.client.HTTPConnection("127.0.0.1", self.port, timeout=60) for _ in range(self.clients)
        ]
        latest = time.monotonic() + 60
        while True:
            try:
                self._ask(self.connections[0], workload.params)
                return
            except (OSError, http.client.HTTPException):
                self.connections[0].close()
                if time.monotonic() > latest or process.poll() is not None:
                    raise
                time.sleep(0.1)

    def call(self, params: dict[str, Any]) -> object:
        if self.clients == 1:
            return self._ask(self.connections[0], params)
        values = self.pool.map(lambda each: [self._ask(each, params) for _ in range(_EACH)], self.connections)
        found = {value for each in values for value in each}
        return found.pop() if len(found) == 1 else found

    def waits(self) -> list[float]:
        waits, self._waits = self._waits, []
        return waits if self.clients > 1 else []

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ask(self, connection: http.client.HTTPConnection, params: dict[str, Any]) -> Any:
        before = time.perf_counter()
        query = "&".join(f"{name}={value}" for name, value in params.items())
        connection.request("GET", f"{self.path}?{query}", headers={"Authorization": f"token {_TOKEN}"})
        answer = connection.getresponse()
        body = answer.read()
        self._waits.append(time.perf_counter() - before)
        if answer.status != 200:
            raise ValueError(f"{answer.status}: {body[:200]!r}")
        return json.loads(body)


def _jupyter(port: int, workload: Workload, extension: str) -> list[str]:
    extensions = {extension: True, **{name: False for name in _OTHERS if name != extension}}
    if extension != "restified_magics":
        extensions["restified_magics"] = False
    return [
        *(sys.executable, "-m", "jupyter_server", f"--port={port}", "--ip=127.0.0.1", "--no-browser"),
        *("--allow-root", f"--IdentityProvider.token={_TOKEN}", "--ServerApp.log_level=ERROR"),
        f"--ServerApp.root_dir={os.path.dirname(workload.path)}",
        f"--ServerApp.jpserver_extensions={extensions}",
    ]


class Restified(Server):
    """This project: a process for each request."""

    modules = ("restified_magics", "jupyter_server")
    path = "/restified/trivial.ipynb"

    def command(self, port: int, workload: Workload) -> list[str]:
        return _jupyter(port, workload, "restified_magics")


class KernelGateway(Server):
    """kernel_gateway's notebook-http: requests share one kernel and its state."""

    modules = ("kernel_gateway",)
    path = "/fib"

    def command(self, port: int, workload: Workload) -> list[str]:
        cells = [
            {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
            for source in (_FIBONACCI, _GATEWAY)
        ]
        kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
        node = {"cells": cells, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 4}
        seed = os.path.join(os.path.dirname(workload.path), f"gateway-{port}.ipynb")
        with open(seed, "w", encoding="utf-8") as file:
            json.dump(node, file)
        return [
            *(sys.executable, "-m", "kernel_gateway", f"--KernelGatewayApp.port={port}"),
            *("--KernelGatewayApp.ip=127.0.0.1", "--KernelGatewayApp.api=kernel_gateway.notebook_http"),
            *(f"--KernelGatewayApp.seed_uri={seed}", "--KernelGatewayApp.prespawn_count=2"),
            "--KernelGatewayApp.log_level=ERROR",
        ]


class Bare(Server):
    """A handler of Jupyter Server with the function in it: no request can be faster."""

    modules = ("jupyter_server",)
    path = "/bench/bare"

    def command(self, port: int, workload: Workload) -> list[str]:
        return _jupyter(port, workload, "benchmarks.handlers")


class NewKernel(Bare):
    """A new kernel a request."""

    modules = ("jupyter_server", "nbclient")
    path = "/bench/kernel"


def _with_clients(kind: type[Server]) -> type[Server]:
    return type(f"{kind.__name__}{CLIENTS}", (kind,), {"clients": CLIENTS})


_KINDS: dict[str, type[Server]] = {
    "restified_magics": Restified,
    "kernel_gateway": KernelGateway,
    "bare handler": Bare,
    "new kernel": NewKernel,
}

SYSTEMS: dict[str, type[System]] = {
    **_KINDS,
    **{f"{name} x{CLIENTS}": _with_clients(kind) for name, kind in _KINDS.items()},
}
