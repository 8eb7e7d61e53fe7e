"""``%call_notebook`` and ``%restify``: notebooks called as functions, and made of cells, in IPython."""

from __future__ import annotations

import copy
import inspect
import keyword
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TextIO, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, needs_local_scope, no_var_expand
from IPython.display import display

from restified_magics.core.model import Model
from restified_magics.in_process.python_model import PythonModel
from restified_magics.ipython.arguments import Arguments, Options, no_values, parse_line
from restified_magics.ipython.call_site import use_of_value
from restified_magics.ipython.cell_model import save_cell_model, tagged_notebook
from restified_magics.ipython.completion import add_completer, remove_completer
from restified_magics.ipython.kernel_models import KernelModels
from restified_magics.ipython.replay import replay
from restified_magics.ipython.view_values import assigned_values, expression_values

__all__ = ["RestifiedMagics", "load", "unload"]

_NAMES = ("call_notebook", "restify")


def load(ip: Any) -> None:
    """Give a shell the magics and their completion; a second time changes nothing.

    Args:
        ip: the IPython shell.
    """
    if not isinstance(ip.magics_manager.registry.get(RestifiedMagics.__name__), RestifiedMagics):
        ip.register_magics(RestifiedMagics(ip))
    add_completer(ip)


def unload(ip: Any) -> None:
    """Take the magics and their completion from a shell; a second time changes nothing.

    Args:
        ip: the IPython shell.
    """
    remove_completer(ip)
    manager = ip.magics_manager
    registered = manager.registry.pop(RestifiedMagics.__name__, None)
    for kind in manager.magics.values():
        for name in _NAMES:
            if getattr(kind.get(name), "__self__", None) is registered is not None:
                del kind[name]


_F = TypeVar("_F", bound=Callable[..., Any])


def _magic(function: _F) -> _F:
    """A magic of lines and cells that gets its line as it is, and the names of a function that it is in."""
    marked: _F = line_cell_magic(needs_local_scope(no_var_expand(function)))
    return marked


