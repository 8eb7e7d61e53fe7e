"""``restified map`` in a real shell: a sweep over rows, a grid, or a file, and what is told of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import cell, parameters, returns


def test_map_writes_a_row_for_each_row(restified, model, tmp_path):
    """A CSV's columns are parameters, read by their types; what is returned is further columns."""
    (tmp_path / "sets.csv").write_text("x,since\n4,2026-02-03\n10,2026-02-04\n")
    done = restified("map", "model.ipynb", "sets.csv", "name=fixed", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("name,x,since,half\nfixed,4,2026-02-03,2.0\nfixed,10,2026-02-04,5.0\n")
    assert "2/2" in done.stderr


@pytest.mark.parametrize(
    ("options", "written"),
    [((), "name,x,since\n"), (("--keep-going",), "name,x,since,error\n"), (("--json",), "")],
)
def test_map_of_no_rows_says_so(restified, model, tmp_path, options, written):
    """A table of which only the header is there gives one of which only the header is there, and a word."""
    (tmp_path / "none.csv").write_text("x,since\n")
    done = restified("map", "model.ipynb", "none.csv", "name=fixed", "-q", *options)
    assert (done.returncode, done.stdout) == (0, written)
    assert done.stderr == "none.csv: has no rows below its header, so that no call was made\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_lines_of_several_processes_do_not_mix(restified, write, unbuffered):
    """What the calls of a sweep print stays in whole lines, however Python buffers."""
    write(parameters("x = 1"), "for i in range(3000):\n    print(str(x) * 40, 'and', i)", returns("x"))
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    grid = "x=" + ",".join("12345678")
    done = restified("map", "model.ipynb", "--grid", grid, "--workers", "2", "-q", env=environment)
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (0, 24_000)
    assert not [line for line in lines if not re.fullmatch(r"(\d)\1{39} and \d+", line)]


def test_values_of_a_grid_with_commas(restified, write):
    """They are written as a row of CSV: a comma, a quote or a line break stands in double quotes."""
    write(parameters("x = ''"), returns("x"))
    texts = ["a,b", "c", "d, e", 'say "f"', "g\nh", "", "5' 6\""]
    option = 'x="a,b",c, "d, e","say ""f""","g\nh","",5\' 6"'
    done = restified("map", "model.ipynb", "--grid", option, "--json", "-q")
    assert [json.loads(line)["value"] for line in done.stdout.splitlines()] == texts, done.stderr
    write(parameters("x: list[int] = []"), returns("sum(x)"))
    done = restified("map", "model.ipynb", "--grid", 'x="[1,2]","[3]"', "-q")
    assert done.stdout == 'x,value\n"[1, 2]",3\n[3],3\n', done.stderr


def test_map_of_a_grid_as_json(restified, write):
    """`--grid` calls all combinations, and `--json` writes a line for each."""
    write(parameters("x = 1\ny: str = ''"), returns("f'{x}{y}'"))
    done = restified("map", "model.ipynb", "--grid", "x=1,2", "--grid", "y=a,b", "--json", "-q")
    assert done.stderr == ""
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["value"] for line in lines] == ["1a", "1b", "2a", "2b"]
    assert lines[3]["params"] == {"x": 2, "y": "b"}


def test_map_in_another_folder_and_in_kernels(restified, write, tmp_path):
    """`--cwd` and `--kernel` hold for every call of a sweep, as they do for one."""
    (tmp_path / "other").mkdir()
    write(
        parameters("x = 1"),
        cell("import pathlib, sys"),
        returns("[x, pathlib.Path().absolute().name, 'ipykernel' in sys.modules]"),
    )
    sets = ("--grid", "x=1,2", "--json", "-q", "--cwd", "other")
    for how, in_kernel in ((("--workers", "2"), False), (("--workers", "2", "-k", "python3"), True)):
        done = restified("map", "model.ipynb", *sets, *how)
        assert done.returncode == 0, done.stderr
        values = [json.loads(line)["value"] for line in done.stdout.splitlines()]
        assert values == [[1, "other", in_kernel], [2, "other", in_kernel]]


