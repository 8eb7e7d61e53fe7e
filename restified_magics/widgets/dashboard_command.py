"""``restified dashboard``: Voila on a Model, or on a folder of Models and Views."""

from __future__ import annotations

import os
import pathlib
import sys

import click

from restified_magics.core.sources import open_source

__all__ = ["command"]

_JUPYTER = pathlib.Path(__file__).parent / "jupyter"

#: Seconds after which a kernel is ended whose page was left without saying so.
IDLE = 120


@click.command(
    "dashboard",
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
    short_help="Show a Model as a page in the browser.",
)
@click.argument("path", type=click.Path())
@click.option(
    "--port", type=click.IntRange(0, 65535), metavar="PORT", help="Port to listen on; 8866 if it is free."
)
@click.option("--ip", metavar="ADDRESS", help="Address to listen on; only this machine if left out.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option(
    "--theme", type=click.Choice(["light", "dark"]), default="light", show_default=True, help="Its colours."
)
@click.option("--debug", is_flag=True, help="Show tracebacks of errors, with source lines, to the visitor.")
@click.argument("voila", nargs=-1, metavar="[VOILA_OPTION]...", type=click.UNPROCESSED)
def command(
    *,
    path: str,
    port: int | None,
    ip: str | None,
    no_browser: bool,
    theme: str,
    debug: bool,
    voila: tuple[str, ...],
) -> None:
    """Show the Model PATH as a page: its parameters as a form, with Run, its result and outputs.

    PATH is a notebook with a cell tagged `parameters` or `return`, or a folder of notebooks. Others are
    shown as Voila shows them. Each visitor has a kernel of their own, which ends with the page.

    \b
    restified dashboard model.ipynb
    restified dashboard model.ipynb --port 8080 --no-browser
    restified dashboard notebooks/ --ip 0.0.0.0

    Further options are handed to Voila: see `voila --help`.
    """
    if not os.path.isdir(path) and not path.endswith(".ipynb"):
        raise click.UsageError(f"{path} is no notebook. Name one, or a folder of them")
    if not os.path.exists(path):
        open_source(path)  # which says what there is
    from traitlets.config import Config  # with Voila, slow to import
    from voila.app import Voila

    from restified_magics.in_kernel.forked_manager import ForkedKernelManager, warm_up
    from restified_magics.widgets.dashboard import prelaunch_hook

    # where Voila, and who starts kernels, look for the template of the page
    os.environ["JUPYTER_PATH"] = os.pathsep.join(
        filter(None, [str(_JUPYTER), os.environ.get("JUPYTER_PATH", "")])
    )
    config = Config()
    config.VoilaConfiguration.prelaunch_hook = prelaunch_hook
    config.VoilaConfiguration.template = "restified"
    config.VoilaConfiguration.theme = theme
    config.VoilaConfiguration.show_tracebacks = debug
    config.MappingKernelManager.kernel_manager_class = (
        f"{ForkedKernelManager.__module__}.{ForkedKernelManager.__qualname__}"
    )
    config.MappingKernelManager.cull_interval = 10
    config.MappingKernelManager.cull_idle_timeout = IDLE
    arguments = [path, *voila]
    if port is not None:
        arguments.append(f"--port={port}")
    if ip is not None:
        arguments.append(f"--Voila.ip={ip}")
    if no_browser:
        arguments.append("--no-browser")
    warm_up()
    app = Voila.instance(config=config)
    app.initialize(arguments)
    sys.exit(app.start())
