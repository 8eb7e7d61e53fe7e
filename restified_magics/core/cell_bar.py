"""A bar that shows how far a call is, cell by cell."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restified_magics.core.calls import Call

__all__ = ["cell_bar"]

_LOOK = 0.1  # seconds between two looks at the call
_RUN = ("code", "parameters", "return")


@contextlib.contextmanager
def cell_bar(call: Call) -> Iterator[None]:
    """Show a bar while the call runs, on stderr or in the notebook.

    Args:
        call: the call, which tells the cell that runs.
    """
    from tqdm.auto import tqdm  # it looks whether there is a notebook, which takes a moment

    numbers = [cell.number for cell in call.notebook.cells if cell.role in _RUN]
    ended = threading.Event()

    def show() -> None:
        cell = call.cell
        done = 0 if cell is None else sum(number < cell.number for number in numbers)
        bar.update(done - bar.n)

    def follow() -> None:
        while not ended.wait(_LOOK):
            show()

    with tqdm(total=len(numbers), desc=call.notebook.name, unit="cell") as bar:
        following = threading.Thread(target=follow, name="restified-bar", daemon=True)
        following.start()
        try:
            yield
        except BaseException:
            ended.set()
            following.join()
            show()
            raise
        ended.set()
        following.join()
        bar.update(len(numbers) - bar.n)
