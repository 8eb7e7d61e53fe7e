"""Forms and dashboards as a visitor meets them: in Voila and in JupyterLab, in a real Chromium.

Waiting is on roles, labels and the status of the form, never on time. Every request that leaves this
machine is blocked, and fails the test, as does an error in the browser's console.
"""

from __future__ import annotations

import ast
import json
import os
import pathlib
import re
import signal
import sys
import time

import pytest
from browser import Visit, chromium, dashboard, free_port, served
from conftest import cell, node, parameters, returns
from playwright.sync_api import expect

expect.set_options(timeout=60_000)

EVERYTHING = """
from typing import Annotated, Literal, Optional
from enum import Enum
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from pydantic import AwareDatetime
from annotated_types import Ge, Le
import pandas as pd
class Color(Enum):
    RED = 1
    DARK_BLUE = 2
# ## Numbers
# How many terms to compute.
n: Annotated[int, Ge(1), Le(90)] = 15  # Terms [count]
size = 4.2  # Width [mm] (0..10 step 0.1)
tiny = 1e-9  # Tolerance
big: int = 5  # Big
ratio: Optional[float] = 1.5  # Ratio
weight: float  # Weight
# ## Choices
active = True  # Active
mode: Literal["a", "b"] = "a"  # Mode
color: Color = Color.RED  # Paint
kind = "x"  #@param ["x", "y"] {allow-input: true}
sides: set[Literal["left", "right"]] = {"left"}  # Sides
maybe: Optional[bool] = None  # Maybe
# ## Text
name = "n"  # Name
story = "line one\\nline two"  # Story
secret = ""  #@param {type: "password"}
shade = "#ff8800"  # Shade
note: Optional[str] = None  # Note
where = Path("data.csv")  # Where
# ## Times
since = date(2026, 1, 31)  # Since
at = time(12, 30)  # At
when = datetime(2026, 1, 31, 12, 0)  # When
moment: AwareDatetime = datetime.now(timezone.utc)  # Moment
pause = timedelta(minutes=90)  # Pause
until: date = date.today()  # Until
# ## Several
span = (1.5, 3.0)  # Span [m]
numbers = [1, 2, 3]  # Numbers
words = ["a", "b"]  # Words
options = {"k": [1, 2]}  # Options
blob: bytes = b""  # Blob
table: pd.DataFrame = None  # Table
anything = None  # Anything
"""
NAMES = re.findall(r"^(\w+)(?::.*)?(?: =|  #)", EVERYTHING, re.MULTILINE)

MODELS = {
    "everything": node(
        cell("# Everything\n\nA Model that has **one of each**.", kind="markdown"),
        parameters(EVERYTHING.strip()),
        "if table is not None: table = table.to_dict('list')",
        returns(
            "{name: repr(value) for name, value in dict("
            + ", ".join(f"{n}={n}" for n in NAMES)
            + ").items()}"
        ),
    ),
    "optional": node(
        parameters(
            "from typing import Optional\nstart: Optional[int] = len('abc')  # Start\nend: Optional[int]  # End\n"
            "on: Optional[bool]  # On"
        ),
        returns("str([start, end, on])"),
    ),
    "area": node(
        cell("# Area", kind="markdown"),
        parameters("width = 3.0  # Width [m] (0..10)\nheight = 2  # Height"),
        "print('working')",
        returns("width * height"),
    ),
    "whose": node(parameters("n = 1  # N"), "import os\nprint('pid', os.getpid())", returns("n")),
    "endless": node(
        parameters("n = 1  # N"),
        "import os\nprint('pid', os.getpid(), flush=True)",
        "while True:\n    pass",
        returns("n"),
    ),
    "mortal": node(
        parameters("deadly = False  # Deadly"),
        "import os, signal\nif deadly: os.kill(os.getpid(), signal.SIGKILL)",
        returns("'alive'"),
    ),
    "eager": node(
        parameters('#@title Eager { run: "auto" }\nn = 1  # N (0..100)\nm = 2  # M'), returns("n * m")
    ),
    "broken": node(parameters("n = 0  # N"), returns("secret_formula = 1 / n")),
    "refused": node(
        parameters("n = 1  # N"),
        returns("if n == 'secret_formula':\n    n = 2"),
        cell("# <b>No</b>", kind="markdown"),
    ),
    "table": node(
        parameters("rows = 3  # Rows"),
        "import pandas as pd",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])",
        returns("pd.DataFrame({'x': range(rows)})"),
    ),
    "figure": node(
        parameters("points = 3  # Points"),
        "import matplotlib.pyplot as plt",
        returns("figure, axes = plt.subplots()\naxes.plot(range(points))\nfigure"),
    ),
    "drawn": node(
        "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\naxes.plot([1, 2])",
        returns("figure"),
    ),
    **{
        f"{kind}_bar": node(
            parameters("gate = 'gate'  # Gate"),
            f"from {module} import tqdm\nimport os, time\nfor i in tqdm(range(4), mininterval=0):\n"
            "    while i == 2 and not os.path.exists(gate): time.sleep(0.02)",
            returns("'over'"),
        )
        for kind, module in {"text": "tqdm", "widget": "tqdm.notebook"}.items()
    },
    "odd": node(
        parameters(
            "from datetime import date, datetime\nfrom typing import Optional\n"
            "exact = datetime(2026, 1, 31, 12, 0, 0, 123456)  # Exact\n"
            "day: Optional[date] = None  # Day\n"
            "ends: tuple[int, int]  # Ends\n"
            "blob: Optional[bytes] = None  # Blob"
        ),
        returns("(exact.microsecond, day, blob, ends)"),
    ),
    "forty": node(
        parameters("\n".join(f"parameter_{n} = {n}  # Parameter number {n} [mm]" for n in range(40))),
        returns("parameter_7"),
    ),
    "kernel": node(
        parameters("n = 1  # N"),
        returns("n + 1"),
        kernelspec={"name": "other", "language": "python", "display_name": "Other"},
    ),
}
VIEW = node(
    cell("# A View of the author's", kind="markdown"),
    "from restified_magics import PythonModel\n"
    "one = PythonModel('area.ipynb').form()\n"
    "two = PythonModel('area.ipynb').form().link('width', one)\n"
    "import ipywidgets\nipywidgets.Tab([one, two], titles=['First', 'Second'])",
)

