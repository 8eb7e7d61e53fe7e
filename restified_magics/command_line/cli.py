"""``restified`` as a process of its own: it imports nothing before Ctrl-C is told in a word."""

from __future__ import annotations

import sys

__all__ = ["program"]


def program() -> None:
    """Do what the command line says. stdout is for the result until the process has ended."""
    try:
        from restified_magics.command_line.commands import main
        from restified_magics.command_line.terminal import WHOLE_PROCESS  # not for who imports the commands

        main(prog_name="restified", obj=WHOLE_PROCESS)
    except KeyboardInterrupt:  # while it imports; what comes later is told by the commands
        sys.stderr.write("Interrupted\n")
        sys.exit(130)