def test_map_ends_at_the_first_failure_or_keeps_going(restified, model, tmp_path):
    """A failure is 1, with its call; with `--keep-going` the others are there, and it has a column."""
    rows = "x\n4\n0\nmany\n8\n"
    done = restified("map", "model.ipynb", "-", "-q", input=rows)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert "In call 2 of the sweep" in done.stderr
    done = restified("map", "model.ipynb", "-", "-q", "--keep-going", input=rows)
    assert done.returncode == 1
    assert "2 calls failed" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "x,name,since,half,error"
    assert lines[1] == "4,a,2026-01-31,2.0,"
    assert "ZeroDivisionError" in lines[2]
    assert "x must be a number, not 'many'" in lines[3]
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{'a': 1} if x == 1 else {'b': 2}", "call 2 has b, and the columns of this table"),
        ("{'a': 1} if x == 1 else 5", "call 2 has value"),
        ("5 if x == 1 else {'a': 1}", "call 2 has a"),
    ],
)
def test_map_loses_no_value_that_fits_no_column(restified, write, value, told):
    """A call whose value has other keys than the first one's is an error; as JSON all of them are there."""
    write(parameters("x = 1"), returns(value))
    done = restified("map", "model.ipynb", "--grid", "x=1,2", "-q")
    assert done.returncode == 1
    assert told in done.stderr
    assert "Add --json" in done.stderr
    assert len(done.stdout.splitlines()) == 2
    done = restified("map", "model.ipynb", "--grid", "x=1,2", "-q", "--json")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["csv", "json"])
def test_map_tells_of_a_value_that_cannot_be_written(restified, write, as_json):
    """It is that call's failure: one line, and with `--keep-going` an error in its place, and on with the rest."""
    values = "{1: 'one', 2: object(), 3: [object()], 4: '\\ud800', 5: 10 ** 5000}"
    write(parameters("x = 1"), returns(f"{values}.get(x, 'six')"))
    arguments = ["map", "model.ipynb", "--grid", "x=1,2,3,4,5,6", "-q", *as_json]
    done = restified(*arguments)
    assert done.returncode == 1
    assert "one" in done.stdout.splitlines()[-1]
    assert re.fullmatch(
        r"Error: model.ipynb, cell 2: the value cannot be returned: it is an object, .*\n"
        r"In call 2 of the sweep\n",
        done.stderr,
    ), done.stderr
    done = restified(*arguments, "--keep-going")
    assert (done.returncode, "4 calls failed" in done.stderr) == (1, True), done.stderr
    rows = done.stdout.splitlines()[-6:]
    assert ["cannot be returned" in row for row in rows] == [False, True, True, True, True, False]
    assert "six" in rows[5]


def test_map_tells_of_one_failure_as_one(restified, model):
    """Words for one are in the singular."""
    done = restified("map", "model.ipynb", "--grid", "x=0,1", "--keep-going", "-q")
    assert "Error: 1 call failed: its error is among the results" in done.stderr


def test_map_loses_no_value_that_was_given(restified, write):
    """A column is what was given or what is returned: where they differ, that is an error, and JSON has both."""
    write(parameters("x = 1"), returns("{'x': min(x, 2), 'y': 0}"))
    done = restified("map", "model.ipynb", "--grid", "x=1,2,3", "-q")
    assert (done.returncode, done.stdout) == (1, "x,y\n1,0\n2,0\n")
    assert "call 3 returns x='2', and a parameter of that name was given as '3'" in done.stderr
    assert "Add --json" in done.stderr
    done = restified("map", "model.ipynb", "--grid", "x=3", "-q", "--json")
    assert json.loads(done.stdout) == {"params": {"x": 3}, "value": {"x": 2, "y": 0}}


def test_map_goes_on_from_a_store(restified, write, tmp_path):
    """With `--store` a second run calls nothing again."""
    write(parameters("x = 1"), "import uuid", returns("str(uuid.uuid4())"))
    arguments = ("map", "model.ipynb", "--grid", "x=1,2,3", "--store", "done", "-q")
    first = restified(*arguments)
    assert first.returncode == 0, first.stderr
    assert restified(*arguments).stdout == first.stdout


def test_map_tells_of_a_damaged_store_in_a_line(restified, write, tmp_path):
    """An entry that is damaged, or a folder in its place, is told; that call is made again, and kept."""
    write(parameters("x = 1"), returns("x"))
    arguments = ("map", "model.ipynb", "--grid", "x=1,2", "--store", "done", "-q")
    first = restified(*arguments)
    damaged, folder = sorted((tmp_path / "done").glob("*/*.call"))
    damaged.write_bytes(b"nothing")
    folder.unlink()
    folder.mkdir()
    (folder / "kept").touch()
    again = restified(*arguments)
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr
    lines = again.stderr.splitlines()
    assert len(lines) == 2, lines
    assert all(re.fullmatch(r"Warning: store: .* that call is made again", line) for line in lines)
    assert "(it is a folder)" in again.stderr
    assert len([*(tmp_path / "done").glob("*/*/kept")]) == 1
    assert restified(*arguments).stderr == ""


