"""A kernel manager for Jupyter's servers whose Python kernels are forked, with widgets imported before.

For pages, where a visitor waits for the kernel: `restified dashboard` has it, and who runs Voila by hand sets
``c.MappingKernelManager.kernel_manager_class``.
"""

from __future__ import annotations

import os
import uuid
from typing import Any

from jupyter_server.services.kernels.kernelmanager import ServerKernelManager

from restified_magics.in_kernel.fork_server import ForkProvisioner, can_fork, interpreter, server
from restified_magics.in_kernel.kernel_specs import BrokenKernelSpec, kernel_spec

__all__ = ["ForkedKernelManager", "warm_up"]

_PRELOAD = ("ipywidgets", "restified_magics.widgets.dashboard")
# ipywidgets tells the kernel of itself where it is imported in one: here it was imported before there was one
_EXTENSIONS = '--IPKernelApp.extensions=["ipywidgets"]'


class ForkedKernelManager(ServerKernelManager):  # type: ignore[misc]
    """Starts kernels as Jupyter does, but forks those of Python, where forks are safe."""

    kernel_id: Any
    provisioner: Any = None

    async def _async_pre_start_kernel(self, **options: Any) -> Any:
        spec = self.kernel_spec
        if can_fork(spec.argv) and "kernel_provisioner" not in spec.metadata:
            self.kernel_id = self.kernel_id or options.pop("kernel_id", str(uuid.uuid4()))
            if self.provisioner is None:  # else the kernel is started again
                self.provisioner = ForkProvisioner(kernel_id=self.kernel_id, kernel_spec=spec, parent=self)
                self.provisioner.preload = _PRELOAD
            arguments = [each for each in options.get("extra_arguments", []) if each != _EXTENSIONS]
            options["extra_arguments"] = [*arguments, _EXTENSIONS]
        return await super()._async_pre_start_kernel(**options)

    pre_start_kernel = _async_pre_start_kernel


def warm_up(name: str = "python3") -> None:
    """Have the process ready from which the kernels of this kernelspec are forked.

    Args:
        name: of the kernelspec. Where there is none, or its kernels cannot be forked, nothing happens.
    """
    try:
        spec = kernel_spec(name)
    except BrokenKernelSpec:  # who needs it will be told
        return
    if spec is not None and can_fork(spec.argv):
        manager = ForkedKernelManager(kernel_name=name)
        command = interpreter(manager.format_kernel_cmd())
        assert command is not None  # noqa: S101 - it can be forked
        server(command, {**os.environ, **spec.env}, _PRELOAD)
