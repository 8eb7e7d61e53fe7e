"""What a cell does with the value of the magic that runs: shows it, returns it, or something else."""

from __future__ import annotations

import dis
import sys
from typing import Literal

__all__ = ["Use", "use_of_value"]

Use = Literal["shown", "returned", "other"]

#: The packages whose frames are between the user's code and a magic.
_BETWEEN = ("IPython", "ipykernel", "restified_magics")


def use_of_value() -> Use:
    """What happens to the value that the magic, which called this, returns to the user's code.

    IPython does not say so to a magic. The cell's code does: the instruction after the call takes
    the value.

    Returns:
        ``"shown"`` as the last expression of a cell, ``"returned"`` as the value of a Model's cell or
        of a function, ``"other"`` where it is assigned or dropped.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    following = [each for each in dis.get_instructions(frame.f_code) if each.offset > frame.f_lasti]
    match [(each.opname, each.arg) for each in following[:1]]:
        # CALL_INTRINSIC_1 with 1 is INTRINSIC_PRINT, from Python 3.12 on
        case [("PRINT_EXPR", _)] | [("CALL_INTRINSIC_1", 1)]:
            return "shown"
        case [("RETURN_VALUE", _)]:
            return "returned"
    return "other"
