"""Calls in real kernels of R, bash and TypeScript: the same contract, and values that are values."""

from __future__ import annotations

import datetime
import decimal
import pathlib
import shutil
import sys

import pytest
from conftest import EXAMPLES, cell, named, node, parameters, returns

from restified_magics import CellError, KernelModel, ModelTimeout, ParameterError
from restified_magics.errors import KernelDied, ReturnError
from restified_magics.in_kernel.kernel_specs import kernel_spec

HAS_R = shutil.which("R") is not None and kernel_spec("ir") is not None
SPECS = {
    "R": {"name": "ir", "language": "R", "display_name": "R"},
    "bash": {"name": "bash", "language": "bash", "display_name": "Bash"},
    "typescript": {"name": "deno", "language": "typescript", "display_name": "Deno"},
}
ECHO = {
    "R": (parameters("x <- NULL  # X"), returns("x")),
    "bash": (parameters("x=  # X"), returns("""printf '"%s"' "$(printf %s "$x" | base64 -w0)\"""")),
    "typescript": (parameters("let x = null; // X"), returns("x")),
}
needs_r = pytest.mark.skipif(not HAS_R, reason="needs R with IRkernel: apt-get install r-cran-irkernel")
LANGUAGES = [pytest.param("R", marks=needs_r), "bash", "typescript"]


def model(language, *cells):
    return KernelModel(node(*cells, kernelspec=SPECS[language]))


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request):
    """Each language, with kernels that stay at hand for its tests."""
    with model(request.param, *ECHO[request.param]):
        yield request.param


def echoed(language, value):
    """The value, as a kernel of the language has it."""
    found = model(language, *ECHO[language])(x=value)
    if language != "bash":
        return found
    import base64

    return base64.b64decode(found).decode("utf-8")


@pytest.fixture
def target(tmp_path, monkeypatch):
    """A file that hostile values would make."""
    return tmp_path / "evil"


def hostile(target):
    return [
        f"$(touch {target}) `touch {target}` ${{HOME}} %s !! \\",
        f"'; touch {target}; '",
        f'"); system("touch {target}"); ("',
        "quote ' double \" back \\\\ slash \\n newline \n\r\n tab \t",
        "\u2028 \u2029 ünï 😀 \x01\x7f",
        "line end\n\n",
        "",
    ]


def test_hostile_text_stays_text(language, target):
    """Quotes, substitutions, newlines, U+2028: the text arrives as it is, and nothing of it runs."""
    for text in hostile(target):
        assert echoed(language, text) == text
    assert not target.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("\ud800", "lone surrogate"),
        (10**5000, "5000 digits, more than a whole number of"),
        (object(), "is a object, which .* has no form for"),
    ],
    ids=["surrogate", "digits", "object"],
)
def test_what_a_language_cannot_represent_is_refused(language, value, message):
    """A ParameterError before anything runs, which says what to give instead."""
    if language == "bash" and isinstance(value, int):
        assert echoed(language, value) == "1" + "0" * 5000  # to a shell it is text, as all numbers are
        return
    with pytest.raises(ParameterError, match=message):
        model(language, *ECHO[language])(x=value)


def test_names_that_are_no_parameters_are_refused(language):
    """Hostile names too: a name that is not declared goes nowhere."""
    for name in ("y", "x; system('ls')", "x=1", "`x`"):
        with pytest.raises(ParameterError, match="is not a parameter"):
            model(language, *ECHO[language])(**{name: 1})


@pytest.mark.parametrize("name", [pytest.param("R", marks=needs_r), "typescript"])
@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        2**53,
        0.1,
        float("inf"),
        [1, 2, 3],
        ["a", "b"],
        [1, "a", None],
        {"a": 1, "b": [1, {"c": "d"}]},
        {},
        {"$": 1},
        b"\0\xff",
        datetime.datetime(2024, 2, 29, 1, 2, 3, tzinfo=datetime.UTC),
    ],
    ids=named,
)
def test_values_go_there_and_back(name, value):
    """What both languages have a form for."""
    assert echoed(name, value) == value


@pytest.mark.parametrize("name", [pytest.param("R", marks=needs_r), "typescript"])
def test_nan_goes_there_and_back(name):
    """The one float that is unlike itself."""
    value = echoed(name, float("nan"))
    assert value != value  # noqa: PLR0124


