"""``python -m restified_magics`` is ``restified``."""

from restified_magics.command_line.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="restified")
