"""A notebook is a function.

Tag the cells of an ordinary notebook with ``parameters``, ``skip`` and ``return``, and call it:

    >>> from restified_magics import PythonModel
    >>> fibonacci = PythonModel("examples/fibonacci.ipynb")
    >>> fibonacci(n=20)
    6765

In a notebook, ``%load_ext restified_magics`` brings ``%call_notebook`` and ``%restify``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restified_magics.core.model import Model
    from restified_magics.core.result import Result
    from restified_magics.errors import (
        CellError,
        ModelTimeout,
        NotebookError,
        NotebookWarning,
        ParameterError,
        RestifiedError,
    )
    from restified_magics.in_kernel.kernel_model import KernelModel
    from restified_magics.in_process.python_model import PythonModel, execute_notebook
    from restified_magics.signature.parameters import Parameter

__version__ = "0.1.0"

# Each public name and the module that it comes from, imported when the name is first used.
_HOMES = {
    "CellError": "errors",
    "KernelModel": "in_kernel.kernel_model",
    "Model": "core.model",
    "ModelTimeout": "errors",
    "NotebookError": "errors",
    "NotebookWarning": "errors",
    "Parameter": "signature.parameters",
    "ParameterError": "errors",
    "PythonModel": "in_process.python_model",
    "RestifiedError": "errors",
    "Result": "core.result",
    "execute_notebook": "in_process.python_model",
}

__all__ = [
    "CellError",
    "KernelModel",
    "Model",
    "ModelTimeout",
    "NotebookError",
    "NotebookWarning",
    "Parameter",
    "ParameterError",
    "PythonModel",
    "RestifiedError",
    "Result",
    "execute_notebook",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def load_ipython_extension(ip: Any) -> None:
    """``%load_ext restified_magics``."""
    from restified_magics.ipython.magics import load

    load(ip)


def unload_ipython_extension(ip: Any) -> None:
    """``%unload_ext restified_magics``."""
    from restified_magics.ipython.magics import unload

    unload(ip)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """What Jupyter Server loads: notebooks as REST endpoints."""
    from restified_magics.rest.server import RestifiedApp

    return [{"module": "restified_magics.rest.server", "app": RestifiedApp}]
