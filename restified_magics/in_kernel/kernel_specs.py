"""The kernelspecs that Jupyter knows on this machine."""

from __future__ import annotations

import logging
import os

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from traitlets import TraitError

__all__ = ["BrokenKernelSpec", "installed_kernels", "kernel_spec", "quiet"]

#: What Jupyter's classes log is told by our errors.
quiet = logging.getLogger("restified_magics.kernels")
quiet.addHandler(logging.NullHandler())
quiet.propagate = False


class BrokenKernelSpec(Exception):  # noqa: N818 - who asked makes an error of it
    """The file of a kernelspec is not what it should be."""


def kernel_spec(name: str) -> KernelSpec | None:
    """The kernelspec of this name, or None where there is none.

    Raises:
        BrokenKernelSpec: its file cannot be read.
    """
    manager = KernelSpecManager(log=quiet)
    try:
        return manager.get_kernel_spec(name)
    except NoSuchKernel:
        return None
    except (ValueError, TypeError, LookupError, OSError, TraitError) as error:
        folder = manager.find_kernel_specs().get(name, name)
        raise BrokenKernelSpec(
            f"the kernelspec {name!r} cannot be read: {os.path.join(folder, 'kernel.json')}: {error}. "
            "Correct that file, or install the kernel again"
        ) from error


def installed_kernels() -> list[str]:
    """The names of the kernelspecs that there are."""
    return sorted(KernelSpecManager(log=quiet).find_kernel_specs())