LOUD = node(
    "from restified_magics import PythonModel\nform = PythonModel('area.ipynb').form()\n"
    "def broken(value): raise RuntimeError('of the author')\nform.on_result(broken)\nform",
)
TWICE = node(
    "from restified_magics import PythonModel\nform = PythonModel('odd.ipynb').form()\nform",
    "form",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of Models and a View side by side."""
    path = tmp_path_factory.mktemp("pages")
    for name, notebook in {**MODELS, "view": VIEW, "twice": TWICE, "loud": LOUD}.items():
        (path / f"{name}.ipynb").write_text(json.dumps(notebook))
    return path


@pytest.fixture(scope="module")
def browser():
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def voila(folder):
    with dashboard(folder) as url:
        yield url + "voila/render/"


@pytest.fixture
def visit(browser, request, tmp_path):
    """Visit a page; nothing may go wrong in it. A test that fails leaves a screenshot."""
    visits = []

    def visitor(url, **options):
        visits.append(Visit(browser, **options))
        visits[-1].page.goto(url)
        return visits[-1].page

    yield visitor
    failed = getattr(request.node, "failed", False)
    for number, each in enumerate(visits):
        if failed and not each.page.is_closed():
            path = tmp_path / f"page-{number}.png"
            each.page.screenshot(path=path, full_page=True)
            print(f"screenshot: {path}")
        each.context.close()
    if not failed:
        assert [wrong for each in visits for wrong in each.wrong] == []


def press(page, name):
    page.get_by_role("button", name=name, exact=True).click()


def status(page):
    return page.get_by_role("status").filter(has_text=re.compile("."))


def done(page):
    expect(page.locator(".rm-status")).to_contain_text("Done")


def test_every_type_by_its_label(voila, visit):
    """Every control is found by its visible label, and what is set there reaches the Model as its type."""
    page = visit(voila + "everything.ipynb")
    expect(page.get_by_role("heading", name="Everything")).to_be_visible()
    expect(page).to_have_title("Everything")
    field = page.get_by_label
    field("Terms").fill("20")
    field("Width").fill("7.5")
    field("Tolerance").fill("2e-9")
    field("Big").fill("12345678901234567890")
    field("Ratio").fill("")
    field("Weight").fill("70")
    field("Active").uncheck()
    field("Mode").select_option("b")
    field("Paint").select_option("dark blue")
    field("kind").fill("other")
    field("right").check()
    field("Maybe").select_option("yes")
    field("Name").fill("Ünïcode <b>x</b>")
    field("Story").fill("one\ntwo")
    field("secret").fill("geheim")
    field("Shade").fill("#0000ff")
    field("Note", exact=True).fill("")
    field("Note", exact=True).fill("a note")
    field("Where").fill("other file.csv")
    field("Since").fill("2026-02-28")
    field("At", exact=True).fill("13:45")
    field("When").fill("2026-03-01T08:30")
    page.get_by_role("group", name="Moment").get_by_label("local time").fill("2026-01-31T12:00")
    page.get_by_role("group", name="Moment").get_by_label("offset from UTC").fill("+02:00")
    field("Pause").fill("00:00:30")
    field("Until").fill("2026-12-24")
    page.get_by_role("group", name="Span").get_by_label("to").fill("9")
    field("Numbers").fill("4, 5.5")
    field("Words").fill("c, d e")
    field("Options").fill('{"k": null}')
    field("Blob").set_input_files(
        {"name": "b.bin", "mimeType": "application/octet-stream", "buffer": b"\x00\xff"}
    )
    field("Table").set_input_files({"name": "t.csv", "mimeType": "text/csv", "buffer": b"a,b\n1,x\n"})
    expect(page.get_by_text("t.csv, 8 bytes")).to_be_visible()
    field("Anything").fill("[1, null]")
    press(page, "Run")
    done(page)
    names, texts = (page.locator(f".restified-result {kind}").all_text_contents() for kind in ("th", "td"))
    values = dict(zip(names, texts, strict=True))
    assert values == {
        "n": "20",
        "size": "7.5",
        "tiny": "2e-09",
        "big": "12345678901234567890",
        "ratio": "None",
        "weight": "70.0",
        "active": "False",
        "mode": "'b'",
        "color": "<Color.DARK_BLUE: 2>",
        "kind": "'other'",
        "sides": values["sides"],
        "maybe": "True",
        "name": "'Ünïcode <b>x</b>'",
        "story": "'one\\ntwo'",
        "secret": "'geheim'",
        "shade": "'#0000ff'",
        "note": "'a note'",
        "where": "PosixPath('other file.csv')",
        "since": "datetime.date(2026, 2, 28)",
        "at": "datetime.time(13, 45)",
        "when": "datetime.datetime(2026, 3, 1, 8, 30)",
        "moment": values["moment"],
        "pause": "datetime.timedelta(seconds=30)",
        "until": "datetime.date(2026, 12, 24)",
        "span": "(1.5, 9.0)",
        "numbers": "[4, 5.5]",
        "words": "['c', 'd e']",
        "options": "{'k': None}",
        "blob": "b'\\x00\\xff'",
        "table": "{'a': [1], 'b': ['x']}",
        "anything": "[1, None]",
    }
    assert set(ast.literal_eval(values["sides"])) == {"left", "right"}
    assert "12, 0, tzinfo" in values["moment"]
    assert "7200" in values["moment"]
    press(page, "Reset")
    expect(field("Terms")).to_have_value("15")
    expect(field("Note", exact=True)).to_have_value("")


def test_wrong_input(voila, visit):
    """It is told at its field, Run is blocked and leads there, and nothing is clamped."""
    page = visit(voila + "area.ipynb")
    width = page.get_by_label("Width")
    width.fill("12")
    press(page, "Run")
    expect(page.get_by_text("Must be at most 10, not 12.0.")).to_be_visible()
    expect(page.locator(".rm-status")).to_have_text("1 field needs attention")
    expect(width).to_be_focused()
    expect(width).to_have_value("12")
    expect(width).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".restified-result")).to_have_text("")
    width.fill("5")
    press(page, "Run")
    done(page)
    expect(page.locator(".restified-result")).to_contain_text("10.0")


def test_a_wrong_upload_is_told_at_once(voila, visit):
    """Beside the file's name; another file takes it away."""
    page = visit(voila + "everything.ipynb")
    table = page.get_by_label("Table")
    told = page.get_by_text("Cannot be read as CSV")
    for content in (b"", "a\ngrün\n".encode("latin-1")):
        table.set_input_files({"name": "t.csv", "mimeType": "text/csv", "buffer": content})
        expect(page.get_by_text(f"t.csv, {len(content)} bytes")).to_be_visible()
        expect(told).to_be_visible()
        expect(table).to_have_attribute("aria-invalid", "true")
        table.set_input_files({"name": "t.csv", "mimeType": "text/csv", "buffer": b"a\n1\n"})
        expect(told).to_be_hidden()


def test_what_is_typed_while_the_kernel_answers_stays(voila, visit):
    """What the kernel has sent of a file before it heard of the typing does not undo that."""
    held, holds = [], False

    def route(browser):
        def hear(message):
            if holds:
                held.append((browser, message))
            else:
                browser.send(message)

        browser.connect_to_server().on_message(hear)

    page = visit("about:blank")
    page.route_web_socket(re.compile("/channels"), route)
    page.goto(voila + "everything.ipynb")
    story = page.get_by_label("Story")
    expect(story).to_have_value("line one\nline two")
    holds = True
    page.get_by_label("Table").set_input_files({"name": "t.csv", "mimeType": "text/csv", "buffer": b"a\n1\n"})
    latest = time.monotonic() + 60
    while not any(b"t.csv, 4 bytes" in message for _, message in held):
        assert time.monotonic() < latest
        page.evaluate("null")
    sent = len(held)
    story.fill("typed")
    for browser, message in held[:sent]:
        browser.send(message)
    expect(page.get_by_text("t.csv, 4 bytes")).to_be_visible()
    assert story.input_value() == "typed"
    holds = False
    for browser, message in held[sent:]:
        browser.send(message)
    page.get_by_label("Weight").fill("70")
    press(page, "Run")
    done(page)
    expect(page.get_by_role("row", name="story")).to_contain_text("'typed'")
    expect(page.get_by_role("row", name="table")).to_contain_text("{'a': [1]}")
    expect(page.get_by_text("t.csv, 4 bytes")).to_be_visible()


def test_a_wrong_value_where_changes_run(voila, visit):
    """Once the status speaks of a field, the field says what is wrong, also while it is typed in."""
    page = visit(voila + "eager.ipynb")
    field = page.get_by_label("N", exact=True)
    field.fill("500")
    expect(page.locator(".rm-status")).to_have_text("1 field needs attention")
    expect(page.get_by_text("Must be at most 100, not 500.")).to_be_visible()
    expect(field).to_be_focused()
    field.fill("50")
    done(page)
    expect(page.locator(".restified-result")).to_contain_text("100")
    expect(page.locator(".rm-wrong")).to_have_count(0)


def test_keyboard_alone(voila, visit):
    """Tab goes through all controls in order, Enter runs, and focus stays where it was."""
    page = visit(voila + "area.ipynb")
    page.get_by_label("Width").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("4")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Height")).to_be_focused()
    page.keyboard.press("Enter")
    done(page)
    expect(page.locator(".restified-result")).to_contain_text("8.0")
    page.keyboard.press("Tab")
    run = page.get_by_role("button", name="Run", exact=True)
    expect(run).to_be_focused()
    page.keyboard.press("Space")
    expect(page.get_by_text("History")).to_be_visible()
    expect(run).to_be_focused()


def test_values_changed_after_a_run(voila, visit):
    """The result is marked as that of other values."""
    page = visit(voila + "area.ipynb")
    press(page, "Run")
    done(page)
    stale = page.get_by_text("Values have changed since this result.")
    expect(stale).to_be_hidden()
    page.get_by_label("Height").fill("5")
    expect(stale).to_be_visible()


def test_cancel(voila, visit):
    """While it runs, Run is disabled and Cancel is not; progress is told; then it is over."""
    page = visit(voila + "endless.ipynb")
    run, cancel = (page.get_by_role("button", name=name, exact=True) for name in ("Run", "Cancel"))
    expect(run).to_be_enabled()
    expect(cancel).to_be_disabled()
    run.click()
    expect(page.locator(".rm-status")).to_have_text("Running, cell 3 of 4")
    expect(page.locator(".restified-outputs")).to_contain_text("pid")
    expect(run).to_be_disabled()
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "2")
    cancel.click()
    expect(page.locator(".rm-status")).to_contain_text("Cancelled")
    expect(run).to_be_enabled()


