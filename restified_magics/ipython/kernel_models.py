"""The Models that a session ran in kernels, kept so that kernels are at hand for their next call."""

from __future__ import annotations

import copy
import os

from restified_magics.core.model import Model

__all__ = ["KernelModels"]

_MOST = 8  # Models that are kept: each keeps some kernels ready


class KernelModels:
    """The last Models that ran in kernels."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Model] = {}

    def model(self, path: str, kernel_name: str, timeout: float | None) -> Model:
        """The Model of a notebook, with the kernels of its last call.

        Args:
            path: the notebook.
            kernel_name: of the kernelspec; empty for the notebook's own.
            timeout: seconds that a call may take, or None.
        """
        from restified_magics.in_kernel.kernel_model import (
            KernelModel,  # here, since jupyter_client is slow to import
        )

        key = (os.path.abspath(os.path.expanduser(path)), kernel_name)
        kept = self._kept.pop(key, None) or KernelModel(path, kernel_name=kernel_name or None)
        self._kept[key] = kept
        while len(self._kept) > _MOST:
            self._kept.pop(next(iter(self._kept)))
        model = copy.copy(kept)
        model.timeout = timeout
        return model
