"""The environment that code of notebooks may see: this process's, without what opens a Jupyter server."""

from __future__ import annotations

import os
import re

__all__ = ["environment"]

_SECRET = re.compile(
    r"(JUPYTER|JPY|CONFIGPROXY).*(TOKEN|SECRET|PASSWORD|PASSWD|PWD|COOKIE|OAUTH|HEADERS|_KEY)|JPY_SESSION_NAME\Z"
)
_OURS = "RESTIFIED_MAGICS_CHAIN"  # of one call only


def environment() -> dict[str, str]:
    """The environment of this process without what opens a Jupyter server to who reads it."""
    return {name: value for name, value in os.environ.items() if not _SECRET.match(name) and name != _OURS}