@needs_r
def test_tables_of_r_are_dataframes():
    """Numbers, text, factors, dates, and what is missing in them."""
    source = (
        "data.frame(i = c(1L, NA), d = c(1.5, 2), s = c('x', NA), b = c(TRUE, FALSE),\n"
        "  f = factor(c('u', 'v')), t = as.Date(c('2024-01-01', NA)), row.names = c('p', 'q'))"
    )
    frame = model("R", returns(source))()
    assert {name: str(kind) for name, kind in frame.dtypes.items()}["i"] == "Int64"
    assert (list(frame.index), list(frame["f"].cat.categories)) == (["p", "q"], ["u", "v"])
    assert (frame["s"].isna().tolist(), frame["b"].tolist()) == ([False, True], [True, False])
    assert frame["t"].iloc[0].date() == datetime.date(2024, 1, 1)


@needs_r
def test_a_dataframe_goes_to_r_and_back():
    """As a data.frame of vectors, not as a list of rows."""
    import pandas as pd

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    found = model("R", parameters("x <- NULL"), returns("x$a <- x$a * 2; x"))(x=frame)
    assert found.to_dict("list") == {"a": [2, 4], "b": ["x", "y"]}


@needs_r
def test_plots_of_r_are_images():
    """A recorded plot comes back as the picture of it."""
    image = model("R", returns("plot(1:3)\nrecordPlot()"))()
    assert image.data.startswith(b"\x89PNG")


def test_values_of_typescript():
    """Maps, sets, dates, big integers, bytes; and what a display object shows."""
    source = (
        "({m: new Map([[1, 'x']]), s: new Set([1]), d: new Date(0), b: 10n ** 30n, u: new Uint8Array([1])})"
    )
    found = model("typescript", returns(source))()
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert found == {"m": {1: "x"}, "s": {1}, "d": epoch, "b": 10**30, "u": b"\x01"}
    assert model("typescript", returns("Deno.jupyter.html`<b>x</b>`"))().data == {"text/html": "<b>x</b>"}


@pytest.mark.parametrize(
    ("name", "source", "value"),
    [
        pytest.param("R", "r <- 2 * 3", 6, marks=needs_r),
        pytest.param("R", "r = 2 * 3  # c", 6, marks=needs_r),
        ("typescript", "const r = 2 * 3;", 6),
        ("typescript", "await Promise.resolve(6) // c", 6),
        ("bash", "echo a; echo 'b c'", ["a", "b c"]),
        ("bash", "echo '{\"a\": [1, 2]}'", {"a": [1, 2]}),
        ("bash", "printf 'a\\342\\200\\250b\\fc\\nd'", ["a\u2028b\fc", "d"]),
    ],
)
def test_return_cells(name, source, value):
    """An expression or an assignment; of a shell what is printed, JSON or its lines."""
    assert model(name, returns(source))() == value


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        pytest.param("R", "function(x) x", "it is a function, .* Return what it gives", marks=needs_r),
        pytest.param("R", "recordPlot()", "plot of nothing", marks=needs_r),
        pytest.param("R", "list(a = environment())", r"\$a is an environment", marks=needs_r),
        ("typescript", "() => 1", "it is a function"),
        ("typescript", "({a: [Promise.resolve(1)]})", r"\.a\[0\] is a Promise, .* Await it"),
        ("typescript", "const a = []; a[0] = a; a", "contains itself"),
    ],
)
def test_what_cannot_come_back_is_an_error(name, source, message):
    """With its type, its place, and what to return instead."""
    with pytest.raises(ReturnError, match=message):
        model(name, returns(source))()


FAILS = {
    "R": ("stop('bad')", "bad"),
    "bash": ("echo out\nno-such-command", "no-such-command: command not found"),
    "typescript": ("throw new TypeError('bad')", "TypeError: bad"),
}


def test_error_in_a_cell(language):
    """A CellError with the cell, and the outputs up to it; cells after it do not run."""
    source, message = FAILS[language]
    with pytest.raises(CellError, match=message) as caught:
        model(language, *ECHO[language][:1], source, ECHO[language][1]).run()
    assert caught.value.cell == 2
    assert caught.value.result.outputs[1][-1]["output_type"] == "error"
    assert not caught.value.result.outputs[2]


def test_cell_that_may_raise(language):
    """The tag `raises-exception` lets the call go on."""
    source, _ = FAILS[language]
    model(language, cell(source, "raises-exception"), *ECHO[language])(x="on")


BROKEN = {"R": "y <- (1", "bash": "for i in 1 2; do", "typescript": "let q = (;"}


