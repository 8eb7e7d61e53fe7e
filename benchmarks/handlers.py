"""An extension of Jupyter Server with what REST stands beside: a bare handler, and a new kernel a request."""

from __future__ import annotations

import json
import os
from typing import Any

from jupyter_server.base.handlers import APIHandler
from tornado import web

from benchmarks.systems import Nbclient, returned
from benchmarks.workloads import Workload

__all__: list[str] = []


class Bare(APIHandler):  # type: ignore[misc]
    """The function itself, in a handler of Jupyter Server."""

    @web.authenticated
    async def get(self) -> None:
        """``?n=20``"""
        a, b = 0, 1
        for _ in range(int(self.get_argument("n"))):
            a, b = b, a + b
        self.finish(json.dumps(a))


class NewKernel(APIHandler):  # type: ignore[misc]
    """The notebook in a kernel that is started for the request, as the first version of this project did."""

    @web.authenticated
    async def get(self) -> None:
        """``?n=20``"""
        system = Nbclient()
        system.setup(Workload(os.environ["BENCHMARKS_NOTEBOOKS"], "trivial"))
        client = system.client({"n": int(self.get_argument("n"))})
        await client.async_execute()
        self.finish(json.dumps(returned(client.nb)))


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": "benchmarks.handlers"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(r"/bench/bare", Bare), (r"/bench/kernel", NewKernel)])
