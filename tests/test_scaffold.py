"""`restified view`: the View that it writes works as it is, and nothing is overwritten."""

from __future__ import annotations

import json
import shlex

import nbclient
import nbformat
import pytest
from click.testing import CliRunner
from conftest import node, parameters, returns

from restified_magics.command_line.commands import main


def view(*arguments):
    return CliRunner().invoke(main, ["view", *map(str, arguments)])


@pytest.fixture
def area(write):
    return write(*node(parameters("width = 3"), returns("width * 2"))["cells"], name="area model.ipynb")


def test_the_view_works_as_it_is(area):
    """It is a valid notebook, which runs from top to bottom and calls the Model."""
    done = view(area)
    assert done.exit_code == 0, done.output
    path = area.with_name("area model_view.ipynb")
    assert str(path) in done.output
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert notebook.cells[-1].source == "model(width=3)"
    assert notebook.cells[-1].outputs[0].data["text/plain"] == "6"


def test_the_command_that_opens_it_can_be_pasted(area):
    """A name with blanks is one word of it."""
    words = shlex.split(view(area).output.partition("Open it with: ")[2])
    assert words == ["jupyter", "lab", str(area.with_name("area model_view.ipynb"))]


def test_a_result_is_seen(area):
    """The View shows what became of a run, which printing in the thread of the run would not."""
    assert view(area).exit_code == 0
    path = area.with_name("area model_view.ipynb")
    notebook = nbformat.read(path, 4)
    notebook.cells.append(nbformat.v4.new_code_cell("form.run(), form.wait(60), latest.value"))
    nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute()
    shown = notebook.cells[-1].outputs[0].data["text/plain"]
    assert shown == "(True, True, 'The latest result is 6.')"


def test_it_finds_the_model_from_another_folder(area, tmp_path):
    """The path in it is as seen from where the View is."""
    (tmp_path / "views").mkdir()
    target = tmp_path / "views" / "mine.ipynb"
    assert view(area, "--output", target).exit_code == 0
    assert 'PythonModel("../area model.ipynb")' in json.loads(target.read_text())["cells"][1]["source"]


def test_nothing_is_overwritten(area):
    """A View that is there stays, unless one says so; the Model itself in any case."""
    assert view(area).exit_code == 0
    again = view(area)
    assert again.exit_code == 2
    assert "--force" in again.output
    assert view(area, "--force").exit_code == 0
    before = area.read_bytes()
    assert "this is the notebook itself" in view(area, "--output", area, "--force").output
    assert area.read_bytes() == before


@pytest.mark.parametrize("command", ["view", "dashboard"])
def test_a_notebook_that_is_not_there(area, command):
    """One of a name that is near is told, as by the other commands."""
    done = CliRunner().invoke(main, [command, str(area.with_name("area modl.ipynb"))])
    assert done.exit_code == 2
    assert "Did you mean 'area model.ipynb'?" in done.output


@pytest.mark.parametrize(
    ("name", "told"), [("view.txt", "Write 'view.txt.ipynb'"), ("gone/view.ipynb", "there is no folder")]
)
def test_what_cannot_be_written_there(area, name, told):
    """It is wrong use, as of the other commands that write a notebook, and writes nothing."""
    target = area.parent / name
    done = view(area, "--output", target)
    assert (done.exit_code, target.exists()) == (2, False)
    assert told in done.output


def test_a_form_without_fields_is_told(write):
    """A notebook without parameters gives one, perhaps by mistake: of a View, or without its tag."""
    path = write(*node("x = 1", returns("x"))["cells"])
    done = view(path)
    assert done.exit_code == 0
    assert "no cell has the tag `parameters`, so the form has no field" in done.output


def test_what_is_no_notebook(tmp_path):
    """It says so, and writes nothing."""
    path = tmp_path / "text.ipynb"
    path.write_text("no notebook")
    done = view(path)
    assert done.exit_code == 2
    assert "is not a notebook" in done.output
    assert not (tmp_path / "text_view.ipynb").exists()


def test_required_parameters(write):
    """A call that would need values is left to the form."""
    path = write(*node(parameters("n: int"), returns("n"))["cells"])
    assert view(path).exit_code == 0
    cells = json.loads(path.with_name("model_view.ipynb").read_text())["cells"]
    assert not any(cell["source"].startswith("model(") for cell in cells)