def test_cell_that_is_not_complete(language):
    """It is an error, and nobody waits for the rest of it."""
    with pytest.raises(CellError) as caught:
        model(language, BROKEN[language], ECHO[language][1]).execute(timeout=60)
    assert caught.value.cell == 1


SLEEPS = {
    "R": "Sys.sleep(60)",
    "bash": "sleep 60",
    "typescript": "await new Promise((done) => setTimeout(done, 60000))",
}


def test_timeout(language):
    """The kernel is interrupted, and killed where it goes on; the next call has another one."""
    with pytest.raises(ModelTimeout) as caught:
        model(language, SLEEPS[language], ECHO[language][1]).execute(timeout=0.5)
    assert caught.value.cell == 1
    echoed(language, "on")


@pytest.mark.parametrize(
    "source", ["setTimeout(() => { throw new Error('later') }, 1)", "Promise.reject(new Error('later'))"]
)
def test_an_error_that_nobody_awaits(source):
    """In TypeScript it is told, as one in a thread of Python is, and the call goes on."""
    waits = cell("await new Promise((done) => setTimeout(done, 100))")
    asked = model("typescript", parameters("let x = 1"), cell(source), waits, returns("x + 1"))
    result = asked.run({"x": 3}, timeout=60)
    assert result.value == 4
    told = [output for outputs in result.outputs for output in outputs if output.get("name") == "stderr"]
    assert "later" in told[0]["text"]


DIES = {"R": "tools::pskill(Sys.getpid(), 9)", "typescript": "Deno.exit(3)", "bash": "kill -9 $PPID"}


def test_dead_kernel(language):
    """It is told at once, with the cell."""
    with pytest.raises(KernelDied) as caught:
        model(language, DIES[language], ECHO[language][1])()
    assert caught.value.cell == 1


CONNECTS = {
    "R": "jsonlite::fromJSON(commandArgs(trailingOnly = TRUE)[1])$transport",
    "bash": "file=$(tr '\\0' '\\n' < /proc/$PPID/cmdline | tail -1)\n"
    """printf '"%s"' "$(grep -o '"transport": "[a-z]*' "$file" | cut -d'"' -f4)\"""",
}


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("name", [pytest.param("R", marks=needs_r), "bash"])
def test_a_kernel_needs_no_ports(name):
    """Its sockets are files of its own, which no other program can take before it."""
    assert model(name, returns(CONNECTS[name]))() == "ipc"


def test_calls_are_not_in_the_history_of_the_users_shells(tmp_path, monkeypatch):
    """An interactive bash that ends in order writes all that it ran to a file in the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = model("bash", parameters("x=  # X"), "history -s from-a-call", "history -a", returns("echo 1"))
    assert asked(x="a") == 1
    assert not (tmp_path / ".bash_history").exists()


SAYS = {"R": "cat('hello\\n')", "bash": "echo hello", "typescript": "console.log('hello')"}


def test_outputs(language, capsys):
    """They are in the Result, or appear where the caller's appear."""
    asked = model(language, SAYS[language])
    assert asked.run().outputs[0][0]["text"] == "hello\n"
    asked.execute()
    assert capsys.readouterr().out == "hello\n"


@pytest.mark.parametrize(
    ("name", "params", "is_right"),
    [
        pytest.param(
            "growth",
            {"kinds": ["ivy"]},
            lambda v: v["kind"].tolist() == ["ivy"] and 1 < v["rate"][0] < 2,
            marks=needs_r,
        ),
        ("disk_usage", {"most": 2}, lambda v: len(v) == 2 and v[0]["bytes"] >= v[1]["bytes"]),
        ("words", {"most": 1}, lambda v: v == [{"word": "the", "count": 3}]),
    ],
)
def test_examples(name, params, is_right):
    """The examples give what they promise, and refuse what is out of their bounds."""
    example = KernelModel(EXAMPLES / f"{name}.ipynb")
    assert is_right(example(**params))
    count = next(p for p in example.parameters.values() if p.maximum is not None)
    with pytest.raises(ParameterError, match="must be at most"):
        example(**{count.name: count.maximum + 1})


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        pytest.param("growth", {"kinds": ["oak"]}, "nothing is known of oak", marks=needs_r),
        ("disk_usage", {"folder": "nope"}, "ExitStatus: 1"),
        ("words", {"text": "!"}, "RangeError: the text has no words"),
    ],
)
def test_examples_fail_clearly(name, params, message):
    """With the cell that failed, and the words of its author."""
    with pytest.raises(CellError, match=message):
        KernelModel(EXAMPLES / f"{name}.ipynb")(**params)


