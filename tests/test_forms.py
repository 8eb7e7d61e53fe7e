"""Forms without a browser: the tree of widgets, what the page sends and gets, links, errors, large results."""

from __future__ import annotations

import json
import os
import pathlib
import re
import threading

import ipywidgets
import pytest
from conftest import cell, named, node, parameters, returns

from restified_magics import Parameter, ParameterError, PythonModel
from restified_magics.widgets.forms import Form
from restified_magics.widgets.panel import Panel

AREA = node(
    cell("# Area of a rectangle\n\nAs *everybody* knows it.", kind="markdown"),
    parameters("# How wide.\nwidth = 3  # Width [mm] (0..10 step 0.5)\n\nheight = 2"),
    "print('working')",
    returns("width * height"),
)


@pytest.fixture
def form():
    """Make a form of a notebook; it is closed with the test."""
    made = []

    def make(notebook=AREA, fields=None, **options):
        made.append(PythonModel(notebook, name="area.ipynb").form(fields, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def panel(form):
    return [child for child in form.children if isinstance(child, Panel)][-1]


def send(form, buffers=(), **message):
    """What the page sends by a click."""
    panel(form)._handle_custom_msg(message, list(buffers))


def type_in(form, **raw):
    """What the page sends by typing."""
    panel(form).set_state({"values": {**panel(form).values, **raw}})


def upload(form, field, name, *pieces, selection="1", count=None):
    """What the page sends of a file that was chosen; as many pieces as there are of `count`."""
    told = {"do": "upload", "field": field, "selection": selection, "name": name}
    send(form, **told, what="begin")
    for piece in pieces:
        send(form, [memoryview(piece)], **told, what="piece", count=count or len(pieces))


def shown(form):
    """The text of the result and of the outputs."""
    result, printed = form.children[-2:]
    return [_text(output) for output in result.outputs], [_text(output) for output in printed.outputs]


def _text(output):
    return output["text"] if "text" in output else output["data"]["text/plain"]


@pytest.mark.parametrize("make", ["form", "dashboard", "bind"])
@pytest.mark.parametrize("fields", [3, [1, 2]], ids=named)
def test_fields_without_names_are_refused(make, fields):
    """The error says how they are given, by the first parameter."""
    with pytest.raises(TypeError, match=r"area.ipynb takes fields by name, as in \{'width': …\}, not"):
        getattr(PythonModel(AREA, name="area.ipynb"), make)(fields)


def test_bounds_of_a_range_are_told_at_its_field(form):
    """Declared ones and those that the View gives, for each end."""
    for notebook, fields in (
        (node(parameters("window = (2, 8)  # Window [s] (0..10)"), returns("window")), {}),
        (node(parameters("window = (2, 8)"), returns("window")), {"window": (0, 10)}),
    ):
        made = form(notebook, fields)
        type_in(made, window=["2", "11"])
        assert made.problems == {"window": "(to) must be at most 10, not 11"}
        type_in(made, window=["0", "10"])
        assert (made.run(), made.wait(60), made.value) == (True, True, (0, 10))


def test_a_field_for_every_parameter(form):
    """With label, help, unit, bounds; and the value that it begins with."""
    made = form()
    width, height = panel(made).fields
    assert (width["label"], width["unit"], width["help"]) == ("Width", "mm", "How wide.")
    assert (width["kind"], width["minimum"], width["maximum"], width["step"]) == ("slider", "0", "10", "0.5")
    assert (height["label"], height["kind"]) == ("height", "number")
    assert panel(made).values == {"width": "3", "height": "2"}
    assert panel(made).bar["state"] == "idle"
    assert made.values == {}


def test_run_by_a_click(form):
    """The values of the click count, also where those that were typed come later; result and outputs are shown."""
    made = form()
    send(made, do="run", values={"width": "4", "height": "2.5"})
    assert made.wait(60)
    assert made.value == 10.0
    assert shown(made) == (["10.0"], ["working\n"])
    bar = panel(made).bar
    assert (bar["state"], bar["number"], bar["done"]) == ("done", 1, bar["total"])
    assert bar["message"].startswith("Done in ")
    assert panel(made).values == {"width": "4", "height": "2.5"}


def test_wrong_input_is_told_at_the_field_and_blocks_run(form):
    """Nothing is clamped, and nothing runs."""
    made = form()
    type_in(made, width="12", height="tall")
    assert panel(made).errors == {
        "width": "must be at most 10, not 12",
        "height": "must be a number, not 'tall'",
    }
    send(made, do="run", values=panel(made).values)
    assert made.state == "idle"
    assert panel(made).bar["message"] == "2 fields need attention"
    type_in(made, width="10", height="2")
    assert panel(made).errors == {}
    send(made, do="run", values=panel(made).values)
    made.wait(60)
    assert made.value == 20


def test_reset(form):
    """All fields hold again what they began with, and the call is left to the notebook's defaults."""
    made = form()
    type_in(made, width="9")
    send(made, do="reset")
    assert panel(made).values == {"width": "3", "height": "2"}
    assert made.values == {}


def test_set_refuses_what_a_field_cannot_hold(form):
    """The others are filled."""
    made = form()
    with pytest.raises(ValueError, match="width must be at most 10, not 11"):
        made.set(width=11, height=5)
    assert made.values == {"height": 5}
    with pytest.raises(ParameterError, match=r"widht is not a parameter\. Did you mean 'width'"):
        made.set(widht=1, height=6)
    assert made.values == {"height": 5}


SWITCHES = node(
    "from typing import Literal",
    parameters(
        "b: bool = True\nmany: set[Literal['x', 'y']] = {'x'}\nfew: list[Literal['x', 'y']] = ['x', 'y']"
    ),
    returns("(b, many, few)"),
)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"b": "x"}, "b must be true or false, not 'x'"),
        ({"b": 2}, "b must be true or false, not 2"),
        ({"many": ["x", "z"]}, r"many at \[1\] must be 'x' or 'y', not 'z'"),
        ({"many": "x"}, "many must be a set, not 'x'"),
        ({"many": 5}, "many must be a set, not 5"),
        ({"many": None}, "many must be a set, not None"),
    ],
    ids=named,
)
def test_what_the_model_refuses_no_field_takes(form, given, problem):
    """A call, `set`, a preset and values to begin with refuse the same in the same words; nothing changes."""
    with pytest.raises(ParameterError, match=problem):
        PythonModel(SWITCHES)(**given)
    made = form(SWITCHES)
    with pytest.raises(ValueError, match=problem):
        made.set(given)
    assert made.values == {}
    for options in ({"presets": {"A": given}}, {"values": given}):
        with pytest.raises(ParameterError, match=problem):
            form(SWITCHES, **options)
    for value in given.values():
        if isinstance(value, int | str):
            with pytest.raises(ParameterError, match=problem):
                form(SWITCHES, given)


