"""REST on a Dask cluster in which something is missing: each call has an answer, in time, that says what."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import node, parameters, returns
from rest_server import serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills a process group")


@pytest.fixture
def dask(tmp_path):
    """The address of a scheduler that is not there yet, and a function that starts a ``dask`` command."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
    folder = tmp_path / "network"
    folder.mkdir()
    commands = {
        "scheduler": ["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"],
        "worker": ["worker", f"tcp://127.0.0.1:{port}", "--no-nanny", "--no-dashboard", "--nthreads", "1"],
    }
    with contextlib.ExitStack() as ending:

        def start(name):
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *commands[name]],
                cwd=folder,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            ending.callback(end, process)
            return process

        yield f"tcp://127.0.0.1:{port}", start


def end(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def until_answer(server, told, status):
    """Call until the answer is this one; the commands of Dask take seconds to start."""
    latest = time.monotonic() + 90
    while True:
        answer = server.call("double.ipynb", x=4)
        if answer.status == status and told in answer.body.decode():
            return
        assert time.monotonic() < latest, answer.body.decode()


def test_what_is_missing_in_a_cluster_is_told(dask, tmp_path):
    """No scheduler, no worker, a scheduler that came back, a folder that is not there: an answer for each."""
    address, start = dask
    root = tmp_path / "root"
    root.mkdir()
    (root / "double.ipynb").write_text(json.dumps(node(parameters("x = 1"), returns("x * 2"))))
    with serving(root, tmp_path, {"RestifiedApp": {"dask_scheduler": address, "timeout": 2}}) as server:
        until_answer(server, "No Dask scheduler answers", 503)
        scheduler = start("scheduler")
        until_answer(server, "has no worker", 503)
        worker = start("worker")
        until_answer(server, "8", 200)
        end(worker)
        end(scheduler)
        start("scheduler")
        start("worker")
        until_answer(server, "8", 200)
