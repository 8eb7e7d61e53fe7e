"""Reading: every file that Jupyter accepts is a notebook, every other one is one clear error."""

from __future__ import annotations

import json
import os
import pathlib
import pickle

import nbformat
import pytest
from conftest import cell, node, parameters, returns

from restified_magics import NotebookError, NotebookWarning, PythonModel


def _version(major: int, minor: int) -> bytes:
    if major == 4:
        made = node(parameters("x = 1"), returns("x"))
        for each in made["cells"]:
            if minor < 5:
                del each["id"]
        return json.dumps({**made, "nbformat_minor": minor}).encode()
    cells = [
        {"cell_type": "code", "language": "python", "collapsed": False, "input": source, "outputs": [],
         "prompt_number": 1, "metadata": {"tags": [tag]}}
        for source, tag in (("x = 1", "parameters"), ("x", "return"))
    ]  # fmt: skip
    sheet = {"cells": cells, "metadata": {}}
    return json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [sheet]}
    ).encode()


@pytest.mark.parametrize(("major", "minor"), [(3, 0), (4, 0), (4, 1), (4, 2), (4, 3), (4, 4), (4, 5)])
def test_every_version_of_nbformat_since_3(tmp_path, major, minor):
    """Notebooks of all ages are read, parameters and all."""
    path = tmp_path / "m.ipynb"
    path.write_bytes(_version(major, minor))
    assert PythonModel(path)(x=5) == 5


@pytest.mark.parametrize(
    "name", ["mödel ☃.ipynb", "with blank.ipynb", "quote'.ipynb", "100%.ipynb", "{x}$y.ipynb"]
)
def test_any_file_name(write, name):
    """The name of a file is no part of any syntax."""
    assert PythonModel(write(returns("1"), name=name))() == 1


def test_byte_order_mark(tmp_path):
    """Editors on Windows write one."""
    path = tmp_path / "m.ipynb"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(node(returns("'ä'"))).encode())
    assert PythonModel(path)() == "ä"


@pytest.mark.parametrize(
    "metadata", [{}, {"kernelspec": {"name": "no-such-kernel"}}, {"language_info": {"name": "python"}}]
)
def test_kernelspec_does_not_matter_in_process(metadata):
    """No kernelspec, or an unknown one, is none of this process's concern."""
    made = {**node(returns("1")), "metadata": metadata}
    assert PythonModel(made)() == 1


@pytest.mark.parametrize(
    "metadata",
    [
        {"kernelspec": {"name": "ir", "language": "R"}},
        {"language_info": {"name": "julia"}},
        {"kernelspec": {"name": "julia-1.10"}},
    ],
)
def test_notebook_of_another_language_points_to_kernel_model(metadata):
    """PythonModel says what it is not for, and what is."""
    with pytest.raises(NotebookError, match=r"(r|julia).*KernelModel"):
        PythonModel({**node(returns("1")), "metadata": metadata})


@pytest.mark.parametrize("source", [node(returns("1")), nbformat.from_dict(node(returns("1")))])
def test_node_or_dict(source):
    """A node of nbformat, or the same as a dict; what happens to it later does not matter."""
    model = PythonModel(source)
    source["cells"][0]["source"] = "2"
    assert model() == 1
    # in another process nothing of nbformat is needed to have it there
    assert b"nbformat.notebooknode" not in pickle.dumps(model.notebook.node)


def test_source_may_be_a_list_of_lines():
    """As nbformat writes it."""
    assert PythonModel(node({**returns(""), "source": ["x = 1\n", "x + 1"]}))() == 2


def test_odd_metadata_is_no_obstacle():
    """Tags that are no list, metadata that is no object: what Jupyter opens is read."""
    odd = [{**returns("1"), "metadata": {"tags": "return"}}, {**cell("2"), "metadata": None}]
    assert PythonModel(node({**cell("0"), "metadata": {"tags": None}}, *odd))() == 1
    assert PythonModel({**node(returns("1")), "metadata": None})() == 1