@pytest.mark.parametrize("word", ["no", "false", 0])
def test_what_the_model_reads_as_false_unticks(form, word):
    """As the Model's own call makes False of it."""
    made = form(SWITCHES)
    made.set(b=word)
    assert made.values == {"b": False}
    assert form(SWITCHES, {"b": word}).values == {"b": False}
    made = form(SWITCHES, presets={"A": {"b": word, "many": ["y"]}})
    send(made, do="preset", name="A")
    assert made.values == {"b": False, "many": {"y"}}


def test_an_order_that_a_field_cannot_show_is_refused(form):
    """Also where the same choices in another order are the default."""
    made = form(SWITCHES)
    with pytest.raises(ValueError, match="few has a field that cannot show"):
        made.set(few=["y", "x"])
    made.set(few=["x", "y"])
    assert made.values == {}


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ((0, 5), {}),
        ((0, 5, 1), {}),
        ([3, 4], {}),
        ({"three": 3, "four": 4}, {}),
        (7, {"height": 7}),
        (ipywidgets.fixed(6), {"height": 6}),
        (ipywidgets.IntSlider(value=8), {"height": 8}),
    ],
    ids=named,
)
def test_interacts_abbreviations(form, override, values):
    """They override a field as they do in `interact`; a value that is not the notebook's default is given."""
    made = form(AREA, {"height": override})
    assert made.values == values


def test_a_value_out_of_the_bounds_of_the_form(form):
    """The error names the parameter."""
    with pytest.raises(ParameterError, match=r"height must be at most 10, not 50"):
        form(AREA, {"height": (0, 10)}, values={"height": 50})


LIMITED = node(
    "from typing import Literal\nfrom annotated_types import Gt\nfrom typing import Annotated",
    parameters(
        "width: float = 3.0  # Width (0..100)\nunit: Literal['mm', 'cm'] = 'mm'\n"
        "name = 'x'\nbig: Annotated[int, Gt(5)] = 6\nwindow = (2, 8)  # Window (0..10)"
    ),
    returns("(width, unit, big)"),
)


def test_the_models_own_limits_are_told_at_the_field(form):
    """Also where the form has bounds of its own, which are wider: nothing waits for Run to be told."""
    made = form(LIMITED, {"width": (-5, 200), "big": (0, 10), "window": (-5, 20)})
    type_in(made, width="-3", big="4", window=["1", "15"])
    assert made.problems == panel(made).errors
    assert made.problems == {
        "width": "must be at least 0, not -3.0",
        "big": "must be more than 5, not '4'",
        "window": "(to) must be at most 10, not 15",
    }
    assert not made.run()
    with pytest.raises(ValueError, match="width must be at most 100, not 150"):
        made.set(width=150)
    type_in(made, width="50", big="7", window=["1", "9"])
    assert (made.problems, made.run(), made.wait(60), made.value) == ({}, True, True, (50.0, "mm", 7))


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ({"width": (10, 0)}, "width cannot be from 10 to 0. Give the smaller bound first"),
        ({"width": (0, float("nan"))}, "width cannot be from 0 to nan"),
        ({"width": (0, 10, 0)}, "width must have a step of more than 0, not 0"),
        ({"width": (200, 300)}, "width must be at most 100, so that it cannot be from 200 to 300"),
        ({"width": (-9, -5)}, "width must be at least 0, so that it cannot be from -9 to -5"),
        ({"name": (0, 10)}, "name takes no numbers, so that it cannot be from 0 to 10"),
        ({"unit": ["mm", "q"]}, r"unit must be 'mm' or 'cm', not 'q' \(among the choices of the form\)"),
        ({"width": {"wide": 101}}, r"width must be at most 100, not 101.* \(among the choices of the form\)"),
        ({"width": 101}, "width must be at most 100, not 101"),
        ({"unit": "q"}, "unit must be 'mm' or 'cm', not 'q'"),
        ({"width": ipywidgets.fixed(101)}, "width must be at most 100, not 101"),
        ({"width": Parameter("w", default=101)}, "width must be at most 100, not 101"),
    ],
    ids=named,
)
def test_what_can_never_be_right_is_refused_when_the_form_is_made(form, override, problem):
    """Bounds, choices and values that no run could take."""
    with pytest.raises(ParameterError, match=problem):
        form(LIMITED, override)


@pytest.mark.parametrize("make", ["form", "bind"])
def test_a_timeout_that_can_never_be_is_refused(make):
    """When the form is made, and not by each of its runs."""
    fields = {"width": ipywidgets.FloatSlider()}
    with pytest.raises(ValueError, match="timeout must be more than 0 seconds, not -1"):
        getattr(PythonModel(AREA, name="area.ipynb"), make)(fields, timeout=-1)


def test_labels_of_the_authors_widgets(form):
    """A description is tied to its control; the author's own stays, and bind changes no widget."""
    plain, own, wired = (ipywidgets.IntText(value=2) for _ in range(3))
    own.description = "How high"
    form(AREA, {"width": plain, "height": own})
    PythonModel(AREA).bind({"width": wired}).close()
    assert [each.description for each in (plain, own, wired)] == ["Width", "How high", ""]


def test_labels_of_choices(form):
    """A dict of choices shows its keys, and gives its values."""
    made = form(AREA, {"height": {"low": 1, "high": [100]}})
    assert panel(made).fields[1]["choices"] == ["low", "high"]
    type_in(made, height="1")
    assert made.values == {"height": [100]}


