"""One class for each way of reading a notebook's file and the default of its parameter."""

from __future__ import annotations

import ast
import os
import time
from typing import Any

from benchmarks.systems import OURS, System
from benchmarks.workloads import Workload

__all__ = ["SYSTEMS", "Reader"]


class Reader(System):
    """A call reads the file anew and returns the default of the parameter ``x``."""

    takes_params = False

    def setup(self, workload: Workload) -> None:
        self.path = workload.path

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # there are none
        # A stamp that no read saw before, old enough to be believed: caches by stamp are of no use then.
        stamp = time.time_ns() - 3600 * 10**9
        os.utime(self.path, ns=(stamp, stamp))
        return self.read()

    def read(self) -> object:
        raise NotImplementedError


class JsonLoads(Reader):
    """The floor: ``json.loads`` of the file's bytes."""

    modules = ("json",)

    def read(self) -> object:
        import json

        with open(self.path, "rb") as file:
            node = json.loads(file.read())
        return _default(node["cells"][0]["source"][0])


class Restified(Reader):
    """This project: ``PythonModel(path).parameters``."""

    modules = ("restified_magics",)

    def read(self) -> object:
        import restified_magics

        return restified_magics.PythonModel(self.path).parameters["x"].default


class ReadNb(Reader):
    """fastcore's ``read_nb``, by which execnb reads; it knows no parameters."""

    modules = ("fastcore.nbio",)

    def read(self) -> object:
        from fastcore.nbio import read_nb

        return _default(read_nb(self.path).cells[0].source)


class NbformatRead(Reader):
    """``nbformat.read``, by which nbclient's users read; it knows no parameters."""

    modules = ("nbclient", "nbformat")

    def read(self) -> object:
        import nbformat

        return _default(nbformat.read(self.path, 4).cells[0].source)


class Papermill(Reader):
    """``papermill.inspect_notebook``."""

    modules = ("papermill",)

    def read(self) -> object:
        import papermill

        return ast.literal_eval(papermill.inspect_notebook(self.path)["x"]["default"])


def _default(source: str) -> object:
    return ast.literal_eval(source.partition("=")[2].strip())


SYSTEMS: dict[str, type[System]] = {
    "json.loads": JsonLoads,
    OURS: Restified,
    "execnb": ReadNb,
    "nbclient": NbformatRead,
    "papermill": Papermill,
}
