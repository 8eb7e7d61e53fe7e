"""What one call gave: its value, its outputs, and the executed notebook."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any

from restified_magics.core.notebook import Notebook
from restified_magics.core.notebook_files import notebook_file, write_notebook
from restified_magics.core.telling import shorten
from restified_magics.errors import RestifiedError, can_cross

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
        cell: position of the cell that ran last, counted from 1, where it is known.

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
    cell: int | None = None
    _source: Notebook | None = None

    @property
    def notebook(self) -> Any:
        """The executed notebook, a node of nbformat, to be opened, run and called again.

        The values stand at the assignments of its parameters, in cells that are tagged as before, so that
        it gives the same when it is run in Jupyter, and is the same Model with other defaults. A value
        that cannot be written there is named in a comment. Of a call that failed it has the outputs up to
        the failure, and the traceback in its place.
        """
        import nbformat  # slow to import, and to write a file needs none of it

        return nbformat.from_dict(self.node)

    @property
    def node(self) -> dict[str, Any]:
        """The JSON of :attr:`notebook`, nbformat 4, in bare dicts and lists."""
        from restified_magics.core.executed import executed  # most calls never need it

        if self._source is None:
            raise RestifiedError("this Result has no notebook: it was not made by a Model")
        return executed(self._source, self.outputs, self.params, self.error, self.cell)

    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Write :attr:`notebook` to a file, whole or not at all, and return its path.

        Raises:
            NotebookError: the folder is not there, the name does not end in ``.ipynb``, or it is the Model's.
            OSError: the file cannot be written.

        Example:
            >>> import tempfile, restified_magics
            >>> result = restified_magics.PythonModel("examples/fibonacci.ipynb").run({"n": 20})
            >>> result.save(tempfile.mkdtemp() + "/fibonacci-20.ipynb").name
            'fibonacci-20.ipynb'
        """
        target = notebook_file(path, self._source)
        write_notebook(self.node, target)
        return target

    def __getstate__(self) -> dict[str, Any]:
        params = {name: value for name, value in self.params.items() if can_cross(value)}
        return {**self.__dict__, "namespace": {}, "params": params, "error": None}

    def __repr__(self) -> str:
        name = self._source.name if self._source else "a call"
        ended = f"error={type(self.error).__name__}" if self.error else f"value={shorten(self.value)}"
        count = sum(map(len, self.outputs))
        outputs = "1 output" if count == 1 else f"{count} outputs"
        return f"<Result of {name}: {ended}, {outputs}, {self.duration:.3g} s>"

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
