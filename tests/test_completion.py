"""Tab on the lines of `%call_notebook` and `%restify`."""

from __future__ import annotations

import json
import re
import warnings

import pytest
from conftest import cell, parameters, returns
from IPython.core.completer import provisionalcompleter

from restified_magics import CellError


@pytest.fixture
def tab(ip, run, tmp_path, monkeypatch, write, capsys):
    """What Tab makes of a cell at its end, or at `|`: the texts that the cell would have, in order."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    write(parameters("width = 3\nheight: int"), "1 / 0", returns("width"), name="area.ipynb")
    write(parameters("n = 1"), name="my folder/it is.ipynb")
    write(name="home/at home.ipynb")
    write(name=".hidden.ipynb")
    (tmp_path / "notes.txt").write_text("")
    run("%load_ext restified_magics")

    def completed(text):
        before, _, after = text.partition("|")
        capsys.readouterr()
        with provisionalcompleter():
            found = list(ip.Completer.completions(before + after, len(before)))
        captured = capsys.readouterr()
        assert (captured.out, captured.err) == ("", "")
        return [before[: each.start] + each.text for each in found]

    return completed


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ar", ["area.ipynb"]),
        ("./ar", ["./area.ipynb"]),
        ("my", ['"my folder/']),
        ("my\\ fol", ['"my folder/']),
        ('"my folder/', ['"my folder/it is.ipynb"']),
        ('"my folder/i|"', ['"my folder/it is.ipynb']),
        ("'my folder/i", ["'my folder/it is.ipynb'"]),
        ("~/a", ['"~/at home.ipynb"']),
        (".h", [".hidden.ipynb"]),
        ("--scope view ar", ["--scope view area.ipynb"]),
        ("", ["area.ipynb", "home/", '"my folder/']),
    ],
)
@pytest.mark.parametrize("magic", ["%call_notebook ", "x = %call_notebook ", "%%call_notebook ", "%restify "])
def test_notebooks(tab, magic, line, found):
    """The first word completes to notebooks and folders, in quotes where it needs them."""
    assert tab(magic + line) == [magic + each for each in found]


def test_names_of_models(tab, ip, run):
    """Models of the View are offered beside the files, and their parameters after them."""
    run("%%restify arena\nseats = 3\nseats")
    assert tab("%call_notebook ar") == ["%call_notebook area.ipynb", "%call_notebook arena"]
    assert tab("%call_notebook arena ") == ["%call_notebook arena seats="]
    run("%%restify round --save round.ipynb\nradius = 3\nradius")
    assert tab("%call_notebook round r") == ["%call_notebook round radius="]


def test_a_model_whose_file_changed(tab, run, write):
    """The newest parameters are offered, and what is wrong with the new version is not told by Tab."""
    write(parameters("before = 1"), returns("1"))
    run("model = %restify model.ipynb;")
    write(parameters("after = 1"), cell("1", "retrun"))
    assert tab("%call_notebook model ") == ["%call_notebook model after="]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("area.ipynb ", ["width=", "height="]),
        ("area.ipynb w", ["width="]),
        ("area.ipynb width=[1, 2] ", ["height="]),
        ("area.ipynb width=3, h", ["height="]),
        ("area.ipynb --timeout 5 width='a b' h", ["height="]),
        ("area.ipynb width = 3 h", ["height="]),
        ("--scope=view 'area.ipynb' w", ["width="]),
        ('"my folder/it is.ipynb" ', ["n="]),
    ],
)
@pytest.mark.parametrize(
    "magic", ["%call_notebook ", "y = %call_notebook ", "%time %call_notebook ", "call_notebook "]
)
def test_parameters(tab, magic, line, found):
    """After the notebook come its parameters, without those that are given."""
    start = line[: line.rindex(" ") + 1]
    assert tab(magic + line) == [magic + start + each for each in found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("%call_notebook --", ["--kernel", "--scope", "--timeout", "--run", "--save", "--form", "--help"]),
        ("%call_notebook area.ipynb --s", ["--scope", "--save"]),
        ("%call_notebook area.ipynb width=3 --scope view --s", ["--save"]),
        ("%restify area.ipynb --", ["--kernel", "--scope", "--timeout", "--replay", "--help"]),
        ("%%restify area --", ["--save", "--scope", "--timeout", "--form", "--help"]),
        ("%call_notebook area.ipynb --scope ", ["view", "share", "isolated"]),
        ("%call_notebook area.ipynb --scope=s", ["share"]),
        ("%%restify area --save a", ["area.ipynb"]),
        ("%call_notebook area.ipynb --save 'my", ["'my folder/"]),
    ],
)
def test_flags(tab, line, found):
    """Flags complete anywhere, and so do the values of `--scope` and `--save`."""
    cut = max(line.rfind(" "), line.rfind("=")) + 1
    assert tab(line) == [line[:cut] + each for each in found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("mode=", ["'fast'", "'fine'", "'it\\'s'"]),
        ("mode=fi", ["'fine'"]),
        ("mode='fa", ["'fast'"]),
        ('size=2, mode="f', ['"fast"', '"fine"']),
        ("mode = 'fi", ["'fine'"]),
        ("size=", ["1", "2", "None"]),
        ("exact=", ["True", "False"]),
        ("kind=", ["'a'", "'b'"]),
    ],
)
@pytest.mark.parametrize("magic", ["%call_notebook m.ipynb ", "%%call_notebook m.ipynb\n"])
def test_choices(tab, write, magic, line, found):
    """After `name=` come the choices of the parameter, as Python; one that begins so."""
    source = (
        "import enum\nfrom typing import Literal\nclass Kind(enum.Enum):\n    A = 'a'\n    B = 'b'\n"
        "mode: Literal['fast', 'fine', \"it's\"] = 'fast'\nsize: Literal[1, 2, None] = 1\nexact = True\nkind: Kind = Kind.A"
    )
    write(parameters(source), returns("1"), name="m.ipynb")
    if magic.startswith("%%") and "," in line:
        line = line.partition(", ")[2]
    cut = re.search(r"[\w'\"]*\Z", line).start()
    found = [each.replace("'it\\'s'", '"it\'s"') for each in found]
    assert tab(magic + line) == [magic + line[:cut] + each for each in found]


def test_the_body_of_the_cell_form(tab):
    """Lines of `%%call_notebook` begin with the names of parameters, without those that are given."""
    first = "%%call_notebook area.ipynb"
    assert tab(f"{first}\n") == [f"{first}\nwidth=", f"{first}\nheight="]
    assert tab(f"{first}\nwidth = 3\n# c\nh") == [f"{first}\nwidth = 3\n# c\nheight="]
    assert tab(f"{first} height=2\n|\nwidth = 3") == [f"{first} height=2\nwidth="]


@pytest.mark.parametrize(
    "line",
    [
        "%call_notebook area.ipynb width=uni",
        "%call_notebook area.ipynb width= uni",
        "%call_notebook area.ipynb width=[uni",
        "%call_notebook area.ipynb width=1 + uni",
        "%call_notebook area.ipynb width=not uni",
        "y = %call_notebook area.ipynb width=(unique_name, uni",
        "%%call_notebook area.ipynb\nwidth = uni",
        "%%call_notebook area.ipynb\nwidth = [\nuni",
        "%%restify area\nuni",
    ],
)
def test_inside_a_value_it_is_python(tab, run, line):
    """Within a value, and in the body of `%%restify`, Tab completes Python as ever."""
    run("unique_name = 1")
    assert any(each.endswith("unique_name") for each in tab(line))


@pytest.mark.parametrize(
    "line",
    [
        "%call_notebook area.ipynb width='some h",
        "%call_notebook area.ipynb width=[1, 2 h",
        '%call_notebook area.ipynb width="""some h',
        "%call_notebook area.ipynb width=[1, --sc",
        "%call_notebook --timeout 'area.ipynb h",
        "%call_notebook area.ipynb # h",
        "%call_notebook area.ipynb width=3 + h",
        "%call_notebook area.ipynb width=f(h",
        "%call_notebook width=3 h",
        "%call_notebook --tiemout 5 area.ipynb h",
        "%call_notebook area.ipynb --run --run h",
        "%call_notebook nothing.ipynb h",
        "%call_notebook 'area.ipynb' --timeout h",
        "%%call_notebook area.ipynb\nwidth = [\nh",
        "%%call_notebook area.ipynb\nx.h",
        "%%restify area\nh",
        "%%restify h",
        "%restify area.ipynb h",
        "area.ipynb h",
        "x = 'call_notebook area.ipynb' h",
    ],
)
def test_where_no_parameter_belongs(tab, line):
    """Names of parameters are offered only where one may begin."""
    assert not any(each.endswith(("height=", "--scope")) for each in tab(line))


