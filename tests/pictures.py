"""Make the pictures of the examples anew, from real pages: `hatch run pictures`, or `hatch run pictures sales`.

Each is what a Chromium shows of an example in Voila or in JupyterLab, saved with a small palette into
`examples/pictures`. `readme` is two of them side by side. Not a test of pytest: a picture is looked at by a person.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import nbclient
import nbformat
import numpy as np
from browser import FLAGS, chromium_path, dashboard, free_port, served
from deno import find_deno_bin
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PICTURES = EXAMPLES / "pictures"
COLORS = 192
WIDTH, HEIGHT = 960, 720

#: What JupyterLab would else fetch, show or ask.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/completer-extension:manager": {"autoCompletion": False},
}


def run(page: Any, number: int = 0, **texts: str) -> None:
    """Fill fields of a form by their labels, press its Run, and wait for what comes of it."""
    form = page.get_by_role("form").nth(number)
    for label, text in texts.items():
        control = form.get_by_label(label.replace("_", " "), exact=True)
        if control.evaluate("control => control.tagName") == "SELECT":
            control.select_option(label=text)
        else:
            control.fill(text)
            control.blur()
    form.get_by_role("button", name="Run", exact=True).click()
    ended(form)


def ended(form: Any) -> None:
    """Wait until a form has run well, and what it shows is there."""
    form.locator("[data-state=done]").wait_for()
    form.page.wait_for_load_state("networkidle")
    # the mouse lies on nothing, no field has the focus
    form.page.mouse.move(0, 0)
    form.page.evaluate("document.activeElement?.blur()")


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        notebook: the example.
        where: ``"voila"`` or ``"lab"``.
        act: what is done on the page before.
        height: of the window.
        width: of the window.
    """

    notebook: str
    where: str = "voila"
    act: Callable[[Any], None] = field(default=run)
    height: int = HEIGHT
    width: int = WIDTH


def chain(page: Any) -> None:
    """Run the first of two linked forms; the second runs by itself."""
    run(page)
    ended(page.get_by_role("form").nth(1))
    page.locator("img").nth(1).wait_for()


def outputs(page: Any) -> None:
    """Wait for the figures of a View."""
    page.locator(".jp-OutputArea-output img").nth(1).wait_for()


def at_cell(index: int, *, sidebar: bool = False) -> Callable[[Any], None]:
    """Scroll JupyterLab to a cell; with the sidebar in which tags are given."""

    def act(page: Any) -> None:
        if sidebar:
            page.get_by_role("tab", name="Property Inspector").click()
            page.get_by_text("Common Tools").click()
        cell = page.locator(f".jp-Notebook .jp-Cell[data-windowed-list-index='{index}']")
        cell.locator(".cm-content").click(position={"x": 4, "y": 4})
        page.keyboard.press("Escape")
        page.mouse.move(0, 0)
        if sidebar:
            page.locator(".jp-CellTags-Applied").first.wait_for()

    return act


def top(page: Any) -> None:
    """JupyterLab, from the top."""
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()


def spring(page: Any) -> None:
    """The sales of a region, in Spring."""
    run(page, Region="South", From="2025-03-01", To="2025-05-31")
    page.locator(".restified-outputs img").wait_for()


PICTURES_OF = {
    "fibonacci": Picture("fibonacci_view", "lab", top),
    "sales": Picture("sales", act=spring, height=1130),
    "stock": Picture("stock_view", act=outputs, height=1330),
    "quality": Picture("quality", height=1060),
    "heating": Picture("heating_view", act=chain, height=1330, width=1100),
    "growth": Picture("growth_view", "lab", top),
    "papermill": Picture("papermill_shop", height=760),
    "colab": Picture("colab_loan", height=800),
    "weather": Picture("weather", height=560),
    "machine_report": Picture("machine_report", height=800),
    "disk_usage": Picture("disk_usage", height=540),
    "words": Picture("words", height=600),
}
#: The two sides of `readme`.
BOTH = (
    Picture("sales", "lab", at_cell(3, sidebar=True), height=1110, width=1040),
    Picture("sales", act=spring, height=1110, width=960),
)


def main(*names: str) -> None:
    """Make the pictures of these names, or all of them."""
    from playwright.sync_api import sync_playwright

    names = names or (*PICTURES_OF, "readme")
    with tempfile.TemporaryDirectory(prefix="restified-pictures-") as folder:
        root = pathlib.Path(folder)
        shutil.copytree(EXAMPLES, root / "examples", ignore=shutil.ignore_patterns("pictures", "__pycache__"))
        settings(root)
        with voila(root) as voila_url, lab(root) as lab_url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
            urls = {"voila": voila_url, "lab": lab_url}
            for name in names:
                print(name, flush=True)
                if name == "readme":
                    content = side_by_side(browser, *(taken(browser, urls, root, each) for each in BOTH))
                else:
                    content = taken(browser, urls, root, PICTURES_OF[name])
                save(name, content)
            browser.close()


