"""``restified serve``: a Jupyter Server for a folder of Models, and for nothing else."""

from __future__ import annotations

import click

__all__ = ["command"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("folder", type=click.Path(exists=True, file_okay=False), default=".")
@click.option(
    "--port",
    type=int,
    metavar="PORT",
    default=8888,
    show_default=True,
    help="The port; the next free one if taken.",
)
@click.option(
    "--ip",
    metavar="ADDRESS",
    default="localhost",
    show_default=True,
    help="The address to listen at; * for all.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the page of all Models in a browser.")
@click.argument("options", nargs=-1, metavar="[JUPYTER_OPTION]...", type=click.UNPROCESSED)
def command(folder: str, port: int, ip: str, no_browser: bool, options: tuple[str, ...]) -> None:
    """Serve the notebooks of FOLDER as REST endpoints.

    Each answers at /restified/<path>.ipynb; /restified/ lists them, and the address that is printed has the
    token. OPTIONS are those of Jupyter, for instance --RestifiedApp.timeout=10: all of them are listed by
    `jupyter restified --help-all`.

    \b
    restified serve models/ --no-browser
    curl "http://localhost:8888/restified/area.ipynb?width=4" -H "Authorization: token …"
    """
    from restified_magics.rest.server import RestifiedApp  # Jupyter Server is slow to import

    arguments = [f"--ServerApp.root_dir={folder}", f"--port={port}", f"--ip={ip}", "--RestifiedApp.warm=True"]
    # a server without what it is for is of no use
    arguments.append("--ServerApp.reraise_server_extension_failures=True")
    if no_browser:
        arguments.append("--no-browser")
    RestifiedApp.launch_instance([*arguments, *options])