def test_a_form_shows_the_value_of_a_shell_once():
    """What the `return` cell of a shell prints is its value, and not an output of its cells besides."""
    made = KernelModel(EXAMPLES / "disk_usage.ipynb").form()
    assert made.run()
    assert made.wait(120)
    result, outputs = made.children[-2:]
    (value,) = result.outputs
    assert "'bytes': " in value["data"]["text/plain"]
    (printed,) = outputs.outputs
    assert printed["text"].startswith("looked at ")
    assert printed["text"].count("\n") == 1
    made.close()


@pytest.mark.parametrize(
    ("name", "shown"), [pytest.param("growth", "fern", marks=needs_r), ("words", "<td>3</td>")]
)
def test_a_form_shows_the_value_of_other_languages_once(name, shown):
    """What the kernel displays of the value is the result, and not an output of the cells besides."""
    made = KernelModel(EXAMPLES / f"{name}.ipynb").form()
    assert made.run()
    assert made.wait(120)
    result, outputs = made.children[-2:]
    (value,) = result.outputs
    assert shown in value["data"]["text/html"]
    assert [output["output_type"] for output in outputs.outputs] == ["stream"]
    made.close()


def test_examples_are_where_they_are_said_to_be():
    """The index of the examples names them."""
    index = pathlib.Path(EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"{name}.ipynb" in index for name in ("growth", "disk_usage", "words"))


@pytest.mark.parametrize("source", ["exit 3", "exit 0", "exec true", "kill -9 $$", "set -e; false"])
def test_shell_that_ends_is_no_success(source):
    """Its kernel would start another shell, without the names of this one, and say nothing."""
    with pytest.raises(CellError, match="ExitStatus: the shell was ended by the cell") as caught:
        model("bash", source, returns("echo on"))()
    assert caught.value.cell == 1


@needs_r
def test_quit_in_r_is_no_success():
    """As `exit()` in Python."""
    with pytest.raises(CellError, match="quit: the cell ends the kernel"):
        model("R", "quit(status = 3)", returns("1"))()


def test_shell_has_no_input():
    """Nobody is there to answer: what reads gets the end of the file."""
    assert model("bash", returns("cat; echo end"))() == ["end"]


def test_numbers_of_a_shell_stay_numbers(target):
    """In arithmetic a shell runs what stands in brackets: only a number is given where a number is the default."""
    for declared in ("n=3", "declare -i n=3"):
        asked = model("bash", parameters(declared), returns("echo $((n + 1))"))
        assert asked(n=4) == asked(n="4") == 5
        with pytest.raises(ParameterError, match="must be a number, as its default is"):
            asked(n=f"a[$(touch {target})]")
        for endless in (float("nan"), float("inf"), decimal.Decimal("nan")):
            with pytest.raises(ParameterError, match="must be a finite number: bash knows no"):
                asked(n=endless)
    assert not target.exists()


@pytest.mark.parametrize(
    ("name", "source", "value"),
    [
        ("typescript", "[2 ** 60, -0]", [2.0**60, -0.0]),
        pytest.param("R", "c(2^60, -0)", [2.0**60, -0.0], marks=needs_r),
    ],
)
def test_odd_numbers_are_what_they_were(name, source, value):
    """Doubles beyond exact integers, and the zero with a sign."""
    found = model(name, returns(source))()
    assert found == value
    assert str(found[1]) == "-0.0"


@needs_r
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("list(a = 1, a = 2)", "a name that occurs twice"),
        ("array(1:8, c(2, 2, 2))", "array of 3 dimensions"),
        (r"'\xff'", "text that is no UTF-8"),
    ],
)
def test_nothing_of_a_value_is_lost(source, message):
    """What would come back without a part of it is refused."""
    with pytest.raises(ReturnError, match=message):
        model("R", returns(source))()


@needs_r
def test_many_texts_of_r_come_back_whole():
    """With quotes, backslashes and control characters in them."""
    found = model("R", returns(r"""paste0(1:50000, '"\\\n\u2028')"""))()
    assert (len(found), found[-1]) == (50_000, '50000"\\\n\u2028')


def test_two_variables_of_one_statement_are_no_parameters():
    """One of them could not be given without the other."""
    assert list(model("typescript", parameters("let a = 1, b = 2;\nlet c = 3"), returns("c")).parameters) == [
        "c"
    ]
