"""``python -m restified_magics`` is ``restified``."""

import os
import sys

# `python -m` looks for modules in the current folder first: what lies there is neither the standard library's
# nor the notebook's. Only where this package itself lies there must that stay.
_here = os.path.realpath(sys.path[0]) if sys.path else ""
if _here == os.path.realpath("") and _here != os.path.dirname(os.path.dirname(os.path.realpath(__file__))):
    del sys.path[0]

from restified_magics.command_line.cli import program  # noqa: E402 - after the path is in order

__all__ = ["program"]

if __name__ == "__main__":
    program()
