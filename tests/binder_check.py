"""Build the environment of `binder/` in an empty folder, as Binder does, and try what it promises.

    hatch run binder:check

Not a test of pytest, since it installs from the package index and takes some minutes.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import venv

from browser import Visit, chromium, free_port, served

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOKEN = "a-token-of-the-test"
LEFT_OUT = shutil.ignore_patterns(".git", ".*_cache", "__pycache__", "dist")


def build(work: pathlib.Path) -> pathlib.Path:
    """A copy of the repository and its environment; gives the folder of the environment's programs."""
    repository = work / "repository"
    shutil.copytree(ROOT, repository, ignore=LEFT_OUT)
    venv.create(work / "venv", with_pip=True)
    programs = work / "venv" / ("Scripts" if os.name == "nt" else "bin")
    settle(work, programs)
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "-r", "binder/requirements.txt", cwd=repository)
    run(repository / "binder" / "postBuild", cwd=repository)
    run(programs / "python", "-m", "pip", "check", cwd=repository)
    return programs


def settle(work: pathlib.Path, programs: pathlib.Path) -> None:
    """This process and those that it starts live in the new environment, with an empty home."""
    for name in [name for name in os.environ if name.startswith(("JUPYTER", "IPYTHON", "PYTHON", "MPL"))]:
        del os.environ[name]
    home = work / "home"
    home.mkdir()
    os.environ |= {"HOME": str(home), "USERPROFILE": str(home), "XDG_DATA_HOME": str(home / "data")}
    os.environ["PATH"] = os.pathsep.join([str(programs), os.environ["PATH"]])


def run(*command: object, cwd: pathlib.Path) -> None:
    """Run a command and end with its exit code when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False)
    if done.returncode:
        sys.exit(f"failed: {' '.join(str(part) for part in command)}")


def check_endpoint(url: str) -> None:
    """A program gets the value of a notebook, in Python and in bash."""
    for call, expected in (
        ("fibonacci.ipynb?n=20", 6765),
        (
            "sales.ipynb?region=South&top=1",
            [{"product": "Tools", "units": 137, "revenue": 3491.9, "share": 0.279}],
        ),
    ):
        assert asked(f"{url}restified/examples/{call}") == expected, call
    (largest,) = asked(f"{url}restified/examples/disk_usage.ipynb?most=1")
    assert largest["bytes"] > 0, largest


def asked(url: str) -> object:
    """The JSON at a URL."""
    request = urllib.request.Request(url, headers={"Authorization": f"token {TOKEN}"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


def check_pages(url: str) -> None:
    """A person finds the examples in JupyterLab, runs the dashboard of a Model, and that of a View."""
    with chromium() as browser:
        visit = Visit(browser)
        page = visit.page
        page.goto(f"{url}lab/tree/examples/sales.ipynb?token={TOKEN}")
        page.locator(".jp-Notebook .jp-RenderedMarkdown h1").first.wait_for()
        page.goto(f"{url}voila/render/examples/sales.ipynb")
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator("[data-state=done]").wait_for()
        page.locator(".restified-outputs img").wait_for()
        page.goto(f"{url}voila/render/examples/heating_view.ipynb")
        page.get_by_role("button", name="Run", exact=True).first.click()
        page.locator("[data-state=done]").nth(1).wait_for()
        visit.context.close()


def main() -> None:
    """Build and try."""
    with tempfile.TemporaryDirectory(prefix="restified-binder-", ignore_cleanup_errors=True) as folder:
        work = pathlib.Path(folder)
        programs = build(work)
        url = f"http://127.0.0.1:{(port := free_port())}/"
        # as Binder starts it, but for the address
        command = [
            str(programs / "jupyter-lab"),
            "--no-browser",
            "--allow-root",
            "--ip=127.0.0.1",
            f"--port={port}",
        ]
        command.append(f"--IdentityProvider.token={TOKEN}")
        with served(command, f"{url}api", work / "lab.log", work / "repository"):
            try:
                check_endpoint(url)
                check_pages(url)
            except BaseException:
                print((work / "lab.log").read_text(errors="replace"), file=sys.stderr)
                raise
        print("the environment of binder/ works")


if __name__ == "__main__":
    main()
