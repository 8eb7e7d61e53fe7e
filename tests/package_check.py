"""Build wheel and sdist, look into them, and try the wheel in an environment of its own.

    hatch run package:check

Not a test of pytest, since it installs from the package index and takes a minute.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

SMOKE = """
import pathlib, sys
import restified_magics
from restified_magics import ParameterError, PythonModel

assert "site-packages" in restified_magics.__file__, restified_magics.__file__
assert restified_magics.__version__ == sys.argv[2]
model = PythonModel(sys.argv[1])
assert model(n=20) == 6765
assert model.run({"n": 10}).value == 55
try:
    model(n="x")
except ParameterError as error:
    assert list(error.problems) == ["n"]
else:
    raise AssertionError("a wrong value was taken")
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_cell("%load_ext restified_magics").raise_error()
assert shell.run_cell(f"%call_notebook {sys.argv[1]} n=20").result == 6765
print("the wheel works")
"""


def run(*command: object, cwd: pathlib.Path | None = None) -> None:
    """Run a command and end with its exit code when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(str(part) for part in command)}")


def check_contents(wheel: pathlib.Path, sdist: pathlib.Path) -> None:
    """The wheel holds the package and nothing else; the sdist also what is needed to test it."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = ROOT / "restified_magics"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    metadata = {name for name in names if ".dist-info/" in name}
    shared = {name.partition(".data/data/")[2] for name in names if ".data/data/" in name}
    own = {name for name in names if name not in metadata and ".data/data/" not in name}
    assert own == expected, own ^ expected
    # what enables the extension of Jupyter Server
    assert "etc/jupyter/jupyter_server_config.d/restified_magics.json" in shared, shared
    assert any(name.endswith("LICENSE") for name in metadata)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tests/conftest.py"} <= inside, inside
    assert {"examples/fibonacci.ipynb", "benchmarks/README.md"} <= inside
    assert not [name for name in inside if "checkpoint" in name or "__pycache__" in name]


def check_extension(python: pathlib.Path) -> None:
    """Installing is enough: Jupyter Server has the extension enabled, and finds it in order."""
    command = [python, "-m", "jupyter_server.extension.serverextension", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    told = "".join(listed.stdout + listed.stderr).split()
    at = told.index("restified_magics")
    assert "enabled" in told[at + 1], listed
    assert "OK" in "".join(told[at + 2 : at + 9]), listed


def main() -> None:
    """Build, look, install, try."""
    with tempfile.TemporaryDirectory(prefix="restified-package-") as folder:
        work = pathlib.Path(folder)
        run(sys.executable, "-m", "build", "--outdir", work / "dist", ROOT)
        wheel, sdist = next((work / "dist").glob("*.whl")), next((work / "dist").glob("*.tar.gz"))
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
        check_contents(wheel, sdist)
        venv.create(work / "venv", with_pip=True)
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            os.environ[name] = str(work / name.lower())  # nothing is written into the user's home
        python = next(path for path in (work / "venv").glob("*/python*") if path.stem == "python")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
        run(python, "-m", "pip", "check")
        version = wheel.name.split("-")[1]
        notebook = work / "fibonacci.ipynb"
        notebook.write_text(
            json.dumps(json.loads((ROOT / "examples" / "fibonacci.ipynb").read_text(encoding="utf-8")))
        )
        (work / "smoke.py").write_text(SMOKE)
        run(python, work / "smoke.py", notebook, version, cwd=work)
        check_extension(python)


if __name__ == "__main__":
    main()