def test_notebook_without_cells():
    """It has no parameters and returns None."""
    assert PythonModel(node())() is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"  \n", "is empty"),
        (b"[]", "its JSON is a list"),
        (b'{"a": 1}', "it has no cells"),
        (b'{"cells": []}', "does not say its nbformat"),
        (b'{"cells": 1, "nbformat": 4}', "its cells are not a list"),
        (b'{"cells": [1], "nbformat": 4}', "its cells are not a list"),
        (b'{"cells": [{"cell_type": "code", "source": 1}], "nbformat": 4}', "the source of cell 1"),
        (b'{"cells": [], "nbformat": 9}', "nbformat 9"),
        (b'{"cells": [], "nbformat": 3}', "nbformat 3"),
        (b"x = 1\n", "it is not JSON"),
        (b'{"cells": [{"cell_ty', "cut off or half written"),
        (b"\xff\xfe\x00", "is not"),
        (b'{"a": "\xff"}', "not text in UTF-8"),
        (b'{\n<<<<<<< HEAD\n"cells": []\n=======\n>>>>>>> branch\n}', "git conflict markers"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_notebook_is_one_error_that_names_the_file_and_the_reason(tmp_path, content, reason):
    """Whatever a file holds instead of a notebook."""
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    with pytest.raises(NotebookError, match=reason) as caught:
        PythonModel(path)
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_missing_file_suggests_the_one_that_was_meant(write, tmp_path):
    """A misspelt name, a folder that is not there, a folder instead of a file."""
    write(returns("1"), name="revenue.ipynb")
    with pytest.raises(NotebookError, match=r"Did you mean 'revenue\.ipynb'"):
        PythonModel(tmp_path / "revenu.ipynb")
    with pytest.raises(NotebookError, match="there is no folder"):
        PythonModel(tmp_path / "none" / "revenue.ipynb")
    with pytest.raises(NotebookError, match="is a folder"):
        PythonModel(tmp_path)


@pytest.mark.parametrize(
    ("source", "told"), [("a\0b", r"'a\\x00b': the path has a NUL"), ("", "'': the path is empty")]
)
def test_what_is_no_path(source, told):
    """A NUL and nothing at all are no paths, and the error says what to write."""
    with pytest.raises(NotebookError, match=rf"{told}.*Write that of a notebook"):
        PythonModel(source)


def test_only_a_name_that_is_near_is_suggested(write, tmp_path):
    """Neither the common ending, nor the name itself, makes another notebook the one that was meant."""
    write(returns("1"), name="a.ipynb")
    write(returns("1"), name="Sales.ipynb")
    for name in ("b.ipynb", "weather.ipynb"):
        with pytest.raises(NotebookError, match="there is no such file") as caught:
            PythonModel(tmp_path / name)
        assert "Did you mean" not in str(caught.value)
    with pytest.raises(NotebookError, match=r"Did you mean 'Sales\.ipynb'"):
        PythonModel(tmp_path / "sales.ipynb")


@pytest.mark.skipif(os.name == "nt", reason="there are none")
def test_a_named_pipe(tmp_path):
    """It is refused, and nobody waits for who may write to it."""
    os.mkfifo(tmp_path / "pipe.ipynb")
    with pytest.raises(NotebookError, match="is a pipe or a device, which can be read once"):
        PythonModel(tmp_path / "pipe.ipynb")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_a_link_to_nowhere(tmp_path):
    """It says where the link leads, and suggests not itself."""
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "gone.ipynb")
    with pytest.raises(
        NotebookError, match=r"is a symbolic link to .*gone\.ipynb, which is not there"
    ) as caught:
        PythonModel(tmp_path / "link.ipynb")
    assert "Did you mean" not in str(caught.value)


def test_file_urls(write, tmp_path):
    """A `file://` URL is the path that it names, so that the file is read again when it changed."""
    path = write(returns("1"), name="it is.ipynb")
    model = PythonModel(path.as_uri())
    assert model() == 1
    assert model.notebook.path == path
    write(returns("22"), name="it is.ipynb")
    assert model() == 22
    with pytest.raises(NotebookError, match="names a file of the machine 'elsewhere'"):
        PythonModel("file://elsewhere/model.ipynb")


def test_what_a_declaration_says_wrongly_is_a_warning(write):
    """Bounds in the wrong order, a default out of them, a type that is none: told when the Model is made."""
    source = "n = 1  # Terms (9..1)\nm = 11  # Other (1..9)\nk = 1  # type: flaot"
    path = write(parameters(source), returns("n"))
    with pytest.warns(NotebookWarning) as caught:
        PythonModel(path)
    told = [str(each.message).removeprefix(f"{path}, ") for each in caught]
    assert [each.partition(": ")[0] for each in told] == [
        "cell 1, line 1",
        "cell 1, line 2",
        "cell 1, line 3",
    ]
    assert {each.filename for each in caught} == {__file__}
    assert PythonModel(path).problems == told


@pytest.mark.parametrize("source", [1, None, [], b"x"])
def test_other_objects_are_refused(source):
    """A Model is made of a path, a URL or a node, and the error says so."""
    with pytest.raises(NotebookError, match=r"path, a URL or a notebook node|no such file|is a folder"):
        PythonModel(source)


def test_url(tmp_path):
    """A notebook is read from a URL by papermill's readers; one that is not there is a clear error."""
    import functools
    import http.server
    import threading

    (tmp_path / "m.ipynb").write_text(json.dumps(node(parameters("x = 1"), returns("x + 1"))))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None: ...

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            assert PythonModel(f"{address}/m.ipynb")(x=41) == 42
            with pytest.raises(NotebookError, match=r"none\.ipynb: is not a notebook"):
                PythonModel(f"{address}/none.ipynb")
        finally:
            server.shutdown()
            thread.join()
    with pytest.raises(NotebookError, match="cannot be read"):
        PythonModel("no-such-scheme://host/m.ipynb")


def test_large_outputs_are_not_kept(write):
    """A notebook with megabytes of outputs is read, and the outputs are dropped."""
    output = {"output_type": "stream", "name": "stdout", "text": "x" * 5_000_000}
    path = write({**returns("1"), "outputs": [output]})
    model = PythonModel(path)
    assert model() == 1
    assert len(json.dumps(model.notebook.node)) < 1000


def test_models_of_one_file_share_what_was_read(write):
    """Making a Model again costs nothing, so that a magic may do it at each call."""
    path = write(returns("1"))
    assert PythonModel(path).notebook is PythonModel(path).notebook


def test_path_is_kept_when_the_current_folder_changes(write, tmp_path, monkeypatch):
    """A relative path is resolved once."""
    write(returns("1"))
    monkeypatch.chdir(tmp_path)
    model = PythonModel("model.ipynb")
    monkeypatch.chdir(pathlib.Path(os.sep))
    assert model() == 1


def test_home(write, tmp_path, monkeypatch):
    """`~` is the user's home."""
    write(returns("1"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert PythonModel("~/model.ipynb")() == 1