UNANSWERED = "The kernel does not answer. If it has ended, reload the page."


def test_a_kernel_that_dies(voila, visit):
    """The success of the run before does not stay; a new page has a new kernel."""
    page = visit(voila + "mortal.ipynb")
    press(page, "Run")
    done(page)
    page.get_by_label("Deadly").check()
    press(page, "Run")
    expect(page.get_by_role("alert")).to_have_text(UNANSWERED)
    expect(page.locator(".rm-status")).to_have_text("No answer")
    again = visit(voila + "mortal.ipynb")
    press(again, "Run")
    done(again)
    expect(again.get_by_role("alert")).to_be_hidden()


def test_a_kernel_that_does_not_answer_for_a_while(voila, visit):
    """It is told after a press and in the middle of a run, and goes away when the kernel answers."""
    page = visit(voila + "endless.ipynb")
    press(page, "Run")
    outputs = page.locator(".restified-outputs")
    expect(outputs).to_contain_text("pid")
    pid = int(outputs.inner_text().split()[1])
    alert, status = page.get_by_role("alert"), page.locator(".rm-status")
    for label, before in (("Run", "Cancelled"), (None, "Running")):
        if label == "Run":
            press(page, "Cancel")
        expect(status).to_contain_text(before)
        os.kill(pid, signal.SIGSTOP)
        try:
            if label is not None:
                press(page, label)
            expect(alert).to_have_text(UNANSWERED)
            expect(status).to_have_text("No answer")
        finally:
            os.kill(pid, signal.SIGCONT)
        expect(alert).to_be_hidden()
        expect(status).to_contain_text("Running")
    press(page, "Cancel")
    expect(status).to_contain_text("Cancelled")