def test_a_widget_of_the_authors(form):
    """It stands between the fields, and the form hears of its changes."""
    slider = ipywidgets.IntSlider(value=2)
    made = form(node(parameters("a = 1\nb = 2\nc = 3"), returns("(a, b, c)")), {"b": slider})
    assert [type(child).__name__ for child in made.children] == ["Panel", "VBox", "Panel", "Output", "Output"]
    made.run()
    made.wait(60)
    slider.value = 5
    assert panel(made).bar["stale"]
    made.run()
    made.wait(60)
    assert made.value == (1, 5, 3)


def test_unknown_names_are_refused(form):
    """With those that there are."""
    with pytest.raises(ParameterError, match=r"Did you mean 'width'.* Known: width, height"):
        form(AREA, {"widht": 3})
    with pytest.raises(ParameterError, match="Did you mean 'width'"):
        PythonModel(AREA).bind({"widht": ipywidgets.IntSlider()})
    with pytest.raises(ParameterError, match="Did you mean 'width'"):
        form(AREA).link("widht", form(AREA))


def test_bind():
    """Widgets that the author laid out run the Model, by themselves after a change."""
    received = []
    slider = ipywidgets.IntSlider(value=3)
    made = PythonModel(AREA).bind({"width": slider}, on_result=received.append)
    slider.value = 5
    assert made.wait(60)
    assert received == [10]
    assert all(slider not in child.children for child in made.children if hasattr(child, "children"))
    made.close()


def test_link(form):
    """One Model's result is another one's parameter, and that one runs."""
    first = form(node(parameters("n = 2"), returns("[n] * 3")))
    second = form(node(parameters("data: list\nfactor = 10"), returns("sum(data) * factor"))).link(
        "data", first
    )
    assert second.problems == {"data": "waits for the result of area.ipynb"}
    assert (panel(second).fields[0]["kind"], panel(second).fields[0]["hint"]) == ("linked", "")
    optional = form(node(parameters("data: list | None = None"), returns("data"))).link("data", first)
    assert panel(optional).fields[0]["blank"] == ""  # nobody can leave it empty
    first.set(n=4)
    first.run()
    first.wait(60)
    second.wait(60)
    assert second.value == 120
    assert panel(second).values["data"] == "from area.ipynb: [4, 4, 4]"


def test_what_has_no_field_says_so_where_a_value_is_given():
    """A parameter without a widget, or with a fixed value, names what to do."""
    area = PythonModel(AREA, name="area.ipynb")
    made = area.bind({"width": ipywidgets.FloatSlider(value=3), "height": ipywidgets.fixed(2)})
    with pytest.raises(ValueError, match=r"height is fixed at 2 here\. Leave it out"):
        made.set(height=3)
    made.close()
    made = area.bind({"width": ipywidgets.FloatSlider(value=3)})
    with pytest.raises(ValueError, match=r"height has no widget here\. Give it one, or leave it out"):
        made.set(height=3)
    made.close()


def test_a_form_cannot_wait_for_itself(form):
    """Nor through others: none of them would ever run. A new link takes the place of the former one."""
    first, second, third = form(), form(), form()
    with pytest.raises(ValueError, match="height would wait for the result of its own form"):
        first.link("height", first)
    second.link("width", first)
    third.link("width", second)
    with pytest.raises(ValueError, match="would wait for the result of its own form"):
        first.link("height", third)
    assert first.problems == {}
    second.link("width", form())
    first.link("height", third)
    assert not first.controller._receivers


def test_a_link_while_the_second_form_runs(form):
    """The latest value wins: the run on the former one is ended for it."""
    gate = threading.Event()
    first = form(node(parameters("n = 2"), returns("n")))
    waiting = node(parameters("gate = None\ndata = 1"), "if data == 2: gate.wait(60)", returns("data"))
    second = form(waiting, {"gate": ipywidgets.fixed(gate)}).link("data", first)
    for n in (2, 3):
        first.set(n=n)
        first.run()
        assert first.wait(60)
        assert second.state == "running" or n == 3
    assert second.wait(60)
    assert second.value == 3
    gate.set()  # the former run was left to itself, and would be so for a minute


def test_a_closed_form_runs_no_more(form):
    """Its widgets live on and tell it nothing, nor does the form that it was linked to."""
    slider = ipywidgets.IntSlider(value=3)
    bound = PythonModel(AREA).bind({"width": slider})
    first = form(node(parameters("n = 2"), returns("n")))
    second = form(AREA).link("width", first)
    bound.close()
    second.close()
    slider.value = 5
    first.run()
    assert first.wait(60)
    assert bound.wait(60)
    assert second.wait(60)
    assert not slider._trait_notifiers["value"]["change"]
    assert not first.controller._receivers
    assert (bound.run(), second.run()) == (False, False)
    assert (bound.state, second.state) == ("idle", "idle")


def test_a_mended_field_needs_no_attention(form):
    """The status follows the values, and a reset."""
    made = form(node(parameters("n: int\nm = 1"), returns("n")))
    send(made, do="run", values=panel(made).values)
    assert panel(made).bar["message"] == "1 field needs attention"
    type_in(made, n="3")
    assert panel(made).bar["message"] == ""
    type_in(made, n="x")
    send(made, do="run", values=panel(made).values)
    send(made, do="reset")
    assert panel(made).bar["message"] == ""


def test_an_error_of_a_cell(form):
    """Its message stands where the result goes, with the cell; the traceback is folded, and not twice."""
    made = form(node(parameters("n = 0  # N"), "print('begin')", returns("1 / n")))
    made.run()
    made.wait(60)
    error = panel(made).bar["error"]
    assert error["title"] == "ZeroDivisionError: division by zero"
    assert error["where"] == "area.ipynb, cell 3, line 1"
    assert "1 / n" in error["traceback"]
    assert "\x1b" not in error["traceback"]
    assert not error["open"]
    assert shown(made) == ([], ["begin\n"])


