"""A Model as a page: its title and text, its form, its results. And the hook that lets Voila show Models."""

from __future__ import annotations

import base64
import html
import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import ipywidgets

from restified_magics.core.model import Model
from restified_magics.core.notebook_json import read_notebook
from restified_magics.engines import open_model
from restified_magics.errors import NotebookError
from restified_magics.in_process.python_model import PythonModel
from restified_magics.signature.comments import PARAM_MARK
from restified_magics.widgets.forms import Form
from restified_magics.widgets.log import log
from restified_magics.widgets.without_source import without_folders

__all__ = ["Dashboard", "is_model", "prelaunch_hook", "shown_model"]

_TEMPLATE = "restified"
_TAGS = frozenset({"parameters", "return"})


class Dashboard(ipywidgets.VBox):  # type: ignore[misc]
    """A page for a Model. Made by :meth:`Model.dashboard`.

    Args:
        form: the Model's form.

    Attributes:
        form: its form.

    Example:
        >>> import restified_magics
        >>> dashboard = restified_magics.PythonModel("examples/fibonacci.ipynb").dashboard()
        >>> dashboard.form.state
        'idle'
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        model = form.model
        text = ipywidgets.Output()
        text.outputs = (
            {
                "output_type": "display_data",
                "data": {"text/markdown": _text(model), "text/plain": model.notebook.title},
                "metadata": {},
            },
        )
        super().__init__([text, self.form])
        self.add_class("restified-dashboard")

    def close(self) -> None:
        """End what runs, and take the page away."""
        self.form.close()
        super().close()

    def _repr_keys(self) -> Any:
        return iter(())


def _text(model: Model) -> str:
    """The notebook's first markdown, under a title: its own, or else that of the form or of the file."""
    notebook = model.notebook
    first = next((cell.source for cell in notebook.with_role("text") if cell.source.strip()), "").lstrip()
    parts = [first] if first.startswith("# ") else [f"# {_escaped(notebook.title)}", first]
    if notebook.fields.description:
        parts.append(notebook.fields.description)
    return "\n\n".join(part for part in parts if part)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: a file may be called anything."""
    return re.sub(r"([\\`*_{}\[\]<>()#+.!|$&~-])", r"\\\1", text)


# ---------------------------------------------------------------------- Voila


def prelaunch_hook(handler: Any, notebook: Any, cwd: str) -> Any:
    """Let Voila show a Model as a dashboard, and everything else as it is.

    Name it as ``VoilaConfiguration.prelaunch_hook`` in ``voila.py`` or a Jupyter configuration file:
    it serves a single file, and a folder in which Models and Views lie side by side.

    Args:
        handler: Voila's handler of the request.
        notebook: the notebook that was asked for, a node of nbformat.
        cwd: its folder.

    Returns:
        A notebook that shows the Model's dashboard, or None to show the notebook itself.

    Example:
        >>> from traitlets.config import Config
        >>> from restified_magics.widgets.dashboard import prelaunch_hook
        >>> c = Config()  # there it is `get_config()`
        >>> c.VoilaConfiguration.prelaunch_hook = prelaunch_hook
    """
    del cwd
    # asking for it sets the cookie that the page needs to end its kernel when it is left
    handler.xsrf_token  # noqa: B018
    if not is_model(notebook):
        return None
    import nbformat  # imported where Voila is

    configuration = handler.voila_configuration
    payload: dict[str, Any] = {"tracebacks": bool(configuration.show_tracebacks)}
    path = _path(handler)
    if path is not None:
        payload["path"] = path
    else:  # it comes from a contents manager that has no files
        payload["node"] = notebook
    shown = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    title = _title(notebook, path)
    if title:  # of the browser's tab; else Voila has the file's name there
        shown.metadata["title"] = title
    if (_JUPYTER / "voila" / "templates" / _TEMPLATE).is_dir() and _finds_template():
        shown.metadata["voila"] = {"template": _TEMPLATE}
    # nothing of the notebook stands in source text: one encoded payload, decoded there
    encoded = base64.b64encode(json.dumps(payload).encode()).decode()
    source = f"from restified_magics.widgets.dashboard import shown_model\nshown_model('{encoded}')"
    shown.cells = [nbformat.v4.new_code_cell(source)]
    return shown


def _title(notebook: Mapping[str, Any], path: str | None) -> str:
    try:
        return read_notebook(dict(notebook), "", pathlib.Path(path) if path else None).title
    except NotebookError:  # which the page tells
        return ""


def is_model(notebook: Mapping[str, Any]) -> bool:
    """Whether a notebook has a code cell with the tag ``parameters`` or ``return``, or one of Colab's fields.

    Example:
        >>> is_model({"cells": [{"cell_type": "code", "metadata": {"tags": ["return"]}, "source": "1"}]})
        True
        >>> is_model({"cells": [{"cell_type": "code", "source": "n = 1  #@param {type: 'integer'}"}]})
        True
    """
    cells = [cell for cell in notebook.get("cells", ()) if cell.get("cell_type") == "code"]
    return any(_TAGS & set(cell.get("metadata", {}).get("tags", ())) for cell in cells) or any(
        PARAM_MARK.search("".join(cell.get("source", ""))) for cell in cells
    )


def shown_model(payload: str) -> Dashboard | ipywidgets.HTML:
    """The dashboard that :func:`prelaunch_hook` asks for, in the kernel of the page.

    Of a notebook that cannot be called, it is what its author has to do.

    Args:
        payload: what the hook encoded.
    """
    told = json.loads(base64.b64decode(payload))
    path = told.get("path")
    try:
        model = open_model(path) if path else PythonModel(told["node"], scope="isolated")
        return model.dashboard(tracebacks=told["tracebacks"])
    except NotebookError as error:
        if told["tracebacks"]:
            raise
        log().error("%s", error)
        # neither folders nor source: they are none of a visitor's business
        text = f"{without_folders(error.path)}: {without_folders(error.reason)}."
        return ipywidgets.HTML(f'<div role="alert" class="restified-refused">{html.escape(text)}</div>')


_JUPYTER = pathlib.Path(__file__).parent / "jupyter"


def _finds_template() -> bool:
    from jupyter_core.paths import jupyter_path

    return any((pathlib.Path(folder) / _TEMPLATE).is_dir() for folder in jupyter_path("voila", "templates"))


def _path(handler: Any) -> str | None:
    """The file that was asked for, absolute, or None where it is no file."""
    asked = handler.notebook_path or next(iter((*handler.path_kwargs.values(), *handler.path_args)), None)
    if not asked:
        return None
    if not os.path.isabs(asked) or not os.path.exists(asked):
        root = getattr(handler.contents_manager, "root_dir", None)
        if root is None:
            return None
        asked = os.path.join(root, str(asked).lstrip("/"))
    return os.path.abspath(asked) if os.path.isfile(asked) else None
