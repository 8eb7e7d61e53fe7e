"""One class for each way of calling a notebook as a function.

Little is imported at the top: these imports are part of every system's first call.
"""

from __future__ import annotations

import ast
import importlib
from typing import Any

from benchmarks.workloads import Workload

__all__ = ["KERNEL_PEERS", "OURS", "PEERS", "SYSTEMS", "System", "returned"]

OURS = "restified_magics"


class System:
    """What is measured.

    Attributes:
        modules: what it imports. It is absent where one of them is not installed.
        takes_params: whether a call can be given values.
        parts: how many calls of a Model one call of this is; what is taken is shown for one of them.
        process: the server whose memory counts, if it is not this process's.
    """

    modules: tuple[str, ...] = ()
    takes_params = True
    parts = 1
    process: int | None = None

    def import_modules(self) -> None:
        """Import what :attr:`modules` names."""
        for name in self.modules:
            importlib.import_module(name)

    def setup(self, workload: Workload) -> None:
        """What a user does once for a notebook, before calls."""
        raise NotImplementedError

    def rest(self) -> None:
        """What happens between calls and is no part of them: what is made ahead of need is made."""

    def call(self, params: dict[str, Any]) -> object:
        """One call; the value of the notebook's ``return`` cell."""
        raise NotImplementedError

    def waits(self) -> list[float]:
        """Seconds that each client waited in the last call, where a call has several clients."""
        return []

    def close(self) -> None:
        """End what :meth:`setup` has started."""


class Exec(System):
    """Bare exec of cells compiled once: nothing in this process can be faster."""

    def setup(self, workload: Workload) -> None:
        self.steps = [
            (compile(source, f"<cell {number}>", "exec", dont_inherit=True), "parameters" in tags)
            for number, (source, tags) in enumerate(workload.code_cells()[:-1])
        ]
        self.last = compile(workload.code_cells()[-1][0].strip(), "<return>", "eval", dont_inherit=True)
        self.leaves_figures = workload.name == "figure"

    def call(self, params: dict[str, Any]) -> object:
        names: dict[str, Any] = {"__name__": "__main__"}
        for code, has_params in self.steps:
            exec(code, names)
            if has_params:
                names.update(params)
        if self.leaves_figures:
            names["plt"].close("all")  # by hand: bare exec would keep 2,000 of them
        value: object = eval(self.last, names)
        return value


class Restified(System):
    """This project: ``PythonModel(path).execute(params)``."""

    modules = ("restified_magics",)

    def setup(self, workload: Workload) -> None:
        import restified_magics

        self.model = restified_magics.PythonModel(workload.path)

    def call(self, params: dict[str, Any]) -> object:
        return self.model.execute(params)


class RestifiedRun(Restified):
    """This project with the outputs recorded, figures drawn: ``PythonModel(path).run(params)``."""

    def call(self, params: dict[str, Any]) -> object:
        return self.model.run(params).value


class PercentRun(System):
    """IPython's ``%run notebook.ipynb``, which takes no values."""

    modules = ("IPython", "nbformat")
    takes_params = False

    def setup(self, workload: Workload) -> None:
        from IPython.core.interactiveshell import InteractiveShell

        self.shell = InteractiveShell.instance()
        self.line = f'"{workload.path}"'

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        self.shell.run_line_magic("run", self.line)
        return self.shell.user_ns["answer"]


class Importnb(System):
    """importnb's ``Notebook.load_file``, which takes no values."""

    modules = ("importnb",)
    takes_params = False

    def setup(self, workload: Workload) -> None:
        from importnb import Notebook

        self.load, self.path = Notebook.load_file, workload.path

    def call(self, params: dict[str, Any]) -> object:  # noqa: ARG002  # it takes none
        return self.load(self.path, main=False).answer


class Execnb(System):
    """execnb's ``CaptureShell.execute``; the values replace the ``parameters`` cell."""

    modules = ("execnb.shell",)

    def setup(self, workload: Workload) -> None:
        from execnb.shell import CaptureShell

        self.shell, self.path = CaptureShell(), workload.path
        tags = [cell["metadata"].get("tags", []) for cell in workload.cells()]
        self.index = next(index for index, found in enumerate(tags) if "parameters" in found)

    def call(self, params: dict[str, Any]) -> object:
        self.shell.execute(
            self.path,
            exc_stop=True,
            preproc=_is_skipped,
            inject_code=_assignments(params),
            inject_idx=self.index,
        )
        return self.shell.result


class Nbclient(System):
    """nbclient's ``NotebookClient(node).execute()`` with a cell of values put in: a new kernel a call."""

    modules = ("nbclient", "nbformat")

    def setup(self, workload: Workload) -> None:
        self.path = workload.path

    def call(self, params: dict[str, Any]) -> object:
        client = self.client(params)
        client.execute()
        return returned(client.nb)

    def client(self, params: dict[str, Any]) -> Any:
        """The client of a notebook with these values."""
        import nbclient
        import nbformat

        node = nbformat.read(self.path, 4)
        tags = [cell.metadata.get("tags", []) for cell in node.cells]
        index = next(index for index, found in enumerate(tags) if "parameters" in found)
        node.cells.insert(index + 1, nbformat.v4.new_code_cell(_assignments(params)))
        return nbclient.NotebookClient(node, kernel_name="python3", timeout=300)


class Papermill(System):
    """``papermill.execute_notebook(path, None, params)``: a new kernel a call."""

    modules = ("papermill",)

    def setup(self, workload: Workload) -> None:
        import logging

        logging.getLogger("papermill").setLevel(logging.ERROR)
        self.path = workload.path

    def call(self, params: dict[str, Any]) -> object:
        import papermill

        return returned(
            papermill.execute_notebook(self.path, None, params, progress_bar=False, kernel_name="python3")
        )


def _is_skipped(cell: Any) -> bool:
    return "skip" in cell.metadata.get("tags", ())


def _assignments(params: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in params.items())


def returned(node: Any) -> object:
    """The value of the ``return`` cell of an executed notebook, which is there as text."""
    cell = next(cell for cell in node.cells if "return" in cell.metadata.get("tags", ()))
    return ast.literal_eval(cell.outputs[-1].data["text/plain"])


SYSTEMS: dict[str, type[System]] = {
    "exec": Exec,
    OURS: Restified,
    f"{OURS}.run": RestifiedRun,
    "%run": PercentRun,
    "importnb": Importnb,
    "execnb": Execnb,
    "nbclient": Nbclient,
    "papermill": Papermill,
}

#: What this project stands beside in a table.
PEERS = ("%run", "importnb", "execnb", "nbclient", "papermill")
#: Those that start a kernel for every call, so that there is little of interest in this process.
KERNEL_PEERS = ("nbclient", "papermill")