def test_without_tracebacks_there_is_no_source(form):
    """What a visitor gets of an error is its message and its place."""
    notebook = node(
        parameters("n = 0"), cell("secret_formula = 1 / 0", "raises-exception"), returns("secret_result / n")
    )
    made = PythonModel(notebook, name="/srv/private/area.ipynb").form(tracebacks=False)
    made.run()
    made.wait(60)
    page = json.dumps([panel(made).bar, made.children[-1].outputs])
    assert "NameError" in page
    assert "ZeroDivisionError: division by zero" in page
    assert "secret_formula" not in page
    assert "/srv/private" not in page
    assert panel(made).bar["error"]["where"] == "area.ipynb, cell 3, line 1"
    made.close()


def test_without_tracebacks_warnings_and_reprs_have_no_source(form):
    """A warning is its message, IPython's traceback of a raising repr its last line, and no notebook is offered."""
    source = "class Odd:\n    def __repr__(self): raise ValueError('odd')"
    html = "class Html:\n    def _repr_html_(self): raise ValueError('odd html')"
    notebook = node(
        parameters("n = 1"),
        # as Python itself writes it: pytest takes warnings that are raised
        "import sys, warnings\ntold = 'hear me', UserWarning, '/srv/private/x.py', 3, 'warn(secret_formula)'\n"
        "sys.stderr.write(warnings.formatwarning(*told))\nprint('between')",
        f"{source}\n{html}\nOdd()",
        "import traceback\nsecret_formula = ''\ntry: 1 / len(secret_formula)\nexcept Exception: traceback.print_exc()",
        "Html()",
        returns("Odd()"),
    )
    page = {}
    for tracebacks in (True, False):
        made = form(notebook, tracebacks=tracebacks)
        made.run()
        made.wait(60)
        page[tracebacks] = json.dumps([panel(made).bar, *(child.outputs for child in made.children[-2:])])
    assert "secret_formula" in page[True]
    assert "Download the run as a notebook" in page[True]
    for text in ("UserWarning: hear me", "between", "ValueError: odd", "ZeroDivisionError: division"):
        assert text in page[False]
    for text in ("secret_formula", "__repr__", "cell 3", "File ", "/srv", "run as a notebook", "Traceback"):
        assert text not in page[False]
    # nor can who knows how it is asked for have it
    saved = []
    panel(made).give_file = lambda *file: saved.append(file)
    send(made, do="download", what="notebook")
    assert saved == []


def test_without_tracebacks_there_are_no_folders(write):
    """The message that a file is gone names the file alone."""
    path = write(*AREA["cells"])
    made = PythonModel(path).form(tracebacks=False)
    path.unlink()
    made.run()
    title = panel(made).bar["error"]["title"]
    assert "model.ipynb" in title
    assert str(path.parent) not in json.dumps(panel(made).bar)
    made.close()


def test_messages_are_bounded(form):
    """An error of ten megabytes, and one of a callback, is cut, and says so."""
    made = form(
        node(
            parameters("n = 1"),
            returns("(lambda text: 1 / 0)('x' * 10) if n > 1 else {}['x' * 10_000_000]"),
        )
    )
    made.run()
    made.wait(60)
    assert "left out" in panel(made).bar["error"]["title"]
    assert len(json.dumps(panel(made).bar)) < 300_000

    @made.on_result
    def broken(value):
        raise RuntimeError("y" * 10_000_000)

    made.set(n=0)
    second = form()
    second.on_result(broken)
    second.run()
    second.wait(60)
    assert len(json.dumps(panel(second).bar)) < 10_000


@pytest.mark.parametrize(("count", "each"), [(1000, 10), (40, 400_000)])
def test_outputs_are_bounded(form, count, each):
    """Of too many, or too large ones, the first and the last are shown, and how many are left out."""
    source = f"from IPython.display import display\nfor i in range({count}): display({{'text/plain': f'{{i}}' + 'x' * {each}, 'text/html': f'<p>{{i}} ' + 'x' * {each}}}, raw=True)"
    made = form(node(source, returns("1")))
    made.run()
    made.wait(60)
    texts = shown(made)[1]
    (note,) = [text for text in texts if "left out here" in text]
    assert note.startswith(f"{count - len(texts) + 1:,} outputs of ")
    assert texts[0].startswith("0x")
    assert texts[-1].startswith(f"{count - 1}x")
    assert len(json.dumps(made.children[-1].outputs)) < 5_000_000


def test_a_large_output_is_not_sent_at_each_look(form):
    """While a cell goes on printing, what is large is sent less often; in the end all is there."""
    source = (
        "from IPython.display import HTML, display\nimport time\ndisplay(HTML('x' * 900_000))\n"
        "for i in range(30):\n    print(i)\n    time.sleep(0.05)"  # the work of the Model
    )
    made = form(node(source, returns("1")))
    sent = []
    made.children[-1].observe(lambda change: sent.append(len(change["new"])), "outputs")
    made.run()
    assert made.wait(60)
    assert len([count for count in sent if count]) <= 4
    assert shown(made)[1][-1].endswith("29\n")


def test_a_result_of_many_prints(form):
    """Ten thousand prints and an output of ten megabytes are cut, and it is said so."""
    made = form(node("for i in range(30_000): print(i)", returns("'x' * 10_000_000")))
    made.run()
    assert made.wait(60)
    result, printed = made.children[-2:]
    assert len(json.dumps(result.outputs)) < 200_000
    assert "left out" in printed.outputs[0]["text"]
    assert printed.outputs[0]["text"].endswith("29999\n")
    assert "too large for this page" in shown(made)[0][-1]


def test_a_long_table(form):
    """A DataFrame of 100,000 rows is shown in part, and it says so."""
    made = form(node("import pandas as pd", returns("pd.DataFrame({'x': range(100_000)})")))
    made.run()
    made.wait(60)
    table, note = made.children[-2].outputs
    assert len(table["data"]["text/html"]) < 10_000
    assert "100,000" in note["data"]["text/plain"]
    assert [offer["what"] for offer in panel(made).bar["downloads"]] == ["CSV", "JSON", "notebook"]