def test_an_idle_page_asks_nothing(voila, visit):
    """The kernel is asked while its answer is awaited, and no more then."""
    page = visit("about:blank")
    sent = []

    def note(frame):
        sent.extend(
            re.findall(rb'"do": ?"(ping|run)"', frame if isinstance(frame, bytes) else frame.encode())
        )

    page.on("websocket", lambda socket: socket.on("framesent", note))
    page.clock.install()
    page.goto(voila + "endless.ipynb")
    status = page.locator(".rm-status")
    press(page, "Run")
    expect(status).to_contain_text("Running")
    while b"ping" not in sent:
        page.clock.fast_forward(4_000)
    press(page, "Cancel")
    expect(status).to_contain_text("Cancelled")
    page.clock.fast_forward(4_000)  # it looks once more whether something is awaited
    sent.clear()
    for _ in range(5):
        page.clock.fast_forward(4_000)
    press(page, "Run")
    expect(status).to_contain_text("Running")
    assert sent[0] == b"run"
    press(page, "Cancel")
    expect(status).to_contain_text("Cancelled")


def test_error_without_source(voila, visit):
    """The message and the place, and nothing of the source, unless Voila shows tracebacks."""
    page = visit(voila + "broken.ipynb")
    press(page, "Run")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("ZeroDivisionError: division by zero")
    expect(alert).to_contain_text("cell 2, line 1")
    assert "secret_formula" not in page.content()
    page.get_by_label("N", exact=True).fill("2")
    press(page, "Run")
    done(page)
    expect(alert).to_be_hidden()


