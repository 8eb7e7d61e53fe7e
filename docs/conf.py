"""Sphinx's configuration. The pages are Markdown (MyST); the reference is made of the docstrings."""

import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "restified_magics"
author = "The restified_magics developers"
copyright = author  # noqa: A001 - Sphinx's name
release = version = importlib.metadata.version("restified_magics")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
root_doc = "index"

html_theme = "furo"  # its fonts are the reader's own, and it fetches nothing from elsewhere
html_title = "restified_magics"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
add_module_names = False

# Names of others that docstrings and annotations mention, and the few of this package that only annotations
# do. All that a page or a docstring refers to otherwise has to be found.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!restified_magics\.).*"),
    (r"py:class", r"restified_magics\.(widgets\.controller|in_kernel\.(steps|kernel_process))\..*"),
    (r"py:class", r"restified_magics\.isolated\.isolation\.T"),
]


def setup(app: "Sphinx") -> None:
    """What a property says is no `type: description`, for which napoleon takes a colon in its first line."""
    app.connect("autodoc-process-docstring", _without_colon, priority=400)  # before napoleon reads it


def _without_colon(
    _app: "Sphinx", what: str, _name: str, _thing: object, _options: object, lines: list[str]
) -> None:
    if what in ("attribute", "property") and lines:
        lines[0] = lines[0].replace(": ", " – ", 1)