def test_map_looks_at_all_values_before_a_call(restified, write, tmp_path):
    """What is wrong in a table or a grid is told at once, with its lines, and nothing has run."""
    write(parameters("x: int = 1\ny: int = 1"), "open('ran', 'a').close()", returns("x"))
    (tmp_path / "late.csv").write_text("x, y\n1,1\n\n2,b\n3,3\na,b\n")
    (tmp_path / "ragged.csv").write_text("x\n1\n2,3\n")
    table = restified("map", "model.ipynb", "late.csv")
    assert (table.returncode, table.stdout) == (2, "")
    assert table.stderr.splitlines() == [
        "Error: model.ipynb: y must be a whole number, not 'b'",
        "In late.csv, line 4",
        "In late.csv, line 6: x must be a whole number, not 'a'; y must be a whole number, not 'b'",
    ]
    grid = restified("map", "model.ipynb", "--grid", "y=1,2", "--grid", "x=1,2,c")
    assert (grid.returncode, grid.stdout) == (2, "")
    assert "x must be a whole number, not 'c'\nIn call 3 of the sweep" in grid.stderr
    ragged = restified("map", "model.ipynb", "ragged.csv")
    assert (ragged.returncode, ragged.stdout) == (2, "")
    assert "ragged.csv, line 3: has more cells than the header" in ragged.stderr
    assert not (tmp_path / "ran").exists()
    going = restified("map", "model.ipynb", "late.csv", "--keep-going", "--json")
    assert (going.returncode, len(going.stdout.splitlines())) == (1, 4)


@pytest.mark.parametrize("way", ["file", "pipe"])
def test_map_refuses_names_that_no_call_could_have(restified, write, tmp_path, way):
    """A header with another name, or without one that is needed, is wrong use, also with --keep-going."""
    write(parameters("x: int\ny = 1"), returns("x"))
    for header, told in (("z", "z is not a parameter"), ("y", "x is required")):
        (tmp_path / "sets.csv").write_text(f"{header}\n1\n2\n")
        if way == "file":
            done = restified("map", "model.ipynb", "sets.csv", "--keep-going")
        else:
            done = restified("map", "model.ipynb", "-", "--keep-going", input=f"{header}\n1\n2\n")
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr


@pytest.mark.parametrize("options", [(), ("--keep-going",)])
def test_map_keeps_failed_calls_as_notebooks(restified, model, tmp_path, options):
    """`--save` is a folder of them: each has its values, its error, and is a Model."""
    done = restified("map", "model.ipynb", "--grid", "x=1,0,2", "--save", "failed", *options)
    assert done.returncode == 1
    without = restified("map", "model.ipynb", "--grid", "x=1,0,2", *options)
    assert "--save FOLDER keeps such" in without.stderr
    assert "--save FOLDER" not in done.stderr
    assert [path.name for path in (tmp_path / "failed").iterdir()] == ["call-2.ipynb"]
    assert "failed" in done.stderr
    assert "ZeroDivisionError" in (tmp_path / "failed" / "call-2.ipynb").read_text()
    assert json.loads(restified("call", "failed/call-2.ipynb", "x=4").stdout)["half"] == 2.0


def test_map_says_what_was_stored(restified, model, tmp_path):
    """What was not made again is told, unless it is to be quiet."""
    arguments = ("map", "model.ipynb", "--store", "done")
    restified(*arguments, "--grid", "x=1,2")
    again = restified(*arguments, "--grid", "x=1,2,3")
    assert again.stdout.count("\n") == 4
    assert "2 of 3 calls were in done, and not made again" in again.stderr
    assert restified(*arguments, "--grid", "x=1,2", "-q").stderr == ""