def test_a_notebook_that_is_refused_says_why(voila, folder, visit):
    """The page has what the author is to do, and neither the source nor the folders of the machine."""
    page = visit(voila + "refused.ipynb")
    expect(page.get_by_role("alert")).to_contain_text(
        "refused.ipynb: cell 2 has the tag `return` and ends in `if …`, which has no value. End it in an expression"
    )
    assert "secret_formula" not in page.content()
    assert str(folder) not in page.content()


def test_none_is_chosen(voila, visit):
    """It is another choice than what the notebook works out, and than no choice at all."""
    page = visit(voila + "optional.ipynb")
    press(page, "Run")
    expect(page.locator(".rm-wrong")).to_have_count(2)
    page.get_by_label("End: none").check()
    page.get_by_role("combobox").select_option("none")
    press(page, "Run")
    done(page)
    expect(page.get_by_text("'[3, None, None]'")).to_be_visible()
    expect(page.get_by_text("Empty: none")).to_be_visible()
    page.get_by_label("Start: as in the notebook").uncheck()
    page.get_by_label("End required").fill("4")
    expect(page.get_by_label("End: none")).not_to_be_checked()
    press(page, "Run")
    expect(page.get_by_text("'[None, 4, None]'")).to_be_visible()


def test_address(voila, visit):
    """Values in the address fill the form, validated, and nothing runs."""
    page = visit(voila + "area.ipynb?width=4.5&height=tall&run")
    expect(page.get_by_label("Width")).to_have_value("4.5")
    expect(page.get_by_label("Height")).to_have_value("tall")
    expect(page.get_by_text("Must be a number, not 'tall'.")).to_be_visible()
    expect(page.locator(".rm-status")).to_have_text("")
    every = visit(
        voila
        + "everything.ipynb?mode=b&sides=right&since=2026-02-03&span=4,5&options={}&color=DARK_BLUE&active=no&weight=1"
    )
    expect(every.get_by_label("Mode")).to_have_value("1")
    expect(every.get_by_label("left")).not_to_be_checked()
    expect(every.get_by_label("right")).to_be_checked()
    expect(every.get_by_label("Since")).to_have_value("2026-02-03")
    expect(every.get_by_role("group", name="Span").get_by_label("to")).to_have_value("5")
    expect(every.get_by_label("Options")).to_have_value("{}")
    expect(every.get_by_label("Paint")).to_have_value("1")
    expect(every.get_by_label("Active")).not_to_be_checked()


