"""A real Chromium for tests of pages, and the servers that it visits; all of it local."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

FLAGS = [
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium_path() -> str:
    """Where Chromium is, or an error that says how to have it."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError("no Chromium was found. Install it, as by `apt-get install chromium`, and test again")


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A visitor with a window of their own, and all that went wrong in it."""

    def __init__(self, browser: Any, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1100, "height": 900}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.wrong: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._asked)

    def _heard(self, message: Any) -> None:
        if message.type == "error":
            self.wrong.append(f"console: {message.text} {message.location}")

    def _asked(self, request: Any) -> None:
        """Nothing is asked for outside; the browser finds no other machine, either."""
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.wrong.append(f"fetched: {request.url}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def served(command: list[str], url: str, log: pathlib.Path, cwd: pathlib.Path) -> Iterator[str]:
    """A server as a process of its own, from when it answers at the URL; ended with its kernels."""
    with log.open("w") as stream:
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, cwd=cwd, env=environment)
        try:
            while not _answers(url):
                try:
                    process.wait(0.1)
                except subprocess.TimeoutExpired:
                    continue
                raise RuntimeError(f"the server ended:\n{log.read_text()}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (OSError, urllib.error.URLError):
        return False


@contextlib.contextmanager
def dashboard(path: pathlib.Path, *options: str) -> Iterator[str]:
    """`restified dashboard` on a file or a folder; gives its URL."""
    port = free_port()
    start = "from restified_magics.widgets.dashboard_command import command; command()"
    command = [sys.executable, "-c", start, str(path), "--no-browser", f"--port={port}", *options]
    folder = path if path.is_dir() else path.parent
    with served(command, f"http://127.0.0.1:{port}/", folder / "voila.log", folder) as url:
        yield url