def test_map_takes_values_from_a_file(restified, model, tmp_path):
    """`@values.json` is no table, wherever it stands."""
    (tmp_path / "values.json").write_text('{"name": "b"}')
    (tmp_path / "sets.csv").write_text("x\n4\n")
    for arguments in (("@values.json", "--grid", "x=4"), ("sets.csv", "@values.json")):
        assert restified("map", "model.ipynb", *arguments).stdout.splitlines()[1].startswith("b,4,")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "which values"),
        (["nothing.csv"], "nothing.csv: cannot be read"),
        (["--grid", "x"], "write --grid NAME=A,B"),
        (["--grid", "x=1", "--dask", "tcp://127.0.0.1:9"], "there is no scheduler"),
        (["--grid", "x=1", "--files", "*.py"], "add --dask ADDRESS"),
        (["--grid", "x=1", "--dask", "tcp://127.0.0.1:9", "--files", "../x"], "there is no scheduler"),
        (["twice.csv"], "twice.csv: its header has x more than once"),
        (["x=1", "--grid", "x=2"], "x is given twice"),
        (["--grid", "x=1", "--grid", "x=2"], "x is given twice"),
        (["fine.csv", "x=1"], "x is given twice: in fine.csv, and as a value for all calls"),
        (["fine.csv", "--grid", "x=1"], "x is given twice: in fine.csv, and by --grid"),
        (["semicolons.csv"], "semicolons.csv: its columns are separated by ';'. Write commas"),
        (["--grid", "x=1", "--save", "fine.csv"], "Invalid value for '--save'"),
        (["--grid", "x="], "--grid x=: has no values"),
        (["--grid", 'x="a'], "a quote is not closed"),
        (["--grid", 'x="a"b,c'], "goes in double quotes"),
        (["--grid", "x=a\nb"], "goes in double quotes"),
        (["ragged.csv"], "ragged.csv, line 2: has more cells than the header"),
        (["short.csv"], "short.csv, line 2: has fewer cells than the header"),
        (["empty.csv"], "empty.csv: has no header"),
    ],
)
def test_map_used_wrong(restified, model, tmp_path, arguments, told):
    """Wrong use is 2, and says what to write."""
    (tmp_path / "twice.csv").write_text("x,x\n1,2\n")
    (tmp_path / "semicolons.csv").write_text("x;name\n1;a\n")
    for name, text in (("ragged", "x\n1,2\n"), ("short", "x,name\n1\n"), ("empty", ""), ("fine", "x\n1\n")):
        (tmp_path / f"{name}.csv").write_text(text)
    done = restified("map", "model.ipynb", *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert told in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process group")
def test_map_is_interrupted_while_its_processes_start(write, tmp_path):
    """Ctrl-C reaches the whole group, and who tells of it is the command alone, in one word."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    # a package that processes of calls have imported before they are forked
    (tmp_path / "scipy.py").write_text(
        "import os, time\nopen(os.environ['BEGUN'], 'w').close()\n"
        "while not os.path.exists(os.environ['GO']):\n    time.sleep(0.01)\n"
    )
    write(parameters("x = 1"), "import scipy", returns("x"))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", os.getcwd())]),
        "BEGUN": str(begun),
        "GO": str(go),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "restified_magics", "map", "model.ipynb", "--grid", "x=1,2", "--workers", "2"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    latest = time.monotonic() + 60
    while not begun.exists() and time.monotonic() < latest:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    go.touch()
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert err.endswith("Interrupted\n")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of its own")
def test_map_shows_results_or_a_bar_in_a_terminal(write, tmp_path):
    """Lines of results are not mixed with a bar; where they go to a file, the bar is there."""
    import pty
    import termios

    write(parameters("x = 1"), returns("x"))
    command = [sys.executable, "-m", "restified_magics", "map", "model.ipynb", "--grid", "x=1,2"]
    said = {}
    for to in ("terminal", "file"):
        ours, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        with (tmp_path / "out").open("wb") as file:
            stdout = terminal if to == "terminal" else file
            options = {"cwd": tmp_path, "stdin": subprocess.DEVNULL, "timeout": 60}
            subprocess.run(command, check=True, stdout=stdout, stderr=terminal, **options)
        os.close(terminal)
        said[to] = b""
        with contextlib.suppress(OSError):  # which is how a terminal ends
            while part := os.read(ours, 10_000):
                said[to] += part
        os.close(ours)
    assert said["terminal"] == b"x,value\r\n1,1\r\n2,2\r\n"
    assert b"2/2" in said["file"]
    assert (tmp_path / "out").read_bytes() == b"x,value\n1,1\n2,2\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_map_says_where_it_was_interrupted(write, tmp_path):
    """How many calls had ended, and that a store has them."""
    write(
        parameters("x = 1"),
        "import time\nif x == 3:\n    open('third', 'w').close()\n    time.sleep(1000)",
        returns("x"),
    )
    command = [sys.executable, "-m", "restified_magics", "map", "model.ipynb", "--grid", "x=1,2,3", "-q"]
    process = subprocess.Popen(
        [*command, "--store", "done"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    latest = time.monotonic() + 60
    while not (tmp_path / "third").exists() and time.monotonic() < latest:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "x,value\n1,1\n2,2\n")
    assert "2 calls had ended. The same command goes on from there: done has them" in err


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]], ids=["serial", "workers"])
def test_map_finishes_what_it_began_before_a_wrong_line(restified, model, workers):
    """A row that cannot be read ends the sweep after the rows before it, and takes none of them along."""
    rows = "x\n" + "".join(f"{n}\n" for n in range(1, 21)) + "1,2\n"
    done = restified("map", "model.ipynb", "-", "-q", *workers, input=rows)
    assert done.returncode == 2
    assert "-, line 22: has more cells than the header" in done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["x", *map(str, range(1, 21))]
    done = restified("map", "model.ipynb", "-", "-q", "--keep-going", *workers, input="x\n0\n0\n1,2\n")
    assert (done.returncode, len(done.stdout.splitlines())) == (2, 3)
