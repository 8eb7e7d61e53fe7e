"""The notebooks in `examples/`, as their users run them: Models called, Views executed in kernels, the demo run."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import csv
import datetime
import itertools
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
from rest_server import serving
from test_kernel_languages import needs_r

from restified_magics import CellError, ParameterError, PythonModel

MODELS = (
    "fibonacci",
    "heating_days",
    "heating_fit",
    "machine_report",
    "quality",
    "sales",
    "stock",
    "weather",
)
#: Written for other tools, and used as they are.
UNCHANGED = ("colab_loan", "papermill_shop")
VIEWS = ("fibonacci", "growth", "heating", "machine_report", "sales", "stock", "unchanged", "weather")
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


def test_every_notebook_is_known():
    """There are Models, Views, and nothing else; each View or client calls a Model that is there."""
    models = [*MODELS, *UNCHANGED, *IN_KERNELS]
    assert (
        sorted([*(f"{name}.ipynb" for name in models), *(f"{name}_view.ipynb" for name in VIEWS)])
        == NOTEBOOKS
    )
    called = "".join((EXAMPLES / f"{name}_view.ipynb").read_text(encoding="utf-8") for name in VIEWS)
    called += "".join(path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py"))
    assert [name for name in models if f"{name}.ipynb" not in called] == ["disk_usage", "words"]


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


@pytest.mark.parametrize("name", [*MODELS, *UNCHANGED])
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


# ----------------------------------------------------------------------- stock


def test_stock_is_counted():
    """Where the café never runs out, all customers are served, and the costs are those of its orders."""
    answer = example("stock")(reorder_at=300, order_size=500, sales=5.0, days=100, delivery=10.0)
    assert (answer["served"], answer["lost_a_day"]) == (1, 0)
    assert answer["delivery_a_day"] == round(10.0 * answer["orders"] / 100, 2)
    assert answer["storage_a_day"] == pytest.approx(0.05 * answer["mean_stock"], abs=0.01)


def test_stock_runs_out():
    """Who orders late loses sales, and who has the same seed has the same year."""
    stock = example("stock")
    late, early = (stock(reorder_at=reorder_at) for reorder_at in (10, 80))
    assert late["served"] < 0.95
    assert early["served"] > 0.99
    assert stock(seed=2) == stock(seed=2) != stock(seed=3)


# --------------------------------------------------------------------- quality

GOOD = {
    "delivery": "D1",
    "date": "2025-04-07",
    "supplier": "Lindhof",
    "product": "Milk",
    "boxes": 3,
    "weight_kg": 60.5,
    "temperature_c": 4,
}


def found(*rows, **limits):
    """What `quality` finds in rows, by check: the level and the count."""
    table = example("quality")(
        rows=[{**GOOD, "delivery": f"D{n}", **row} for n, row in enumerate(rows)], **limits
    )
    return {check: (level, count) for check, level, count, _ in table.itertuples(index=False)}


@pytest.mark.parametrize(
    ("row", "check", "level"),
    [
        ({"date": "2025-14-04"}, "date is missing or no date", "error"),
        ({"weight_kg": ""}, "weight is missing or no number", "error"),
        ({"boxes": -6}, "boxes are not a whole number above 0", "error"),
        ({"boxes": 2.5}, "boxes are not a whole number above 0", "error"),
        ({"boxes": None}, "boxes are not a whole number above 0", "error"),
        ({"supplier": "Lindhoff"}, "supplier is none of 4 known", "error"),
        ({"supplier": None}, "supplier is none of 4 known", "error"),
        ({"temperature_c": None}, "temperature was not measured", "warning"),
        ({"temperature_c": "9.5"}, "not from 0 to 8 °C", "warning"),
        ({"weight_kg": "2410"}, "heavier than 900 kg", "warning"),
    ],
)
def test_quality_finds(row, check, level):
    """Each mistake is found, once, and a list without one has no findings."""
    assert found({}, {}) == {}
    assert found({}, row, {}) == {check: (level, 1)}


def test_quality_finds_doubles():
    """A delivery that is there twice is two rows that are wrong."""
    assert found({"delivery": "X"}, {}, {"delivery": "X"}) == {"delivery is there twice": ("error", 2)}


def test_quality_needs_its_columns():
    """A list of something else is an error that says what is needed."""
    with pytest.raises(CellError, match=r"the list has no column delivery, date, .*\. It needs delivery"):
        example("quality")(rows=[{"a": 1}])


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """A server of the examples' folder."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(EXAMPLES, root / "examples", ignore=shutil.ignore_patterns("pictures"))
    (root / "state").mkdir()
    with serving(root / "examples", root / "state") as server:
        yield server