def test_a_wrong_address_is_mended_by_a_choice(voila, visit):
    """Of a value that no control can show there is none, and each choice is one, also of the default."""
    query = "?mode=nope&since=2024-13-01&active=perhaps&sides=up&span=1&moment=now&shade=red"
    page = visit(voila + "everything.ipynb" + query)
    field = page.get_by_label
    wrong = page.locator(".rm-wrong")
    expect(page.get_by_text("not 'nope'")).to_be_visible()
    expect(wrong).to_have_count(7)  # the weight is required
    expect(field("Mode").locator("option:checked")).to_have_text("choose …")
    expect(field("Since")).to_have_value("")
    expect(field("left")).not_to_be_checked()
    expect(field("Active")).to_be_checked(indeterminate=True)
    expect(field("Shade")).to_have_value("red")
    expect(page.locator("input[type=color]")).to_have_class("rm-no-color")
    field("Mode").select_option("a")
    expect(wrong).to_have_count(6)
    field("Since").fill("2026-01-31")
    expect(wrong).to_have_count(5)
    field("Active").click()
    expect(field("Active")).to_be_checked()
    expect(wrong).to_have_count(4)
    field("left").check()
    expect(wrong).to_have_count(3)
    field("Shade").fill("#00ff00")
    expect(page.locator("input[type=color]")).to_have_class("")


def test_a_slider_by_the_keyboard(voila, visit):
    """Whole numbers move by one, others by their step; the name of a slider has that of its field."""
    page = visit(voila + "everything.ipynb")
    for label, name, before, after in (("Terms", "Terms", "15", "16"), ("Width", "Width", "4.2", "4.3")):
        expect(page.get_by_label(label)).to_have_value(before)
        page.get_by_role("slider", name=name).press("ArrowRight")
        expect(page.get_by_label(label)).to_have_value(after)
    area = visit(voila + "area.ipynb")
    area.get_by_role("slider", name="Width").press("ArrowLeft")
    expect(area.get_by_label("Width")).to_have_value("2.9")


def test_names_and_blanks(voila, visit):
    """Names read as words; what an empty date means stands beside it; microseconds are seen."""
    page = visit(voila + "everything.ipynb")
    expect(page.get_by_role("textbox", name="Weight required")).to_have_attribute("aria-required", "true")
    expect(page.get_by_label("Terms count", exact=True)).to_have_value("15")
    expect(page.get_by_role("checkbox", name="Note: none")).to_be_checked()
    expect(page.get_by_text("Empty: date.today()")).to_be_visible()
    odd = visit(voila + "odd.ipynb")
    expect(odd.get_by_label("Exact")).to_have_value("2026-01-31T12:00:00.123456")
    expect(odd.get_by_label("Day")).to_have_value("")
    expect(odd.get_by_text("Empty: none").first).to_be_visible()
    expect(odd.locator("[aria-required]")).to_have_count(1)
    expect(odd.get_by_role("group", name="Ends required").get_by_label("from")).to_be_visible()
    odd.get_by_label("Blob").set_input_files({"name": "b.bin", "mimeType": "text/plain", "buffer": b"abc"})
    expect(odd.get_by_text("b.bin, 3 bytes")).to_be_visible()
    odd.get_by_role("button", name="Remove").click()
    expect(odd.get_by_text("b.bin, 3 bytes")).to_be_hidden()
    expect(odd.get_by_label("Blob", exact=True)).to_be_focused()
    odd.get_by_label("from").fill("1")
    odd.get_by_label("to", exact=True).fill("2")
    press(odd, "Run")
    done(odd)
    expect(odd.locator(".restified-result")).to_contain_text("123456")
    expect(odd.locator(".restified-result")).to_contain_text("None, None, (1, 2)")


def test_downloads(folder, visit):
    """The table as CSV and JSON, and where tracebacks are shown the run as a notebook."""
    with dashboard(folder / "table.ipynb", "--debug") as url:
        page = visit(url)
        downloads(page)
        page.close()  # before its server goes


def test_a_figure_as_png(voila, visit):
    """A figure that is returned is shown, and can be had as a file."""
    page = visit(voila + "figure.ipynb")
    press(page, "Run")
    done(page)
    expect(page.locator(".restified-result img")).to_be_visible()
    with page.expect_download() as download:
        press(page, "Download PNG")
    assert download.value.suggested_filename == "figure.png"
    assert pathlib.Path(download.value.path()).read_bytes().startswith(b"\x89PNG")


def test_a_figure_is_shown_once(voila, visit):
    """Also where one cell makes it and the `return` cell returns it."""
    page = visit(voila + "drawn.ipynb")
    press(page, "Run")
    done(page)
    expect(page.locator(".restified-result img")).to_be_visible()
    expect(page.locator("img")).to_have_count(1)


