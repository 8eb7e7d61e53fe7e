"""Forms: building one, from click to result, and how soon a visitor of Voila sees the first field."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any

from benchmarks.systems import System
from benchmarks.workloads import Workload

__all__ = ["SYSTEMS"]


class Interactive(System):
    """``ipywidgets.interactive`` of a function with so many sliders."""

    modules = ("ipywidgets",)
    fields = 10

    def setup(self, workload: Workload) -> None:
        import ipywidgets

        self.value = workload.value
        self.interactive = ipywidgets.interactive
        self.bounds = {f"p{number}": (0, 100) for number in range(self.fields)}

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        made = self.interactive(lambda **_values: None, **self.bounds)
        for child in made.children:
            child.close()
        made.close()
        return self.value


class Form(System):
    """``model.form()`` of a Model with as many parameters, each with bounds."""

    modules = ("restified_magics.widgets.forms",)
    fields = 10

    def setup(self, workload: Workload) -> None:
        from restified_magics import PythonModel

        self.value = workload.value
        lines = "\n".join(f"p{number} = 50  # P {number} (0..100)" for number in range(self.fields))
        cells = [("parameters", lines), ("return", "p0")]
        self.model = PythonModel(
            {
                "cells": [
                    {"cell_type": "code", "metadata": {"tags": [tag]}, "source": source, "outputs": []}
                    for tag, source in cells
                ],
                "metadata": {},
                "nbformat": 4,
                "nbformat_minor": 4,
            }
        )

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        self.model.form().close()
        return self.value


class Interactive100(Interactive):
    """The same with a hundred."""

    fields = 100


class Form100(Form):
    """The same with a hundred."""

    fields = 100


class Execute(System):
    """The call that a form makes, without the form."""

    modules = ("restified_magics",)

    def setup(self, workload: Workload) -> None:
        from restified_magics import PythonModel

        self.model = PythonModel(workload.path)

    def call(self, params: dict[str, Any]) -> object:
        return self.model.run(params).value


class Click(System):
    """From the message of a click on Run to the result on its way to the page."""

    modules = ("restified_magics.widgets.forms",)

    def setup(self, workload: Workload) -> None:
        from restified_magics import PythonModel

        self.form = PythonModel(workload.path).form()

    def call(self, params: dict[str, Any]) -> object:
        self.form.set(params)
        self.form.run()
        self.form.wait()
        return self.form.value


class Visit(System):
    """A visit of a page that Voila serves, until its first field is there. The browser is warm."""

    modules = ("voila", "playwright")
    source = "import ipywidgets\nipywidgets.interactive(lambda n: n, n=(0, 90))"
    tags: tuple[str, ...] = ()
    field = ".widget-slider"
    start = ("-m", "voila")

    def setup(self, workload: Workload) -> None:
        from playwright.sync_api import sync_playwright

        path = os.path.join(os.path.dirname(workload.path), f"{type(self).__name__}.ipynb")
        spec = {"name": "python3", "language": "python", "display_name": "Python 3"}
        cell = {
            "cell_type": "code",
            "execution_count": None,
            "metadata": {"tags": list(self.tags)},
            "source": self.source,
            "outputs": [],
        }
        with open(path, "w", encoding="utf-8") as file:
            json.dump(
                {"cells": [cell], "metadata": {"kernelspec": spec}, "nbformat": 4, "nbformat_minor": 4}, file
            )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.value, self.url = workload.value, f"http://127.0.0.1:{port}/"
        command = [sys.executable, *self.start, path, "--no-browser", f"--port={port}"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.server = server
        while not self._answers():
            time.sleep(0.1)
        self.playwright = playwright = sync_playwright().start()
        program = next(filter(os.path.exists, ("/usr/bin/chromium", "/usr/bin/chromium-browser")), None)
        flags = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        self.context = browser.new_context()

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        page = self.context.new_page()
        page.goto(self.url, wait_until="commit")
        page.locator(self.field).first.wait_for()
        page.close()
        return self.value

    def rest(self) -> None:
        """A visitor does not come just as another leaves, whose page and connection are ended meanwhile."""
        time.sleep(1.0)

    def close(self) -> None:
        self.playwright.stop()
        self.server.terminate()
        self.server.wait(60)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "static/favicon.ico", timeout=1):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


class VisitModel(Visit):
    """The same of a Model's dashboard, without a View."""

    source = "n = 15  # Terms (0..90)"
    tags = ("parameters",)
    field = ".rm-field"
    start = ("-m", "restified_magics", "dashboard")


SYSTEMS: dict[str, type[System]] = {
    "interactive": Interactive,
    "form": Form,
    "interactive, 100": Interactive100,
    "form, 100": Form100,
    "run": Execute,
    "click": Click,
    "widgets": Visit,
    "dashboard": VisitModel,
}