def client(server, *arguments):
    """Run the client of the quality check, as on the machine that books."""
    command = [sys.executable, "-I", str(EXAMPLES / "quality_client.py"), f"http://127.0.0.1:{server.port}"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, check=False, encoding="utf-8", env=UTF8, timeout=120
    )


UTF8 = {**os.environ, "PYTHONUTF8": "1"}


def test_quality_client_refuses(endpoint):
    """The file with mistakes is not booked: each finding is a line, and the exit code is 1."""
    done = client(endpoint, endpoint.token, str(EXAMPLES / "deliveries.csv"))
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert "error      2 x delivery is there twice: D1038, D1038" in lines
    assert "warning    2 x not from 0 to 8 °C: D1018, D1053" in lines
    assert lines[-1].endswith("deliveries.csv: 72 deliveries, 6 errors. Do not book it.")


def test_quality_client_accepts(endpoint, tmp_path):
    """A file in order is booked, with exit code 0; limits of the command line count."""
    file = tmp_path / "good.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, GOOD)
        writer.writeheader()
        writer.writerow(GOOD)
    done = client(endpoint, endpoint.token, str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}: 1 deliveries, 0 errors. It can be booked.\n")
    done = client(endpoint, endpoint.token, str(file), "heaviest=50")
    assert "1 x heavier than 50 kg: D1" in done.stdout


def test_quality_client_could_not_check(endpoint):
    """A wrong limit or token, a file or a server that is not there are no answer: exit code 2."""
    file = str(EXAMPLES / "deliveries.csv")
    wrong = client(endpoint, endpoint.token, file, "hottest=3")
    assert wrong.returncode == 2
    assert "422" in wrong.stderr
    assert "hottest" in wrong.stderr
    stranger = client(endpoint, "no-token", file)
    assert (stranger.returncode, "No valid credentials" in stranger.stderr) == (2, True)
    absent = client(endpoint, endpoint.token, "nothing.csv")
    assert (absent.returncode, "Traceback" in absent.stderr) == (2, False)
    command = [sys.executable, str(EXAMPLES / "quality_client.py"), "http://127.0.0.1:9", "t", file]
    nobody = subprocess.run(command, capture_output=True, check=False, text=True, timeout=60)
    assert nobody.returncode == 2
    assert "there is no server at http://127.0.0.1:9" in nobody.stderr


# --------------------------------------------------------------------- heating


