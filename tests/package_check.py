"""Build wheel and sdist, look into them, and try the wheel in an environment of its own.

    hatch run package:check

Not a test of pytest, since it installs from the package index and takes a minute.
"""

from __future__ import annotations

import json
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
    modules = {
        f"restified_magics/{path.name}" for path in (ROOT / "restified_magics").iterdir() if path.is_file()
    }
    expected = {name for name in modules if name.endswith((".py", "py.typed"))}
    metadata = {name for name in names if ".dist-info/" in name}
    assert set(names) - metadata == expected, set(names) - metadata ^ expected
    assert any(name.endswith("LICENSE") for name in metadata)
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tests/conftest.py"} <= inside, inside
    assert {"examples/fibonacci.ipynb", "benchmarks/README.md"} <= inside
    assert not [name for name in inside if "checkpoint" in name or "__pycache__" in name]


def main() -> None:
    """Build, look, install, try."""
    with tempfile.TemporaryDirectory(prefix="restified-package-") as folder:
        work = pathlib.Path(folder)
        run(sys.executable, "-m", "build", "--outdir", work / "dist", ROOT)
        wheel, sdist = next((work / "dist").glob("*.whl")), next((work / "dist").glob("*.tar.gz"))
        run(sys.executable, "-m", "twine", "check", "--strict", wheel, sdist)
        check_contents(wheel, sdist)
        venv.create(work / "venv", with_pip=True)
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


if __name__ == "__main__":
    main()
