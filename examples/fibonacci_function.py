"""The Fibonacci notebook as its author would have refactored it by hand.

`demo.py` lays the time that it takes beside that of a call of `fibonacci.ipynb`, which needs no refactoring.
"""

import itertools
from collections.abc import Iterator


def numbers() -> Iterator[int]:
    """Yield the Fibonacci numbers, for as long as somebody asks for the next one."""
    current, following = 0, 1
    while True:
        yield current
        current, following = following, current + following


def fibonacci(n: int = 15) -> int:
    """The `n`-th Fibonacci number, counted from 0.

    Raises:
        ValueError: `n` is not from 0 to 10000.

    Example:
        >>> fibonacci(20)
        6765
    """
    if not 0 <= n <= 10000:
        raise ValueError(f"n must be from 0 to 10000, not {n}")
    return next(itertools.islice(numbers(), n, None))
