"""The page that lists the Models of a server, and how to call each of them."""

from __future__ import annotations

import html
import json
import shlex
from collections.abc import Sequence
from urllib.parse import quote, unquote

from restified_magics.core.telling import shorten
from restified_magics.rest.openapi import url_of
from restified_magics.rest.request_values import RESERVED
from restified_magics.rest.served import Served
from restified_magics.rest.service import Listed
from restified_magics.signature.parameters import Parameter
from restified_magics.signature.reading import as_text

__all__ = ["POLICY", "confirm", "index", "log_in"]

#: The page runs no script, loads nothing, and sends its forms nowhere else.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'self'"

_STYLE = """
body {
  font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem }
h2 { font-size: 1.15rem; margin: 2rem 0 0 }
h2 small { font-weight: normal; color: #666 }
code, pre { font: 13px/1.5 ui-monospace, monospace; background: #f5f5f5; border-radius: 4px }
pre { padding: .6rem .8rem; overflow-x: auto } code { padding: .1rem .3rem }
table { border-collapse: collapse; margin: .6rem 0 }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top }
th { color: #666; font-weight: normal; font-size: .85rem; border-bottom: 1px solid #ddd }
td { border-bottom: 1px solid #f0f0f0 } a { color: #0b66c3 }
@media (prefers-color-scheme: dark) {
  body { background: #1c1c1c; color: #ddd } code, pre { background: #2a2a2a } a { color: #6db3f2 }
  h2 small, th { color: #999 } th { border-color: #444 } td { border-color: #2c2c2c } }
"""


def index(listed: Listed, base_url: str, host: str, xsrf: str) -> str:
    """The page.

    Args:
        listed: the Models, in the order of the page.
        base_url: where Jupyter is.
        host: protocol and host of the server, for the commands to copy.
        xsrf: the token by which a request is known to come from this page.
    """
    document = html.escape(f"{base_url}api/restified/openapi.json")
    parts = "\n".join(_model_or_why(model, base_url, host, xsrf) for model in listed.models)
    none = (
        "<p>There is no Model here: tag a cell of a notebook with <code>parameters</code> or "
        "<code>return</code>.</p>"
    )
    about = f'Each notebook answers at its URL. For programs: <a href="{document}">OpenAPI document</a>.'
    missing = f"<p>{html.escape(listed.missing)}</p>" if listed.missing else ""
    return _page("Notebooks as functions", f"<p>{about}</p>{missing}{parts or none}")


def confirm(url: str, values: Sequence[tuple[str, str]], xsrf: str) -> str:
    """The page for who typed the URL of a notebook, or came by a link from elsewhere: it asks before it runs.

    Args:
        url: the request's own, below the host.
        values: names and values of the query.
        xsrf: the token by which a request is known to come from this page.
    """
    listed = "".join(
        f"<tr><td><code>{html.escape(name)}</code><td><code>{html.escape(value)}</code>"
        for name, value in values
    )
    table = f"<table><tr><th>name<th>value</tr>{listed}</table>" if listed else "<p>With its defaults.</p>"
    path = html.escape(unquote(url.partition("?")[0]))
    return _page(
        "Run this notebook?",
        f'<p>{path}</p>{table}<p><a href="{html.escape(_ours(url, xsrf))}">Run it</a></p>',
    )


def log_in(url: str) -> str:
    """The page for who opened the URL of a notebook and is not logged in.

    Args:
        url: a page that sends those who are not logged in to where they can be.
    """
    link = f'<a href="{html.escape(url)}">Log in</a>'
    return _page("Who are you?", f"<p>{link}, then open this address again.</p>")


def _page(title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1>{body}</body></html>"
    )


def _model_or_why(model: Served, base_url: str, host: str, xsrf: str) -> str:
    """What is told of a Model; one with odd values keeps nobody from the others."""
    try:
        told = _model(model, base_url, host, xsrf)
        told.encode()
    except Exception as error:  # noqa: BLE001 - whatever its values do
        why = f"It cannot be shown here ({type(error).__name__})."
        return f"<h2>{html.escape(model.path)}</h2><p>{why}</p>"
    return told


def _model(model: Served, base_url: str, host: str, xsrf: str) -> str:
    notebook, url = model.notebook, url_of(model.path, base_url)
    parameters = notebook.fields.parameters
    rows = "".join(_row(parameter) for parameter in parameters.values())
    table = f"<table><tr><th>name<th>type<th>default<th>meaning</tr>{rows}</table>" if rows else ""
    required = [name for name, parameter in parameters.items() if parameter.required]
    link = f'<p><a href="{html.escape(_ours(url, xsrf))}">Call it with its defaults</a></p>'
    if required:
        link = _form(url, [parameters[name] for name in required if name not in RESERVED], xsrf)
    return (
        f"<h2>{html.escape(notebook.title)} <small>{html.escape(model.path)}</small></h2>"
        f"{table}<pre>{html.escape(_command(model, host + url))}</pre>{link}"
    )


def _row(parameter: Parameter) -> str:
    told = [parameter.label] if parameter.label.replace(" ", "_") != parameter.name else []
    told.append(parameter.help)
    told.append(f"in {parameter.unit}" if parameter.unit else "")
    told += (f"{word} {bound}" for word, bound in _bounds(parameter) if bound is not None)
    if parameter.choices:
        told.append("one of " + ", ".join(map(as_text, parameter.choices)))
    kind = parameter.annotation or getattr(parameter.type, "__name__", "")
    default = "required" if parameter.required else parameter.expression or _default(parameter)
    meaning = "; ".join(part.rstrip(".") for part in told if part)
    code = [f"<code>{html.escape(text)}</code>" for text in (parameter.name, kind)]
    cells = [*code, html.escape(default), html.escape(meaning)]
    return f"<tr>{''.join(f'<td>{cell}' for cell in cells)}</tr>"


def _bounds(parameter: Parameter) -> tuple[tuple[str, object], tuple[str, object]]:
    return ("at least", parameter.minimum), ("at most", parameter.maximum)


def _default(parameter: Parameter) -> str:
    default = parameter.default
    return shorten(default) if isinstance(default, str | None) else shorten(as_text(default))[1:-1]


def _form(url: str, parameters: Sequence[Parameter], xsrf: str) -> str:
    fields = " ".join(
        f'<label>{html.escape(each.label)} <input name="{html.escape(each.name)}" required></label>'
        for each in parameters
    )
    hidden = f'<input type="hidden" name="_xsrf" value="{html.escape(xsrf)}">'
    return f'<form action="{html.escape(url)}">{hidden}{fields} <button>Call it</button></form>'


def _ours(url: str, xsrf: str) -> str:
    """The URL with the token, in place of one that it may have."""
    path, _, query = url.partition("?")
    values = [each for each in query.split("&") if each and unquote(each.partition("=")[0]) != "_xsrf"]
    return f"{path}?{'&'.join([*values, f'_xsrf={quote(xsrf)}'])}"


def _command(model: Served, url: str) -> str:
    values = {
        name: parameter.default if _is_plain(parameter.default) else "…"
        for name, parameter in model.notebook.fields.parameters.items()
        if parameter.required or _is_plain(parameter.default)
    }
    body = shlex.quote(json.dumps(values, ensure_ascii=False))
    return (
        f"curl {shlex.quote(url)} -H 'Authorization: token '\"$TOKEN\" \\\n"
        f"     -H 'Content-Type: application/json' -d {body}"
    )


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
