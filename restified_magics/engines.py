"""Which kind of Model calls a notebook: one in this process, or one in a kernel."""

from __future__ import annotations

import os
from typing import Any, Literal, get_args

from restified_magics.core.model import Model
from restified_magics.core.notebook import Notebook
from restified_magics.core.sources import open_source
from restified_magics.errors import NotebookError
from restified_magics.in_process.python_model import PythonModel

__all__ = ["ENGINES", "Engine", "open_model"]

Engine = Literal["auto", "python", "kernel"]
ENGINES: tuple[str, ...] = get_args(Engine)

_PYTHON = ("python", "ipython")


def open_model(
    source: str | os.PathLike[str],
    *,
    engine: Engine = "auto",
    kernel: str | None = None,
    cwd: str | None = None,
    timeout: float | None = None,
) -> Model:
    """A Model of a notebook, of the kind that fits it.

    Args:
        source: a path or a URL.
        engine: ``"auto"`` takes this process for a notebook of Python, and a kernel for one of another
            language or of a kernel other than Jupyter's own ``python3``.
        kernel: the kernelspec to use; with it the engine is a kernel.
        cwd: the folder in which the cells run; None is the notebook's own folder.
        timeout: seconds that a call may take.

    Raises:
        NotebookError: it is not a notebook, or no function can be made of it.

    Example:
        >>> open_model("examples/fibonacci.ipynb")
        PythonModel('examples/fibonacci.ipynb')
    """
    options: dict[str, Any] = {"cwd": cwd, "timeout": timeout}
    if engine == "python" and kernel is not None:
        raise NotebookError(
            source, f"kernel {kernel!r} is for the engine `kernel`, not `python`. Leave one out"
        )
    if engine == "auto" and kernel is None and _runs_here(open_source(source).current()):
        engine = "python"
    if engine == "python":
        return PythonModel(source, scope="isolated", **options)
    from restified_magics.in_kernel.kernel_model import (
        KernelModel,  # slow to import: it brings jupyter_client
    )

    return KernelModel(source, kernel_name=kernel, **options)


def _runs_here(notebook: Notebook) -> bool:
    return notebook.language in (None, *_PYTHON) and notebook.kernel_name in (None, "python3")
