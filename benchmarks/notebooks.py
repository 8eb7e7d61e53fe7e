"""Writes the notebooks that are measured."""

from __future__ import annotations

import base64
import json
import pathlib
import random
import textwrap
from typing import Any

__all__ = ["write_all"]

_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def write_all(folder: pathlib.Path) -> None:
    """Write the notebook of every workload of `benchmarks.workloads` to `folder`."""
    for name, make in _MAKERS.items():
        cells = make()
        for number, cell in enumerate(cells):
            cell["id"] = f"cell-{number}"
        node = {"cells": cells, "metadata": _METADATA, "nbformat": 4, "nbformat_minor": 5}
        (folder / f"{name}.ipynb").write_text(json.dumps(node, indent=1) + "\n", encoding="utf-8")


def _lines(text: str) -> list[str]:
    return textwrap.dedent(text).strip("\n").splitlines(keepends=True)


def _text(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(text)}


def _code(text: str, *tags: str, outputs: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": list(outputs),
        "source": _lines(text),
    }


def _trivial() -> list[dict[str, Any]]:
    """Eight code cells that do next to nothing: the call itself is what takes time."""
    return [
        _text("# Fibonacci\nThe `n`th number of the sequence."),
        _code("""
            def fibonacci():
                a, b = 0, 1
                while True:
                    yield a
                    a, b = b, a + b
        """),
        _code("[number for number, _ in zip(fibonacci(), range(10))]", "skip"),
        _code("n = 15", "parameters"),
        _text("## The answer"),
        _code("numbers = fibonacci()"),
        _code("index = 0"),
        _code("while index < n:\n    next(numbers)\n    index += 1"),
        _code("answer = next(numbers)"),
        _code("answer"),
        _code("answer", "return"),
    ]


def _many() -> list[dict[str, Any]]:
    """Five hundred code cells of one assignment each."""
    middle = [_code(f"v{k} = v{k - 1} + {k}") for k in range(1, 497)]
    return [
        _code("start = 0", "parameters"),
        _code("v0 = start"),
        *middle,
        _code("answer = v496 + 497"),
        _code("answer", "return"),
    ]


def _work() -> list[dict[str, Any]]:
    """Work of numpy and pandas, 60 ms or 100, on tables so small that the allocator has little part in it."""
    return [
        _text("# Group and rank"),
        _code("import numpy as np\nimport pandas as pd"),
        _code("tables = 22", "parameters"),
        _code("index = np.arange(40_000, dtype='int64')"),
        _code("""
            def top(number):
                value = index * (104_729 + number) % 1_000_003
                frame = pd.DataFrame({'key': index * 7919 % 50, 'value': value})
                grouped = frame.groupby('key')['value'].agg(['mean', 'std', 'max'])
                return int(np.sort(frame['value'].to_numpy())[20_000]) + int(grouped['max'].sum())
        """),
        _code("tops = [top(number) for number in range(tables)]"),
        _code("answer = sum(tops)"),
        _code("answer", "return"),
    ]


def _large() -> list[dict[str, Any]]:
    """A file of some 20 MB: twenty cells with about a megabyte of output each."""
    rng = random.Random(6)
    cells = [_code("x = 1", "parameters")]
    for k in range(20):
        data: dict[str, Any]
        if k % 2:
            row = "<tr>" + "".join(f"<td>{rng.random():.6f}</td>" for _ in range(4)) + "</tr>\n"
            table = ["<table>\n", *[row] * (1_000_000 // len(row)), "</table>"]
            data = {"text/html": table, "text/plain": ["a table"]}
        else:
            png = base64.b64encode(rng.randbytes(750_000)).decode()
            data = {"image/png": png, "text/plain": ["<Figure size 640x480 with 1 Axes>"]}
        cells.append(
            _code(f"y{k} = x + {k}", outputs=({"output_type": "display_data", "metadata": {}, "data": data},))
        )
    return [*cells, _code("answer = x"), _code("answer", "return")]


def _figure() -> list[dict[str, Any]]:
    """A matplotlib figure that is left open, as most notebooks leave theirs."""
    return [
        _code("import matplotlib.pyplot as plt"),
        _code("points = 50", "parameters"),
        _code("figure, axes = plt.subplots(figsize=(3, 2))"),
        _code("line, = axes.plot(range(points))"),
        _code("answer = len(line.get_xdata())"),
        _code("answer", "return"),
    ]


_MAKERS = {
    "trivial": _trivial,
    "many": _many,
    "work": _work,
    "longer": _work,
    "large": _large,
    "figure": _figure,
}
