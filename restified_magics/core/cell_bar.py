"""A bar that shows how far a call is, cell by cell."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from restified_magics.core.progress import progress_of

if TYPE_CHECKING:
    from restified_magics.core.calls import Call

__all__ = ["cell_bar"]

_LOOK = 0.1  # seconds between two looks at the call


@contextlib.contextmanager
def cell_bar(call: Call) -> Iterator[None]:
    """Show a bar while the call runs, on stderr or in the notebook.

    Args:
        call: the call, which tells the cell that runs.
    """
    from tqdm.auto import tqdm  # it looks whether there is a notebook, which takes a moment

    total = len(call.notebook.to_run)
    ended = threading.Event()

    def show() -> None:
        bar.update(progress_of(call).done - bar.n)

    def follow() -> None:
        while not ended.wait(_LOOK):
            show()

    with tqdm(total=total, desc=call.notebook.name, unit="cell") as bar:
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
        bar.update(total - bar.n)