def test_an_exception_of_a_callback_is_in_the_log(folder, voila, visit):
    """And on the page: the operator of the server finds it with its traceback."""
    page = visit(voila + "loud.ipynb")
    press(page, "Run")
    expect(page.get_by_role("alert")).to_have_text("on_result broken: RuntimeError: of the author")
    log = (folder / "voila.log").read_text()
    assert re.search(r"(?s)on_result broken.*Traceback.*RuntimeError: of the author", log)


def test_a_visitor_gets_no_source(voila, visit):
    """Without tracebacks the notebook of the run is not offered."""
    page = visit(voila + "table.ipynb")
    press(page, "Run")
    done(page)
    expect(page.get_by_role("button", name="Download CSV")).to_be_visible()
    expect(page.get_by_role("button", name="Download the run")).to_have_count(0)


def downloads(page):
    press(page, "Run")
    done(page)
    expect(page.locator(".restified-outputs img")).to_be_visible()
    expect(page.locator(".restified-result table")).to_be_visible()
    saved = {}
    for label in ("Download CSV", "Download JSON", "Download the run as a notebook"):
        with page.expect_download() as download:
            press(page, label)
        saved[download.value.suggested_filename] = pathlib.Path(download.value.path()).read_text()
    assert saved["table.csv"].splitlines()[-1].endswith("2")
    assert json.loads(saved["table.json"])
    assert json.loads(saved["table_run.ipynb"])["nbformat"] == 4


def test_presets_of_the_visitors_own(voila, visit):
    """Values are kept in the browser under a name, and had back."""
    page = visit(voila + "area.ipynb")
    page.get_by_label("Height").fill("7")
    page.get_by_text("Presets").click()
    page.get_by_label("Save as preset").fill("seven")
    press(page, "Save these values")
    press(page, "Reset")
    expect(page.get_by_label("Height")).to_have_value("2")
    press(page, "seven")
    expect(page.get_by_label("Height")).to_have_value("7")


@pytest.mark.parametrize("kind", ["text", "widget"])
def test_a_progress_bar_moves(voila, visit, folder, kind):
    """tqdm inside the Model is seen while it runs."""
    (folder / "gate").unlink(missing_ok=True)
    page = visit(voila + f"{kind}_bar.ipynb")
    press(page, "Run")
    expect(page.locator(".restified-outputs")).to_contain_text("2/4")
    (folder / "gate").touch()
    done(page)
    expect(page.locator(".restified-outputs")).to_contain_text("4/4")


def test_a_view_stands_beside_models(voila, visit):
    """A notebook without our tags is shown as it is: two forms in tabs, one of which feeds the other."""
    page = visit(voila + "view.ipynb")
    expect(page.get_by_role("heading", name="A View of the author's")).to_be_visible()
    page.get_by_label("Width").filter(visible=True).fill("5")
    page.get_by_role("button", name="Run", exact=True).filter(visible=True).click()
    expect(page.locator(".rm-status").filter(visible=True)).to_contain_text("Done")
    page.get_by_role("tab", name="Second").click()
    expect(page.get_by_text("from Area: 10.0")).to_be_visible()
    expect(page.locator(".restified-result").filter(visible=True)).to_contain_text("20.0")


def test_a_form_that_is_displayed_twice(voila, visit):
    """Both show the same values; Run leads to the field beside it; a download is saved once."""
    page = visit(voila + "twice.ipynb")
    lower = page.locator(".restified-form").nth(1)
    page.get_by_role("group", name="Ends required").nth(0).get_by_label("to").fill("2")
    expect(page.get_by_role("group", name="Ends required").nth(1).get_by_label("to")).to_have_value("2")
    lower.get_by_role("button", name="Run", exact=True).click()
    start = lower.get_by_label("from")
    expect(start).to_be_focused()
    start.fill("1")
    lower.get_by_role("button", name="Run", exact=True).click()
    expect(page.locator(".rm-status").nth(0)).to_contain_text("Done")
    saved = []
    page.on("download", lambda file: saved.append(file.suggested_filename))
    with page.expect_download():
        lower.get_by_role("button", name="Download JSON").click()
    lower.get_by_role("button", name="Reset", exact=True).click()
    expect(start).to_have_value("")
    assert saved == ["odd.json"]


