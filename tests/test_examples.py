"""The notebooks in `examples/`, as their users run them: Models called, Views executed in kernels, the demo run."""

from __future__ import annotations

import asyncio
import collections
import csv
import datetime
import math
import os
import pathlib
import platform
import re
import runpy
import shutil
import subprocess
import sys

import nbclient
import nbformat
import pytest
from conftest import EXAMPLES

from restified_magics import CellError, ParameterError, PythonModel

MODELS = ("fibonacci", "machine_report", "sales", "weather")
#: Models in other languages, by the kernel that runs them: `test_kernel_languages` calls them.
IN_KERNELS = {"disk_usage": "bash", "growth": "ir", "words": "deno"}
NOTEBOOKS = sorted(path.name for path in EXAMPLES.glob("*.ipynb"))


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_written_there():
    """Whatever is done with the examples, their folder is as it was."""
    before = sorted(path.name for path in EXAMPLES.iterdir())
    yield
    assert sorted(path.name for path in EXAMPLES.iterdir()) == before


def example(name: str) -> PythonModel:
    return PythonModel(EXAMPLES / f"{name}.ipynb")


# ------------------------------------------------------------------- the files


def test_every_model_has_a_view():
    """There are Models, those in Python each with a View, and nothing else."""
    here = [f"{name}{end}.ipynb" for name in MODELS for end in ("", "_view")]
    assert sorted([*here, *(f"{name}.ipynb" for name in IN_KERNELS)]) == NOTEBOOKS


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebooks_are_clean(name):
    """A notebook is valid, was saved without outputs, and its cells have ids that a person can read."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == IN_KERNELS.get(name.removesuffix(".ipynb"), "python3")
    for cell in notebook.cells:
        assert re.fullmatch("[a-z]+(-[a-z]+)*", cell.id)
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)
    assert text == nbformat.writes(notebook) + "\n", "not as Jupyter would save it"


@pytest.mark.parametrize("name", MODELS)
def test_models_depend_on_nothing(name):
    """A Model of the examples has no problem to tell of, and takes no name from its View."""
    model = example(name)
    assert (model.problems, model.free_names) == ([], ())


@pytest.mark.parametrize("name", MODELS)
def test_models_run_from_top_to_bottom(name, kernel):
    """A Model is an ordinary notebook: Jupyter runs all of its cells, the skipped ones too."""
    executed = kernel(f"{name}.ipynb")
    assert all(cell.execution_count for cell in executed.cells if cell.cell_type == "code")


# ------------------------------------------------------------------- fibonacci


def numbers(count: int) -> list[int]:
    found = [0, 1]
    while len(found) < count:
        found.append(found[-1] + found[-2])
    return found[:count]


def test_fibonacci_is_right():
    """The Model returns what the sequence says, with 15 as its default."""
    fibonacci = example("fibonacci")
    assert (fibonacci(), fibonacci(n=15), fibonacci(n=20)) == (610, 610, 6765)
    expected = numbers(121)
    assert [fibonacci(n=position) for position in range(121)] == expected
    assert len(str(fibonacci(n=10_000))) == math.ceil(
        10_000 * math.log10((1 + 5**0.5) / 2) - math.log10(5**0.5)
    )


def test_the_refactored_function_is_the_same():
    """`fibonacci_function.py`, which the demo compares with the Model, gives the same numbers."""
    function = runpy.run_path(str(EXAMPLES / "fibonacci_function.py"))["fibonacci"]
    fibonacci = example("fibonacci")
    assert function() == fibonacci()
    for position in [*range(200), 999, 1000, 10_000]:
        assert function(position) == fibonacci(n=position)
    for position in (-1, 10_001):
        with pytest.raises(ValueError, match="from 0 to 10000"):
            function(position)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-1, "must be at least 0, not -1"),
        (10_001, "must be at most 10000, not 10001"),
        ("twenty", "must be a whole number, not 'twenty'"),
        (2.5, "must be a whole number, not 2.5"),
        (None, "must be a whole number, not None"),
    ],
)
def test_fibonacci_refuses(value, problem):
    """A value out of bounds or of another type is told as what it should be."""
    with pytest.raises(ParameterError) as told:
        example("fibonacci")(n=value)
    assert told.value.problems == {"n": problem}


# ----------------------------------------------------------------------- sales


def ranking(region, since, until, measure, top, discount):
    """What `sales.ipynb` returns, worked out without pandas: (product, units, revenue, share)."""
    units: collections.Counter[str] = collections.Counter()
    revenue: collections.Counter[str] = collections.Counter()
    with (EXAMPLES / "sales.csv").open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if region in (None, line["region"]) and since <= line["date"] <= (until or "9999"):
                units[line["product"]] += int(line["units"])
                revenue[line["product"]] += int(line["units"]) * float(line["price"]) * (100 - discount) / 100
    by = revenue if measure == "revenue" else units
    return [
        (product, units[product], revenue[product], amount / by.total())
        for product, amount in by.most_common(top)
    ]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"region": "North"},
        {"region": None, "measure": "units", "top": 6},
        {"since": "2025-03-01", "until": "2025-05-31", "region": "South", "top": 2},
        {"since": datetime.date(2025, 12, 24)},
        {"until": datetime.date(2025, 1, 31), "discount": 12.5},
        {"discount": 50, "top": 1},
    ],
)
def test_sales_are_counted(params):
    """The ranking is that of the lines of the file which the parameters choose."""
    meant = {
        "region": None,
        "since": "2025-01-01",
        "until": None,
        "measure": "revenue",
        "top": 3,
        "discount": 0,
    }
    meant.update(
        {name: str(value) if isinstance(value, datetime.date) else value for name, value in params.items()}
    )
    expected = ranking(**meant)
    table = example("sales").run(params).value
    assert list(table.index) == [product for product, *_ in expected]
    assert list(table.columns) == ["units", "revenue", "share"]
    for row, (_, units, revenue, share) in zip(table.itertuples(), expected, strict=True):
        assert row.units == units
        assert row.revenue == pytest.approx(revenue, abs=0.01)
        assert row.share == pytest.approx(share, abs=0.001)


def test_sales_draw_one_figure():
    """A call draws its figure once, in the cell that made it, and leaves none open."""
    import matplotlib.pyplot as plt

    result = example("sales").run({"top": 2})
    kinds = {
        cell.id: [kind for output in cell.outputs for kind in output.get("data", {})]
        for cell in result.notebook.cells
        if cell.cell_type == "code"
    }
    assert kinds["look"] == []  # skipped
    assert [cell for cell, found in kinds.items() for kind in found if kind == "image/png"] == ["months"]
    assert plt.get_fignums() == []


def test_sales_describe_themselves():
    """What the notebook says of its parameters is there for forms: sections, bounds, choices, units, help."""
    fields = example("sales").parameters
    assert list(fields) == ["region", "since", "until", "measure", "top", "discount"]
    assert [fields[name].section for name in ("since", "top")] == ["Sales that count", "Ranking"]
    assert fields["region"].choices == ("North", "East", "South", "West")
    assert fields["region"].default is None
    assert fields["since"].default == datetime.date(2025, 1, 1)
    assert (fields["top"].minimum, fields["top"].maximum, fields["top"].label) == (1, 6, "Products listed")
    discount = fields["discount"]
    assert (discount.minimum, discount.maximum, discount.step, discount.unit) == (0, 50, 5, "%")
    assert all(field.help for field in fields.values())


def test_sales_refuse_all_at_once():
    """Every bad value of a call is told, before a cell is run."""
    with pytest.raises(ParameterError) as told:
        example("sales")(region="Nort", since="soon", top=7, discount=-5)
    assert set(told.value.problems) == {"region", "since", "top", "discount"}
    assert "'North'" in told.value.problems["region"]


def test_sales_without_any_line_fail():
    """A choice without sales is an error of the cell that looks for it, with the outputs up to there."""
    with pytest.raises(CellError, match="there are no sales in any region") as failed:
        example("sales").run({"until": "2024-12-31"})
    assert isinstance(failed.value.__cause__, ValueError)
    assert failed.value.cell_id == "select"
    assert failed.value.source_line.startswith("raise ValueError(")
    notebook = failed.value.result.notebook
    nbformat.validate(notebook)
    (failing,) = [cell for cell in notebook.cells if cell.id == "select"]
    assert [output.output_type for output in failing.outputs] == ["error"]


# --------------------------------------------------------------------- weather


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, {"Harbour": 11.5, "Airport": 9.0, "Forest": 7.5}),
        ({"stations": ["Forest", "Harbour"], "scale": "fahrenheit"}, {"Forest": 45.5, "Harbour": 52.7}),
        ({"stations": ["Summit", "Airport"], "patience": 1.5}, {"Summit": None, "Airport": 9.0}),
        ({"stations": []}, {}),
    ],
)
def test_weather_is_asked_for(params, expected):
    """The stations that were asked answer, in order; the broken one does not, and holds up no other."""
    report = example("weather")(**params)
    assert report == pytest.approx(expected)
    assert list(report) == list(expected)


def test_weather_is_asked_for_on_the_callers_loop():
    """Two calls on one event loop do not disturb each other."""

    async def both():
        weather = example("weather")
        return await asyncio.gather(
            weather.run_async({"stations": ["Harbour"]}),
            weather.run_async({"stations": ["Forest"], "scale": "fahrenheit"}),
        )

    assert [result.value for result in asyncio.run(both())] == [
        {"Harbour": 11.5},
        {"Forest": pytest.approx(45.5)},
    ]


def test_weather_knows_its_stations():
    """A station that does not exist is an error that names those that do."""
    with pytest.raises(CellError, match=r"no station 'Moon'\. There are: Harbour, Airport, Forest, Summit"):
        example("weather")(stations=["Airport", "Moon"])


# -------------------------------------------------------------- machine report


@pytest.mark.parametrize("order", ["random", "ascending", "descending"])
@pytest.mark.parametrize("size", [1000, 5000])
def test_machine_report_is_filled_in(size, order):
    """The magics of the notebook see its names: what was asked, measured and kept is in the report."""
    report = example("machine_report").run({"size": size, "order": order}).value
    assert report.pop("milliseconds") > 0
    assert report == {
        "machine": platform.machine(),
        "python": f"Python {platform.python_version()}",
        "size": size,
        "order": order,
    }


@pytest.mark.parametrize("shown", [True, False])
def test_machine_report_captures(shown):
    """What `%%capture` caught appears where the notebook shows it, and nowhere else."""
    result = example("machine_report").run({"size": 1000, "show_details": shown})
    printed = "".join(output.get("text", "") for each in result.outputs for output in each)
    assert ("Current installation scheme" in printed) is shown
    assert f"Python {platform.python_version()} on {platform.system()}" in printed
    assert "Wall time:" in printed


# ----------------------------------------------------------------------- Views


@pytest.fixture(scope="module")
def kernel():
    """Execute a notebook of the examples in a kernel of its own, as Jupyter does: ``kernel("x.ipynb")``."""

    def executed(name):
        notebook = nbformat.read(EXAMPLES / name, as_version=4)
        resources = {"metadata": {"path": str(EXAMPLES)}}
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120, resources=resources)
        client.execute(env=environment)
        return notebook

    return executed


class View:
    """An executed View: its outputs by the ids of its cells."""

    def __init__(self, notebook):
        self._outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}

    def printed(self, cell):
        return "".join(output.text for output in self._outputs[cell] if output.output_type == "stream")

    def value(self, cell):
        (found,) = [output for output in self._outputs[cell] if output.output_type == "execute_result"]
        return found.data["text/plain"]

    def figures(self, cell):
        return [output for output in self._outputs[cell] if "image/png" in output.get("data", {})]

    def error(self, cell):
        (found,) = [output for output in self._outputs[cell] if output.output_type == "error"]
        return found

    def no_warnings(self):
        return not [
            output for each in self._outputs.values() for output in each if output.get("name") == "stderr"
        ]


def test_fibonacci_view(kernel):
    """Every form of the call gives the Model's value, and none of the Model's names comes to the View."""
    view = View(kernel("fibonacci_view.ipynb"))
    expected = numbers(91)
    assert view.value("call") == "6765"
    assert view.value("call-default") == "610"
    assert view.printed("assign") == "Number 10 is 55.\n"
    assert view.value("cell-form") == str(expected[90])
    assert view.value("names") == "[]"
    error = view.error("error")
    assert (error.ename, "n must be at least 0, not -1" in error.evalue) == ("ParameterError", True)
    table = view.printed("table").splitlines()
    assert [line.split() for line in table] == [[str(n), f"{expected[n]:,}"] for n in range(0, 61, 10)]
    assert len(view.figures("plot")) == 1
    assert view.no_warnings()


def test_sales_view(kernel):
    """The View shows what the Model prints, draws and returns; with ``--run`` it shows none of it."""
    view = View(kernel("sales_view.ipynb"))
    first = ranking(None, "2025-01-01", None, "revenue", 3, 0)
    assert view.printed("all-regions").startswith("All regions: 288 of 288 lines, ")
    assert [line.split()[0] for line in view.value("all-regions").splitlines()[2:]] == [
        line[0] for line in first
    ]
    assert len(view.figures("all-regions")) == 1
    spring = ranking("South", "2025-03-01", "2025-05-31", "units", 2, 0)
    assert [line.split()[:2] for line in view.value("spring").splitlines()[2:]] == [
        [product, str(units)] for product, units, *_ in spring
    ]
    assert len(view.figures("spring")) == 1
    assert (view.printed("compare"), view.figures("compare")) == ("", [])
    table = view.value("compare").splitlines()
    assert table[0].split() == ["North", "East", "South", "West"]
    assert len(table) == 2 + 6
    spring = sum(line[2] for line in ranking(None, "2025-03-01", "2025-05-31", "revenue", 6, 0))
    amounts = [
        float(text.replace(",", "")) for text in re.findall(r"([\d,]+\.\d\d) EUR", view.printed("discount"))
    ]
    assert amounts == pytest.approx([spring, spring * 0.9], abs=0.05)
    error = view.error("error")
    traceback = "\n".join(error.traceback)
    assert (error.ename, "there are no sales in any region" in error.evalue) == ("CellError", True)
    assert "sales.ipynb, cell 11, line 8" in traceback
    assert "restified_magics" not in traceback
    assert view.no_warnings()


def test_weather_view(kernel):
    """A Model with top-level ``await`` works where the kernel's own event loop runs."""
    view = View(kernel("weather_view.ipynb"))
    assert view.value("call") == "{'Harbour': 11.5, 'Airport': 9.0, 'Forest': 7.5}"
    assert view.printed("fahrenheit").endswith("It is warmest at the harbour: 52.7 °F\n")
    assert view.value("silent") == "{'Summit': None, 'Airport': 9.0}"
    assert view.value("several") == "[{'Harbour': 11.5}, {'Harbour': 52.7}]"
    assert view.no_warnings()


