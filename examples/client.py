"""Call a notebook over the network, with nothing but Python: a value, a table, and a call that takes long.

Serve the folder of this file, and run this one beside it:

    restified serve . --no-browser --IdentityProvider.token=secret
    python client.py http://localhost:8888 secret
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any


class Notebooks:
    """The notebooks of a server, as functions.

    Args:
        url: of the server.
        token: of the server.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def call(self, notebook: str, /, accept: str = "application/json", **params: Any) -> Any:
        """The value of a notebook: of JSON the object, else the bytes."""
        answer = self._send(f"/restified/{notebook}", params, Accept=accept)
        body = answer.read()
        return json.loads(body) if answer.headers["Content-Type"] == "application/json" else body

    def begin(self, notebook: str, /, **params: Any) -> str:
        """Begin a call, and return the URL of its job at once."""
        return str(self._send(f"/restified/{notebook}", params, Prefer="respond-async").headers["Location"])

    def job(self, url: str) -> dict[str, Any]:
        """How far a job is."""
        told: dict[str, Any] = json.load(self._send(url))
        return told

    def _send(self, path: str, params: dict[str, Any] | None = None, **headers: str) -> Any:
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json", **headers}
        body = None if params is None else json.dumps(params).encode()
        return urllib.request.urlopen(urllib.request.Request(self.url + path, body, headers))  # noqa: S310


def main(url: str, token: str) -> None:
    """Show it."""
    notebooks = Notebooks(url, token)
    print("the value:", notebooks.call("fibonacci.ipynb", n=20))
    try:
        notebooks.call("fibonacci.ipynb", n="many", m=1)
    except urllib.error.HTTPError as error:
        print("refused:", error.code, json.load(error)["parameters"])
    url = notebooks.begin("fibonacci.ipynb", n=30)
    while (job := notebooks.job(url))["state"] in ("queued", "running"):
        time.sleep(0.1)
    print("the job:", job["state"], json.load(notebooks._send(job["result"])))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python client.py URL TOKEN")
    main(*sys.argv[1:])
