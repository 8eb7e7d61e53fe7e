"""The package from outside: what it exports, what it imports, how its parts depend on each other."""

from __future__ import annotations

import ast
import copyreg
import importlib
import inspect
import pickle
import subprocess
import sys

import pytest
from conftest import ROOT

import restified_magics
from restified_magics import errors

PACKAGE = ROOT / "restified_magics"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")

# The storeys of the design: a module imports from its own or from one below, and faces never from each other.
STOREYS = {
    "core": [
        "errors",
        "environment",
        "accept",
        "json_schema",
        "source",
        "known_names",
        "arithmetic",
        "enums",
        "facts",
        "annotations",
        "plain_types",
        "telling",
        "parameters",
        "reading",
        "layout",
        "colab",
        "comments",
        "assignments",
        "grammar",
        "notebook",
        "sources",
        "result",
        "deadline",
        "runs",
        "summary",
        "model",
        "cell_bar",
        "statements",
        "literals",
        "languages",
        "encoding",
        "encoders",
        "encoding_kinds",
        "encoding_classes",
        "encoding_tables",
        "richness",
        "media",
        "plain_json",
        "filling",
        "spelling",
        "executed",
    ],
    "models": [
        "python_model",
        "engines",
        "mapping",
        "crews",
        "parcels",
        "store",
        "execution",
        "program",
        "free_names",
        "tracebacks",
        "capture",
        "figures",
        "process_state",
        "local_modules",
        "loops",
        "shell",
        "steps",
        "keeper",
        "warden",
        "process_tree",
        "kernel_connection",
        "kernel_process",
        "kernel_pool",
        "fork_server",
        "kernel_python",
        "kernel_side",
        "kernel_language",
        "dialects",
        "outlets",
        "kernel_model",
        "isolation",
        "isolated_process",
        "isolated_child",
        "isolated_call",
        "packing",
    ],
    "faces": [
        "controls",
        "fields",
        "entries",
        "controller",
        "shown",
        "downloads",
        "panel",
        "bar",
        "address",
        "result_views",
        "forms",
        "dashboard",
        "dashboard_command",
        "scaffold",
        "__main__",
        "cli",
        "terminal",
        "command_values",
        "call_command",
        "show_command",
        "run_command",
        "map_command",
        "shell_completion",
        "replay",
        "magics",
        "arguments",
        "call_site",
        "cell_model",
        "completion",
        "expressions",
        "view_values",
        "kernel_models",
        "serve_command",
        "server",
        "handlers",
        "service",
        "served",
        "origin",
        "request_values",
        "problems",
        "jobs",
        "kernel_calls",
        "dask_calls",
        "failed_runs",
        "metrics",
        "openapi",
        "pages",
    ],
}
ORDER = list(STOREYS)


def _storey(module):
    return next((storey for storey, modules in STOREYS.items() if module in modules), None)