@magics_class
class RestifiedMagics(Magics):  # type: ignore[misc]
    """The magics of restified_magics, for one shell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._kernels = KernelModels()

    @_magic
    def call_notebook(
        self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None
    ) -> Any:
        """Call a notebook as a function, and give the value of its `return` cell.

        ::

            %call_notebook [FLAGS] NOTEBOOK [FLAGS] [name=value ...]

            %%call_notebook [FLAGS] NOTEBOOK [FLAGS] [name=value ...]
            name = value
            ...

        The notebook is an ordinary one whose cells have tags: the assignments of cells tagged
        `parameters` are what a call can give, cells tagged `skip` are not run, and the last line
        of the cell tagged `return` is the value. It runs in its own folder. What it assigns stays
        in it; what it prints and displays appears here.

        Examples
        --------
        ::

            %call_notebook area.ipynb
            %call_notebook area.ipynb width=3 height=2*n label="a b"
            result = %call_notebook area.ipynb width=3
            %call_notebook "my folder/area.ipynb" table=df.head(), options={"k": [1, 2]}

            %%call_notebook area.ipynb
            width = 3
            height = width * 2

        Values are Python expressions, evaluated here: any object can be given, and the Model gets
        the object itself. They are separated by blanks or commas; ``**mapping`` as the first of
        them, or after a comma, gives what a mapping holds. ``{...}`` and ``$x`` are not expanded.
        With ``%%``, each line of the cell assigns one parameter and sees those above it; nothing of
        that stays here. A semicolon at the end hides the value.

        NOTEBOOK is a path, in quotes if it has blanks, from the current folder on; ``~`` is the
        home folder. Where there is no such file, it can be the name of a Model: one that
        ``%%restify area`` made is called by ``%call_notebook area``.

        Flags, before NOTEBOOK or after it:

        --kernel            run it in a fresh Jupyter kernel, the notebook's own, of any language.
                            ``--kernel=NAME`` chooses another one. Values go there as copies.
        --run               give a Result: the value, all outputs, the names, the executed notebook.
                            Nothing is printed or displayed by the call.
        --save FILE.ipynb   write the executed notebook to a file, also when the call fails or is
                            interrupted: open it to see how far it came, or `%restify --replay` it.
        --form              show a form for the parameters, with Run, Cancel, result and outputs; the
                            values given here are what it begins with. Nothing is called yet.
        --timeout SECONDS   stop the call after this time.
        --scope SCOPE       which names the notebook sees besides its own: `view`, a copy of those
                            here (the default); `share`, those here themselves, so that what it
                            assigns is assigned here; `isolated`, none.
        --help              show this text.

        Tab completes notebooks, flags and the names of parameters. ``%restify NOTEBOOK`` shows what
        a notebook takes. A cell that fails raises a CellError that names the cell and the line, and
        ``%debug`` goes there.
        """
        __tracebackhide__ = True  # IPython shows the user's lines only
        magic = "%call_notebook" if cell is None else "%%call_notebook"
        arguments = parse_line(line, magic)
        if arguments.options.help:
            return _help(self.call_notebook)
        names = self._names(local_ns)
        model = self._model(arguments, magic, names)
        values = expression_values(self.shell, arguments.values, names)
        if cell is not None:
            values = assigned_values(self.shell, f"{magic} {line}", cell, names, values)
        act = _form if arguments.options.form else _called
        value = act(model, values, arguments.options)
        return None if arguments.silent and use_of_value() == "shown" else value

    @_magic
    def restify(self, line: str, cell: str | None = None, local_ns: dict[str, Any] | None = None) -> Any:
        """Make a Model of a notebook, or of a cell: a function to call from here.

        ::

            %restify [FLAGS] NOTEBOOK

            %%restify [FLAGS] NAME
            ...

        With ``%``, the notebook becomes a Model, which is shown: its signature, its parameters, its
        cells, the names that it takes from here, and what its author should know. The Model is
        called like a function.

        With ``%%``, the cell becomes a Model with the name NAME. Imports, magics and a docstring
        that lead come first; the assignments that follow are its parameters; its last line is the
        value. Nothing is run. A semicolon at the end of the first line shows nothing.

        Examples
        --------
        ::

            model = %restify area.ipynb
            model(width=3)

            %call_notebook area.ipynb width="a" --save failed.ipynb
            %restify --replay failed.ipynb

            %%restify area --save area.ipynb
            import math
            width = 3     # Width [m]
            height = 2    # Height [m]
            math.prod([width, height])

            area(width=5)
            %call_notebook area width=5

        Flags:

        --save FILE.ipynb   with ``%%``: write the cell as a notebook with tagged cells, and make the
                            Model of that file. A file that ``%%restify`` wrote is replaced, unless it
                            was changed since; any other is left, and the error says so.
        --kernel            with ``%``: each call runs in a fresh Jupyter kernel, of any language.
        --form              with ``%%``: show a form for the Model, with Run, Cancel, result and outputs.
        --replay            with ``%``: NOTEBOOK is a failed call that was saved. Run it here up to the cell
                            that failed, which becomes your next cell; its names are yours to look at.
        --timeout SECONDS   stop each call after this time.
        --scope SCOPE       which names the Model sees besides its own: `view`, a copy of those here
                            at the time of the call (the default); `share`, those here themselves;
                            `isolated`, none.
        --help              show this text.

        Cells are tagged in Jupyter's property inspector, the gear at the right, under `Common tools`.
        """
        __tracebackhide__ = True
        magic = "%restify" if cell is None else "%%restify"
        arguments = parse_line(line, magic)
        if arguments.options.help:
            return _help(self.restify)
        if arguments.values:
            given = ", ".join(name for name, _ in arguments.values)
            raise UsageError(no_values(magic, given))
        if arguments.options.replay:
            replay(arguments, self.shell)
            return None
        if cell is None:
            model = self._model(arguments, magic, self._names(local_ns))
        else:
            model = self._model_of_cell(arguments, cell)
        use = use_of_value()
        if arguments.options.form:
            display(model.form())
            return None if use == "shown" else model
        if arguments.silent:
            return None if use == "shown" else model
        if use == "other":
            display(model)
        return model

    def _names(self, local_ns: dict[str, Any] | None) -> dict[str, Any]:
        """The names that values find: the View's, and those of the function that the magic is in."""
        view: dict[str, Any] = self.shell.user_ns
        return view if local_ns is None or local_ns is view else {**view, **local_ns}

    def _model(self, arguments: Arguments, magic: str, names: Mapping[str, Any]) -> Model:
        target, options = arguments.target, arguments.options
        if not target:
            values = " width=3" if magic.endswith("call_notebook") else ""
            raise UsageError(f"which notebook? Write its path first, as in {magic} area.ipynb{values}")
        named = names.get(target)
        if arguments.quoted or not isinstance(named, Model) or os.path.exists(target):
            if options.kernel is not None:
                return self._kernels.model(target, options.kernel, options.timeout)
            return PythonModel(target, scope=options.scope, timeout=options.timeout)
        if options.kernel is not None:
            raise UsageError(
                f"--kernel is for notebooks, and {target} is a Model: it runs as it was made. Leave it out"
            )
        model = copy.copy(named)
        if options.timeout is not None:
            model.timeout = options.timeout
        if options.scope is not None:
            if not isinstance(model, PythonModel):
                raise UsageError(
                    f"--scope is for notebooks in this process, and {target} is a {type(model).__name__}. "
                    "Leave it out"
                )
            model.scope = options.scope
        return model

    def _model_of_cell(self, arguments: Arguments, cell: str) -> Model:
        name, options = arguments.target, arguments.options
        if not name:
            raise UsageError("which name should the Model have? Write it first, as in %%restify area")
        if not name.isidentifier() or keyword.iskeyword(name):
            raise UsageError(
                f"{name!r} cannot be the name of a Model. Write a Python name, as in %%restify area"
            )
        node = tagged_notebook(name, cell)
        # first without a file: nothing is written of which no Model can be made
        model = PythonModel(node, scope=options.scope, timeout=options.timeout, name=f"<{name}>")
        if options.save is not None:
            save_cell_model(node, options.save)
            model = PythonModel(options.save, scope=options.scope, timeout=options.timeout)
            _tell(f"Saved the Model as {options.save}")
        self.shell.push({name: model})
        return model


def _form(model: Model, values: dict[str, Any], options: Options) -> Any:
    """A form that begins with the values."""
    __tracebackhide__ = True
    if options.run or options.save is not None:
        flag = "--run" if options.run else "--save"
        raise UsageError(
            f"--form calls nothing yet, so that there is nothing for {flag}: leave one of them out"
        )
    return model.form(values=values)


def _called(model: Model, values: dict[str, Any], options: Options) -> Any:
    """Call the Model as the flags say."""
    __tracebackhide__ = True
    if options.save is None:
        return model.run(values) if options.run else model.execute(values)
    try:
        result = model.run(values, echo=not options.run, save=options.save)
    except BaseException as error:
        for note in getattr(error, "__notes__", ()):
            _tell(note, sys.stderr)
        raise
    _tell(f"Saved the executed notebook as {options.save}")
    return result if options.run else result.value


def _help(magic: Any) -> None:
    _tell(inspect.getdoc(magic))


def _tell(text: object, stream: TextIO | None = None) -> None:
    print(text, file=stream)
