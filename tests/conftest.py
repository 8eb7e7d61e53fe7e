"""What all tests share: state in temporary folders, notebooks made of cells, the Models under contract."""

from __future__ import annotations

import atexit
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from deno import find_deno_bin

# Before anything of Jupyter is imported: nothing is written into the user's home.
_state = tempfile.TemporaryDirectory(prefix="restified-tests-")
for _name in (
    "IPYTHONDIR",
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "MPLCONFIGDIR",
    "NPM_CONFIG_CACHE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "PYTHONPYCACHEPREFIX",
):
    _folder = pathlib.Path(_state.name) / _name.lower()
    _folder.mkdir()
    os.environ[_name] = str(_folder)
os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

for _language, _argv in {
    "bash": [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"],
    "typescript": [find_deno_bin(), "jupyter", "--kernel", "--conn", "{connection_file}"],
}.items():
    _name = "deno" if _language == "typescript" else _language
    _folder = pathlib.Path(os.environ["JUPYTER_DATA_DIR"]) / "kernels" / _name
    _folder.mkdir(parents=True)
    _spec = {"argv": _argv, "display_name": _name, "language": _language}
    (_folder / "kernel.json").write_text(json.dumps(_spec), encoding="utf-8")

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skipped test is a test that did not run: CI asks for none."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("RESTIFIED_NO_SKIPS") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Fixtures can see whether their test failed, as to leave a screenshot."""
    report = yield
    if report.when == "call":  # type: ignore[attr-defined]
        item.failed = report.failed  # type: ignore[attr-defined]
    return report  # type: ignore[return-value]


def named(value: object) -> str:
    """A value as a part of a test's name, which is the same in every run."""
    text = str(sorted(value, key=repr)) if isinstance(value, set) else str(value)
    return re.sub(r" at 0x[0-9a-f]+", "", text)[:40]


def cell(source: str, *tags: str, kind: str = "code") -> dict[str, Any]:
    """A cell as it stands in a notebook file."""
    made: dict[str, Any] = {
        "cell_type": kind,
        "metadata": {"tags": list(tags)} if tags else {},
        "source": source,
    }
    return {**made, "outputs": [], "execution_count": None} if kind == "code" else made


def node(*cells: dict[str, Any] | str, **metadata: Any) -> dict[str, Any]:
    """A notebook of these cells; a plain string is a code cell without tags."""
    made = [cell(each) if isinstance(each, str) else dict(each) for each in cells]
    for number, each in enumerate(made):
        each["id"] = f"cell-{number}"
    kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return {
        "cells": made,
        "metadata": {"kernelspec": kernelspec, **metadata},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def parameters(source: str) -> dict[str, Any]:
    return cell(source, "parameters")


def returns(source: str) -> dict[str, Any]:
    return cell(source, "return")


Write = Callable[..., pathlib.Path]


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    """Write a notebook of cells to a file in the test's folder: ``write(cells…, name="m.ipynb")``."""

    def written(*cells: dict[str, Any] | str, name: str = "model.ipynb", **metadata: Any) -> pathlib.Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(node(*cells, **metadata)), encoding="utf-8")
        # an old stamp: what was written long ago is read once
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**9))
        return path

    return written


@pytest.fixture
def restified(tmp_path: pathlib.Path) -> Callable[..., subprocess.CompletedProcess[Any]]:
    """Run the command in the test's folder: ``restified("call", "model.ipynb", input="…")``."""

    def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[Any]:
        return subprocess.run(
            [sys.executable, "-m", "restified_magics", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=options.pop("text", True),
            check=False,
            timeout=120,
            **options,
        )

    return run


@pytest.fixture
def model(write: Write) -> pathlib.Path:
    """A notebook whose call fails for `x=0`, prints, and returns what it was given."""
    return write(
        cell("# Division", kind="markdown"),
        "import os\nfrom datetime import date",
        parameters("x = 1  # The x [mm]\nname: str = 'a'\nsince: date = date(2026, 1, 31)\nhalf = x / 2"),
        "print('printed')\nos.system('echo from a program')\n10 / x",
        returns("{'x': x, 'name': name, 'since': since, 'half': half}"),
    )


@pytest.fixture
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


@pytest.fixture(autouse=True)
def _same_folder() -> Iterator[None]:
    """No test leaves the next one in another folder."""
    before = os.getcwd()
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def _documented_paths(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples in docstrings name files as seen from the repository."""
    if request.node.__class__.__name__ == "DoctestItem":
        monkeypatch.chdir(ROOT)


@pytest.fixture
def ip() -> Iterator[Any]:
    """A running IPython: what the user's session is to a Model. It ends with the test."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    main, hook, path = sys.modules["__main__"], sys.displayhook, list(sys.path)
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    shell.run_line_magic("colors", "nocolor")
    try:
        yield shell
    finally:
        InteractiveShell.clear_instance()
        atexit.unregister(shell.atexit_operations)  # each would collect garbage at the end
        sys.modules["__main__"], sys.displayhook, sys.path[:] = main, hook, path


@pytest.fixture
def run(ip: Any) -> Callable[[str], Any]:
    """Run a cell in the session and return its value, or raise what it raised."""

    def ran(source: str) -> Any:
        outcome = ip.run_cell(source, store_history=True)
        outcome.raise_error()
        return outcome.result

    return ran
