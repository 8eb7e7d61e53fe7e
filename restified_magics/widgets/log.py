"""Where a form logs: to the logger of forms, and in a kernel where somebody reads it."""

from __future__ import annotations

import logging

__all__ = ["log"]

_LOGGER = logging.getLogger("restified_magics.forms")


def log() -> logging.Logger:
    """The logger of forms; that of the application, as of ipykernel, where no handler is set up.

    A kernel redirects ``sys.stderr``, and what a thread writes there is lost in Voila. Its application has
    kept the real one.
    """
    from traitlets.config import Application  # a form without a kernel need not have it yet

    if not _LOGGER.hasHandlers() and Application.initialized():
        found: logging.Logger = Application.instance().log
        return found
    return _LOGGER
