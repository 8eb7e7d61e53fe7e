"""What one call gave: its value, its outputs, and the executed notebook."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from restified_magics.errors import RestifiedError, can_cross
from restified_magics.notebook import Notebook, write_notebook
from restified_magics.telling import shorten

__all__ = ["Result"]


@dataclasses.dataclass
class Result:
    """What one call gave.

    Attributes:
        value: the value of the ``return`` cell, or None.
        outputs: for every cell of the notebook, in order, its outputs as nbformat 4 dicts.
        namespace: the names that the Model's cells assigned. It does not travel with a pickle.
        duration: seconds from the first cell to the last.
        params: the values that were given, after coercion; in a pickle those that can be pickled.
        error: the exception that ended the call, or None.

    Example:
        >>> import restified_magics
        >>> result = restified_magics.PythonModel("examples/fibonacci.ipynb").run({"n": 20})
        >>> result.value
        6765
    """

    value: Any = None
    outputs: list[list[dict[str, Any]]] = dataclasses.field(default_factory=list)
    namespace: dict[str, Any] = dataclasses.field(default_factory=dict)
    duration: float = 0.0
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    error: BaseException | None = None
    _source: Notebook | None = None

    @property
    def notebook(self) -> Any:
        """The executed notebook, a node of nbformat.

        The values follow the first ``parameters`` cell in a cell tagged ``injected-parameters``,
        the convention of papermill. A value that has no literal is named there in a comment.
        """
        import nbformat  # slow to import, and most calls never need it

        if self._source is None:
            raise RestifiedError("this Result has no notebook: it was not made by a Model")
        return nbformat.from_dict(_executed(self._source, self.outputs, self.params))

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write :attr:`notebook` to a file, whole or not at all, and return its path.

        Example:
            >>> import tempfile, restified_magics
            >>> result = restified_magics.PythonModel("examples/fibonacci.ipynb").run({"n": 20})
            >>> result.save(tempfile.mkdtemp() + "/fibonacci-20.ipynb").name
            'fibonacci-20.ipynb'
        """
        target = pathlib.Path(path).expanduser()
        write_notebook(self.notebook, target)
        return target

    def __getstate__(self) -> dict[str, Any]:
        params = {name: value for name, value in self.params.items() if can_cross(value)}
        return {**self.__dict__, "namespace": {}, "params": params, "error": None}

    def __repr__(self) -> str:
        name = self._source.name if self._source else "a call"
        ended = f"error={type(self.error).__name__}" if self.error else f"value={shorten(self.value)}"
        return f"<Result of {name}: {ended}, {sum(map(len, self.outputs))} outputs, {self.duration:.3g} s>"

    def _ipython_display_(self) -> None:
        from IPython.display import display  # only a notebook asks for this

        for outputs in self.outputs:
            for output in outputs:
                if output["output_type"] == "stream":
                    print(output["text"], end="")  # noqa: T201
                elif output["output_type"] == "error":
                    print("\n".join(output["traceback"]))  # noqa: T201
                else:
                    display(output["data"], metadata=output["metadata"], raw=True)
        print(repr(self))  # noqa: T201


# ---------------------------------------------------------- executed notebook


def _executed(
    notebook: Notebook, outputs: Sequence[list[dict[str, Any]]], params: Mapping[str, Any]
) -> dict[str, Any]:
    cells = []
    count = 0
    injected = not params
    for cell, node in zip(notebook.cells, notebook.node["cells"], strict=True):
        if "injected-parameters" in cell.tags:
            continue
        copied = json.loads(json.dumps(node))
        if copied.get("cell_type") == "code":
            copied["outputs"] = list(outputs[cell.number - 1]) if outputs else []
            for output in copied["outputs"]:
                if output["output_type"] == "execute_result":
                    output["execution_count"] = count + 1
            if cell.role != "skip":
                count += 1
                copied["execution_count"] = count
        cells.append(copied)
        if cell.role == "parameters" and not injected:
            cells.append(_injected(params, with_id=cell.id is not None))
            injected = True
    return {**notebook.node, "cells": cells}


def _injected(params: Mapping[str, Any], *, with_id: bool) -> dict[str, Any]:
    lines = ["# Parameters"]
    for name, value in params.items():
        text = repr(value) if _is_literal(value) else None
        lines.append(
            f"{name} = {text}" if text else f"# {name}: a {type(value).__name__}, given as an object"
        )
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": ["injected-parameters"]},
        "outputs": [],
        "source": "\n".join(lines),
    }
    return {**cell, "id": "injected-parameters"} if with_id else cell


def _is_literal(value: Any) -> bool:
    """Whether its repr, read again, is the same value of the same type."""
    try:
        again = ast.literal_eval(repr(value))
    except Exception:  # noqa: BLE001 - a repr can raise anything, and most are no literal
        return False
    return type(again) is type(value) and repr(again) == repr(value)