@pytest.mark.parametrize(
    ("value", "cells"),
    [
        ("{'a': 1, 'b': '<b>'}", ["a", "1", "b", "&lt;b&gt;"]),
        ("[{'a': 1, 'b': True}, {'b': None, 'c': 0.5}]", ["a", "b", "c", "1", "True", "", "", "", "0.5"]),
        ("{'a': [1]}", None),
        ("[{'a': {}}]", None),
        ("{1: 2}", None),
        ("[]", None),
        ("{}", None),
        ("{'a': 10**5000}", None),
    ],
)
def test_rows_under_names_are_a_table(form, value, cells):
    """Of plain values; what Python writes of them stays beside it, and of anything else there is only that."""
    made = form(node(returns(value)))
    made.run()
    made.wait(60)
    (output,) = made.children[-2].outputs
    assert "text/plain" in output["data"]
    found = output["data"].get("text/html")
    assert (found and re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", found)) == cells


def test_a_long_list_of_rows(form):
    """The first and the last are shown, and it says so."""
    made = form(node(returns("[{'n': n} for n in range(1000)]")))
    made.run()
    made.wait(60)
    table, note = made.children[-2].outputs
    assert re.findall(r"<td[^>]*>(.*?)</td>", table["data"]["text/html"]) == [
        *map(str, range(5)),
        "…",
        *map(str, range(995, 1000)),
    ]
    assert "1,000" in note["data"]["text/plain"]


def test_odd_results(form):
    """None shows nothing; an object whose repr raises, and a widget, are shown all the same."""
    import matplotlib.figure  # noqa: F401 - from then on values are asked for their figure

    made = form(
        node(
            parameters("which = 0"),
            "class Odd:\n    def __repr__(self): raise ValueError",
            "import ipywidgets",
            returns("value = [None, Odd(), ipywidgets.IntSlider()][which]"),
        )
    )
    for which, expected in ((0, None), (1, "<Odd "), (2, "IntSlider")):
        made.set(which=which)
        made.run()
        made.wait(60)
        assert made.state == "done"
        found = shown(made)[0]
        assert (expected in found[0]) if expected else found == []
    assert "application/vnd.jupyter.widget-view+json" in made.children[-2].outputs[0]["data"]


def test_hostile_results(form):
    """Whatever a value's own methods raise, the run ends, its result is shown somehow, and the form lives on."""
    import matplotlib.figure  # noqa: F401 - from then on values are asked for their figure

    made = form(
        node(
            parameters("which = 0"),
            "class Odd:\n    def __repr__(self): raise SystemExit",
            "class Sly:\n    def __getattr__(self, name): raise RuntimeError(name)",
            "class Html:\n    def _repr_html_(self): raise ValueError",
            returns("value = [Odd(), Sly(), Html()][which]"),
        )
    )
    for which, expected in enumerate(("<Odd object>", "Sly", "<Html object>")):
        made.set(which=which)
        assert made.run()
        assert made.wait(60)
        assert made.state == "done", made.controller.failure
        assert expected in shown(made)[0][0]
        assert panel(made).bar["state"] == "done"
        labels = [offer["label"] for offer in panel(made).bar["downloads"]]
        assert labels == ["Download the run as a notebook"], labels


def test_what_cannot_be_shown_is_told(form, monkeypatch):
    """On the page, too."""
    made = form()

    def fail(run):
        raise RuntimeError("no paper")

    monkeypatch.setattr(made._views, "show", fail)
    made.run()
    assert made.wait(60)
    assert panel(made).bar["complaints"] == ["the result could not be shown: RuntimeError: no paper"]


def test_widgets_of_a_kernel_are_shown_as_text():
    """The page talks to its own kernel alone: another one's widget has a text, where it has one."""
    from restified_magics import KernelModel

    notebook = node(
        parameters("n = 2"),
        "import ipywidgets\nprint('working')",
        "ipywidgets.IntSlider(value=7)",
        returns("n * 2"),
    )
    with KernelModel(notebook) as model:
        made = model.form()
        type_in(made, n="5")
        send(made, do="run", values=panel(made).values)
        assert made.wait(120)
        assert made.value == 10
        printed = made.children[-1].outputs
        assert printed[0]["text"] == "working\n"
        assert printed[1]["data"] == {"text/plain": "IntSlider(value=7)"}
        made.close()


def test_figures_of_two_forms_do_not_mix(form):
    """Each form shows the figure of its own Model, though both run at once."""
    notebook = node(
        parameters("name = 'a'"),
        "import matplotlib.pyplot as plt",
        "figure = plt.figure(num=name)\nfigure.subplots()\nimport time\nfor _ in range(20): time.sleep(0.01)\nlabel = plt.gcf().get_label()",
        returns("label"),
    )
    one, two = form(notebook), form(notebook)
    one.set(name="one")
    two.set(name="two")
    one.run()
    two.run()
    one.wait(60)
    two.wait(60)
    assert (one.value, two.value) == ("one", "two")
    for made in (one, two):
        assert sum("image/png" in output.get("data", {}) for output in made.children[-1].outputs) == 1


def test_a_progress_bar_in_the_model_moves(form):
    """What tqdm writes over its own line is shown as the last state of that line."""
    made = form(node("from tqdm import tqdm\nfor _ in tqdm(range(50)): pass", returns("1")))
    made.run()
    made.wait(60)
    (text,) = shown(made)[1]
    assert "50/50" in text
    assert text.count("\n") <= 1


def test_download(form):
    """The value as files, and the run as a notebook, as the browser gets them."""
    made = form()
    saved = []
    panel(made).give_file = lambda *file: saved.append(file)
    made.run()
    made.wait(60)
    send(made, do="download", what="JSON")
    send(made, do="download", what="notebook")
    (name, kind, content), (notebook, _, executed) = saved
    assert (name, kind, content) == ("area.json", "application/json", b"6")
    assert notebook == "area_run.ipynb"
    assert json.loads(executed)["cells"][2]["outputs"]


def test_bounds_make_a_number_field_of_what_tells_no_type(form):
    """As interact does: None as default is still there to choose, and so is what the notebook works out."""
    source = node(parameters("x = None\ny = len('abc')"), returns("x, y"))
    made = form(source, {"x": (0, 10), "y": (0, 1, 0.1)})
    assert [field["kind"] for field in panel(made).fields] == ["number", "number"]
    for given, value in (({"x": 5}, (5, 3)), ({"x": None, "y": 0.3}, (None, 0.3))):
        made.set(given)
        assert (made.run(), made.wait(60), made.value) == (True, True, value)
    with pytest.raises(ValueError, match="x must be at most 10, not 12"):
        made.set(x=12)


def test_upload_in_pieces(form):
    """A file comes in pieces, and the Model gets its bytes."""
    made = form(node(parameters("blob: bytes = b''"), returns("len(blob)")))
    upload(made, "blob", "a.bin", b"abc", b"de")
    assert panel(made).values["blob"] == "a.bin, 5 bytes"
    send(made, do="run", values=panel(made).values)
    made.wait(60)
    assert made.value == 5
    assert "blob" not in json.dumps(made.controller.history[0].keepsake)


def test_what_a_page_sends_of_a_file_it_has_not_heard_of_is_put_right(form):
    """Typing goes out with all values of the page, that of a file which has just come among them."""
    made = form(node(parameters("blob: bytes = b''\nn = 1"), returns("n")))
    before = panel(made).values
    upload(made, "blob", "a.bin", b"abc")
    panel(made).set_state({"values": {**before, "n": "2"}})
    assert panel(made).values == {"blob": "a.bin, 3 bytes", "n": "2"}
    assert made.values == {"blob": b"abc", "n": 2}


def test_an_upload_on_its_way_blocks_the_run(form):
    """The field says that it is still being sent; a second selection gets no piece of the first one."""
    made = form(node(parameters("blob: bytes = b''"), returns("blob")))
    upload(made, "blob", "a.bin", b"abc", selection="1", count=2)
    assert panel(made).values["blob"] == "a.bin, being sent"
    assert panel(made).errors == {"blob": "is still being sent. Wait until it is there"}
    assert not made.run()
    upload(made, "blob", "b.bin", b"x", selection="2", count=2)
    late = {"do": "upload", "field": "blob", "what": "piece", "count": 2}
    send(made, [memoryview(b"de")], **late, selection="1", name="a.bin")
    assert made.problems
    send(made, [memoryview(b"y")], **late, selection="2", name="b.bin")
    assert made.values == {"blob": b"xy"}
    upload(made, "blob", "c.bin", selection="3")
    send(made, do="upload", field="blob", what="lost", selection="3", why="it was moved")
    assert panel(made).errors == {"blob": "could not be sent: it was moved. Choose it again"}


def test_a_file_can_be_taken_back(form):
    """Then the field is as it began."""
    made = form(
        node(
            parameters(
                "table: Optional[pd.DataFrame] = None",
            ),
            returns("table is None"),
        )
    )
    upload(made, "table", "t.csv", b"a,b\n1,2\n")
    assert list(made.values["table"]) == ["a", "b"]
    send(made, do="upload", field="table", what="none")
    assert (made.values, panel(made).values) == ({}, {"table": None})


def test_a_table_is_read_once(form, monkeypatch):
    """And not at each change of some other field; each run has a copy of its own."""
    import pandas as pd

    read, calls = pd.read_csv, []
    monkeypatch.setattr(pd, "read_csv", lambda *given, **more: calls.append(1) or read(*given, **more))
    source = "table: pd.DataFrame\nn = 1"
    made = form(node(parameters(source), "table['a'] = table['a'] + n", returns("int(table['a'].sum())")))
    upload(made, "table", "t.csv", b"a,b\n1,2\n")
    for n in ("2", "3"):
        type_in(made, n=n)
        made.run()
        made.wait(60)
    assert made.value == 4
    assert len(calls) == 1
    upload(made, "table", "t.csv", b"", selection="2")
    upload(made, "table", "t.csv", b"a\n5\n", selection="3")
    assert made.values["table"]["a"].tolist() == [5]


def test_values_that_a_browser_kept(form):
    """Choices are kept by what they are called; what is not there any more is told, and the rest is filled."""
    source = (
        "from typing import Literal\nmode: Literal['a', 'b'] = 'a'  # Mode\n"
        "sides: set[Literal['l', 'r']] = {'l'}\nn = 1\npair = (1.0, 2.0)\nsecret = ''  #@param {type: 'password'}"
    )
    made = form(node(parameters(source), returns("mode")))
    assert panel(made).bar["keep"] == "area.ipynb: mode, sides, n, pair, secret"
    send(made, do="kept", values={"mode": "b", "sides": ["r", "l"], "n": "5", "secret": "x", "gone": 1})
    assert made.values == {"mode": "b", "sides": {"l", "r"}, "n": 5}
    send(made, do="kept", values={"mode": "c", "sides": 7, "n": 8, "pair": ["3"]})
    assert made.values == {"mode": "b", "sides": {"l", "r"}, "n": 5}
    (complaint,) = panel(made).bar["complaints"]
    assert complaint.startswith("not all of the preset could be filled in: ")
    assert "Mode has no choice 'c' now; sides has a control that cannot hold 7; n has a control" in complaint
    send(made, do="reset")
    assert panel(made).bar["complaints"] == []


@pytest.mark.parametrize("raw", ["9", "-1", "x", 0, [], {"a": 1}, ["0"], True])
def test_raw_values_that_no_control_holds(form, raw):
    """They are wrong values, as any other."""
    source = (
        "from typing import Literal\nx: Literal['a', 'b'] = 'a'\nys: set[Literal['l']] = {'l'}\np = (1, 2)"
    )
    made = form(node(parameters(source), returns("x")))
    type_in(made, x=raw, ys=raw if raw not in (["0"], []) else "0", p=raw)
    assert set(made.problems) == {"x", "ys", "p"}
    assert not made.run()


def test_presets_and_history(form):
    """The author's presets fill fields; the values of a former run can be had back."""
    made = form(presets={"large": {"width": 10, "height": 10}})
    assert panel(made).bar["presets"] == ["large"]
    send(made, do="preset", name="large")
    assert made.values == {"width": 10, "height": 10}
    made.run()
    made.wait(60)
    assert "Width 10, height 10" in panel(made).bar["history"][0]["text"]
    send(made, do="reset")
    send(made, do="again", number=1)
    assert made.values == {"width": 10, "height": 10}


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ({"widht": 1}, r"widht is not a parameter\. Did you mean 'width'"),
        ({"width": 50}, r"width must be at most 10, not 50 \(in the preset 'A'\)"),
        ({"width": 5, "height": "tall"}, "height must be a number, not 'tall'"),
    ],
)
def test_a_wrong_preset_is_refused(form, preset, message):
    """When the form is made, and not when a visitor chooses it."""
    with pytest.raises(ParameterError, match=message):
        form(presets={"A": preset})
    with pytest.raises(ParameterError, match="height is fixed at 6"):
        form(AREA, {"height": ipywidgets.fixed(6)}, presets={"A": {"height": 5}})