def test_heating_days_are_counted():
    """What was used on a day is the difference of two readings, as energy."""
    with (EXAMPLES / "heating.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    days = example("heating_days")(gaps="leave out", kwh_per_m3=10.0)
    expected = [
        (before["date"], round((float(after["meter_m3"]) - float(before["meter_m3"])) * 10, 1))
        for before, after in itertools.pairwise(lines)
        if before["meter_m3"] and after["meter_m3"] and before["outside_c"]
    ]
    assert [str(day.date()) for day in days["date"]] == [day for day, _ in expected]
    assert days["kwh"].tolist() == pytest.approx([used for _, used in expected], abs=0.06)


def test_heating_gaps_are_filled():
    """Filled in, no day is missing, and nothing that the meter counted is lost."""
    days = example("heating_days")(kwh_per_m3=10.0)
    assert (days["date"].diff().dropna().dt.days == 1).all()
    assert days["kwh"].sum() == pytest.approx(10 * (52023.2 - 48210.0), abs=10)
    assert all(day.weekday() < 5 for day in example("heating_days")(weekends=False)["date"])
    with pytest.raises(CellError, match="there are 0 days from 2030-01-01"):
        example("heating_days")(since="2030-01-01", until="2030-02-01")


def test_heating_fit_finds_the_line():
    """Days that lie on a line are fitted by it."""
    import pandas as pd

    days = pd.DataFrame({"outside_c": [18.0, 10.0, 6.0, 0.0]})
    days["kwh"] = 20 + 3 * (16 - days["outside_c"]).clip(lower=0)
    answer = example("heating_fit")(days=days, price=0.5)
    assert answer["kWh"].tolist() == [3, 20, days["kwh"].sum(), 9]
    assert answer["EUR"].tolist() == [1.5, 10, days["kwh"].sum() / 2, 4.5]


def test_heating_page():
    """One run of the first Model gives the second one its table, and runs it."""
    from restified_magics.widgets.dashboard import Dashboard

    notebook = nbformat.read(EXAMPLES / "heating_view.ipynb", as_version=4)
    (source,) = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    names: dict[str, object] = {}
    with contextlib.chdir(EXAMPLES):
        exec(source, names)
        days, fit = names["days"], names["fit"]
        assert isinstance(days, Dashboard)
        assert isinstance(fit, Dashboard)
        days.form.run()
        assert days.form.wait(120)
        assert fit.form.wait(120)
        assert (days.form.state, fit.form.state) == ("done", "done")
        assert fit.form.value["kWh"].iloc[2] == pytest.approx(days.form.value["kwh"].sum(), abs=0.1)
        days.close()
        fit.close()


# ------------------------------------------------- from papermill and from Colab


def test_papermill_runs_it_too(tmp_path):
    """papermill and this project make of its notebook the same sheet."""
    import papermill

    values = {"shop": "West", "month": 6, "target": 1000.0}
    with contextlib.chdir(EXAMPLES):
        by_papermill = papermill.execute_notebook(
            "papermill_shop.ipynb", tmp_path / "sheet.ipynb", values, progress_bar=False
        )
    ours = example("papermill_shop").run(values)
    (told,) = [output.text for output in ours.notebook.cells[-1].outputs]
    (told_by_papermill,) = [output.text for output in by_papermill.cells[-1].outputs]
    assert told == told_by_papermill
    assert told.startswith("West, month 6: ")
    assert ours.value is None


def test_colab_form():
    """Colab's fields are parameters with their bounds and choices; no cell of the notebook has a tag."""
    notebook = nbformat.read(EXAMPLES / "colab_loan.ipynb", as_version=4)
    assert not [cell for cell in notebook.cells if cell.metadata.get("tags")]
    loan = example("colab_loan")
    fields = loan.parameters
    assert list(fields) == ["amount", "rate", "years", "kind", "first_payment", "show_table"]
    assert (fields["amount"].minimum, fields["amount"].maximum) == (1000, 100_000)
    assert fields["kind"].choices == ("equal payments", "equal parts")
    with pytest.raises(ParameterError) as told:
        loan.run({"amount": 1, "kind": "gift"})
    assert set(told.value.problems) == {"amount", "kind"}


@pytest.mark.parametrize(
    ("params", "interest"),
    [
        # 12 x 1000 / ((1 - 1.01**-12) / 0.01) - 12000, and the mean debt of twelve even parts
        ({"kind": "equal payments"}, 12 * 12000 * 0.01 / (1 - 1.01**-12) - 12000),
        ({"kind": "equal parts"}, sum(0.01 * (12000 - 1000 * month) for month in range(12))),
        ({"rate": 0.0}, 0),
    ],
)
def test_loan_is_right(params, interest):
    """The interest is that of the formula."""
    names = example("colab_loan").run({"amount": 12000, "rate": 12.0, "years": 1, **params}).namespace
    assert names["interest_paid"] == pytest.approx(interest, abs=0.1)


# ----------------------------------------------------------------------- Views


@pytest.fixture(scope="module")
def kernel():
    """Execute a notebook of the examples in a kernel of its own, as Jupyter does: ``kernel("x.ipynb")``."""

    def executed(name):
        notebook = nbformat.read(EXAMPLES / name, as_version=4)
        resources = {"metadata": {"path": str(EXAMPLES)}}
        environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
        client = nbclient.NotebookClient(notebook, kernel_name="python3", timeout=300, resources=resources)
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

    def displayed(self, cell):
        (found,) = [output for output in self._outputs[cell] if output.output_type == "display_data"]
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
    assert view.printed("error") == "fibonacci.ipynb: n must be at least 0, not -1\n"
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


def test_stock_view(kernel):
    """The sweep has a row for each combination, of which the cheapest are listed, and a figure."""
    view = View(kernel("stock_view.ipynb"))
    assert "'served': 0.99" in view.value("one")
    assert view.printed("sweep") == "35 calls\n"
    rows = [line.split() for line in view.value("best").splitlines()[1:]]
    costs = [float(row[-1]) for row in rows]
    assert (len(rows), costs) == (5, sorted(costs))
    assert len(view.figures("landscape")) == 1
    chance = re.fullmatch(
        r"\{'reorder_at': (\d+), 'order_size': (\d+)\}: (\S+) ± .*\n", view.printed("chance")
    )
    assert [chance[1], chance[2]] == rows[0][1:3]
    assert float(chance[3]) == pytest.approx(costs[0], rel=0.05)
    assert view.no_warnings()


@needs_r
def test_growth_view(kernel):
    """R's data.frame is a DataFrame in the View; more plants make the rate surer."""
    view = View(kernel("growth_view.ipynb"))
    assert view.printed("call") == "fitted 2 kinds\n"
    assert [line.split()[1] for line in view.value("call").splitlines()[1:]] == ["fern", "ivy"]
    spread = [float(line.split()[2]) for line in view.value("rates").splitlines()[2:]]
    assert len(spread) == 2
    assert spread[0] > spread[1]
    assert len(view.figures("picture")) == 1
    assert re.fullmatch(r"growth.ipynb, cell \d+.*: nothing is known of oak\n", view.printed("error"))
    assert view.no_warnings()


def test_unchanged_view(kernel):
    """Notebooks of papermill and of Colab give their names, their outputs and a form."""
    view = View(kernel("unchanged_view.ipynb"))
    assert "papermill_shop(shop='North', month=5, target=1500.0)" in view.displayed("papermill")
    assert [line.split()[1] for line in view.value("shops").splitlines()[1:]] == [
        "North",
        "East",
        "South",
        "West",
    ]
    assert view.printed("sheet").startswith("West, month 6: ")
    assert view.printed("wrong") == "papermill_shop.ipynb: month must be a whole number, not 'May'\n"
    offers = [
        float(text.replace(",", "")) for text in re.findall(r"([\d,]+\.\d\d) EUR", view.printed("offers"))
    ]
    assert offers[0] > offers[1] > 0
    assert "colab_loan(amount=20000" in view.displayed("colab")
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
    pictures = {f"pictures/{path.name}" for path in (EXAMPLES / "pictures").iterdir()} - {
        "pictures/readme.png"
    }
    files = {path.name for path in EXAMPLES.iterdir() if path.is_file() and not path.name.startswith(".")}
    assert named == files | pictures
    assert "examples/demo.py" in text


def test_every_picture_is_small():
    """A picture is a PNG with a palette, of at most 100 kB, and the script makes each of them."""
    made = runpy.run_path(str(pathlib.Path(__file__).with_name("pictures.py")))["PICTURES_OF"]
    pictures = list((EXAMPLES / "pictures").iterdir())
    assert {path.stem for path in pictures} == {*made, "readme"}
    for path in pictures:
        content = path.read_bytes()
        assert content[:8] == b"\x89PNG\r\n\x1a\n"
        assert content[25] == 3, f"{path.name} has no palette"
        assert len(content) < 100_000


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
