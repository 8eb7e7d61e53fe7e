"""What the tests need besides Python packages: a Chromium, R with its Jupyter kernel, curl, and shells.

Run before the tests. On Debian and as root it installs what is missing; elsewhere it says what to install,
and the tests that need it are skipped (and fail where RESTIFIED_NO_SKIPS is set, as in `.ci/run`).
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

R_LIBRARIES = ("/usr/lib/R/site-library", "/usr/local/lib/R/site-library", "/usr/lib/R/library")


def _has_irkernel() -> bool:
    return any(pathlib.Path(folder, "IRkernel").is_dir() for folder in R_LIBRARIES)


NEEDED = {
    "chromium": lambda: shutil.which("chromium") or shutil.which("chromium-browser"),
    "r-cran-irkernel": _has_irkernel,
    "curl": lambda: shutil.which("curl"),
    "zsh": lambda: shutil.which("zsh"),
    "fish": lambda: shutil.which("fish"),
}


def main() -> None:
    missing = [package for package, is_there in NEEDED.items() if not is_there()]
    if not missing:
        return
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if not (root and shutil.which("apt-get")):
        sys.stderr.write(
            f"Some tests need {', '.join(missing)} and are skipped. "
            f"On Debian or Ubuntu: sudo {' '.join(install)}\n"
        )
        return
    print(f"Installing {', '.join(missing)} for the tests", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update", "--quiet=2"], check=True, env=environment)
    subprocess.run(install, check=True, env=environment, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