def test_values_that_changed_after_a_cancelled_run(form):
    """There is no result of which that could be said."""
    gate = threading.Event()
    made = form(
        node(parameters("gate = None\nn = 1"), "gate.wait(60)", returns("n")),
        {"gate": ipywidgets.fixed(gate)},
    )
    made.run()
    made.cancel()
    assert made.wait(60)
    type_in(made, n="2")
    assert (made.state, panel(made).bar["stale"]) == ("cancelled", False)
    gate.set()


@pytest.fixture
def address(monkeypatch):
    """Be the kernel of a Voila page with this query."""

    def be(query):
        monkeypatch.setenv("SERVER_SOFTWARE", "voila/0.5")
        monkeypatch.setenv("QUERY_STRING", query)

    return be


def test_values_from_the_address(form, address):
    """They fill fields, read by their types, and nothing runs."""
    address("width=4.5&height=7&template=lab&run")
    made = form()
    assert made.values == {"width": 4.5, "height": 7}
    assert made.state == "idle"


def test_run_from_the_address(form, address):
    """Only where the author allowed it."""
    address("width=4&run")
    made = form(run_from_url=True)
    made.wait(60)
    assert made.value == 8


def test_wrong_values_from_the_address(form, address):
    """Shown as they came, with what is wrong with them; a secret is not taken from an address."""
    address("width=12&secret=x&password=y&db_password=seen")
    made = form(
        node(
            parameters(
                'width = 3  # Width (0..10)\nsecret = "" #@param {type:"password"}\npassword: str = ""\n'
                'db_password = "" #@param {type:"string"}'
            ),
            returns("1"),
        )
    )
    assert panel(made).values == {"width": "12", "secret": "", "password": "", "db_password": "seen"}
    assert panel(made).errors == {"width": "must be at most 10, not '12'"} or panel(made).errors[
        "width"
    ].startswith("must be at most 10")
    assert panel(made).bar["reveal"]


