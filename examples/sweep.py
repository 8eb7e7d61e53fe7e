"""One Model, many calls: the sales of every region and measure, in two processes, kept to go on from.

Run it twice: the second time nothing is called again.
"""

from __future__ import annotations

import pathlib
import tempfile

from restified_magics import PythonModel

SALES = pathlib.Path(__file__).with_name("sales.ipynb")
STORE = pathlib.Path(tempfile.gettempdir()) / "restified-sweep-of-sales"


def main() -> None:
    """Call the Model for all combinations, and show what came back as a table."""
    model = PythonModel(SALES)
    grid = {"region": model.parameters["region"].choices or (), "top": [1, 3]}
    table = model.map(grid=grid, workers=2, progress=True, to_frame=True, store=STORE)
    table["rows"] = table.pop("value").map(len)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