def test_two_visitors_and_the_end_of_their_kernels(folder, visit):
    """Each visitor has a kernel of their own, which is culled after the page is closed, whatever it runs."""
    soon = ("--MappingKernelManager.cull_idle_timeout=20", "--MappingKernelManager.cull_interval=1")
    with dashboard(folder / "endless.ipynb", *soon) as url:
        pages = [visit(url) for _ in range(2)]
        pids = []
        for page in pages:
            press(page, "Run")
            outputs = page.locator(".restified-outputs")
            expect(outputs).to_contain_text("pid")
            pids.append(int(outputs.inner_text().split()[1]))
        assert pids[0] != pids[1]
        press(pages[0], "Cancel")
        expect(pages[0].locator(".rm-status")).to_contain_text("Cancelled")
        expect(pages[1].locator(".rm-status")).to_contain_text("Running")
        for page in pages:
            page.close()
        latest = time.monotonic() + 120
        while any(map(_is_alive, pids)):
            assert time.monotonic() < latest, "kernels of pages that are closed are still there"
            time.sleep(0.05)  # the condition is a process, which nothing tells of


def test_a_page_that_is_left_ends_its_kernel(folder, visit):
    """At once, and long before it would be culled."""
    with dashboard(folder / "whose.ipynb") as url:
        page = visit(url)
        press(page, "Run")
        expect(page.locator(".rm-status")).to_contain_text("Done")
        pid = int(page.locator(".restified-outputs").inner_text().split()[1])
        page.close(run_before_unload=True)
        latest = time.monotonic() + 60
        while _is_alive(pid):
            assert time.monotonic() < latest, "the kernel of a page that was left is still there"
            time.sleep(0.05)  # the condition is a process, which nothing tells of


def _is_alive(pid: int) -> bool:
    try:
        return "Z" not in pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_with_forty_parameters(voila, visit, scheme):
    """At 390 px nothing is wider than the page, in either theme, and every field can be had."""
    page = visit(voila + f"forty.ipynb?theme={scheme}")
    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_label("Parameter number 39").fill("5")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    boxes = page.locator("input:visible").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().right)"
    )
    assert max(boxes) <= 390
    press(page, "Run")
    done(page)


def test_the_list_of_a_folder(folder, visit):
    """Links to what is there, folders first, whatever it is called; nothing is fetched, and nothing goes wrong."""
    (folder / "more" / "odd # names?").mkdir(parents=True)
    (folder / "more" / "100% <b>.ipynb").write_text(json.dumps(MODELS["area"]))
    (folder / "more" / "notes.txt").write_text("")
    with dashboard(folder / "more", "--theme=dark") as url:
        page = visit(url)
        expect(page).to_have_title("Notebooks")
        expect(page.get_by_role("listitem")).to_have_text(["odd # names?/", "100% <b>.ipynb"])
        page.get_by_role("link", name="odd # names?").click()
        expect(page.get_by_text("There is no notebook in this folder.")).to_be_visible()
        page.get_by_role("navigation").get_by_role("link", name="Notebooks").click()
        page.get_by_role("link", name="100% <b>.ipynb").click()
        expect(page.get_by_label("Height")).to_have_value("2")
        page.close()  # before its server goes


def test_a_single_file(folder, visit):
    """`restified dashboard model.ipynb` shows the Model at the root of the server."""
    with dashboard(folder / "area.ipynb", "--theme=dark", "--debug") as url:
        page = visit(url)
        page.get_by_label("Height").fill("4")
        press(page, "Run")
        done(page)
        expect(page.locator(".restified-result")).to_contain_text("12.0")
        page.close()  # before its server goes


def test_in_jupyterlab(folder, visit, write):
    """The same form in JupyterLab, as the output of a cell."""
    view = node("%load_ext restified_magics\n%call_notebook broken.ipynb --form n=0")
    (folder / "lab.ipynb").write_text(json.dumps(view))
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        f"--ServerApp.port={port}",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    with served(command, f"http://127.0.0.1:{port}/api", folder / "lab.log", folder) as _:
        page = visit(f"http://127.0.0.1:{port}/lab/tree/lab.ipynb")
        expect(page.get_by_text("| Idle")).to_be_visible()
        page.get_by_text("%call_notebook").click()
        page.keyboard.press("Shift+Enter")
        field = page.get_by_label("N", exact=True)
        expect(field).to_have_value("0")
        press(page, "Run")
        alert = page.get_by_role("alert").filter(has_text="ZeroDivisionError")
        expect(alert).to_contain_text("cell 2, line 1")
        alert.get_by_text("Traceback", exact=True).click()
        expect(alert).to_contain_text("secret_formula")
        field.fill("4")
        press(page, "Run")
        done(page)
        expect(page.locator(".restified-result")).to_contain_text("0.25")
        page.close()