def test_machine_report_view(kernel):
    """The magics of a called Model see its names, and not those of the View that are called the same."""
    view = View(kernel("machine_report_view.ipynb"))
    assert f"'python': 'Python {platform.python_version()}'" in view.value("call")
    assert "Wall time:" in view.printed("call")
    assert view.printed("orders") == ""
    rows = [line.split() for line in view.value("table").splitlines()[2:]]
    assert [row[:2] for row in rows] == [[order, "50000"] for order in ("random", "ascending", "descending")]
    assert view.printed("faster").startswith("Numbers that are in order are sorted ")
    assert view.no_warnings()


# ------------------------------------------------------------ the demo, README


def test_demo(tmp_path):
    """The demo runs from any folder, says what it does, and writes nothing but into a temporary folder."""
    home, temporary, elsewhere = (tmp_path / name for name in ("home", "temporary", "elsewhere"))
    for folder in (home, temporary, elsewhere):
        folder.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("IPYTHON", "JUPYTER", "MPL", "XDG", "PYDEVD"))
    }
    environment |= {"HOME": str(home), "USERPROFILE": str(home), "PYTHONIOENCODING": "ascii"}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "demo.py")],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
        encoding="utf-8",
    )
    assert (done.returncode, done.stderr) == (0, "")
    for expected in (
        r"%call_notebook fibonacci\.ipynb n=20\s+Out: 6765\n",
        r"\[a figure, PNG of \d+ kB\]",
        r">>> fibonacci\(n=20\)\n    6765\n",
        r"ParameterError: fibonacci\.ipynb: n must be a whole number, not 'twenty'\n",
        r"CellError: sales\.ipynb, cell 11, line 8: ValueError: there are no sales",
        r"the function +\d+\.\d µs a call\n",
        r"the notebook +\d+\.\d µs a call\n",
    ):
        assert re.search(expected, done.stdout), expected
    named = [pathlib.Path(path) for path in re.findall(r"^ +(\S+\.ipynb)$", done.stdout, re.MULTILINE)]
    assert [path.name for path in named] == ["sales-south.ipynb", "sales-failed.ipynb"]
    for path in named:
        nbformat.validate(nbformat.read(path, as_version=4))
    assert list(elsewhere.iterdir()) == []
    assert list(home.iterdir()) == []
    assert list(temporary.iterdir()) == [named[0].parent]


def test_readme_names_everything():
    """The index of the examples names each of their files."""
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^)]+)\)", text)) | {"demo.py", "README.md"}
    assert named == {path.name for path in EXAMPLES.iterdir() if not path.name.startswith(("_", "."))}
    assert "examples/demo.py" in text


def test_readme_runs(tmp_path, monkeypatch, capsys):
    """The Python in the index of the examples runs as it stands there."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    (source,) = re.findall(
        r"```python\n(.*?)```", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(source, names)
    assert list(names["ranking"].index) == [
        line[0] for line in ranking("South", "2025-01-01", None, "revenue", 2, 0)
    ]
    assert "Ranks the products of four garden shops" in capsys.readouterr().out
    nbformat.validate(nbformat.read("south.ipynb", as_version=4))