@pytest.mark.parametrize(
    ("source", "query", "message"),
    [
        ("from typing import Literal, Optional\nx: Optional[Literal['a', 'b']] = 'a'", "x=bad", "must be"),
        (
            "from datetime import date\nfrom typing import Optional\nx: Optional[date] = None",
            "x=bad",
            "must be",
        ),
        ("from datetime import date\nx: date = date.today()", "x=bad", "must be a date"),
        ("x = True", "x=bad", "must be true or false"),
        ("x = 3", "x=1&x=2", "is given twice"),
        ("x = 'a'", "x=b&x=c", "is given twice"),
        ("x = (1.0, 2.0)", "x=1", "must be two values"),
    ],
)
def test_a_wrong_address_runs_nothing(form, address, source, query, message):
    """The field says what is wrong until its value changes; not even what the address may run, runs."""
    address(f"{query}&run")
    made = form(node(parameters(source), returns("1")), run_from_url=True)
    name = query[0]
    assert made.state == "idle"
    assert panel(made).errors[name].startswith(message)
    assert not made.run()
    send(made, do="run", values=panel(made).values)  # the page sends what it shows, which changes nothing
    assert (made.state, list(made.problems)) == ("idle", [name])
    made.reset()
    assert made.problems == {}
    assert made.run()
    made.wait(60)


@pytest.mark.parametrize(
    ("source", "begins"),
    [
        ("from typing import Literal\nx: Literal['a', 'b'] = 'a'", "0"),
        ("from typing import Literal, Optional\nx: Optional[Literal['a', 'b']] = None", None),
        ("from datetime import date\nx = date(2026, 1, 31)", "2026-01-31"),
        ("from typing import Literal\nx: set[Literal['l', 'r']] = {'l'}", ["0"]),
        ("x = True", True),
        ("x = (1.0, 2.0)", ["1.0", "2.0"]),
    ],
)
def test_what_the_notebook_has_mends_a_wrong_address(form, address, source, begins):
    """While the wrong value stands its control shows nothing, so that also the default can be chosen."""
    address("x=bad")
    made = form(node(parameters(source), returns("x")))
    assert panel(made).values == {"x": ""}
    assert panel(made).fields[0]["initial"] == begins
    type_in(made, x=begins)
    assert (made.problems, made.values) == ({}, {})


def test_a_pair_or_a_date_out_of_bounds_is_shown_as_the_address_gave_it(form, address):
    """Beside what is wrong with it, which stands until a value comes; what is no pair and no date is not."""
    days = "a: Annotated[date, Le(date(2027, 1, 1))] = date(2026, 1, 31)\nb: date = date(2026, 1, 31)"
    address("p=1,11&q=1&a=2030-01-01&b=2026-13-01")
    source = (
        f"from datetime import date\nfrom typing import Annotated\nfrom annotated_types import Le\n{days}"
    )
    made = form(node(parameters(f"{source}\np = (2, 8)  # P (0..10)\nq = (1, 2)"), returns("p")))
    assert panel(made).values == {"a": "2030-01-01", "b": "", "p": ["1", "11"], "q": ""}
    assert set(panel(made).errors) == {"a", "b", "p", "q"}
    send(made, do="run", values=panel(made).values)
    assert (made.state, panel(made).errors["p"]) == ("idle", "(to) must be at most 10, not 11")
    type_in(made, p=["1", "9"], a="2026-12-31")
    assert set(made.problems) == {"b", "q"}