def test_a_variable_of_the_magics_name(tab, run):
    """Without a percent sign the line is a magic only where no variable has its name."""
    assert tab("call_notebook area.ipynb w") == ["call_notebook area.ipynb width="]
    run("call_notebook = 3")
    assert "call_notebook area.ipynb width=" not in tab("call_notebook area.ipynb w")


@pytest.mark.parametrize("content", ["", "no json", "[]", json.dumps({"nbformat": 4, "cells": [1]})])
def test_a_broken_notebook_is_no_error(tab, tmp_path, content):
    """Tab tells nothing of a broken notebook: the call does."""
    (tmp_path / "broken.ipynb").write_text(content)
    assert not any(each.endswith("=") for each in tab("%call_notebook broken.ipynb "))


def test_nothing_runs_and_no_warning_is_lost(tab, run, write, tmp_path):
    """Tab reads the file only: no cell runs, and a warning about the notebook is left to the call."""
    write(parameters("n = 1"), "open('ran', 'w').close()\n1 / 0", cell("n", "retrun"))
    assert tab("%call_notebook model.ipynb ") == ["%call_notebook model.ipynb n="]
    assert not (tmp_path / "ran").exists()
    with pytest.warns(UserWarning, match="retrun"), pytest.raises(CellError):
        run("%call_notebook model.ipynb")
    write(parameters("other = 1"))
    assert tab("%call_notebook model.ipynb ") == ["%call_notebook model.ipynb other="]


def test_the_older_way_to_complete(tab, ip):
    """`ip.complete`, which other frontends use, gives the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        assert ip.complete(None, "%call_notebook area.ipynb wi") == ("wi", ["width="])
        assert ip.complete(None, "%call_notebook ./ar") == ("./ar", ["./area.ipynb"])


def test_in_a_kernel(tmp_path, write):
    """A notebook's Tab asks the kernel, which answers with the parameters."""
    from jupyter_client.manager import start_new_kernel

    write(parameters("width = 3\nheight = 2"), name="area.ipynb")
    manager, client = start_new_kernel(cwd=str(tmp_path))
    try:
        client.execute_interactive("%load_ext restified_magics", timeout=60)
        code = "value = %call_notebook area.ipynb width=3 "
        answer = client.complete(code, reply=True, timeout=60)["content"]
        assert (answer["matches"], answer["cursor_start"]) == (["height="], len(code))
        cell = "%%call_notebook area.ipynb\nwidth = 3\nhei"
        assert client.complete(cell, reply=True, timeout=60)["content"]["matches"] == ["height="]
        path = client.complete("%restify a", reply=True, timeout=60)["content"]
        assert (path["matches"], path["cursor_start"]) == (["area.ipynb"], 9)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
