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
from conftest import ROOT, parameters, returns

import restified_magics
from restified_magics import errors

PACKAGE = ROOT / "restified_magics"
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if path.stem != "__init__"
)

# The storeys of the design, each a few folders (and modules that stand beside them). A module imports from
# its own storey or from one below, and a face never from another face.
STOREYS = {
    "core": ["errors", "core", "signature", "wire"],
    "models": ["engines", "in_process", "in_kernel", "isolated", "sweep"],
    "faces": ["__main__", "command_line", "ipython", "rest", "widgets"],
}
ORDER = {place: (list(STOREYS).index(storey)) for storey, places in STOREYS.items() for place in places}
# Imports against the order: names that stand in annotations only, and `model.form()` and its like, whose
# modules are imported when they are called.
EXCEPTIONS = {
    ("core.model", "widgets.forms"),
    ("core.model", "widgets.dashboard"),
    ("core.model", "sweep.mapping"),
}


def _place(module):
    return module.partition(".")[0]


def _tree(module):
    return ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))


def _imports(module):
    """The modules of this package that a module imports, wherever the import stands."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("restified_magics"):
            inner = (node.module or "").partition(".")[2]
            names = [f"{inner}.{alias.name}".lstrip(".") for alias in node.names]
            yield from [name for name in names if name in MODULES] or [inner]
        elif isinstance(node, ast.ImportFrom) and node.level:  # in what is also executed in kernels
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from [f"{_place(module)}.{name}" for name in names]


def test_every_module_has_a_place():
    """A new folder, or a module beside them, belongs to a storey, and the table above names it."""
    assert {_place(module) for module in MODULES} == set(ORDER)


@pytest.mark.parametrize("module", MODULES)
def test_layers(module):
    """No module imports from a storey above its own, and no face from another."""
    own = _place(module)
    for imported in _imports(module):
        if not imported or (module, imported) in EXCEPTIONS:
            continue
        place = _place(imported)
        assert ORDER[place] <= ORDER[own], f"{module} imports {imported}"
        if own in STOREYS["faces"] and module != "__main__":
            assert place == own or place not in STOREYS["faces"], f"{module} imports {imported}"


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
    "code",
    [
        "import restified_magics",
        "from restified_magics import PythonModel; PythonModel('examples/fibonacci.ipynb')(n=20)",
    ],
)
def test_import_is_light(code):
    """Nothing slow is imported before it is needed: not by the import, not by a call of plain Python cells."""
    program = f"import sys\n{code}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("n", [1, 0])
def test_a_notebook_is_written_without_nbformat(n, write, tmp_path):
    """The way back is no slow one: the executed notebook is made of parts that are valid as they are."""
    program = (
        "import restified_magics, sys\n"
        f"model = restified_magics.PythonModel({str(write(parameters('n = 1'), returns('1 / n')))!r})\n"
        f"try:\n    model.run({{'n': {n}}}, save={str(tmp_path / 'made.ipynb')!r})\n"
        "except restified_magics.CellError:\n    pass\n"
        "print([name for name in ('nbformat', 'papermill', 'jupyter_client') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.endswith("[]\n")
    assert (tmp_path / "made.ipynb").exists()


ERRORS = [
    errors.RestifiedError("x"),
    errors.NotebookError("m.ipynb", "is empty"),
    errors.ParameterError("m.ipynb", {"x": "is not a parameter"}),
    errors.CellError(
        "m.ipynb", cell=1, cell_id="a", line=2, source_line="x", ename="E", evalue="v", traceback=["t"]
    ),
    errors.TaskDied("the process of the task crashed by SIGSEGV"),
    errors.TaskDied("the process crashed", notebook="m.ipynb", values="x=1", cell=2),
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


def test_a_cause_that_cannot_cross_is_told_in_words(monkeypatch):
    """An exception class of the notebook's own does not keep the error from crossing, nor what it came from."""
    # where Dask is imported, tblib pickles all exceptions in its own way, with every cause
    monkeypatch.delitem(copyreg.dispatch_table, errors.NotebookError, raising=False)

    class LocalError(Exception):
        pass

    error = errors.NotebookError("m.ipynb", "x")
    error.__cause__ = LocalError("of the notebook")
    error.__cause__.__cause__ = KeyError("deep")
    cause = pickle.loads(pickle.dumps(error)).__cause__
    assert repr(cause) == "RestifiedError('LocalError: of the notebook')"
    assert repr(cause.__cause__) == "KeyError('deep')"


def test_where_code_is_executed():
    """Cells in execution.py, and what a View writes as arguments of a magic in view_values.py; nowhere else."""
    found = set()
    for module in MODULES:
        tree = _tree(module)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("exec", "eval")
            ):
                found.add(module)
    assert found == {"in_process.execution", "ipython.view_values"}


def test_the_package_is_typed():
    """`py.typed` is there for type checkers."""
    assert (PACKAGE / "py.typed").exists()