def test_a_wrong_address_is_mended_by_a_value(form, address):
    """What is typed, chosen or set in its place counts."""
    address("x=bad")
    made = form(node(parameters("x = True"), returns("x")))
    assert made.problems == {"x": panel(made).errors["x"]}
    type_in(made, x=False)
    assert (made.problems, made.values) == ({}, {"x": False})


def test_the_address_fills_widgets_of_the_authors(form, address):
    """What a widget does not take as it is is told in the status, since no field can; nothing runs."""
    notebook = node(parameters('#@title T { run: "auto" }\na = 1\nb = 2\nc = "x"'), returns("(a, b, c)"))
    address("a=5&b=500&c=bad")
    widgets = {
        "a": ipywidgets.IntSlider(value=1),
        "b": ipywidgets.IntSlider(value=2, max=100),
        "c": ipywidgets.Dropdown(options=["x", "y"], value="x"),
    }
    made = form(notebook, widgets)
    assert [each.value for each in widgets.values()] == [5, 2, "x"]
    assert made.controller._timer is None
    assert set(made.problems) == {"b", "c"}
    said = panel(made).bar["message"]
    assert said.startswith("2 fields need attention: b has a widget that makes 100 of 500; c has a widget")
    widgets["b"].value = 3
    widgets["c"].value = "y"
    assert made.wait(60)
    assert made.value == (5, 3, "y")
    with pytest.raises(ValueError, match="makes 100 of 101"):
        made.set(b=101)
    assert made.values["b"] == 3


def test_no_address_outside_voila(form, monkeypatch):
    """QUERY_STRING of some other program fills nothing."""
    monkeypatch.setenv("QUERY_STRING", "width=4")
    assert form().values == {}


def test_auto_run_by_the_notebooks_title(form):
    """`#@title … { run: "auto" }` runs after a change, and never on load."""
    made = form(node(parameters('#@title Twice { run: "auto" }\nn = 1'), returns("n * 2")))
    assert made.state == "idle"
    type_in(made, n="21")
    assert made.wait(60)
    assert made.value == 42


def test_an_exception_of_a_callback_is_on_the_page(form):
    """And the form goes on."""
    made = form()

    @made.on_result
    def broken(value):
        raise RuntimeError("of the user's own")

    made.run()
    made.wait(60)
    assert panel(made).bar["complaints"] == ["on_result broken: RuntimeError: of the user's own"]
    assert made.value == 6


def test_a_figure_of_a_former_cell_is_shown_once(form):
    """In the result; the run itself, and what is had of it as a notebook, has both outputs."""
    draw = "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2]);"
    made = form(node(draw, "other, _ = plt.subplots(figsize=(1, 1))", returns("figure")))
    made.run()
    made.wait(60)
    result, printed = made.children[-2:]
    assert [list(output["data"]) for output in result.outputs] == [["text/plain", "image/png"]]
    assert [output["data"]["text/plain"] for output in printed.outputs] == [
        "<Figure size 100x100 with 1 Axes>"
    ]
    assert [len(each) for each in made.result.outputs] == [1, 1, 1]


def test_text_of_data_is_no_html(form):
    """What came from data goes to the page as text: the panel has no HTML of it."""
    source = pathlib.Path(Panel._esm if isinstance(Panel._esm, os.PathLike) else "").name or Panel._esm
    assert "innerHTML" not in str(source)
    assert "insertAdjacentHTML" not in str(source)


def test_dashboard_of_colab():
    """A notebook of Colab is a Model without a tag; its own heading is the page's only title."""
    from restified_magics.widgets.dashboard import is_model

    notebook = node(
        cell("# Area", kind="markdown"), '#@title The form\nwidth = 3 #@param {type:"integer"}', "width * 2"
    )
    assert is_model(notebook)
    assert not is_model(node(cell("# `#@param`", kind="markdown"), "width = 3"))
    dashboard = PythonModel(notebook).dashboard()
    text, inner = dashboard.children
    assert text.outputs[0]["data"]["text/markdown"] == "# Area"
    assert [spec["name"] for spec in panel(inner).fields] == ["width"]
    dashboard.close()


def test_dashboard(form):
    """Title and text of the notebook's first markdown, and the form."""
    dashboard = PythonModel(AREA).dashboard(width=(0, 5))
    text, inner = dashboard.children
    assert text.outputs[0]["data"]["text/markdown"].startswith("# Area of a rectangle\n\nAs *everybody*")
    assert isinstance(inner, Form)
    dashboard.close()


def test_a_file_may_be_called_anything():
    """Its name is text, and no Markdown, where a notebook has no title."""
    made = PythonModel(node(returns("1")), name="a_b_<img src=x>*c*.ipynb").dashboard()
    told = made.children[0].outputs[0]["data"]["text/markdown"]
    assert told.startswith(r"# a\_b\_\<img src=x\>\*c\*\.ipynb")
    made.close()


def test_magics(ip, run, write, monkeypatch):
    """`--form` shows a form that begins with the values, and calls nothing."""
    from restified_magics import load_ipython_extension

    load_ipython_extension(ip)
    ip.user_ns["path"] = str(write(*AREA["cells"]))
    monkeypatch.chdir(os.path.dirname(ip.user_ns["path"]))
    made = run("form = %call_notebook model.ipynb --form width=4\nform")
    assert isinstance(made, Form)
    assert made.values == {"width": 4}
    assert made.state == "idle"
    table = run("%call_notebook model.ipynb --form height=object")
    assert table.values == {"height": object}
    with pytest.raises(ParameterError, match="must be at most 10"):
        run("%call_notebook model.ipynb --form width=12")
    model = run("%%restify double --form\nn = 2\nn * 2")
    assert model is None
    assert run("double(n=4)") == 8
