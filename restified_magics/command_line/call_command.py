"""``restified call``: a notebook called from the shell."""

from __future__ import annotations

import pathlib

import click

from restified_magics.command_line.command_values import given_values, read_values
from restified_magics.command_line.options import calling_options
from restified_magics.command_line.shell_completion import complete_notebook, complete_values
from restified_magics.command_line.terminal import check_ending, check_output, results_only, written
from restified_magics.core.media import CSV, HTML, JSON
from restified_magics.engines import Engine, open_model

__all__ = ["command"]


@click.command("call")
@click.argument("notebook", shell_complete=complete_notebook)
@click.argument("values", nargs=-1, metavar="[NAME=VALUE]...", shell_complete=complete_values)
@click.option("--json", "as_json", is_flag=True, help="Write the value as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Write the value, a table, as CSV.")
@click.option("--html", "as_html", is_flag=True, help="Write the value, a table, as HTML.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Write the value to a file, in the form that its ending says.",
)
@click.option(
    "--save",
    type=click.Path(),
    metavar="FILE.ipynb",
    help="Write the executed notebook, also when the call fails.",
)
@calling_options("the call")
def command(  # noqa: PLR0913 - the options of a command
    notebook: str,
    values: tuple[str, ...],
    *,
    as_json: bool,
    as_csv: bool,
    as_html: bool,
    output: str | None,
    save: str | None,
    timeout: float | None,
    cwd: str | None,
    engine: Engine,
    kernel: str | None,
) -> None:
    """Call NOTEBOOK as a function, and write the value that it returns to stdout.

    What its cells print goes to stderr. Values are read by the types of the parameters. @file.json and -
    (standard input) are JSON objects of values; name=@file.json is one value, name=@file the text of a file.

    \b
    restified call area.ipynb width=3 label="a b"
    restified call sales.ipynb year=2026 --csv > sales.csv
    restified call plot.ipynb x=42 -o plot.png
    echo '{"width": 3}' | restified call area.ipynb - --json
    """
    forms = {"--json": (as_json, JSON), "--csv": (as_csv, CSV), "--html": (as_html, HTML)}
    chosen = {flag: media_type for flag, (given, media_type) in forms.items() if given}
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} are several forms of one value. Leave one of them.")
    for flag, media_type in chosen.items():
        check_ending(output, flag, media_type)
    with results_only() as give:
        model = open_model(notebook, engine=engine, kernel=kernel, cwd=cwd, timeout=timeout)
        params = read_values(model.parameters, given_values(values), model.name)
        check_output(output, model.notebook)
        if save is None:
            value = model.execute(params)
        else:
            value = model.run(params, echo=True, save=pathlib.Path(save)).value
        for finding in model.notebook.findings:
            if finding.rule == "no-return":
                click.echo(f"Warning: {model.name}: {finding.text}", err=True)
        written(value, give, media_type=next(iter(chosen.values()), None), output=output)