def settings(root: pathlib.Path) -> None:
    """Keep Jupyter's state there, with kernels for all the languages of the examples."""
    for name in (
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "IPYTHONDIR",
        "MPLCONFIGDIR",
    ):
        os.environ[name] = str(root / name.lower())
    os.environ.pop("MPLBACKEND", None)
    bash = [sys.executable, "-m", "bash_kernel", "-f", "{connection_file}"]
    deno = [find_deno_bin(), "jupyter", "--kernel", "--conn", "{connection_file}"]
    for name, language, argv in (("bash", "bash", bash), ("deno", "typescript", deno)):
        kernel = root / "jupyter_data_dir" / "kernels" / name / "kernel.json"
        kernel.parent.mkdir(parents=True)
        kernel.write_text(json.dumps({"argv": argv, "display_name": name.title(), "language": language}))


def voila(root: pathlib.Path) -> contextlib.AbstractContextManager[str]:
    """The dashboards."""
    return dashboard(root / "examples")


@contextlib.contextmanager
def lab(root: pathlib.Path) -> Iterator[str]:
    """JupyterLab."""
    for name, value in LAB_SETTINGS.items():
        extension, _, plugin = name.partition(":")
        path = (
            root
            / "jupyter_config_dir"
            / "lab"
            / "user-settings"
            / extension
            / f"{plugin}.jupyterlab-settings"
        )
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(value))
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    command += ["--ServerApp.token=", "--ServerApp.password=", "--LabApp.extension_manager=readonly"]
    with served(command, f"http://127.0.0.1:{port}/api", root / "lab.log", root / "examples"):
        yield f"http://127.0.0.1:{port}/"


def execute(path: pathlib.Path) -> None:
    """What JupyterLab shows was run before."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=300, resources=resources).execute()
    nbformat.write(notebook, path)


def taken(browser: Any, urls: dict[str, str], root: pathlib.Path, picture: Picture) -> bytes:
    """The picture, as the browser gives it."""
    if picture.where == "lab":
        execute(root / "examples" / f"{picture.notebook}.ipynb")
    page = browser.new_page(viewport={"width": picture.width, "height": picture.height})
    page.set_default_timeout(120_000)
    if picture.where == "voila":
        page.goto(f"{urls['voila']}voila/render/{picture.notebook}.ipynb")
        page.locator(".restified-panel, .jp-OutputArea-output").first.wait_for()
    else:
        page.goto(f"{urls['lab']}doc/tree/{picture.notebook}.ipynb")
        page.locator(".jp-Notebook .jp-RenderedMarkdown h1").first.wait_for()
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    picture.act(page)
    page.wait_for_load_state("networkidle")
    content: bytes = page.screenshot()
    page.close()
    return content


def side_by_side(browser: Any, notebook: bytes, shown: bytes) -> bytes:
    """Both in one picture, each under its name."""
    images = [base64.b64encode(content).decode() for content in (notebook, shown)]
    page = browser.new_page(viewport={"width": 1600, "height": 800})
    page.set_content(
        "<!DOCTYPE html><style>body { margin: 0; padding: 14px; display: flex; gap: 18px; background: #fff; width: max-content;"
        " font: 17px system-ui, sans-serif; color: #444 }"
        " figure { margin: 0; display: flex; flex-direction: column; gap: 8px } "
        " img { height: 700px; border: 1px solid #bbb; border-radius: 8px; box-shadow: 0 2px 10px #0002 }</style>"
        + "".join(
            f"<figure><figcaption>{caption}</figcaption><img src='data:image/png;base64,{image}'></figure>"
            for caption, image in zip(
                ("sales.ipynb, an ordinary notebook with tagged cells", "restified dashboard sales.ipynb"),
                images,
                strict=True,
            )
        )
    )
    content: bytes = page.locator("body").screenshot()
    page.close()
    return content


def save(name: str, content: bytes) -> None:
    """With a palette, which makes a screenshot a third as large."""
    PICTURES.mkdir(exist_ok=True)
    image = Image.open(io.BytesIO(content)).convert("RGB")
    # the colours that are there most often, so that flat ones stay exactly what they are, and some of all others
    counted = sorted(image.getcolors(image.width * image.height), reverse=True)
    others = image.quantize(COLORS - COLORS // 2, method=Image.Quantize.MAXCOVERAGE).getpalette()
    palette = np.array(
        [*(color for _, color in counted[: COLORS // 2]), *zip(*[iter(others)] * 3, strict=True)]
    )
    colors, where = np.unique(np.asarray(image).reshape(-1, 3), axis=0, return_inverse=True)
    nearest = [int(((palette - color.astype(int)) ** 2).sum(axis=1).argmin()) for color in colors]
    indexes = np.array(nearest, dtype=np.uint8)[where].reshape(image.height, image.width)
    small = Image.fromarray(indexes).convert("P")
    small.putpalette(palette.astype(np.uint8).tobytes())
    small.save(PICTURES / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