def _imports(module):
    """The modules of this package that a module imports, wherever the import stands."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("restified_magics"):
            inner = (node.module or "").partition(".")[2]
            yield from [inner] if inner else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:  # in what is also executed in kernels
            yield from [node.module] if node.module else [alias.name for alias in node.names]


def test_every_module_has_a_place():
    """A new module belongs to a storey, and the table above names it."""
    assert sorted(name for modules in STOREYS.values() for name in modules) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_layers(module):
    """No module imports from a storey above its own."""
    own = ORDER.index(_storey(module))
    typing_only = {
        ("errors", "result"),
        ("summary", "model"),
        ("runs", "model"),
        ("cell_bar", "model"),
    }  # names in annotations
    way_up = {
        ("model", "forms"),
        ("model", "dashboard"),
        ("model", "mapping"),
    }  # `model.form()`, imported when it is called
    for imported in _imports(module):
        if (module, imported) not in typing_only | way_up:
            assert ORDER.index(_storey(imported)) <= own, f"{module} imports {imported}"


def test_exports():
    """At most a dozen public names, each of which can be had, and nothing else pretends to be public."""
    names = restified_magics.__all__
    assert len(names) <= 12
    assert names == sorted(names)
    for name in names:
        assert getattr(restified_magics, name).__module__.startswith("restified_magics.")
        assert name in dir(restified_magics)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = restified_magics.nothing


@pytest.mark.parametrize("name", restified_magics.__all__)
def test_public_names_are_documented(name):
    """Every public class and function, its public methods too, says what it is for."""
    thing = getattr(restified_magics, name)
    assert len(inspect.getdoc(thing) or "") > 40
    for member, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not member.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"


@pytest.mark.parametrize("module", MODULES)
def test_all_names_what_is_there(module):
    """`__all__` of each module is true."""
    loaded = importlib.import_module(f"restified_magics.{module}")
    for name in loaded.__all__:
        assert hasattr(loaded, name)


HEAVY = ("IPython", "nbformat", "papermill", "pydantic", "jupyter_client", "matplotlib", "pandas", "asyncio")


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import restified_magics", HEAVY),
        (
            "from restified_magics import PythonModel; PythonModel('examples/fibonacci.ipynb')(n=20)",
            HEAVY[:-1],
        ),
    ],
)
def test_import_is_light(code, heavy):
    """Nothing slow is imported before it is needed: not by the import, not by a call of plain Python cells."""
    program = f"import sys\n{code}\nprint([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


ERRORS = [
    errors.RestifiedError("x"),
    errors.NotebookError("m.ipynb", "is empty"),
    errors.ParameterError("m.ipynb", {"x": "is not a parameter"}),
    errors.CellError(
        "m.ipynb", cell=1, cell_id="a", line=2, source_line="x", ename="E", evalue="v", traceback=["t"]
    ),
    errors.TaskDied("the process of the task crashed by SIGSEGV"),
    errors.CallError("m.ipynb: ended early"),
    errors.MediaError("42 cannot be had as image/png", ["application/json"]),
    errors.ModelTimeout("m.ipynb", seconds=1.5, cell=3, stopped=False),
    errors.ReturnError("m.ipynb", cell=2, reason="it is a generator. Return a list of it"),
    errors.KernelDied("m.ipynb", reason="the kernel was killed", cell=3, said="words"),
    errors.ModelCancelled("m.ipynb", cell=3, stopped=False),
    errors.ModelRecursionError(["a.ipynb", "b.ipynb"]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_pickle_with_all_they_carry(error):
    """They cross processes as they are, the cause included."""
    error.__cause__ = ValueError("cause")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
    assert repr(again.__cause__) == "ValueError('cause')"


def test_every_error_is_in_the_tree():
    """All derive from RestifiedError, are tested above, and stand in the tree of the module's docstring."""
    classes = [
        value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)
    ]
    raised = {cls for cls in classes if cls.__module__ == errors.__name__ and not issubclass(cls, Warning)}
    assert all(issubclass(cls, errors.RestifiedError) for cls in raised)
    assert raised == {type(error) for error in ERRORS}
    assert all(cls.__name__ in errors.__doc__ for cls in raised)


def test_cause_that_cannot_cross_is_left_behind(monkeypatch):
    """An exception class of the notebook's own does not keep the error from crossing."""
    # where Dask is imported, tblib pickles all exceptions in its own way, with every cause
    monkeypatch.delitem(copyreg.dispatch_table, errors.NotebookError, raising=False)

    class LocalError(Exception):
        pass

    error = errors.NotebookError("m.ipynb", "x")
    error.__cause__ = LocalError()
    assert pickle.loads(pickle.dumps(error)).__cause__ is None


def test_where_code_is_executed():
    """Cells in execution.py, and what a View writes as arguments of a magic in view_values.py; nowhere else."""
    found = set()
    for module in MODULES:
        tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("exec", "eval")
            ):
                found.add(module)
    assert found == {"execution", "view_values"}


def test_the_package_is_typed():
    """`py.typed` is there for type checkers."""
    assert (PACKAGE / "py.typed").exists()
